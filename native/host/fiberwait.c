/* Fibers that wait: for a wake, a time, a word that another process changes, a ring. What they wait
 * with stands on their own stacks and in the lists of the worker they are on; that worker looks at
 * its lists now and then while it has fibers to run (look.c), and sleeps on all of it when not.
 */
#include <errno.h>
#include <sched.h>

#include "core/atomic.h"
#include "fibers.h"

void exo_fiber_park(void)
{
    struct exo_fiber *self = exo_fiber_self();
    if (self == NULL)
        sched_yield();
    else
        exo_fiber_leave(self, EXO_FIBER_PARK);
}

static void add_timer(struct exo_worker *worker, struct exo_timer *timer)
{
    pthread_mutex_lock(&worker->lock);
    exo_timer_insert(&worker->timers, timer);
    exo_worker_note_earliest(worker);
    pthread_mutex_unlock(&worker->lock);
}

/* By a fiber that may be on another worker by now. Whether the time had come. */
static bool remove_timer(struct exo_worker *worker, struct exo_timer *timer)
{
    pthread_mutex_lock(&worker->lock);
    if (!timer->fired) {
        exo_timer_remove(&worker->timers, timer);
        exo_worker_note_earliest(worker);
    }
    pthread_mutex_unlock(&worker->lock);
    return timer->fired;
}

int exo_fiber_park_until(uint64_t deadline)
{
    struct exo_fiber *self = exo_fiber_self();
    struct exo_timer timer = {.deadline = deadline, .fiber = self};
    if (deadline == EXO_FOREVER) {
        exo_fiber_park();
        return 0;
    }
    if (self == NULL)
        return -EPERM;
    struct exo_worker *worker = self->worker;
    add_timer(worker, &timer);
    exo_fiber_leave(self, EXO_FIBER_PARK);
    return remove_timer(worker, &timer) ? -ETIMEDOUT : 0;
}

int exo_fiber_park_for(uint64_t timeout_ns)
{
    return exo_fiber_park_until(exo_deadline(timeout_ns));
}

static void add_watch(struct exo_worker *worker, struct exo_fiber_watch *watch)
{
    pthread_mutex_lock(&worker->lock);
    watch->next = worker->watches;
    if (watch->next != NULL)
        watch->next->before = watch;
    worker->watches = watch;
    store_relaxed(&worker->watch_count, worker->watch_count + 1);
    pthread_mutex_unlock(&worker->lock);
}

static void remove_watch(struct exo_worker *worker, struct exo_fiber_watch *watch)
{
    pthread_mutex_lock(&worker->lock);
    if (!watch->fired)
        exo_watch_unlink(worker, watch);
    pthread_mutex_unlock(&worker->lock);
}

static int park_on_word(struct exo_fiber *self, const uint32_t *word, uint32_t seen,
                        uint64_t deadline)
{
    struct exo_worker *worker = self->worker;
    struct exo_fiber_watch watch = {.word = word, .seen = seen, .fiber = self};
    add_watch(worker, &watch);
    int error = exo_fiber_park_until(deadline);
    remove_watch(worker, &watch);
    return error;
}

static int wait_until(const uint32_t *word, uint32_t seen, uint64_t deadline)
{
    struct exo_fiber *self = exo_fiber_self();
    uint64_t left_ns;
    while (load_acquire(word) == seen) {
        if ((left_ns = exo_ns_until(deadline)) == 0)
            return -ETIMEDOUT;
        if (self == NULL)
            exo_futex_wait(word, seen, left_ns);
        else
            park_on_word(self, word, seen, deadline);
    }
    return 0;
}

int exo_fiber_wait_word(const uint32_t *word, uint32_t seen, uint64_t timeout_ns)
{
    return wait_until(word, seen, exo_deadline(timeout_ns));
}

/* One side of a ring: tries once, or says what is in the way. */
struct attempt {
    struct exo_ring *ring;
    struct exo_ring_bell *bell;
    struct exo_message *message; /* to be popped; NULL: data are pushed */
    const void *data;
    uint32_t owner, type, size;
};

static int try(const struct attempt *self)
{
    return self->message != NULL
               ? exo_ring_pop(self->ring, self->owner, self->message)
               : exo_ring_push(self->ring, self->owner, self->type, self->data, self->size);
}

/* As core/ringbell.c expects it: note the word, want the bell, try again. */
static int try_until(const struct attempt *self, uint64_t deadline)
{
    int error;
    while ((error = try(self)) == -EAGAIN) {
        uint32_t seen = exo_bell_want(self->bell);
        full_fence();
        if ((error = try(self)) != -EAGAIN)
            return error;
        if (!(self->ring->flags & EXO_RING_NEVER_SLEEPS))
            error = wait_until(&self->bell->word, seen, deadline);
        else if (exo_ns_until(deadline) == 0)
            error = -ETIMEDOUT;
        else
            exo_fiber_yield();
        if (error == -ETIMEDOUT)
            return error;
    }
    return error;
}

int exo_fiber_push(struct exo_ring *ring, uint32_t owner, uint32_t type, const void *data,
                   uint32_t size, uint64_t timeout_ns)
{
    struct attempt attempt = {.ring = ring,
                              .bell = &ring->room,
                              .data = data,
                              .owner = owner,
                              .type = type,
                              .size = size};
    return try_until(&attempt, exo_deadline(timeout_ns));
}

int exo_fiber_pop(struct exo_ring *ring, uint32_t owner, struct exo_message *message,
                  uint64_t timeout_ns)
{
    struct attempt attempt = {
        .ring = ring, .bell = &ring->data, .message = message, .owner = owner};
    return try_until(&attempt, exo_deadline(timeout_ns));
}
