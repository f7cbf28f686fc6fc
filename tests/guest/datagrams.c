/* unix(7): whole messages over pairs, SOCK_DGRAM and SOCK_SEQPACKET, and connections of the latter. */
#include "check.h"
#include <poll.h>
#include <stddef.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <sys/un.h>

static int pair[2];
static char big[220000], text[64];

static void fresh(int type)
{
    CHECK(socketpair(AF_UNIX, type, 0, pair) == 0);
}

static void drop(void)
{
    close(pair[0]);
    close(pair[1]);
}

static void say_poll(int fd)
{
    struct pollfd poll_fd = {fd, POLLIN | POLLOUT | POLLRDHUP, 0};
    int ready = poll(&poll_fd, 1, 0);
    printf("poll %d %x\n", ready, (unsigned)poll_fd.revents);
}

static void say_waiting(void)
{
    int in = -1, out = -1;
    CHECK(ioctl(pair[1], FIONREAD, &in) == 0 && ioctl(pair[0], TIOCOUTQ, &out) == 0);
    printf("waiting %d, on its way %d\n", in, out);
}

static void receive(int flags, size_t size)
{
    struct iovec part = {text, size};
    struct msghdr message = {.msg_iov = &part, .msg_iovlen = 1};
    ssize_t got = recvmsg(pair[1], &message, flags | MSG_DONTWAIT);
    printf("got %zd %s flags %x: %.*s\n", got, got < 0 ? error_name(errno) : "",
           (unsigned)message.msg_flags, got > 0 ? (int)(got < (ssize_t)size ? got : (ssize_t)size) : 0,
           text);
}

static void sizes(int type)
{
    fresh(type);
    CHECK(send(pair[0], "abc", 3, MSG_EOR) == 3);
    say_waiting();
    receive(MSG_PEEK, 2);
    CHECK(write(pair[0], "de", 2) == 2 && write(pair[0], "", 0) == 0);
    CHECK(writev(pair[0], &(struct iovec){text, 0}, 1) == 0);
    say_waiting();
    CHECK(read(pair[1], text, 0) == 0);
    receive(MSG_TRUNC, 2);
    receive(MSG_TRUNC | MSG_PEEK, 1);
    receive(0, 1);
    receive(0, 10);
    receive(0, 10);
    FAILS(send(pair[0], big, 212961, 0));
    CHECK(send(pair[0], big, 212960, 0) == 212960);
    FAILS(send(pair[0], "x", 1, MSG_DONTWAIT));
    say_poll(pair[0]);
    CHECK(recv(pair[1], big, sizeof big, 0) == 212960);
    int count = 0;
    while (send(pair[0], "x", 1, MSG_DONTWAIT) == 1)
        count++;
    printf("%d small ones: %s\n", count, error_name(errno));
    for (count = 0; recv(pair[1], text, 1, MSG_DONTWAIT) == 1;)
        count++;
    printf("%d came\n", count);
    FAILS(send(pair[0], "x", 1, MSG_OOB));
    FAILS(recv(pair[0], text, 1, MSG_OOB));
    CHECK(send(pair[0], "lost", 4, 0) == 4 && send(pair[0], "next", 4, 0) == 4);
    FAILS(recv(pair[1], (void *)8, 4, 0));
    receive(0, 10);
    drop();
}

static void ends(int type)
{
    signal(SIGPIPE, SIG_DFL); /* none comes */
    fresh(type);
    CHECK(send(pair[1], "left", 4, 0) == 4);
    CHECK(shutdown(pair[1], SHUT_RD) == 0);
    FAILS(send(pair[0], "x", 1, 0));
    FAILS(recv(pair[1], text, 1, MSG_DONTWAIT));
    CHECK(recv(pair[1], text, 1, 0) == 0);
    say_poll(pair[1]);
    CHECK(shutdown(pair[0], SHUT_WR) == 0);
    FAILS(send(pair[0], "x", 1, 0));
    FAILS(recv(pair[1], text, 1, MSG_DONTWAIT));
    close(pair[1]);
    say_poll(pair[0]);
    FAILS(send(pair[0], "x", 1, 0));
    FAILS(send(pair[0], "x", 1, 0));
    FAILS(recv(pair[0], text, 10, MSG_DONTWAIT));
    close(pair[0]);
    fresh(type);
    CHECK(send(pair[0], "unread", 6, 0) == 6 && send(pair[1], "mine", 4, 0) == 4);
    close(pair[1]);
    say_poll(pair[0]);
    FAILS(send(pair[0], "x", 1, 0));
    FAILS(send(pair[0], "x", 1, 0));
    FAILS(recv(pair[0], text, 10, MSG_DONTWAIT));
    int error;
    socklen_t size = sizeof error;
    CHECK(getsockopt(pair[0], SOL_SOCKET, SO_ERROR, &error, &size) == 0);
    CHECK(getsockopt(pair[0], SOL_SOCKET, SO_TYPE, &size, &(socklen_t){sizeof size}) == 0);
    printf("error %d type %d\n", error, (int)size);
    close(pair[0]);
}

/* A child that echoes until it is killed; the other side sleeps, and learns of its end as there is one. */
static void processes(int type)
{
    fresh(type);
    pid_t pid = fork();
    if (pid == 0) {
        close(pair[0]);
        for (ssize_t got; (got = recv(pair[1], big, sizeof big, 0)) > 0;)
            if (send(pair[1], big, (size_t)got, 0) != got)
                _exit(1);
        _exit(0);
    }
    close(pair[1]);
    long sum = 0;
    for (int i = 1; i < 3000; i++) {
        size_t size = (size_t)(i * 37 % 5000) + 1;
        memset(big, i, size);
        CHECK(send(pair[0], big, size, 0) == (ssize_t)size);
        big[0] = 0;
        sum += recv(pair[0], big, sizeof big, 0);
        CHECK(big[0] == (char)i && big[size - 1] == (char)i);
    }
    printf("echoed %ld\n", sum);
    kill(pid, SIGKILL);
    CHECK(reap(pid) == 128 + SIGKILL);
    FAILS(send(pair[0], "x", 1, MSG_NOSIGNAL));
    FAILS(recv(pair[0], text, 1, MSG_DONTWAIT));
    close(pair[0]);
}

/* More than there is room for: the writer sleeps now and then, nothing is lost or torn. */
static void flood(int type)
{
    fresh(type);
    pid_t pid = fork();
    if (pid == 0) {
        close(pair[1]);
        for (int i = 0; i < 20000; i++)
            if (send(pair[0], &i, sizeof i + (size_t)(i % 100), 0) < 0)
                _exit(1);
        _exit(0);
    }
    close(pair[0]);
    int bad = 0;
    for (int i = 0; i < 20000; i++) {
        ssize_t got = recv(pair[1], big, sizeof big, 0);
        int number;
        memcpy(&number, big, sizeof number);
        bad += got != (ssize_t)sizeof number + i % 100 || number != i;
    }
    printf("flood: %d bad, child %d\n", bad, reap(pid));
    close(pair[1]);
}

/* The writer waits for room at one that is killed. */
static void killed_full(int type)
{
    fresh(type);
    pid_t pid = fork();
    if (pid == 0) {
        close(pair[0]);
        pause();
    }
    close(pair[1]);
    pid_t killer = fork();
    if (killer == 0) {
        close(pair[0]);
        until_asleep(getppid(), getppid());
        kill(pid, SIGKILL);
        _exit(0);
    }
    while (send(pair[0], "x", 1, MSG_NOSIGNAL) == 1)
        ;
    printf("full, then killed: %s\n", error_name(errno));
    CHECK(reap(pid) == 128 + SIGKILL && reap(killer) == 0);
    close(pair[0]);
}

static void options(int type)
{
    fresh(type);
    struct timeval brief = {0, 20000};
    CHECK(setsockopt(pair[0], SOL_SOCKET, SO_RCVTIMEO, &brief, sizeof brief) == 0);
    CHECK(setsockopt(pair[0], SOL_SOCKET, SO_SNDTIMEO, &brief, sizeof brief) == 0);
    FAILS(recv(pair[0], text, 1, 0));
    while (send(pair[0], big, 4000, 0) == 4000)
        ;
    printf("send: %s\n", error_name(errno));
    drop();
    fresh(type | SOCK_NONBLOCK);
    int small = 4608;
    CHECK(setsockopt(pair[0], SOL_SOCKET, SO_SNDBUF, &small, sizeof small) == 0);
    FAILS(send(pair[0], big, 10000, 0));
    CHECK(send(pair[0], big, 9000, 0) == 9000);
    FAILS(send(pair[0], big, 10, 0));
    FAILS(listen(pair[0], 1));
    FAILS(accept(pair[0], NULL, NULL));
    drop();
}

static void credentials(int type)
{
    int on = 1;
    _Alignas(struct cmsghdr) char control[CMSG_SPACE(sizeof(struct ucred))];
    struct iovec part = {text, sizeof text};
    fresh(type);
    CHECK(send(pair[0], "before", 6, 0) == 6);
    CHECK(setsockopt(pair[1], SOL_SOCKET, SO_PASSCRED, &on, sizeof on) == 0);
    CHECK(send(pair[0], "after", 5, 0) == 5);
    pid_t pid = fork();
    if (pid == 0)
        _exit(send(pair[0], "child", 5, 0) != 5);
    for (int i = 0; i < 3; i++) {
        struct msghdr message = {.msg_iov = &part,
                                 .msg_iovlen = 1,
                                 .msg_control = control,
                                 .msg_controllen = sizeof control};
        ssize_t got = recvmsg(pair[1], &message, 0);
        struct cmsghdr *header = CMSG_FIRSTHDR(&message);
        struct ucred from = {-1, 0, 0};
        if (header != NULL && header->cmsg_type == SCM_CREDENTIALS)
            memcpy(&from, CMSG_DATA(header), sizeof from);
        printf("%.*s: %s\n", (int)got, text,
               from.pid == 0          ? "nobody"
               : from.pid == getpid() ? "ourselves"
               : from.pid == pid      ? "the child"
                                      : "?");
    }
    CHECK(reap(pid) == 0);
    drop();
}

static int fd_in(struct msghdr *message)
{
    struct cmsghdr *header = CMSG_FIRSTHDR(message);
    int fd = -1;
    if (header != NULL && header->cmsg_type == SCM_RIGHTS)
        memcpy(&fd, CMSG_DATA(header), sizeof fd);
    return fd;
}

static void rights(int type)
{
    _Alignas(struct cmsghdr) char control[CMSG_SPACE(sizeof(int))];
    struct iovec part = {"with", 4};
    struct msghdr message = {
        .msg_iov = &part, .msg_iovlen = 1, .msg_control = control, .msg_controllen = sizeof control};
    int pipes[2];
    fresh(type);
    CHECK(pipe(pipes) == 0 && write(pipes[1], "content", 7) == 7);
    struct cmsghdr *header = CMSG_FIRSTHDR(&message);
    *header = (struct cmsghdr){CMSG_LEN(sizeof(int)), SOL_SOCKET, SCM_RIGHTS};
    memcpy(CMSG_DATA(header), &pipes[0], sizeof(int));
    CHECK(send(pair[0], "first", 5, 0) == 5 && sendmsg(pair[0], &message, 0) == 4);
    CHECK(send(pair[0], "last", 4, 0) == 4);
    for (int i = 0; i < 3; i++) {
        part = (struct iovec){text, sizeof text};
        message.msg_controllen = sizeof control;
        ssize_t got = recvmsg(pair[1], &message, 0);
        int fd = fd_in(&message);
        printf("%.*s:", (int)got, text);
        printf(" %.*s\n", fd < 0 ? 2 : (int)read(fd, text, 10), fd < 0 ? "no" : text);
        close(fd);
    }
    close(pipes[0]);
    close(pipes[1]);
    drop();
}

static void connections(void)
{
    struct sockaddr_un name = {.sun_family = AF_UNIX}, from;
    socklen_t size = (socklen_t)snprintf(name.sun_path, sizeof name.sun_path, "seq%d", (int)getpid());
    int listener = socket(AF_UNIX, SOCK_SEQPACKET, 0), client = socket(AF_UNIX, SOCK_SEQPACKET, 0);
    FAILS(send(client, "x", 1, MSG_NOSIGNAL));
    FAILS(recv(client, text, 1, 0));
    say_poll(client);
    FAILS(connect(client, (struct sockaddr *)&name, sizeof name));
    CHECK(bind(listener, (struct sockaddr *)&name, sizeof name) == 0 && listen(listener, 5) == 0);
    int stream = socket(AF_UNIX, SOCK_STREAM, 0);
    FAILS(connect(stream, (struct sockaddr *)&name, sizeof name));
    close(stream);
    CHECK(connect(client, (struct sockaddr *)&name, sizeof name) == 0);
    CHECK(send(client, "one", 3, 0) == 3 && send(client, "two", 3, 0) == 3);
    int server = accept(listener, NULL, NULL);
    CHECK(server >= 0 && recv(server, text, 10, 0) == 3 && recv(server, text, 10, 0) == 3);
    printf("%.3s\n", text);
    CHECK(send(server, "back", 4, 0) == 4);
    size = sizeof from;
    CHECK(recvfrom(client, text, 10, 0, (struct sockaddr *)&from, &size) == 4);
    printf("%.4s from %s\n", text, strncmp(from.sun_path, "seq", 3) == 0 ? "the listener" : "?");
    say_poll(client);
    close(server);
    say_poll(client);
    CHECK(recv(client, text, 1, 0) == 0);
    FAILS(send(client, "x", 1, MSG_NOSIGNAL));
    close(client);
    close(listener);
    unlink(name.sun_path);
}

/* A pair's datagram socket that is connected to something else, or bound. */
static void apart(void)
{
    struct sockaddr_un name = {.sun_family = AF_UNIX}, none = {.sun_family = AF_UNSPEC};
    snprintf(name.sun_path, sizeof name.sun_path, "dgram%d", (int)getpid());
    fresh(SOCK_DGRAM);
    int third = socket(AF_UNIX, SOCK_DGRAM, 0);
    CHECK(bind(third, (struct sockaddr *)&name, sizeof name) == 0);
    CHECK(sendto(pair[0], "past", 4, 0, (struct sockaddr *)&name, sizeof name) == 4);
    CHECK(recv(third, text, 10, 0) == 4 && send(pair[0], "peer", 4, 0) == 4);
    CHECK(send(pair[1], "gone", 4, 0) == 4);
    CHECK(connect(pair[0], (struct sockaddr *)&name, sizeof name) == 0);
    CHECK(send(pair[0], "third", 5, 0) == 5 && recv(third, text, 10, 0) == 5);
    FAILS(recv(pair[0], text, 10, MSG_DONTWAIT));
    FAILS(recv(pair[1], text, 10, MSG_DONTWAIT));
    FAILS(recv(pair[1], text, 10, MSG_DONTWAIT));
    FAILS(send(pair[1], "x", 1, 0));
    CHECK(connect(pair[0], (struct sockaddr *)&none, sizeof none) == 0);
    FAILS(send(pair[0], "x", 1, 0));
    close(third);
    unlink(name.sun_path);
    drop();
}

int main(void)
{
    static const int types[] = {SOCK_SEQPACKET, SOCK_DGRAM};
    for (int i = 0; i < 2; i++) {
        printf("type %d\n", types[i]);
        sizes(types[i]);
        ends(types[i]);
        processes(types[i]);
        flood(types[i]);
        killed_full(types[i]);
        options(types[i]);
        credentials(types[i]);
        rights(types[i]);
    }
    connections();
    apart();
    return finish();
}
