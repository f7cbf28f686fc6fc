/* unix(7): datagram sockets with names: who may send to whom, from whom it comes, and how much waits there. */
#include "check.h"
#include <poll.h>
#include <stddef.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>

static char text[300000];
static struct sockaddr_un server_name;

/* Abstract names are all the host's processes': nobody else is to have them. */
static socklen_t name_of(struct sockaddr_un *name, const char *kind, bool abstract)
{
    static unsigned own;
    while (own == 0)
        CHECK(getrandom(&own, sizeof own, 0) == sizeof own);
    *name = (struct sockaddr_un){.sun_family = AF_UNIX};
    int size = snprintf(name->sun_path + abstract, sizeof name->sun_path - 1, "%s%u", kind, own);
    return (socklen_t)(offsetof(struct sockaddr_un, sun_path) + (size_t)size + 1);
}

static int bound(struct sockaddr_un *name, const char *kind, bool abstract)
{
    int fd = socket(AF_UNIX, SOCK_DGRAM, 0);
    socklen_t size = name_of(name, kind, abstract);
    CHECK(bind(fd, (struct sockaddr *)name, size) == 0);
    return fd;
}

static long to_name(int fd, const char *what, const struct sockaddr_un *name, int flags)
{
    socklen_t size = offsetof(struct sockaddr_un, sun_path);
    size += name->sun_path[0] != 0 ? (socklen_t)strlen(name->sun_path) + 1
                                   : (socklen_t)strlen(name->sun_path + 1) + 1;
    return sendto(fd, what, strlen(what), flags, (const struct sockaddr *)name, size);
}

static long join(int fd, const struct sockaddr_un *name)
{
    socklen_t size = offsetof(struct sockaddr_un, sun_path);
    size += name->sun_path[0] != 0 ? (socklen_t)strlen(name->sun_path) + 1
                                   : (socklen_t)strlen(name->sun_path + 1) + 1;
    return connect(fd, (const struct sockaddr *)name, size);
}

static void say_name(const struct sockaddr_un *name, socklen_t size)
{
    int path = (int)size - (int)offsetof(struct sockaddr_un, sun_path);
    bool abstract = path > 0 && name->sun_path[0] == 0;
    const char *at = name->sun_path + abstract;
    if (path <= 0)
        printf("nobody(%d)", (int)size);
    else if (abstract && path == 6)
        printf("@auto");
    else
        printf("%s%.*s", abstract ? "@" : "", (int)strcspn(at, "0123456789"), at);
}

static void receive(int fd, size_t room, int flags)
{
    struct sockaddr_un from;
    socklen_t size = sizeof from;
    ssize_t got = recvfrom(fd, text, room, flags | MSG_DONTWAIT, (struct sockaddr *)&from, &size);
    printf("got %zd %s", got, got < 0 ? error_name(errno) : "");
    if (got >= 0) {
        printf("%.*s from ", (int)(got < (ssize_t)room ? got : (ssize_t)room), text);
        say_name(&from, size);
    }
    printf("\n");
}

static void say_poll(int fd)
{
    struct pollfd poll_fd = {fd, POLLIN | POLLOUT | POLLRDHUP, 0};
    int ready = poll(&poll_fd, 1, 0);
    printf("poll %d %x\n", ready, (unsigned)poll_fd.revents);
}

static void names(bool abstract)
{
    struct sockaddr_un there, own, auto_name;
    socklen_t size = sizeof auto_name;
    int server = bound(&there, "server", abstract), other = socket(AF_UNIX, SOCK_DGRAM, 0);
    int named = bound(&own, "client", abstract), automatic = socket(AF_UNIX, SOCK_DGRAM, 0);
    sa_family_t family = AF_UNIX;
    CHECK(bind(automatic, (struct sockaddr *)&family, sizeof family) == 0);
    CHECK(getsockname(automatic, (struct sockaddr *)&auto_name, &size) == 0);
    say_name(&auto_name, size);
    printf("\n");
    FAILS(bind(named, (struct sockaddr *)&there, sizeof there));
    FAILS(bind(other, (struct sockaddr *)&there, (socklen_t)name_of(&there, "server", abstract)));
    FAILS(listen(server, 1));
    FAILS(accept(server, NULL, NULL));
    FAILS(send(other, "x", 1, 0));
    FAILS(recv(server, text, 1, MSG_DONTWAIT));
    say_poll(server);
    CHECK(to_name(other, "one", &there, 0) == 3 && to_name(named, "two", &there, 0) == 3);
    CHECK(to_name(automatic, "three", &there, 0) == 5 && to_name(other, "", &there, 0) == 0);
    CHECK(to_name(server, "itself", &there, 0) == 6);
    say_poll(server);
    int in = -1;
    CHECK(ioctl(server, FIONREAD, &in) == 0);
    printf("next %d\n", in);
    receive(server, 2, MSG_PEEK);
    receive(server, 2, MSG_PEEK | MSG_TRUNC);
    for (int i = 0; i < 6; i++)
        receive(server, 100, 0);
    CHECK(join(other, &there) == 0 && send(other, "joined", 6, 0) == 6);
    CHECK(sendto(other, "past", 4, 0, (struct sockaddr *)&own,
                 name_of(&own, "client", abstract)) == 4);
    receive(server, 100, 0);
    receive(named, 100, 0);
    CHECK(join(server, &own) == 0);
    FAILS(send(other, "x", 1, 0));
    FAILS(to_name(automatic, "x", &there, 0));
    CHECK(to_name(named, "mine", &there, 0) == 4);
    receive(server, 100, 0);
    close(named);
    FAILS(send(server, "x", 1, 0));
    FAILS(send(server, "x", 1, 0));
    FAILS(to_name(automatic, "x", &own, 0));
    unlink(own.sun_path);
    FAILS(to_name(automatic, "x", &own, 0));
    CHECK(send(other, "again", 5, 0) == 5);
    receive(server, 100, 0);
    close(server);
    FAILS(send(other, "x", 1, 0));
    FAILS(send(other, "x", 1, 0));
    say_poll(other);
    unlink(there.sun_path);
    close(other);
    close(automatic);
}

static void kinds(void)
{
    struct sockaddr_un stream_name, there;
    int stream = socket(AF_UNIX, SOCK_STREAM, 0), client = socket(AF_UNIX, SOCK_DGRAM, 0);
    socklen_t size = name_of(&stream_name, "stream", false);
    CHECK(bind(stream, (struct sockaddr *)&stream_name, size) == 0 && listen(stream, 1) == 0);
    FAILS(to_name(client, "x", &stream_name, 0));
    FAILS(join(client, &stream_name));
    int server = bound(&there, "kinds", false), second = socket(AF_UNIX, SOCK_STREAM, 0);
    FAILS(join(second, &there));
    CHECK(chmod(there.sun_path, 0) == 0);
    printf("without permission: %s\n",
           to_name(client, "x", &there, 0) == (geteuid() == 0 ? 1 : -1) ? "as it should be" : "?");
    FAILS(sendto(client, "x", 1, 0, (struct sockaddr *)&there, 1));
    FAILS(sendto(client, "x", 1, 0, (struct sockaddr *)8, 20));
    FAILS(to_name(client, "x", &there, MSG_OOB));
    unlink(there.sun_path);
    int again = bound(&there, "kinds", false);
    CHECK(to_name(client, "new", &there, 0) == 3);
    receive(again, 100, 0);
    unlink(there.sun_path);
    unlink(stream_name.sun_path);
    close(again);
    close(server);
    close(stream);
    close(second);
    close(client);
}

/* As many wait as net.unix.max_dgram_qlen says, and one. */
static void full(bool connects)
{
    struct sockaddr_un there;
    int server = bound(&there, "full", connects), client = socket(AF_UNIX, SOCK_DGRAM, 0), count = 0;
    struct epoll_event event = {.events = EPOLLOUT | EPOLLET};
    int set = epoll_create1(0);
    CHECK(epoll_ctl(set, EPOLL_CTL_ADD, client, &event) == 0);
    CHECK(epoll_wait(set, &event, 1, 0) == 1);
    if (connects)
        CHECK(join(client, &there) == 0);
    while ((connects ? send(client, "x", 1, MSG_DONTWAIT)
                     : to_name(client, "x", &there, MSG_DONTWAIT)) == 1)
        count++;
    printf("%d, then %s\n", count, error_name(errno));
    say_poll(client);
    while (epoll_wait(set, &event, 1, 0) == 1)
        ;
    pid_t pid = fork();
    if (pid == 0) {
        until_asleep(getppid(), getppid());
        _exit(recv(server, text, 1, 0) != 1);
    }
    if (connects) {
        struct pollfd poll_fd = {client, POLLOUT, 0};
        CHECK(poll(&poll_fd, 1, 20000) == 1 && poll_fd.revents == POLLOUT);
        CHECK(send(client, "x", 1, MSG_DONTWAIT) == 1);
    } else {
        CHECK(to_name(client, "x", &there, 0) == 1);
    }
    CHECK(reap(pid) == 0);
    FAILS(to_name(client, "x", &there, MSG_DONTWAIT));
    pid = fork();
    if (pid == 0) {
        until_asleep(getppid(), getppid());
        for (int i = 0; i < 5; i++)
            CHECK(recv(server, text, 1, 0) == 1);
        _exit(failures);
    }
    if (connects) {
        CHECK(epoll_wait(set, &event, 1, 20000) == 1 && event.events == EPOLLOUT);
    } else {
        CHECK(to_name(client, "x", &there, 0) == 1);
    }
    CHECK(reap(pid) == 0);
    for (count = 0; recv(server, text, 1, MSG_DONTWAIT) == 1;)
        count++;
    printf("%d left\n", count);
    close(set);
    close(server);
    close(client);
    unlink(there.sun_path);
}

/* Several send to one that sleeps in every way there is. */
static void crowd(int way)
{
    enum { CHILDREN = 3, EACH = 2000 };
    static int next[CHILDREN];
    struct sockaddr_un there;
    int server = bound(&there, "crowd", way % 2), set = epoll_create1(0), bad = 0;
    struct epoll_event event = {.events = EPOLLIN};
    CHECK(epoll_ctl(set, EPOLL_CTL_ADD, server, &event) == 0);
    pid_t pids[CHILDREN];
    for (int i = 0; i < CHILDREN; i++) {
        next[i] = 0;
        pids[i] = fork();
        if (pids[i] != 0)
            continue;
        int fd = socket(AF_UNIX, SOCK_DGRAM, 0);
        if (i == 0)
            CHECK(join(fd, &there) == 0);
        for (int n = 0; n < EACH; n++) {
            char line[32];
            int size = snprintf(line, sizeof line, "%d %d", i, n);
            line[size] = 0;
            CHECK((i == 0 ? send(fd, line, (size_t)size, 0) : to_name(fd, line, &there, 0)) == size);
        }
        _exit(failures);
    }
    for (int n = 0; n < CHILDREN * EACH; n++) {
        struct pollfd poll_fd = {server, POLLIN, 0};
        if (way == 1)
            CHECK(poll(&poll_fd, 1, 20000) == 1);
        if (way == 2)
            CHECK(epoll_wait(set, &event, 1, 20000) == 1);
        ssize_t got = recv(server, text, 32, way == 0 ? 0 : MSG_DONTWAIT);
        text[got > 0 ? got : 0] = 0;
        int who = 0, which = -1;
        sscanf(text, "%d %d", &who, &which);
        bad += which != next[who % CHILDREN]++;
    }
    for (int i = 0; i < CHILDREN; i++)
        CHECK(reap(pids[i]) == 0);
    printf("way %d: %d bad\n", way, bad);
    close(set);
    close(server);
    unlink(there.sun_path);
}

/* The receiver is killed while senders sleep for room, or wait for it by poll(2). */
static void killed(int way)
{
    int ready[2];
    struct sockaddr_un there;
    name_of(&there, "killed", way % 2);
    server_name = there;
    CHECK(pipe(ready) == 0);
    pid_t pid = fork();
    if (pid == 0) {
        int fd = socket(AF_UNIX, SOCK_DGRAM, 0);
        CHECK(bind(fd, (struct sockaddr *)&there,
                   (socklen_t)(offsetof(struct sockaddr_un, sun_path) + 1 +
                               strlen(there.sun_path + way % 2))) == 0);
        CHECK(write(ready[1], "r", 1) == 1);
        pause();
    }
    CHECK(read(ready[0], text, 1) == 1);
    pid_t killer = fork();
    if (killer == 0) {
        until_asleep(getppid(), getppid());
        kill(pid, SIGKILL);
        _exit(0);
    }
    int client = socket(AF_UNIX, SOCK_DGRAM, 0);
    if (way != 0)
        CHECK(join(client, &there) == 0);
    int flags = way == 2 ? MSG_DONTWAIT : 0;
    while ((way == 0 ? to_name(client, "x", &there, 0) : send(client, "x", 1, flags)) == 1)
        ;
    printf("killed: %s\n", error_name(errno));
    struct pollfd poll_fd = {client, POLLOUT, 0};
    if (way == 2) {
        CHECK(poll(&poll_fd, 1, 20000) == 1);
        printf("poll %x\n", (unsigned)poll_fd.revents);
    }
    CHECK(reap(pid) == 128 + SIGKILL && reap(killer) == 0);
    FAILS(way == 0 ? to_name(client, "x", &there, 0) : send(client, "x", 1, 0));
    FAILS(way == 0 ? to_name(client, "x", &there, 0) : send(client, "x", 1, 0));
    close(client);
    close(ready[0]);
    close(ready[1]);
    unlink(there.sun_path);
}

static void ends(void)
{
    struct sockaddr_un there;
    int server = bound(&there, "ends", true), client = socket(AF_UNIX, SOCK_DGRAM, 0);
    CHECK(join(client, &there) == 0 && send(client, "last", 4, 0) == 4);
    CHECK(shutdown(server, SHUT_RD) == 0);
    FAILS(send(client, "x", 1, 0));
    say_poll(server);
    receive(server, 100, 0);
    receive(server, 100, 0);
    CHECK(recv(server, text, 1, 0) == 0);
    CHECK(shutdown(client, SHUT_WR) == 0);
    FAILS(send(client, "x", 1, 0));
    FAILS(to_name(client, "x", &there, 0));
    close(server);
    close(client);
    server = bound(&there, "ends", true);
    pid_t pid = fork();
    if (pid == 0) {
        until_asleep(getppid(), getppid());
        _exit(shutdown(server, SHUT_RDWR) != 0);
    }
    CHECK(recv(server, text, 1, 0) == 0 && reap(pid) == 0);
    say_poll(server);
    close(server);
}

/* SO_RCVTIMEO and SO_SNDTIMEO; and messages that are longer than others. */
static void limits(void)
{
    struct timeval brief = {0, 20000};
    struct sockaddr_un there;
    int server = bound(&there, "limits", true), client = socket(AF_UNIX, SOCK_DGRAM, 0), big = 600000;
    CHECK(setsockopt(server, SOL_SOCKET, SO_RCVTIMEO, &brief, sizeof brief) == 0);
    CHECK(setsockopt(client, SOL_SOCKET, SO_SNDTIMEO, &brief, sizeof brief) == 0);
    FAILS(recv(server, text, 1, 0));
    while (to_name(client, "x", &there, 0) == 1)
        ;
    printf("send: %s\n", error_name(errno));
    while (recv(server, text, 1, MSG_DONTWAIT) == 1)
        ;
    CHECK(join(client, &there) == 0);
    FAILS(send(client, text, 212961, 0));
    CHECK(send(client, text, 200000, 0) == 200000);
    say_poll(client);
    CHECK(recv(server, text, sizeof text, 0) == 200000);
    say_poll(client);
    if (setsockopt(client, SOL_SOCKET, SO_SNDBUFFORCE, &big, sizeof big) == 0)
        CHECK(send(client, text, 250000, 0) == 250000 &&
              recv(server, text, sizeof text, 0) == 250000);
    CHECK(send(client, "after", 5, 0) == 5);
    receive(server, 100, 0);
    close(server);
    close(client);
}

static int fd_in(struct msghdr *message)
{
    struct cmsghdr *header = CMSG_FIRSTHDR(message);
    int fd = -1;
    if (header != NULL && header->cmsg_type == SCM_RIGHTS)
        memcpy(&fd, CMSG_DATA(header), sizeof fd);
    return fd;
}

static void rights(void)
{
    _Alignas(struct cmsghdr) char control[CMSG_SPACE(sizeof(int))];
    struct sockaddr_un there;
    int server = bound(&there, "rights", false), client = socket(AF_UNIX, SOCK_DGRAM, 0), pair[2];
    struct iovec part = {"with", 4};
    struct msghdr message = {.msg_name = &there,
                             .msg_namelen = sizeof there,
                             .msg_iov = &part,
                             .msg_iovlen = 1,
                             .msg_control = control,
                             .msg_controllen = sizeof control};
    CHECK(socketpair(AF_UNIX, SOCK_STREAM, 0, pair) == 0 && write(pair[1], "content", 7) == 7);
    struct cmsghdr *header = CMSG_FIRSTHDR(&message);
    *header = (struct cmsghdr){CMSG_LEN(sizeof(int)), SOL_SOCKET, SCM_RIGHTS};
    memcpy(CMSG_DATA(header), &pair[0], sizeof(int));
    CHECK(to_name(client, "first", &there, 0) == 5 && sendmsg(client, &message, 0) == 4);
    CHECK(to_name(client, "last", &there, 0) == 4);
    close(pair[0]);
    say_poll(server);
    for (int i = 0; i < 3; i++) {
        part = (struct iovec){text, sizeof text};
        message.msg_controllen = sizeof control;
        message.msg_namelen = sizeof there;
        ssize_t got = recvmsg(server, &message, 0);
        int fd = fd_in(&message);
        printf("%.*s (%d):", (int)got, text, (int)message.msg_namelen);
        printf(" %.*s\n", fd < 0 ? 2 : (int)read(fd, text, 10), fd < 0 ? "no" : text);
        close(fd);
    }
    close(pair[1]);
    close(server);
    close(client);
    unlink(there.sun_path);
}

static void credentials(void)
{
    int on = 1;
    _Alignas(struct cmsghdr) char control[CMSG_SPACE(sizeof(struct ucred))];
    struct sockaddr_un there, from;
    int server = bound(&there, "creds", true), client = socket(AF_UNIX, SOCK_DGRAM, 0);
    struct iovec part = {text, sizeof text};
    CHECK(to_name(client, "before", &there, 0) == 6);
    CHECK(setsockopt(server, SOL_SOCKET, SO_PASSCRED, &on, sizeof on) == 0);
    CHECK(to_name(client, "after", &there, 0) == 5);
    CHECK(setsockopt(client, SOL_SOCKET, SO_PASSCRED, &on, sizeof on) == 0);
    CHECK(to_name(client, "named", &there, 0) == 5);
    pid_t pid = fork();
    if (pid == 0)
        _exit(to_name(client, "child", &there, 0) != 5);
    for (int i = 0; i < 4; i++) {
        struct msghdr message = {.msg_name = &from,
                                 .msg_namelen = sizeof from,
                                 .msg_iov = &part,
                                 .msg_iovlen = 1,
                                 .msg_control = control,
                                 .msg_controllen = sizeof control};
        ssize_t got = recvmsg(server, &message, 0);
        struct cmsghdr *header = CMSG_FIRSTHDR(&message);
        struct ucred by = {-1, 0, 0};
        if (header != NULL && header->cmsg_type == SCM_CREDENTIALS)
            memcpy(&by, CMSG_DATA(header), sizeof by);
        printf("%.*s: %s, ", (int)got, text,
               by.pid == 0          ? "nobody"
               : by.pid == getpid() ? "ourselves"
               : by.pid == pid      ? "the child"
                                    : "?");
        if (got > 5) /* its sender has got a name meanwhile */
            printf("-");
        else
            say_name(&from, message.msg_namelen);
        printf("\n");
    }
    CHECK(reap(pid) == 0);
    close(server);
    close(client);
}

int main(void)
{
    names(false);
    names(true);
    kinds();
    full(false);
    full(true);
    for (int way = 0; way < 3; way++)
        crowd(way);
    for (int way = 0; way < 3; way++)
        killed(way);
    ends();
    limits();
    rights();
    credentials();
    return finish();
}
