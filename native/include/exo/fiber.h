/* exo tasks as this process runs them: fibers, functions on stacks of their own, that pinned worker
 * threads switch between without the host. Nothing preempts them: a fiber that makes a blocking host
 * call blocks its worker.
 *
 * Functions are int64_t (*)(int64_t): C, or numba's @cfunc by address. They may run on another worker
 * after every switch (yield, park, join, wait): thread-local variables, errno too, are then another
 * thread's. Python's interpreter cannot run on a fiber.
 *
 * The Python side sees this very file through cffi. Functions give a result or -errno.
 */
#ifndef EXO_FIBER_H
#define EXO_FIBER_H

#include <stdint.h>

#include <exo/ring.h>
#include <exo/switch.h>

struct exo_workers;
struct exo_fiber;

#define EXO_STACK_SIZE 65536 /* where nothing else is asked for; its lowest page is the guard */
#define EXO_STACK_SIZE_MIN 16384

#define EXO_SPIN_NS 20000
#define EXO_FOREVER UINT64_MAX

struct exo_workers_options {
    const int32_t *cpus; /* a worker is pinned to each; NULL: to those the caller may run on */
    uint32_t cpu_count;
    uint32_t stack_size; /* bytes, a power of two; 0: EXO_STACK_SIZE */
    uint64_t spin_ns; /* an idle worker looks around for so long before it sleeps; 0: EXO_SPIN_NS */
    uint32_t flags;
    uint32_t reserved;
};

/* Flags of workers. */
#define EXO_WORKERS_OLD_GUARDS 1 /* guard pages as hosts before Linux 6.13 have them: for tests */

/* Sums over all workers, as they are at one moment or another. */
struct exo_workers_stats {
    uint64_t workers;
    uint64_t alive; /* fibers that have not ended */
    uint64_t spawned, switches, yields, parks;
    uint64_t wakes;               /* by fibers */
    uint64_t steals;              /* fibers taken from another worker's queue */
    uint64_t sleeps;              /* of workers with nothing to do */
    uint64_t stacks, stack_bytes; /* made so far; address space, not memory */
};

/* workers.c. -EINVAL: options; -ENOMEM, -EAGAIN: as pthread_create(3). */
int exo_workers_create(struct exo_workers **workers, const struct exo_workers_options *options);
/* Waits until all fibers have ended, then ends the workers; handles are invalid from then on.
 * -EDEADLK: called by one of the fibers. */
int exo_workers_destroy(struct exo_workers *workers);
/* Notes the time, which spares the first workers waiting 2 ms for the clock's rate. */
void exo_clock_note(void);
void exo_workers_stats(const struct exo_workers *workers, struct exo_workers_stats *stats);

/* fiber.c: starts function(argument) as a fiber. *fiber: a handle, which exo_fiber_join() or
 * exo_fiber_release() takes back; NULL: nobody will ask. exit_fd: an eventfd to which 1 is added when
 * it ends, -1: none. Any thread. -ENOMEM: no stack. */
int exo_workers_spawn(struct exo_workers *workers, int64_t (*function)(int64_t), int64_t argument,
                      int32_t exit_fd, struct exo_fiber **fiber);
/* Waits for its end and releases it; a thread waits in the host, a fiber parks. -ETIMEDOUT: it is
 * not released. One caller at a time. -EDEADLK: itself. */
int exo_fiber_join(struct exo_fiber *fiber, uint64_t timeout_ns, int64_t *result);
/* Whether it has ended: 1, and then *result; 0. */
int exo_fiber_done(const struct exo_fiber *fiber, int64_t *result);
/* One more handle, for who wakes it. */
void exo_fiber_hold(struct exo_fiber *fiber);
void exo_fiber_release(struct exo_fiber *fiber);

/* Of the fiber that runs; NULL where none does. */
struct exo_fiber *exo_fiber_self(void);
/* Lets others run first, if there are any. Outside a fiber: sched_yield(2). */
void exo_fiber_yield(void);
/* Sleeps until somebody wakes it, or has done so since it last left exo_fiber_park(): look at what
 * you wait for in a loop around this. */
void exo_fiber_park(void);
/* The same until timeout_ns from now at most: -ETIMEDOUT. -EPERM: no fiber. */
int exo_fiber_park_for(uint64_t timeout_ns);
/* Any thread; what was written before is seen after the park. */
void exo_fiber_wake(struct exo_fiber *fiber);
/* Ends the calling fiber. */
void exo_fiber_exit(int64_t result);

/* fiberwait.c: until the word is no longer seen: somebody, maybe another process, changes it and then
 * wakes its sleepers (futex(2), not FUTEX_PRIVATE). -ETIMEDOUT. Outside a fiber: the same as a thread. */
int exo_fiber_wait_word(const uint32_t *word, uint32_t seen, uint64_t timeout_ns);
/* exo_ring_push_wait() and exo_ring_pop_wait() that park the fiber, with the same errors; the death
 * of a peer is noticed only with what others send. On a ring that never sleeps they yield. */
int exo_fiber_push(struct exo_ring *ring, uint32_t owner, uint32_t type, const void *data,
                   uint32_t size, uint64_t timeout_ns);
int exo_fiber_pop(struct exo_ring *ring, uint32_t owner, struct exo_message *message,
                  uint64_t timeout_ns);

/* context.c: a context on a stack of its own with a guard page, for those who switch themselves, as
 * exo_context_init() makes it. stack_size: bytes, whole pages. -EINVAL, -ENOMEM. */
int exo_context_create(struct exo_context **context, uint64_t stack_size, void (*entry)(void *),
                       void *argument);
/* Not while it runs. */
void exo_context_destroy(struct exo_context *context);

#endif
