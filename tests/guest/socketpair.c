/* socketpair(2): stream, datagram and seqpacket semantics, shutdown, SIGPIPE, options. */
#include "check.h"
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/uio.h>

static int pair[2];

static void fresh(int type)
{
    CHECK(socketpair(AF_UNIX, type, 0, pair) == 0);
}

static void drop(void)
{
    close(pair[0]);
    close(pair[1]);
}

static void streams(void)
{
    char text[64] = "";
    fresh(SOCK_STREAM);
    CHECK(send(pair[0], "one", 3, 0) == 3 && send(pair[0], "two", 3, 0) == 3);
    int waiting = 0;
    CHECK(ioctl(pair[1], FIONREAD, &waiting) == 0);
    printf("waiting %d, peek %zd,", waiting, recv(pair[1], text, 4, MSG_PEEK));
    printf(" read %zd %s\n", recv(pair[1], text, sizeof text, 0), text);
    CHECK(shutdown(pair[0], SHUT_WR) == 0);
    printf("after shutdown: read %zd\n", read(pair[1], text, 1));
    signal(SIGPIPE, SIG_IGN);
    FAILS(write(pair[0], "x", 1));
    CHECK(write(pair[1], "back", 4) == 4 && read(pair[0], text, 10) == 4);
    drop();
    fresh(SOCK_STREAM);
    close(pair[1]);
    FAILS(send(pair[0], "x", 1, MSG_NOSIGNAL));
    signal(SIGPIPE, SIG_DFL);
    pid_t pid = fork();
    if (pid == 0)
        _exit(write(pair[0], "x", 1) == 1);
    printf("without handler: %d\n", reap(pid));
    close(pair[0]);
    fresh(SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC);
    FAILS(recv(pair[0], text, 1, 0));
    char block[4096] = "";
    long total = 0;
    for (ssize_t sent; (sent = write(pair[0], block, sizeof block)) > 0;)
        total += sent;
    printf("full: %s, plausible %d\n", error_name(errno), total >= 65536);
    while (read(pair[1], block, sizeof block) > 0)
        ;
    CHECK(write(pair[0], "x", 1) == 1);
    drop();
}

static void packets(int type, const char *name)
{
    char text[64] = "";
    fresh(type);
    CHECK(send(pair[0], "first", 5, 0) == 5 && send(pair[0], "", 0, 0) == 0);
    CHECK(send(pair[0], "second", 6, 0) == 6);
    struct iovec parts[2] = {{text, 2}, {text + 32, 1}};
    struct msghdr message = {.msg_iov = parts, .msg_iovlen = 2};
    ssize_t count = recvmsg(pair[1], &message, 0);
    printf("%s: %zd truncated %d %.2s", name, count, (message.msg_flags & MSG_TRUNC) != 0, text);
    printf(", empty %zd", recv(pair[1], text, 64, 0));
    printf(", real size %zd\n", recv(pair[1], text, 3, MSG_TRUNC));
    struct mmsghdr many[3] = {{{.msg_iov = &parts[0], .msg_iovlen = 1}, 0},
                              {{.msg_iov = &parts[1], .msg_iovlen = 1}, 0},
                              {{.msg_iov = parts, .msg_iovlen = 2}, 0}};
    printf("sendmmsg %d", sendmmsg(pair[0], many, 3, 0));
    printf(", recvmmsg %d", recvmmsg(pair[1], many, 3, MSG_DONTWAIT, NULL));
    printf(" %u %u %u\n", many[0].msg_len, many[1].msg_len, many[2].msg_len);
    close(pair[1]);
    FAILS(send(pair[0], "x", 1, MSG_NOSIGNAL));
    if (type == SOCK_SEQPACKET)
        printf("end of file %zd\n", recv(pair[0], text, 1, 0));
    close(pair[0]);
}

int main(void)
{
    streams();
    packets(SOCK_DGRAM, "datagrams");
    packets(SOCK_SEQPACKET, "seqpackets");
    fresh(SOCK_STREAM);
    int value = 0;
    socklen_t size = sizeof value;
    CHECK(getsockopt(pair[0], SOL_SOCKET, SO_TYPE, &value, &size) == 0);
    printf("type %d", value);
    CHECK(getsockopt(pair[0], SOL_SOCKET, SO_DOMAIN, &value, &size) == 0);
    printf(" domain %d", value);
    CHECK(getsockopt(pair[0], SOL_SOCKET, SO_ERROR, &value, &size) == 0);
    printf(" error %d\n", value);
    struct timeval brief = {0, 20000};
    CHECK(setsockopt(pair[0], SOL_SOCKET, SO_RCVTIMEO, &brief, sizeof brief) == 0);
    FAILS(read(pair[0], &value, 1));
    int unused[2];
    FAILS(socketpair(AF_INET, SOCK_STREAM, 0, unused));
    FAILS(socketpair(AF_UNIX, 77, 0, unused));
    FAILS(socketpair(AF_UNIX, SOCK_STREAM, 0, (int *)8));
    FAILS(getsockopt(0, SOL_SOCKET, SO_TYPE, &value, &size));
    FAILS(send(99, "x", 1, 0));
    FAILS(listen(pair[0], 1));
    FAILS(lseek(pair[0], 0, SEEK_SET));
    return finish();
}
