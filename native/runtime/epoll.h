/* Epoll sets of exo's: epoll.c makes and changes them, epollwait.c waits, epollleave.c gives them to
 * the host for good, and what they watch.
 */
#ifndef EXO_RUNTIME_EPOLL_H
#define EXO_RUNTIME_EPOLL_H

#include "../core/epoll.h"
#include "signal.h"

/* The call was not served: the set is the host's now. */
#define EXO_EPOLL_AGAIN (-4096L)

/* epoll.c: wakes one who sleeps on the set. */
void exo_epoll_ring(struct exo_fd set);

/* setflight.c. A set leaves in a message for carrier; false: it is to become the host's. It has not left, after all.
 * The set that has such a twin, 0: it is not exo's. */
bool exo_set_leave(struct exo_fd *at, uint32_t carrier);
void exo_set_stay(struct exo_fd *at, uint32_t carrier);
uint32_t exo_set_of(long twin);

/* epollwait.c: at most max events to the guest; timeout_ns -1: none. */
long exo_epoll_wait(struct exo_fd *at, uint64_t to, long max, int64_t timeout_ns,
                    struct exo_wait_mask *mask);

/* epollset.c: what poll(2) says of a set; asks: the twin has something. Bits that say nothing are
 * cleared. EXO_STATE_HOST: it is the host's. */
uint32_t exo_set_state(struct exo_fd set, bool asks);
/* Asks the twins of the sets in it for what they have of the host's. */
void exo_set_refresh(uint32_t set);
/* Waits for who looks at a set just now. */
void exo_set_calm(uint32_t set);
/* Whether what the twin has told is of an object, which it then concerned. */
bool exo_epoll_heard(struct exo_fd set, const struct exo_epoll_event *event);

/* epollleave.c: an entry of this process's that leads to the set, to the eventfd or timer. */
bool exo_set_find(uint32_t set, struct exo_fd *entry);
bool exo_event_find(uint32_t number, struct exo_fd *entry);
/* epollleave.c. Tells, and wakes who sleeps on sets that this process has too. */
void exo_watchers_wake(const uint32_t *watch, uint32_t events);
/* The object is the host's, or about to be: sets of ours that have it in them by this
 * entry get the host's instead. */
void exo_watches_to_host(struct exo_fd of);
/* The same of a socket, if this process has an fd of it; and of one that another file has taken the place of. */
void exo_watches_of_sock_to_host(uint32_t number);
void exo_watches_begin_anew(struct exo_fd of);
/* A socket's twin has rung for who watches: what has rung does not pile up, though nobody reads. */
void exo_sock_heard(uint32_t number);
void exo_epoll_to_host(struct exo_fd *at);
/* Of a set at this entry, a watch whose object is the host's by now. */
void exo_watch_stray(struct exo_fd set, uint32_t number);
/* Any object: its entry is as any other then. */
void exo_object_to_host(struct exo_fd *at);
/* Puts a watch's file into the twin as the guest wants it. */
bool exo_watch_to_host(uint32_t number, int epoll, int host);

/* The entry becomes a plain one, as which it stands there; false: it has changed meanwhile. */
bool exo_fd_make_plain(struct exo_fd *at, struct exo_fd was, struct exo_fd plain);

#endif
