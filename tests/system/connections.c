/* Makes connections and ends them, or has who holds the other end killed, for test_connections.py.
 *
 * A line on stdin is a kind and how many: pair, unix, tcp (socketpair, an abstract name, the loopback),
 * seqpacket, dgram (socketpairs), udp, flights: sockets in messages that nobody receives, or killed: what a
 * child is in the middle of writing to, of all of them, a pipe and a FIFO; or held: TCP's, all at once, by several
 * children; or fifo: both ends of one. "done" is the answer.
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
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

enum { PAIR, UNIX, TCP, PIPE, SEQPACKET, DGRAM, UDP, FIFO, KINDS };
static const char *const kinds[KINDS] = {"pair",      "unix",  "tcp", "pipe",
                                         "seqpacket", "dgram", "udp", "fifo"};
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

static void start_listener(int i, socklen_t given)
{
    listeners[i] = socket(names[i].any.sa_family, SOCK_STREAM, 0);
    check(bind(listeners[i], &names[i].any, given) == 0, "bind");
    check(listen(listeners[i], 8) == 0, "listen");
    check(getsockname(listeners[i], &names[i].any, &sizes[i]) == 0, "getsockname");
}

static void start_listening_tcp(void)
{
    names[1].in = (struct sockaddr_in){.sin_family = AF_INET};
    names[1].in.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    start_listener(1, sizeof(names[1].in));
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

/* Every other one is a new FIFO, the others are the last one, opened again. */
static void fifo_ends(int ends[2])
{
    static unsigned count;
    char name[32];
    snprintf(name, sizeof(name), "fifo.%d", (int)getpid());
    if (count++ % 2 == 0) {
        unlink(name);
        check(mkfifo(name, 0600) == 0, "mkfifo");
    }
    ends[0] = open(name, O_RDONLY | O_NONBLOCK);
    ends[1] = open(name, O_WRONLY);
    check(ends[0] >= 0 && ends[1] >= 0 && fcntl(ends[0], F_SETFL, 0) == 0, "open");
}

/* Two ends, of a pipe the second to be written to. */
static void connect_ends(int kind, int ends[2])
{
    static const int types[KINDS] = {SOCK_STREAM, 0, 0, 0, SOCK_SEQPACKET, SOCK_DGRAM, 0, 0};
    if (kind == PIPE)
        return check(pipe(ends) == 0, "pipe");
    if (kind == FIFO)
        return fifo_ends(ends);
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

/* All of them are used, and stay until nobody has `until` open. */
static void hold(long count, int ready, int until)
{
    int(*ends)[2] = calloc((size_t)count, sizeof(*ends));
    char byte;
    check(ends != NULL, "calloc");
    for (long i = 0; i < count; i++) {
        connect_ends(TCP, ends[i]);
        check(write(ends[i][1], &i, sizeof(i)) == sizeof(i), "write");
    }
    check(write(ready, "r", 1) == 1 && read(until, &byte, 1) == 0, "all at once");
    for (long i = 0, came; i < count; i++) {
        check(read(ends[i][0], &came, sizeof(came)) == sizeof(came) && came == i, "read");
        close(ends[i][1]);
        close(ends[i][0]);
    }
    free(ends);
}

/* As many children as it takes, each with as many as its fds suffice for, but for a few. */
static void held(long count)
{
    struct rlimit limit;
    getrlimit(RLIMIT_NOFILE, &limit);
    long each = (long)limit.rlim_cur / 2 - 16;
    int ready[2], until[2], children = 0, status;
    check(pipe(ready) == 0 && pipe(until) == 0, "pipe");
    for (long left = count; left > 0; left -= each, children++) {
        pid_t child = fork();
        if (child != 0)
            continue;
        close(until[1]);
        close(listeners[1]);
        start_listening_tcp();
        hold(left < each ? left : each, ready[1], until[0]);
        _exit(0);
    }
    char byte;
    for (int i = 0; i < children; i++)
        check(read(ready[0], &byte, 1) == 1, "ready");
    for (int i = 0; i < 2; i++, close(ready[i - 1]))
        close(until[i]);
    while (wait(&status) > 0)
        check(status == 0, "a child");
}

int main(void)
{
    char kind[16];
    long count;
    names[0].un.sun_family = AF_UNIX;
    start_listener(0, sizeof(sa_family_t));
    start_listening_tcp();
    while (scanf("%15s %ld", kind, &count) == 2) {
        if (strcmp(kind, "killed") == 0)
            for (long i = 0; i < count; i++)
                killed((int)(i % KINDS));
        if (strcmp(kind, "held") == 0)
            held(count);
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
