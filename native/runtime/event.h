/* eventfds whose counter is in the kernel region, and timerfds whose times are: event.c and timerfd.c make, read and
 * write them, eventwait.c sleeps on them and gives them to the host for good, timertwin.c tells twins of timers.
 */
#ifndef EXO_RUNTIME_EVENT_H
#define EXO_RUNTIME_EVENT_H

#include "../core/deadline.h"
#include "area.h"

/* The call was not served: the entry is another, or the host's. Look again. */
#define EXO_EVENT_AGAIN (-4096L)

struct exo_event_end {
    struct exo_fd *at;
    struct exo_fd fd;
    struct exo_event *event;
};

/* event.c. The twin's fd becomes a guest's; like: what is asked of it, zero but for count, semaphore, nonblock, clock. */
long exo_event_made(long host, bool cloexec, const struct exo_event *like);
long exo_event_read(struct exo_fd *at, uint64_t to, uint64_t size);
long exo_event_write(struct exo_fd *at, uint64_t from, uint64_t size);
/* F_SETFL, of which it has to know; the host's result. */
long exo_event_set_flags(struct exo_fd *at, long flags);

/* eventwait.c. Takes the lock if the entry still leads there and the counter is ours. */
bool exo_event_enter(struct exo_event_end *end, struct exo_fd *at);
/* Until there is something to read; 0: worth another try, or -errno. */
long exo_event_wait(const struct exo_event_end *end);
/* The counter has changed, so events may be told: wakes who sleeps on it, and who watches it. */
void exo_event_wake(const struct exo_event_end *end, uint32_t events, bool sleepers);
/* For who polls for input, as exo_pipe_settle(). */
bool exo_event_settle(struct exo_fd *at);
void exo_event_rise(struct exo_event *event);
/* The counter goes into the twin, for good. */
void exo_event_to_host(struct exo_fd *at);

/* timerfd.c */
/* Of eight bytes. */
long exo_timer_read(struct exo_fd *at, uint64_t to);

/* timertwin.c. The twin is set as the timer is, unless that was done. Its lock is held. */
void exo_timer_arm_locked(struct exo_event *event, int host);
void exo_timer_arm(struct exo_fd fd);
/* It expires just now, whatever the timer says. */
void exo_timer_rouse(int host);
/* About to sleep on a set: twins of its timers are set. The time in ns until one expires of which this process has no
 * fd; 0: there is none. */
uint64_t exo_timers_settle(uint32_t set);
/* How long to sleep then: *left is changed if it is more than that. */
const int64_t *exo_timers_bound(uint32_t set, const int64_t *timeout, int64_t left[2]);

#endif
