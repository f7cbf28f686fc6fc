/* What guest programs about epoll(7) share: a file is added, and what a set tells is printed. */
#pragma once
#include "check.h"

#include <sys/epoll.h>

static inline int compare(const void *a, const void *b)
{
    uint64_t one, other;
    memcpy(&one, (const char *)a + 4, 8);
    memcpy(&other, (const char *)b + 4, 8);
    return one < other ? -1 : one > other;
}

/* What a set tells now, by data. */
static inline void show(const char *when, int set)
{
    struct epoll_event events[16];
    int count = epoll_wait(set, events, 16, 0);
    printf("%s:", when);
    if (count < 0)
        printf(" %s", error_name(errno));
    else
        qsort(events, (size_t)count, sizeof(events[0]), compare);
    for (int i = 0; i < count; i++)
        printf(" %llu=%x", (unsigned long long)events[i].data.u64, events[i].events);
    printf("\n");
}

static inline int control(int set, int op, int fd, uint32_t events, uint64_t data)
{
    struct epoll_event event = {.events = events, .data.u64 = data};
    return epoll_ctl(set, op, fd, &event);
}

static inline void add(int set, int fd, uint32_t events, uint64_t data)
{
    CHECK(control(set, EPOLL_CTL_ADD, fd, events, data) == 0);
}
