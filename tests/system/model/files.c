/* The actor's calls on any file, pipes, epoll, eventfd and timerfd. */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdbool.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <sys/select.h>
#include <sys/stat.h>
#include <sys/timerfd.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

#include "actor.h"

#define MAX_EVENTS 64

static char data[MAX_DATA];

static long do_pipe2(const long *a)
{
    int fds[2];
    long done = pipe2(fds, (int)a[0]);
    if (done == 0)
        tell(" %d %d", fds[0], fds[1]);
    return result(done);
}

static long do_dup(const long *a)
{
    return result(dup((int)a[0]));
}

static long do_dup2(const long *a)
{
    return result(dup2((int)a[0], (int)a[1]));
}

static long do_dup3(const long *a)
{
    return result(dup3((int)a[0], (int)a[1], (int)a[2]));
}

static long do_close(const long *a)
{
    return result(close((int)a[0]));
}

static long do_fcntl(const long *a)
{
    return result(fcntl((int)a[0], (int)a[1], a[2]));
}

static long do_read(const long *a)
{
    return tell_data(data, read((int)a[0], data, (size_t)a[1]));
}

static long do_write(const long *a)
{
    return written(write((int)a[0], pattern((size_t)a[1]), (size_t)a[1]));
}

static void split(struct iovec *parts, char *from, const long *sizes)
{
    for (int i = 0; i < 3; i++) {
        parts[i] = (struct iovec){from, (size_t)sizes[i]};
        from += sizes[i];
    }
}

static long do_writev(const long *a)
{
    struct iovec parts[3];
    split(parts, pattern((size_t)(a[1] + a[2] + a[3])), a + 1);
    return written(writev((int)a[0], parts, 3));
}

static long do_readv(const long *a)
{
    struct iovec parts[3];
    split(parts, data, a + 1);
    return tell_data(data, readv((int)a[0], parts, 3));
}

static long do_fionread(const long *a)
{
    int size = -1;
    long done = ioctl((int)a[0], FIONREAD, &size);
    if (done == 0)
        tell(" %d", size);
    return result(done);
}

static long do_fionbio(const long *a)
{
    int on = (int)a[1];
    return result(ioctl((int)a[0], FIONBIO, &on));
}

static long do_fstat(const long *a)
{
    struct stat found;
    long done = fstat((int)a[0], &found);
    if (done == 0)
        tell(" %o", found.st_mode);
    return result(done);
}

static long do_lseek(const long *a)
{
    return result(lseek((int)a[0], 0, SEEK_CUR));
}

static long do_select(const long *a)
{
    fd_set sets[3];
    struct timeval none = {0, 0};
    for (int i = 0; i < 3; i++) {
        FD_ZERO(&sets[i]);
        for (int j = 0; j < 4; j++)
            if (a[j] >= 0)
                FD_SET((int)a[j], &sets[i]);
    }
    long done = select(LAST_FD + 1, &sets[0], &sets[1], &sets[2], &none);
    for (int i = 0; i < 3 && done >= 0; i++)
        for (int j = 0; j < 4; j++)
            if (a[j] >= 0 && FD_ISSET((int)a[j], &sets[i]))
                tell(" %c%ld", "rwx"[i], a[j]);
    return result(done);
}

static long do_splice(const long *a)
{
    return result(splice((int)a[0], NULL, (int)a[1], NULL, (size_t)a[2], SPLICE_F_NONBLOCK));
}

static long do_tee(const long *a)
{
    return result(tee((int)a[0], (int)a[1], (size_t)a[2], SPLICE_F_NONBLOCK));
}

/* Writes until no more goes, which must end; how much it takes is the system's own affair. */
static long do_fill(const long *a)
{
    long total = 0, done;
    while ((done = write((int)a[0], pattern(4096), 4096)) > 0 && total < (64 << 20))
        total += done; /* not written(): the sides go on alike, however much it was */
    done = result(done);
    tell(" filled %ld", total);
    return done;
}

/* Reads so much, which may take a moment to come, and says whether it was all and there is no more. */
static long do_drain(const long *a)
{
    long total = 0, done = 1;
    for (int left = 60; left > 0 && total < a[1] && done != 0; left--) {
        struct pollfd fd = {.fd = (int)a[0], .events = POLLIN};
        poll(&fd, 1, 1000); /* ends with the alarm */
        while ((done = read((int)a[0], data, sizeof(data))) > 0)
            total += done;
    }
    return total == a[1] ? result(done) : -EIO;
}

static long do_epoll_create(const long *a)
{
    return result(epoll_create1((int)a[0]));
}

static long do_epoll_ctl(const long *a)
{
    struct epoll_event event = {.events = (uint32_t)a[3], .data.fd = (int)a[4]};
    return result(epoll_ctl((int)a[0], (int)a[1], (int)a[2], &event));
}

static int by_fd(const void *one, const void *other)
{
    const struct epoll_event *a = one, *b = other;
    return a->data.fd != b->data.fd ? a->data.fd - b->data.fd : (int)a->events - (int)b->events;
}

static long do_epoll_wait(const long *a)
{
    struct epoll_event events[MAX_EVENTS];
    long done = epoll_wait((int)a[0], events, a[1] != 0 ? (int)a[1] : MAX_EVENTS, 0);
    if (done > 0)
        qsort(events, (size_t)done, sizeof(events[0]), by_fd);
    for (long i = 0; i < done; i++)
        tell(" %d:%x", events[i].data.fd, events[i].events);
    return result(done);
}

static long do_eventfd(const long *a)
{
    return result(eventfd((unsigned)a[0], (int)a[1]));
}

static long do_add(const long *a)
{
    return result(write((int)a[0], &a[1], sizeof(a[1])));
}

static long do_timerfd(const long *a)
{
    return result(timerfd_create((int)a[0], (int)a[1]));
}

/* Off, far away, or passed already, once or with an interval that does not end meanwhile. */
static long do_settime(const long *a)
{
    struct itimerspec old, new = {.it_value.tv_sec = a[1] != 0 ? 100000 : 0};
    struct pollfd fd = {.fd = (int)a[0], .events = POLLIN};
    bool passed = a[1] >= 2;
    if (passed)
        clock_gettime(CLOCK_MONOTONIC, &new.it_value);
    new.it_interval.tv_sec = a[1] == 3 ? 100000 : 0;
    long done = timerfd_settime((int)a[0], passed ? TFD_TIMER_ABSTIME : 0, &new, &old);
    while (done == 0 && passed && poll(&fd, 1, -1) < 0)
        ;
    if (done == 0)
        tell(" %d %d", old.it_value.tv_sec != 0, old.it_interval.tv_sec != 0);
    return result(done);
}

static long do_gettime(const long *a)
{
    struct itimerspec now;
    long done = timerfd_gettime((int)a[0], &now);
    if (done == 0)
        tell(" %d %d", now.it_value.tv_sec != 0, now.it_interval.tv_sec != 0);
    return result(done);
}

const struct command file_commands[] = {
    {"pipe2", do_pipe2},
    {"dup", do_dup},
    {"dup2", do_dup2},
    {"dup3", do_dup3},
    {"close", do_close},
    {"fcntl", do_fcntl},
    {"read", do_read},
    {"write", do_write},
    {"readv", do_readv},
    {"writev", do_writev},
    {"fionread", do_fionread},
    {"fionbio", do_fionbio},
    {"fstat", do_fstat},
    {"lseek", do_lseek},
    {"select", do_select},
    {"splice", do_splice},
    {"tee", do_tee},
    {"fill", do_fill},
    {"drain", do_drain},
    {"epoll_create", do_epoll_create},
    {"epoll_ctl", do_epoll_ctl},
    {"epoll_wait", do_epoll_wait},
    {"eventfd", do_eventfd},
    {"add", do_add},
    {"timerfd", do_timerfd},
    {"settime", do_settime},
    {"gettime", do_gettime},
    {NULL, NULL},
};
