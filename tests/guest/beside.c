/* recv(2): what comes beside messages, looked at (MSG_PEEK) and cut short; and SO_RCVLOWAT of who waits. */
#include "check.h"
#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>

static int pair[2];
static char text[64];

static void send_fd(int fd, const char *what)
{
    _Alignas(struct cmsghdr) char control[CMSG_SPACE(sizeof(int))] = {0};
    struct iovec part = {(void *)what, strlen(what)};
    struct msghdr message = {
        .msg_iov = &part, .msg_iovlen = 1, .msg_control = control, .msg_controllen = sizeof control};
    struct cmsghdr *header = CMSG_FIRSTHDR(&message);
    *header = (struct cmsghdr){CMSG_LEN(sizeof(int)), SOL_SOCKET, SCM_RIGHTS};
    memcpy(CMSG_DATA(header), &fd, sizeof fd);
    CHECK(sendmsg(pair[0], &message, 0) == (ssize_t)part.iov_len);
}

/* The fd that came, -1 for none. */
static int receive(size_t room, size_t control_room, int flags)
{
    _Alignas(struct cmsghdr) char control[256] = {0};
    struct iovec part = {text, room};
    struct msghdr message = {
        .msg_iov = &part, .msg_iovlen = 1, .msg_control = control, .msg_controllen = control_room};
    int fd = -1;
    ssize_t got = recvmsg(pair[1], &message, flags | MSG_DONTWAIT);
    printf("%zd %.*s flags %x control %zu", got, got > 0 ? (int)got : 0, text,
           (unsigned)message.msg_flags, (size_t)message.msg_controllen);
    struct cmsghdr *header = (struct cmsghdr *)control;
    if (message.msg_controllen >= sizeof *header)
        printf(" type %d size %zu", header->cmsg_type, (size_t)header->cmsg_len);
    if (message.msg_controllen >= CMSG_LEN(sizeof fd) && header->cmsg_type == SCM_RIGHTS)
        memcpy(&fd, CMSG_DATA(header), sizeof fd);
    if (message.msg_controllen >= CMSG_LEN(sizeof fd) && header->cmsg_type == SCM_CREDENTIALS)
        printf(" %s", memcmp(CMSG_DATA(header), &(pid_t){getpid()}, sizeof fd) ? "?" : "us");
    printf("\n");
    return fd;
}

static void say(int fd)
{
    ssize_t got = fd < 0 ? -1 : read(fd, text, sizeof text);
    printf("read %.*s\n", got < 0 ? 2 : (int)got, got < 0 ? "no" : text);
    close(fd);
}

static void peeks(int type, bool socket)
{
    int sent[2];
    CHECK(socketpair(AF_UNIX, type, 0, pair) == 0);
    CHECK((socket ? socketpair(AF_UNIX, SOCK_STREAM, 0, sent) : pipe(sent)) == 0);
    CHECK(send(pair[0], "ab", 2, 0) == 2);
    send_fd(sent[0], "cd");
    CHECK(send(pair[0], "ef", 2, 0) == 2);
    close(sent[0]);
    CHECK(write(sent[1], "one two", 7) == 7);
    int first = receive(1, sizeof text, MSG_PEEK), all = receive(10, sizeof text, MSG_PEEK);
    printf("first %d\n", first);
    if (type == SOCK_STREAM) {
        CHECK(read(all, text, 4) == 4);
        close(all);
        close(receive(3, sizeof text, MSG_PEEK));
        close(receive(3, 0, MSG_PEEK));
    } else {
        receive(10, sizeof text, 0);
        int peeked = receive(10, sizeof text, MSG_PEEK);
        CHECK(read(peeked, text, 4) == 4);
        close(peeked);
    }
    say(receive(10, sizeof text, 0));
    receive(10, sizeof text, 0);
    close(sent[1]);
    close(pair[0]);
    close(pair[1]);
}

/* A socket that is only in a message is there while that is, and not longer. */
static void gone(void)
{
    int sent[2];
    CHECK(socketpair(AF_UNIX, SOCK_STREAM, 0, pair) == 0);
    CHECK(socketpair(AF_UNIX, SOCK_STREAM, 0, sent) == 0);
    send_fd(sent[0], "x");
    close(sent[0]);
    close(receive(1, sizeof text, MSG_PEEK));
    CHECK(send(sent[1], "y", 1, MSG_NOSIGNAL) == 1);
    close(pair[0]);
    close(pair[1]);
    FAILS(send(sent[1], "y", 1, MSG_NOSIGNAL));
    close(sent[1]);
}

static void cut(int type)
{
    int on = 1;
    CHECK(socketpair(AF_UNIX, type, 0, pair) == 0);
    CHECK(setsockopt(pair[1], SOL_SOCKET, SO_PASSCRED, &on, sizeof on) == 0);
    for (size_t room = 0; room <= 40; room += 4) {
        CHECK(send(pair[0], "x", 1, 0) == 1);
        receive(1, room, 0);
    }
    close(pair[0]);
    close(pair[1]);
}

static void low_water(void)
{
    struct sockaddr_in name = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t size = sizeof name;
    int listener = socket(AF_INET, SOCK_STREAM, 0), lowest = 10;
    CHECK(bind(listener, (struct sockaddr *)&name, size) == 0 && listen(listener, 1) == 0);
    CHECK(getsockname(listener, (struct sockaddr *)&name, &size) == 0);
    int client = socket(AF_INET, SOCK_STREAM, 0);
    CHECK(connect(client, (struct sockaddr *)&name, size) == 0);
    int server = accept(listener, NULL, NULL);
    CHECK(setsockopt(server, SOL_SOCKET, SO_RCVLOWAT, &lowest, sizeof lowest) == 0);
    CHECK(send(client, "12345", 5, 0) == 5);
    CHECK(recv(server, text, 3, MSG_PEEK) == 3);
    pid_t pid = fork();
    if (pid == 0) {
        until_asleep(getppid(), getppid());
        _exit(send(client, "678901234567", 12, 0) != 12);
    }
    printf("waits for %zd\n", recv(server, text, sizeof text, 0));
    CHECK(reap(pid) == 0);
    CHECK(send(client, "123", 3, 0) == 3);
    printf("waits not: %zd\n", recv(server, text, sizeof text, MSG_DONTWAIT));
    CHECK(send(client, "123", 3, 0) == 3);
    close(client);
    printf("at the end: %zd\n", recv(server, text, sizeof text, 0));
    close(server);
    close(listener);
}

int main(void)
{
    static const int types[] = {SOCK_STREAM, SOCK_SEQPACKET, SOCK_DGRAM};
    for (int i = 0; i < 3; i++) {
        printf("type %d\n", types[i]);
        peeks(types[i], false);
        peeks(types[i], true);
        cut(types[i]);
    }
    gone();
    low_water();
    return finish();
}
