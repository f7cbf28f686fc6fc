/* Who watches an object of exo's, by epoll: watch.c keeps the lists and tells, epoll.c has the sets.
 *
 * An object has a `uint32_t watch` for each kind of fd that leads to it (a pipe's two ends, a socket):
 * the first of those who watch it, 0 if nobody does. All zero is right for a new object; one that goes
 * must have dropped its watchers.
 */
#ifndef EXO_CORE_WATCH_H
#define EXO_CORE_WATCH_H

#include "objects.h"

/* Bits of poll(2) and epoll(7). */
enum {
    EXO_POLLIN = 0x001,
    EXO_POLLPRI = 0x002,
    EXO_POLLOUT = 0x004,
    EXO_POLLERR = 0x008,
    EXO_POLLHUP = 0x010,
    EXO_POLLRDNORM = 0x040,
    EXO_POLLWRNORM = 0x100,
    EXO_POLLRDHUP = 0x2000,
};
#define EXO_POLL_GONE (EXO_POLLERR | EXO_POLLHUP) /* told whether asked for or not */
#define EXO_POLL_INS (EXO_POLLIN | EXO_POLLRDNORM)
#define EXO_POLL_OUTS (EXO_POLLOUT | EXO_POLLWRNORM)
#define EXO_EPOLLEXCLUSIVE (1U << 28)
#define EXO_EPOLLWAKEUP (1U << 29)
#define EXO_EPOLLONESHOT (1U << 30)
#define EXO_EPOLLET (1U << 31)

/* What has happened to an object, events: whoever has done it calls this with no lock held, if *watch
 * is not 0 (exo_watched()). True: somebody sleeps on the object's twin, wake it as a poller. */
bool exo_watch_tell(struct exo_kr *kr, const uint32_t *watch, uint32_t events);
/* The same where the host wakes who sleeps, by what happens to the twin afterwards. */
void exo_watch_note(struct exo_kr *kr, const uint32_t *watch, uint32_t events);
static inline bool exo_watched(const uint32_t *watch)
{
    return __builtin_expect(__atomic_load_n(watch, __ATOMIC_RELAXED) != 0, 0);
}

/* What would have woken a sleeper may have been taken from the twin by somebody else. True: one may
 * be asleep for whom it was, so if the object has something the twin is to be woken again. */
bool exo_watch_again(struct exo_kr *kr, const uint32_t *watch);

/* Nobody has an fd that leads there any more: it is watched no longer. */
void exo_watch_drop(struct exo_kr *kr, uint32_t *watch);

/* readiness.c. What an entry leads to: its object's number, with EXO_OBJECT_WRITES for a pipe's end to
 * write to; 0: nothing of exo's. */
uint32_t exo_object_of(struct exo_fd fd);
#define EXO_OBJECT_WRITES 0x10000U
/* Where its watchers are; NULL: nothing that can be watched. */
uint32_t *exo_object_watch(struct exo_kr *kr, uint32_t object);
/* What poll(2) would say, as far as the region knows; EXO_STATE_HOST: what is there is not here. */
uint32_t exo_object_state(struct exo_kr *kr, uint32_t object);
#define EXO_STATE_HOST 0x40000000U
#define EXO_STATE_BUSY 0x20000000U /* a set at which somebody else looks just now: ask once more */
#define EXO_NEST_LIMIT 5           /* sets in sets in sets, as Linux */
/* The last entry that leads there goes away: who watches it does so no longer. Before it is no longer
 * counted; and then, who watches what is connected with it is told. */
void exo_object_leave(struct exo_kr *kr, uint32_t object);
void exo_object_left(struct exo_kr *kr, uint32_t object);

static inline struct exo_epoll *exo_epoll_at(struct exo_kr *kr, uint32_t number)
{
    return &kr->epolls[number % EXO_EPOLL_COUNT];
}

static inline struct exo_event *exo_event_at(struct exo_kr *kr, uint32_t number)
{
    return &kr->events[number % EXO_EVENT_COUNT];
}

static inline struct exo_watch_group *exo_watch_group_of(struct exo_kr *kr, uint32_t number)
{
    return &kr->watch_groups[number / EXO_WATCH_GROUP_SIZE % EXO_WATCH_GROUP_COUNT];
}

static inline struct exo_watch *exo_watch_at(struct exo_kr *kr, uint32_t number)
{
    return &exo_watch_group_of(kr, number)->watches[number % EXO_WATCH_GROUP_SIZE];
}

/* watch.c: the lists, for epoll.c. A set has one file once by each number of it. */
int exo_watch_link(struct exo_kr *kr, uint32_t *watch, uint32_t number); /* 0 or -EEXIST */
uint32_t exo_watch_find(struct exo_kr *kr, uint32_t *watch, uint32_t set, int fd);
/* Visits all in the list, whose lock is held. */
void exo_watch_each(struct exo_kr *kr, const uint32_t *watch,
                    void (*visit)(struct exo_kr *, uint32_t, void *), void *with);
/* Takes it from the list and frees it; false if it was not there. */
bool exo_watch_remove(struct exo_kr *kr, uint32_t *watch, uint32_t number);
void exo_watch_free(struct exo_kr *kr, uint32_t number); /* that is in no list */
/* Whether it is for the caller to wake one who sleeps on the set. */
bool exo_watch_claim(struct exo_epoll *set);
/* epoll.c: the set has no fd any more; what it watched is free of it. */
void exo_epoll_end(struct exo_kr *kr, uint32_t number);
/* It is to be looked at: behind all others that are, if it is not yet. */
void exo_watch_mark(struct exo_kr *kr, uint32_t number);
/* The two halves of that: a new place, and where it has its place. */
void exo_watch_line_up(struct exo_kr *kr, uint32_t number);
void exo_watch_keep(struct exo_kr *kr, uint32_t number);

#endif
