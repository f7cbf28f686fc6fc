/* Makes connections and ends them, or has who holds the other end killed, for test_connections.py.
 *
 * A line on stdin is a kind and how many: pair, unix, tcp (socketpair, an abstract name, the loopback),
 * seqpacket, dgram (socketpairs), udp, flights: sockets in messages that nobody receives, or killed: what a
 * child is in the middle of writing to, of all of them and a pipe. "done" is the answer.
 */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

enum { PAIR, UNIX, TCP, PIPE, SEQPACKET, DGRAM, UDP, KINDS };
static const char *const kinds[KINDS] = {"pair", "unix", "tcp", "pipe", "seqpacket", "dgram", "udp"};
static int listeners[2];
static union {
    struct sockaddr any;
    struct sockaddr_un un;
    struct sockaddr_in in;
} names[2];
static socklen_t sizes[2] = {sizeof(names[0]), sizeof(names[1])};

static void check(int good, const char *what)
{
    if (!good) {
        printf("%s: %s\n", what, strerror(errno));
        fflush(stdout);
        _exit(1);
    }
}

static void start_listening(void)
{
    names[0].un.sun_family = AF_UNIX;
    names[1].in = (struct sockaddr_in){.sin_family = AF_INET};
    names[1].in.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    socklen_t given[2] = {sizeof(sa_family_t), sizeof(names[1].in)};
    for (int i = 0; i < 2; i++) {
        listeners[i] = socket(names[i].any.sa_family, SOCK_STREAM, 0);
        check(bind(listeners[i], &names[i].any, given[i]) == 0, "bind");
        check(listen(listeners[i], 8) == 0, "listen");
        check(getsockname(listeners[i], &names[i].any, &sizes[i]) == 0, "getsockname");
    }
}

/* Each connected with the other. */
static void udp_ends(int ends[2])
{
    struct sockaddr_in name[2];
    socklen_t size = sizeof(name[0]);
    for (int i = 0; i < 2; i++) {
        name[i] = (struct sockaddr_in){.sin_family = AF_INET};
        name[i].sin_addr.s_addr = htonl(INADDR_LOOPBACK);
        ends[i] = socket(AF_INET, SOCK_DGRAM, 0);
        check(bind(ends[i], (void *)&name[i], size) == 0, "bind");
        check(getsockname(ends[i], (void *)&name[i], &size) == 0, "getsockname");
    }
    for (int i = 0; i < 2; i++)
        check(connect(ends[i], (void *)&name[1 - i], size) == 0, "connect");
}

/* Two ends, of a pipe the second to be written to. */
static void connect_ends(int kind, int ends[2])
{
    static const int types[KINDS] = {SOCK_STREAM, 0, 0, 0, SOCK_SEQPACKET, SOCK_DGRAM, 0};
    if (kind == PIPE)
        return check(pipe(ends) == 0, "pipe");
    if (kind == UDP)
        return udp_ends(ends);
    if (types[kind] != 0)
        return check(socketpair(AF_UNIX, types[kind], 0, ends) == 0, "socketpair");
    struct linger at_once = {1, 0}; /* no port is kept in TIME_WAIT then */
    ends[1] = socket(names[kind - 1].any.sa_family, SOCK_STREAM, 0);
    check(connect(ends[1], &names[kind - 1].any, sizes[kind - 1]) == 0, "connect");
    ends[0] = accept(listeners[kind - 1], NULL, NULL);
    check(ends[0] >= 0, "accept");
    check(setsockopt(ends[1], SOL_SOCKET, SO_LINGER, &at_once, sizeof(at_once)) == 0, "linger");
}

/* Every third one is read from before it ends; the others end with what was sent unread. */
static void connections(int kind, long count)
{
    static char data[512];
    for (long i = 0; i < count; i++) {
        int ends[2];
        connect_ends(kind, ends);
        check(write(ends[1], data, sizeof(data)) == sizeof(data), "write");
        if (i % 3 == 0)
            check(read(ends[0], data, sizeof(data)) == sizeof(data), "read");
        close(ends[i % 2]);
        close(ends[1 - i % 2]);
    }
}

/* Sockets that are sent and never received: the carrying connection is closed, or its sender is killed. */
static void flights(long count)
{
    for (long i = 0; i < count; i++) {
        int carrier[2], sent[2], status;
        char room[CMSG_SPACE(sizeof(int))] = {0};
        struct iovec piece = {"x", 1};
        struct msghdr message = {.msg_iov = &piece,
                                 .msg_iovlen = 1,
                                 .msg_control = room,
                                 .msg_controllen = sizeof(room)};
        struct cmsghdr *header = CMSG_FIRSTHDR(&message);
        *header = (struct cmsghdr){CMSG_LEN(sizeof(int)), SOL_SOCKET, SCM_RIGHTS};
        connect_ends(0, carrier);
        connect_ends(2, sent);
        memcpy(CMSG_DATA(header), &sent[0], sizeof(int));
        pid_t child = i % 8 == 0 ? fork() : -1;
        if (child <= 0)
            check(sendmsg(carrier[1], &message, 0) == 1, "sendmsg");
        if (child == 0)
            raise(SIGKILL);
        if (child > 0)
            check(waitpid(child, &status, 0) == child && status == SIGKILL, "waitpid");
        close(sent[0]);
        if (i % 2 == 0) /* without its control data */
            check(read(carrier[0], room, 1) == 1, "read");
        close(carrier[0]);
        close(carrier[1]);
        check(read(sent[1], room, 1) <= 0, "end of file");
        close(sent[1]);
    }
}

static void killed(int kind)
{
    static char data[20000];
    int ends[2], status;
    connect_ends(kind, ends);
    pid_t child = fork();
    if (child == 0)
        for (close(ends[0]);;)
            if (write(ends[1], data, sizeof(data)) < 0)
                _exit(2);
    check(child > 0, "fork");
    close(ends[1]);
    bool ends_never = kind == DGRAM || kind == UDP;
    check(read(ends[0], data, 1000) > 0, "read");
    kill(child, SIGKILL);
    check(waitpid(child, &status, 0) == child && status == SIGKILL, "waitpid");
    ssize_t done;
    if (ends_never)
        check(fcntl(ends[0], F_SETFL, O_NONBLOCK) == 0, "fcntl");
    while ((done = read(ends[0], data, sizeof(data))) > 0)
        ;
    check(done == 0 || errno == (ends_never ? EAGAIN : ECONNRESET), "end of file");
    close(ends[0]);
}

int main(void)
{
    char kind[16];
    long count;
    start_listening();
    while (scanf("%15s %ld", kind, &count) == 2) {
        if (strcmp(kind, "killed") == 0)
            for (long i = 0; i < count; i++)
                killed((int)(i % KINDS));
        if (strcmp(kind, "flights") == 0)
            flights(count);
        for (int i = 0; i < KINDS; i++)
            if (strcmp(kind, kinds[i]) == 0)
                connections(i, count);
        printf("done\n");
        fflush(stdout);
    }
    return 0;
}
