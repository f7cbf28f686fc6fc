/* Workers: threads, pinned to a CPU each, that take fibers from the scheduler and run them. Between
 * two fibers a worker is on its own stack: there it accounts for what the last one has run, and only
 * then, when its context is whole in memory, lets others see it again.
 */
#include "core/atomic.h"
#include "fibers.h"

enum { TURNS_PER_LOOK = 64 };

static _Thread_local struct exo_worker *self __attribute__((tls_model("initial-exec")));

/* Not inlined: the compiler would keep the address of a variable of the thread over a switch that
 * goes on on another one. */
__attribute__((noipa)) struct exo_worker *exo_worker_self(void)
{
    return self;
}

void exo_fiber_leave(struct exo_fiber *fiber, enum exo_fiber_wish wish)
{
    struct exo_worker *worker = fiber->worker;
    fiber->wish = wish;
    exo_stack_switch(&fiber->context, &fiber->stack, &worker->context, &worker->stack,
                     wish == EXO_FIBER_EXIT);
}

/* Read by others, written by one. */
static void count(uint64_t *events)
{
    store_relaxed(events, *events + 1);
}

static void settle(struct exo_worker *worker, struct exo_fiber *fiber)
{
    struct exo_sched *sched = worker->workers->sched;
    switch (fiber->wish) {
    case EXO_FIBER_YIELD:
        count(&worker->yields);
        exo_sched_requeue(sched, worker->cpu, fiber->number);
        break;
    case EXO_FIBER_PARK:
        count(&worker->parks);
        exo_sched_block(sched, worker->cpu, fiber->number);
        break;
    default:
        exo_fiber_end(fiber);
    }
}

static void run_fiber(struct exo_worker *worker, struct exo_fiber *fiber)
{
    count(&worker->switches);
    worker->current = fiber;
    fiber->worker = worker;
    exo_stack_switch(&worker->context, &worker->stack, &fiber->context, &fiber->stack, false);
    worker->current = NULL;
    uint64_t now = exo_cycles_now();
    exo_sched_account(worker->workers->sched, fiber->number, (int64_t)(now - worker->now));
    worker->now = now;
    settle(worker, fiber);
    if (++worker->turns % TURNS_PER_LOOK == 0 || load_relaxed(&worker->earliest) <= now)
        exo_worker_look(worker, now);
}

static void idle(struct exo_worker *worker)
{
    struct exo_workers *workers = worker->workers;
    uint64_t until = exo_cycles_now() + workers->spin;
    while ((worker->now = exo_cycles_now()) < until) {
        exo_worker_look(worker, worker->now);
        if (exo_sched_is_ready(workers->sched, worker->cpu) || load_relaxed(&workers->stopping))
            return;
        spin_pause();
    }
    exo_worker_look(worker, worker->now);
    exo_worker_sleep(worker);
    worker->now = exo_cycles_now();
    exo_worker_look(worker, worker->now);
}

void *exo_worker_run(void *argument)
{
    struct exo_worker *worker = self = argument;
    struct exo_workers *workers = worker->workers;
    exo_stack_begin(&worker->stack);
    worker->now = exo_cycles_now();
    for (;;) {
        uint32_t number = exo_sched_pick(workers->sched, worker->cpu);
        if (number != 0)
            run_fiber(worker, &workers->fibers[number]);
        else if (load_acquire(&workers->stopping))
            return NULL;
        else
            idle(worker);
    }
}
