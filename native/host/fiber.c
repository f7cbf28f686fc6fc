/* Fibers from their beginning to their end, seen from outside and by themselves. */
#include <errno.h>
#include <sched.h>
#include <stdlib.h>
#include <unistd.h>

#include "core/atomic.h"
#include "fibers.h"

#define COLOURS 16 /* so many places where a stack begins: see struct exo_fiber */
#define COLOUR_SIZE 64

/* With the lock. Memory behind numbers that nobody has had is not there yet. */
static struct exo_fiber *take_number(struct exo_workers *workers)
{
    struct exo_fiber *fiber = workers->free;
    if (fiber != NULL) {
        workers->free = fiber->next_free;
        return fiber;
    }
    uint32_t number = workers->high;
    if (number == EXO_FIBER_COUNT)
        return NULL;
    workers->high++;
    fiber = &workers->fibers[number];
    fiber->number = number;
    return fiber;
}

static void give_number(struct exo_workers *workers, struct exo_fiber *fiber)
{
    pthread_mutex_lock(&workers->lock);
    fiber->next_free = workers->free;
    workers->free = fiber;
    pthread_mutex_unlock(&workers->lock);
}

static struct exo_fiber *create(struct exo_workers *workers)
{
    pthread_mutex_lock(&workers->lock);
    struct exo_fiber *fiber = take_number(workers);
    workers->spawned += fiber != NULL;
    pthread_mutex_unlock(&workers->lock);
    if (fiber == NULL)
        return NULL;
    fiber->workers = workers;
    fiber->stack.size = workers->stacks.stack_size;
    fiber->stack.bottom = exo_stack_take(&workers->stacks);
    if (fiber->stack.bottom != NULL)
        return fiber;
    give_number(workers, fiber);
    return NULL;
}

static void begin(void *argument)
{
    struct exo_fiber *fiber = argument;
    exo_stack_arrive(&fiber->worker->stack);
    fiber->value = fiber->function(fiber->value);
    exo_fiber_leave(fiber, EXO_FIBER_EXIT);
    abort();
}

/* Fibers of one function are of one kind: how long they run before they leave is alike. */
static uint32_t kind_of(int64_t (*function)(int64_t))
{
    uint64_t mixed = (uint64_t)(uintptr_t)function * 0x9e3779b97f4a7c15U;
    return (uint32_t)(mixed >> 32) | 1;
}

static void wake(struct exo_fiber *fiber)
{
    struct exo_worker *worker = exo_worker_self();
    bool ours = worker != NULL && worker->workers == fiber->workers;
    exo_sched_wake(fiber->workers->sched, ours ? worker->cpu : EXO_SCHED_NO_CPU,
                   ours ? worker->cpu + 1 : 0, fiber->number);
}

int exo_workers_spawn(struct exo_workers *workers, int64_t (*function)(int64_t), int64_t argument,
                      int32_t exit_fd, struct exo_fiber **handle)
{
    struct exo_fiber *fiber = create(workers);
    if (fiber == NULL)
        return -ENOMEM;
    fiber->function = function;
    fiber->value = argument;
    fiber->exit_fd = exit_fd;
    fiber->joiner = NULL;
    store_relaxed(&fiber->done, 0);
    store_relaxed(&fiber->references, handle == NULL ? 1 : 2);
    exo_stack_begin(&fiber->stack);
    char *top = (char *)fiber->stack.bottom + fiber->stack.size;
    exo_context_init(&fiber->context, top - fiber->number % COLOURS * COLOUR_SIZE, begin, fiber);
    fetch_add(&workers->alive, 1);
    if (handle != NULL)
        *handle = fiber;
    exo_sched_create(workers->sched, fiber->number, kind_of(function), 0);
    wake(fiber);
    return 0;
}

void exo_fiber_hold(struct exo_fiber *fiber)
{
    fetch_add(&fiber->references, 1);
}

void exo_fiber_release(struct exo_fiber *fiber)
{
    if (fetch_add(&fiber->references, -1U) == 1)
        give_number(fiber->workers, fiber);
}

/* Tells everybody; who waits may release it from then on. */
static void publish_end(struct exo_fiber *fiber)
{
    uint64_t one = 1;
    if (exchange(&fiber->done, EXO_FIBER_ENDED) & EXO_FIBER_AWAITED)
        exo_word_wake(&fiber->done);
    struct exo_fiber *joiner = load_acquire(&fiber->joiner);
    if (joiner != NULL)
        exo_fiber_wake(joiner);
    if (fiber->exit_fd >= 0 && write(fiber->exit_fd, &one, sizeof(one)) < 0)
        return; /* the reader has so many ends to look at that the counter is full */
}

void exo_fiber_end(struct exo_fiber *fiber)
{
    struct exo_workers *workers = fiber->workers;
    exo_stack_end(&fiber->stack);
    exo_sched_destroy(workers->sched, fiber->worker->cpu, fiber->number);
    exo_stack_give(&workers->stacks, fiber->stack.bottom);
    publish_end(fiber);
    exo_fiber_release(fiber);
    if (fetch_add(&workers->alive, -1U) == 1)
        exo_word_wake(&workers->alive);
}

int exo_fiber_done(const struct exo_fiber *fiber, int64_t *result)
{
    if (!(load_acquire(&fiber->done) & EXO_FIBER_ENDED))
        return 0;
    *result = fiber->value;
    return 1;
}

static int join_by_fiber(struct exo_fiber *fiber, struct exo_fiber *self, uint64_t timeout_ns)
{
    uint64_t deadline = exo_deadline(timeout_ns);
    int error = 0;
    store_relaxed(&fiber->joiner, self);
    full_fence();
    while (!(load_acquire(&fiber->done) & EXO_FIBER_ENDED) && error == 0)
        error = exo_fiber_park_until(deadline);
    if (load_acquire(&fiber->done) & EXO_FIBER_ENDED)
        return 0;
    store_relaxed(&fiber->joiner, NULL);
    return error;
}

static int join_by_thread(struct exo_fiber *fiber, uint64_t timeout_ns)
{
    uint64_t deadline = exo_deadline(timeout_ns), left_ns;
    while (!(fetch_or(&fiber->done, EXO_FIBER_AWAITED) & EXO_FIBER_ENDED)) {
        if ((left_ns = exo_ns_until(deadline)) == 0)
            return -ETIMEDOUT;
        exo_futex_wait(&fiber->done, EXO_FIBER_AWAITED, left_ns);
    }
    return 0;
}

int exo_fiber_join(struct exo_fiber *fiber, uint64_t timeout_ns, int64_t *result)
{
    struct exo_fiber *self = exo_fiber_self();
    if (self == fiber)
        return -EDEADLK;
    int error =
        self == NULL ? join_by_thread(fiber, timeout_ns) : join_by_fiber(fiber, self, timeout_ns);
    if (error != 0)
        return error;
    if (result != NULL)
        *result = fiber->value;
    exo_fiber_release(fiber);
    return 0;
}

struct exo_fiber *exo_fiber_self(void)
{
    struct exo_worker *worker = exo_worker_self();
    return worker == NULL ? NULL : worker->current;
}

void exo_fiber_yield(void)
{
    struct exo_fiber *self = exo_fiber_self();
    if (self == NULL)
        sched_yield();
    else
        exo_fiber_leave(self, EXO_FIBER_YIELD);
}

void exo_fiber_wake(struct exo_fiber *fiber)
{
    struct exo_worker *worker = exo_worker_self();
    if (worker != NULL)
        store_relaxed(&worker->wakes, worker->wakes + 1);
    wake(fiber);
}

void exo_fiber_exit(int64_t result)
{
    struct exo_fiber *self = exo_fiber_self();
    self->value = result;
    exo_fiber_leave(self, EXO_FIBER_EXIT);
}
