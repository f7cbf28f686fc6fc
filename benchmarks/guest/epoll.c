/* What epoll costs, in cycles: epoll pair IDLE (a write to a pipe, epoll_wait and the read, by one process,
 * with so many idle fds in the set) | ping CPU (64 bytes one way between two processes that both wait by
 * epoll, the second on that CPU) | event (an eventfd written, waited for and read).
 */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/resource.h>
#include <sys/wait.h>

#include "../native/pin.h"
#include "clock.h"

#define SAMPLES 3000
#define SIZE 64

static char data[SIZE];
static double samples[SAMPLES];

static void expect(int holds)
{
    if (!holds)
        _exit(4);
}

static int watch(int set, int fd)
{
    struct epoll_event event = {.events = EPOLLIN | EPOLLET, .data.fd = fd};
    return epoll_ctl(set, EPOLL_CTL_ADD, fd, &event);
}

/* Each pipe's end to read four times. */
static void add_idle(int set, int count)
{
    int fds[2];
    struct rlimit limit = {2 * (rlim_t)count + 100, 2 * (rlim_t)count + 100};
    setrlimit(RLIMIT_NOFILE, &limit);
    for (int i = 0; i < count; i++) {
        if (i % 4 == 0)
            expect(pipe(fds) == 0);
        expect(watch(set, i % 4 == 0 ? fds[0] : dup(fds[0])) == 0);
    }
}

static void await(int set)
{
    struct epoll_event event;
    expect(epoll_wait(set, &event, 1, -1) == 1);
}

static void pair(int idle)
{
    int fds[2], set = epoll_create1(0);
    pin(0);
    add_idle(set, idle);
    expect(pipe2(fds, O_NONBLOCK) == 0 && watch(set, fds[0]) == 0);
    for (int i = -100; i < SAMPLES; i++) {
        uint64_t began = cycles();
        for (int j = 0; j < 10; j++) {
            expect(write(fds[1], data, SIZE) == SIZE);
            await(set);
            expect(read(fds[0], data, SIZE) == SIZE);
        }
        if (i >= 0)
            samples[i] = (double)(cycles() - began) / 10;
    }
}

static void event(void)
{
    int set = epoll_create1(0), fd = eventfd(0, EFD_NONBLOCK);
    uint64_t value = 1;
    pin(0);
    expect(watch(set, fd) == 0);
    for (int i = -100; i < SAMPLES; i++) {
        uint64_t began = cycles();
        for (int j = 0; j < 10; j++) {
            expect(write(fd, &value, 8) == 8);
            await(set);
            expect(read(fd, &value, 8) == 8);
        }
        if (i >= 0)
            samples[i] = (double)(cycles() - began) / 10;
    }
}

static void ping(int cpu)
{
    int to[2], from[2];
    expect(pipe(to) == 0 && pipe(from) == 0);
    int child = fork() == 0, set = epoll_create1(0);
    int in = child ? to[0] : from[0], out = child ? from[1] : to[1];
    close(child ? to[1] : from[1]);
    close(child ? from[0] : to[0]);
    pin(child ? cpu : 0);
    expect(watch(set, in) == 0);
    while (child) {
        await(set);
        if (read(in, data, SIZE) != SIZE)
            _exit(0);
        expect(write(out, data, SIZE) == SIZE);
    }
    for (int i = -500; i < SAMPLES; i++) {
        uint64_t began = cycles();
        expect(write(out, data, SIZE) == SIZE);
        await(set);
        expect(read(in, data, SIZE) == SIZE);
        if (i >= 0)
            samples[i] = (double)(cycles() - began) / 2;
    }
    close(out);
    wait(NULL);
}

int main(int argc, char **argv)
{
    if (argc == 3 && strcmp(argv[1], "pair") == 0)
        pair(atoi(argv[2]));
    else if (argc == 3 && strcmp(argv[1], "ping") == 0)
        ping(atoi(argv[2]));
    else if (argc == 2 && strcmp(argv[1], "event") == 0)
        event();
    else
        return 2;
    for (int i = 0; i < SAMPLES; i++)
        printf("%.1f\n", samples[i]);
    return 0;
}
