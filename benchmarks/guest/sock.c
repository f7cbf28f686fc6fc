/* What a socket costs: sock ping KIND SIZE CPU [N] (one way between two processes, the second on that CPU,
 * in cycles; N exchanges to a sample) | stream KIND SIZE (MB/s of writes of SIZE, two CPUs). KIND is
 * pipe (two), pair (socketpair), seqpacket, dgram (such pairs), unix (a listener under an abstract name),
 * tcp or tcp6 (loopback), udp (connected), named (AF_UNIX datagrams, one of them connected to the other's name).
 */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>

#include "../native/pin.h"
#include "clock.h"

#define SAMPLES 5000
#define STREAM (256L << 20)

static char data[1 << 16];
static size_t size;
static double samples[SAMPLES];
static bool answers_by_name;
static struct end {
    int from, to;
} near, far;

static int fail_if(int bad)
{
    if (bad)
        _exit(3);
    return 0;
}

/* What comes and what goes: a short read is gone on with, an error or early end is the benchmark's. */
static void send_all(int fd, size_t count)
{
    for (size_t at = 0; at < count;) {
        ssize_t done = write(fd, data + at, count - at);
        fail_if(done <= 0);
        at += (size_t)done;
    }
}

static void receive_all(int fd, size_t count)
{
    for (size_t at = 0; at < count;) {
        ssize_t done = read(fd, data + at, count - at);
        fail_if(done <= 0);
        at += (size_t)done;
    }
}

static int listener_of(const char *kind)
{
    int family = strcmp(kind, "unix") == 0   ? AF_UNIX
                 : strcmp(kind, "tcp6") == 0 ? AF_INET6
                                             : AF_INET;
    int fd = socket(family, SOCK_STREAM, 0);
    struct sockaddr_storage any = {.ss_family = (sa_family_t)family};
    struct sockaddr_in6 *six = (struct sockaddr_in6 *)&any;
    struct sockaddr_in *four = (struct sockaddr_in *)&any;
    socklen_t length = sizeof(sa_family_t); /* AF_UNIX: the host chooses an abstract name */
    if (family == AF_INET6) {
        six->sin6_addr = in6addr_loopback;
        length = sizeof(*six);
    } else if (family == AF_INET) {
        four->sin_addr.s_addr = htonl(INADDR_LOOPBACK);
        length = sizeof(*four);
    }
    fail_if(fd < 0 || bind(fd, (struct sockaddr *)&any, length) != 0 || listen(fd, 1) != 0);
    return fd;
}

static void connect_to(const char *kind, int ends[2])
{
    int listener = listener_of(kind), on = 1;
    struct sockaddr_storage there;
    socklen_t length = sizeof(there);
    fail_if(getsockname(listener, (struct sockaddr *)&there, &length) != 0);
    ends[0] = socket(there.ss_family, SOCK_STREAM, 0);
    fail_if(connect(ends[0], (struct sockaddr *)&there, length) != 0);
    ends[1] = accept(listener, NULL, NULL);
    fail_if(ends[1] < 0);
    for (int i = 0; i < 2 && there.ss_family != AF_UNIX; i++)
        fail_if(setsockopt(ends[i], IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on)) != 0);
    close(listener);
}

static void connect_udp(int ends[2])
{
    struct sockaddr_in names[2];
    socklen_t length = sizeof(names[0]);
    for (int i = 0; i < 2; i++) {
        names[i] = (struct sockaddr_in){.sin_family = AF_INET};
        names[i].sin_addr.s_addr = htonl(INADDR_LOOPBACK);
        ends[i] = socket(AF_INET, SOCK_DGRAM, 0);
        fail_if(bind(ends[i], (struct sockaddr *)&names[i], length) != 0);
        fail_if(getsockname(ends[i], (struct sockaddr *)&names[i], &length) != 0);
    }
    for (int i = 0; i < 2; i++)
        fail_if(connect(ends[i], (struct sockaddr *)&names[1 - i], length) != 0);
}

/* A server that answers by name, as it knows nobody, and its client. */
static void connect_named(int ends[2])
{
    struct sockaddr_un names[2];
    socklen_t name_size[2];
    for (int i = 0; i < 2; i++) {
        names[i].sun_family = AF_UNIX;
        name_size[i] = sizeof(names[i]);
        ends[i] = socket(AF_UNIX, SOCK_DGRAM, 0);
        fail_if(bind(ends[i], (struct sockaddr *)&names[i], sizeof(sa_family_t)) != 0);
        fail_if(getsockname(ends[i], (struct sockaddr *)&names[i], &name_size[i]) != 0);
    }
    fail_if(connect(ends[0], (struct sockaddr *)&names[1], name_size[1]) != 0);
    answers_by_name = true;
}

/* Two ends of a connection: where each reads, and where it writes. */
static void connected(const char *kind)
{
    int one[2], other[2];
    bool pipes = strcmp(kind, "pipe") == 0;
    if (pipes)
        fail_if(pipe(one) != 0 || pipe(other) != 0);
    else if (strcmp(kind, "pair") == 0)
        fail_if(socketpair(AF_UNIX, SOCK_STREAM, 0, one) != 0);
    else if (strcmp(kind, "seqpacket") == 0)
        fail_if(socketpair(AF_UNIX, SOCK_SEQPACKET, 0, one) != 0);
    else if (strcmp(kind, "dgram") == 0)
        fail_if(socketpair(AF_UNIX, SOCK_DGRAM, 0, one) != 0);
    else if (strcmp(kind, "udp") == 0)
        connect_udp(one);
    else if (strcmp(kind, "named") == 0)
        connect_named(one);
    else
        connect_to(kind, one);
    near = (struct end){one[0], pipes ? other[1] : one[0]};
    far = (struct end){pipes ? other[0] : one[1], one[1]};
}

static void hang_up(struct end end)
{
    close(end.from);
    if (end.to != end.from)
        close(end.to);
}

static void echo_by_name(void)
{
    struct sockaddr_un from;
    ssize_t done;
    do {
        socklen_t length = sizeof(from);
        done = recvfrom(far.from, data, sizeof(data), 0, (struct sockaddr *)&from, &length);
        if (done > 0 && sendto(far.to, data, (size_t)done, 0, (struct sockaddr *)&from, length) < 0)
            done = -1;
    } while (done > 0);
    _exit(done < 0);
}

static void echo(void)
{
    ssize_t done;
    if (answers_by_name)
        echo_by_name();
    while ((done = read(far.from, data, sizeof(data))) > 0)
        send_all(far.to, (size_t)done);
    _exit(done < 0);
}

static void ping(int cpu, int count)
{
    if (fork() == 0) {
        pin(cpu);
        hang_up(near);
        echo();
    }
    pin(0);
    hang_up(far);
    for (int i = -500; i < SAMPLES; i++) {
        uint64_t began = cycles();
        for (int j = 0; j < count; j++) {
            send_all(near.to, size);
            receive_all(near.from, size);
        }
        if (i >= 0)
            samples[i] = (double)(cycles() - began) / (2 * count);
    }
    (void)!write(near.to, data, 0); /* which ends it where nothing else does */
    hang_up(near);
    wait(NULL);
    for (int i = 0; i < SAMPLES; i++)
        printf("%.1f\n", samples[i]);
}

/* The clock stops when the receiver, having got all, has answered. */
static void stream(void)
{
    if (fork() == 0) {
        pin(1);
        hang_up(near);
        for (long got = 0; got < STREAM;) {
            ssize_t done = read(far.from, data, sizeof(data));
            fail_if(done <= 0);
            got += done;
        }
        send_all(far.to, 1);
        _exit(0);
    }
    pin(0);
    hang_up(far);
    double began = now_us();
    for (long sent = 0; sent < STREAM; sent += (long)size)
        send_all(near.to, size);
    receive_all(near.from, 1);
    printf("%.1f\n", STREAM / (now_us() - began));
    wait(NULL);
}

int main(int argc, char **argv)
{
    if (argc < 4)
        return 2;
    size = strtoul(argv[3], NULL, 0);
    if (size == 0 || size > sizeof(data))
        return 2;
    connected(argv[2]);
    if (strcmp(argv[1], "stream") == 0)
        stream();
    else
        ping(argc > 4 ? atoi(argv[4]) : 1, argc > 5 ? atoi(argv[5]) : 1);
    return 0;
}
