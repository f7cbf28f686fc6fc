/* What fiber.c, worker.c, fiberwait.c and timer.c share. */
#ifndef EXO_HOST_FIBERS_H
#define EXO_HOST_FIBERS_H

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

#include <exo/fiber.h>
#include <exo/sched.h>
#include <exo/switch.h>

#include "core/ring.h" /* exo_word_wake() */
#include "core/stackswitch.h"
#include "stack.h"

#if __SANITIZE_THREAD__
#define EXO_FIBER_COUNT (1U << 13) /* it has room for 8,128 */
#else
#define EXO_FIBER_COUNT (1U << 20) /* address space for so many is reserved */
#endif

/* What a fiber wants of its worker when it switches to it. */
enum exo_fiber_wish {
    EXO_FIBER_YIELD,
    EXO_FIBER_PARK,
    EXO_FIBER_EXIT,
};

/* Bits of done: a futex. */
#define EXO_FIBER_ENDED 1
#define EXO_FIBER_AWAITED 2 /* by a thread, which sleeps */

/* All of it is kept in one array by number, apart from the stacks, since words at the same place of
 * many stacks would compete for few lines of a cache. */
struct exo_fiber {
    struct exo_sched_entity entity;
    struct exo_context context;
    struct exo_workers *workers;
    struct exo_worker *worker; /* that it runs on, or ran on last */
    uint32_t wish;
    uint32_t references; /* its own until it has ended, and the handles; 0: free */
    uint32_t number;
    uint32_t done;
    int64_t (*function)(int64_t);
    int64_t value; /* argument, then result */
    struct exo_fiber *joiner, *next_free;
    struct exo_stack stack;
    int32_t exit_fd;
    uint32_t reserved;
} __attribute__((aligned(64)));

/* A wait with a limit, on the stack of the one that waits. In the worker's heap until removed. */
struct exo_timer {
    uint64_t deadline; /* in cycles of the time stamp counter */
    struct exo_fiber *fiber;
    struct exo_timer *child, *next, *before; /* before: the parent, or the one to the left */
    bool fired;
};

/* A wait for a word that another process may change. */
struct exo_fiber_watch {
    const uint32_t *word;
    uint32_t seen;
    bool fired;
    struct exo_fiber *fiber;
    struct exo_fiber_watch *next, *before;
};

struct exo_worker {
    struct exo_context context;
    struct exo_fiber *current;
    struct exo_workers *workers;
    struct exo_stack stack;
    uint64_t now;   /* the clock when it last looked: a run's end is the next one's beginning */
    uint32_t cpu;   /* of the scheduler */
    uint32_t turns; /* since it last looked at words */
    int32_t host_cpu;
    pthread_t thread;
    uint64_t switches, yields, parks, wakes, sleeps; /* written by this thread alone */

    pthread_mutex_t lock; /* of the rest */
    struct exo_timer *timers;
    struct exo_fiber_watch *watches;
    uint32_t watch_count; /* read without the lock, as the next */
    uint64_t earliest;    /* deadline of the timers */
} __attribute__((aligned(64)));

struct exo_workers {
    struct exo_sched *sched;
    struct exo_fiber *fibers; /* by number; 0 is nobody */
    struct exo_stack_pool stacks;
    pthread_mutex_t lock; /* of the next two */
    struct exo_fiber *free;
    uint32_t high; /* numbers below this have been given */
    uint32_t count, started;
    uint32_t alive; /* futex */
    uint32_t stopping;
    uint64_t spin; /* cycles */
    uint64_t spawned;
    struct exo_worker worker[];
};

static inline struct exo_sched_cpu *exo_sched_cpu_at(struct exo_sched *sched, uint32_t cpu)
{
    return (struct exo_sched_cpu *)(sched + 1) + cpu;
}

/* worker.c: the worker that this thread is, NULL. Never keep it over a switch. */
struct exo_worker *exo_worker_self(void);
/* A worker's thread, until its workers are stopping. */
void *exo_worker_run(void *worker);
/* Goes on with the worker's own stack; comes back when the fiber is picked again. */
void exo_fiber_leave(struct exo_fiber *fiber, enum exo_fiber_wish wish);

/* fiber.c: after its last switch. */
void exo_fiber_end(struct exo_fiber *fiber);

/* timer.c: a pairing heap. */
void exo_timer_insert(struct exo_timer **heap, struct exo_timer *timer);
void exo_timer_remove(struct exo_timer **heap, struct exo_timer *timer);

/* clock.c: deadlines are in cycles of the time stamp counter, EXO_FOREVER none. */
uint64_t exo_cycles_now(void);
uint64_t exo_cycles_of_ns(uint64_t ns);
uint64_t exo_deadline(uint64_t timeout_ns);
uint64_t exo_ns_until(uint64_t deadline); /* 0: it is over */
void exo_futex_wait(const uint32_t *word, uint32_t seen, uint64_t timeout_ns);

/* fiberwait.c: parks until woken; -ETIMEDOUT. */
int exo_fiber_park_until(uint64_t deadline);

/* look.c: wakes those whose word has changed or whose time has come. */
void exo_worker_look(struct exo_worker *worker, uint64_t now);
/* With the lock, as the next. */
void exo_watch_unlink(struct exo_worker *worker, struct exo_fiber_watch *watch);
static inline void exo_worker_note_earliest(struct exo_worker *worker)
{
    uint64_t earliest = worker->timers == NULL ? EXO_FOREVER : worker->timers->deadline;
    __atomic_store_n(&worker->earliest, earliest, __ATOMIC_RELAXED);
}
/* Sleeps until the scheduler or a word rings or the earliest timer's time has come. */
void exo_worker_sleep(struct exo_worker *worker);

#endif
