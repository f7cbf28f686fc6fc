/* Epoll sets in the kernel region: what they watch, and what of it is ready. */
#ifndef EXO_CORE_EPOLL_H
#define EXO_CORE_EPOLL_H

#include "watch.h"

/* As struct epoll_event. */
struct __attribute__((packed)) exo_epoll_event {
    uint32_t events;
    uint64_t data;
};

static inline struct exo_watch_group *exo_epoll_group_at(struct exo_kr *kr, uint32_t index)
{
    return &kr->watch_groups[index % EXO_WATCH_GROUP_COUNT];
}

#define EXO_LOOK_COUNT 128
#define EXO_ARRIVALS_OLD 0x80000000U /* arrivals are no older than that */

/* A look at what is ready: zero at first but for max, then as exo_epoll_look() has left it. */
struct exo_look {
    uint32_t max;   /* events that are still wanted */
    bool begun;     /* and what was ready then: */
    uint32_t until; /* of the set's arrivals */
    uint32_t stray; /* number of a watch whose object is the host's by now, 0: none */
    uint32_t busy;  /* number of a set in this one at which somebody looks just now, 0: none */
    bool peeks;     /* whether there is anything is all that is wanted: then max is 0 */
    uint32_t count; /* of found */
    uint32_t numbers[EXO_LOOK_COUNT];
    uint32_t
        some; /* of some_at and came: to be looked at, and which of the set's arrivals made them so */
    uint32_t some_at[EXO_LOOK_COUNT];
    uint32_t came[EXO_LOOK_COUNT];
    struct exo_epoll_event found[EXO_LOOK_COUNT];
};

/* epolllook.c. Fills found; true: there may be more, look again when that has been dealt with. -EBADF: the set has
 * gone, or is the host's. */
int exo_epoll_look(struct exo_kr *kr, uint32_t set, struct exo_look *look);
bool exo_epoll_is_ready(struct exo_kr *kr, uint32_t set);

/* epollpeek.c: what poll(2) says of a set, as far as the region knows, its lock not taken. */
uint32_t exo_epoll_peek(struct exo_kr *kr, uint32_t set, int depth);
/* What is to be told of a watch now; or EXO_STATE_HOST, EXO_STATE_BUSY. */
uint32_t exo_watch_news(struct exo_kr *kr, const struct exo_watch *watch, int depth);
/* What cannot become the host's as a whole: a socket is in it. */
bool exo_epoll_holds_sockets(struct exo_kr *kr, uint32_t set, int depth);
/* Something of the host's was found that will not be told again. False: there is no room for it. */
bool exo_epoll_keep(struct exo_kr *kr, uint32_t set, const struct exo_epoll_event *found);
/* Takes what was kept, at most max; how many. */
uint32_t exo_epoll_kept(struct exo_kr *kr, uint32_t set, struct exo_epoll_event *found,
                        uint32_t max);

#define EXO_EPOLL_PRIVATE (EXO_EPOLLEXCLUSIVE | EXO_EPOLLWAKEUP | EXO_EPOLLONESHOT | EXO_EPOLLET)

static inline uint32_t exo_epoll_groups(const struct exo_epoll *set)
{
    uint32_t count = __atomic_load_n(&set->group_count, __ATOMIC_ACQUIRE);
    return count < EXO_SET_GROUP_COUNT ? count : EXO_SET_GROUP_COUNT;
}

/* what: events, data, object, fd and host. 0 or -errno, -ENOSPC: no room for more; 1 of add and remove:
 * the twin was in the set's already, and stays there. *number is the watch; the caller has a share in
 * the set, and in the object, so neither goes meanwhile. Of one modified that had something to be told
 * already, it is 0: nobody is to be woken. */
int exo_epoll_add(struct exo_kr *kr, uint32_t set, const struct exo_watch *what, uint32_t *number);
int exo_epoll_modify(struct exo_kr *kr, uint32_t set, const struct exo_watch *what,
                     uint32_t *number);
int exo_epoll_remove(struct exo_kr *kr, uint32_t set, const struct exo_watch *what);
/* By what the twin knows a watch; a guest that uses such a number itself has the host's epoll. */
#define EXO_EPOLL_TAG 0xe5cafe7100000000UL
#define EXO_EPOLL_TAG_MASK 0xffffffff00000000UL
uint64_t exo_epoll_tag(struct exo_kr *kr, uint32_t watch);
#define EXO_EPOLL_BELL_SHIFT 17 /* above is which set it is; below there is no watch */
static inline uint64_t exo_epoll_bell(uint32_t set)
{
    return EXO_EPOLL_TAG | (uint64_t)(set - EXO_EPOLL_FIRST) << EXO_EPOLL_BELL_SHIFT;
}
/* What the twin knows by that tag; 0: nothing any more. */
uint32_t exo_epoll_tagged(struct exo_kr *kr, uint32_t set, uint64_t tag);
/* What the twin has told: who has gone at the other end, gone, or that a set has something; the watch
 * is looked at again. True: somebody who sleeps on a set that this one is in is to be woken. */
bool exo_epoll_learn(struct exo_kr *kr, uint32_t set, uint64_t tag, uint32_t gone);
/* Whether somebody who sleeps on the set is to be woken for a watch that is ready already. */
bool exo_epoll_claims(struct exo_kr *kr, uint32_t set, uint32_t number);
/* Somebody has been told, or has taken from the twin what was to wake others. Whether one who sleeps on
 * the set, or on one that it is in, is to be woken for what is still there. */
bool exo_epoll_passes(struct exo_kr *kr, uint32_t set);
/* What was taken from the twin may have been sent to wake those who sleep: they sleep on. */
void exo_epoll_again(struct exo_kr *kr, uint32_t set);
/* About to sleep: false if there is something; and back. */
bool exo_epoll_settle(struct exo_kr *kr, uint32_t set);
void exo_epoll_rise(struct exo_kr *kr, uint32_t set);

/* For the kernel process: tasks were killed in waiting for it, or with a group in their hand. */
void exo_epoll_recount(struct exo_kr *kr, uint32_t set);
bool exo_epoll_has_group(struct exo_kr *kr, uint32_t index);
void exo_epoll_free_group(struct exo_kr *kr, uint32_t index);

#endif
