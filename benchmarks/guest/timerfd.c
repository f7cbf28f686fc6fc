/* What a timer costs, in cycles: timerfd set (set, asked and read, not yet expired) | expire (set to what has passed, read) |
 * epoll (the same, with epoll_wait between) | sleep (set to 50 us from now, waited for by epoll_wait, read).
 */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include <stdbool.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/timerfd.h>

#include "../native/pin.h"
#include "clock.h"

#define SAMPLES 3000

static int timer, set;
static uint64_t count;

static void must(bool holds)
{
    if (!holds)
        _exit(4);
}

static void set_timer(int flags, long value_ns)
{
    struct itimerspec time = {.it_value = {value_ns / 1000000000, value_ns % 1000000000}};
    must(timerfd_settime(timer, flags, &time, NULL) == 0);
}

static void take(void)
{
    must(read(timer, &count, 8) == 8 && count == 1);
}

static void await(void)
{
    struct epoll_event event;
    must(epoll_wait(set, &event, 1, -1) == 1);
}

static void do_set(void)
{
    struct itimerspec time;
    set_timer(0, 100000000000);
    must(timerfd_gettime(timer, &time) == 0 && read(timer, &count, 8) < 0);
}

static void do_expire(void)
{
    set_timer(TFD_TIMER_ABSTIME, 1);
    take();
}

static void do_epoll(void)
{
    set_timer(TFD_TIMER_ABSTIME, 1);
    await();
    take();
}

static void do_sleep(void)
{
    set_timer(0, 50000);
    await();
    take();
}

static void measure(void (*run)(void), int times)
{
    for (int i = -100; i < SAMPLES; i++) {
        uint64_t began = cycles();
        for (int j = 0; j < times; j++)
            run();
        if (i >= 0)
            printf("%.1f\n", (double)(cycles() - began) / times);
    }
}

int main(int argc, char **argv)
{
    static const char *const names[] = {"set", "expire", "epoll", "sleep"};
    static void (*const runs[])(void) = {do_set, do_expire, do_epoll, do_sleep};
    struct epoll_event event = {.events = EPOLLIN};
    timer = timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK);
    set = epoll_create1(0);
    pin(0);
    for (unsigned k = 0; argc == 2 && k < sizeof(names) / sizeof(names[0]); k++) {
        if (strcmp(argv[1], names[k]) != 0)
            continue;
        if (k >= 2)
            must(epoll_ctl(set, EPOLL_CTL_ADD, timer, &event) == 0);
        measure(runs[k], k == 3 ? 1 : 10);
        return 0;
    }
    fprintf(stderr, "usage: timerfd set|expire|epoll|sleep\n");
    return 2;
}
