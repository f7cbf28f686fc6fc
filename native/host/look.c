/* What a worker looks at for its parked fibers: the time, and words that other processes change. It
 * sleeps on all of these and on the scheduler's bell at once (futex_waitv(2)).
 */
#include <linux/futex.h>
#include <sched.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "core/atomic.h"
#include "fibers.h"

#define NS_PER_S 1000000000UL

void exo_watch_unlink(struct exo_worker *worker, struct exo_fiber_watch *watch)
{
    if (watch->before == NULL)
        worker->watches = watch->next;
    else
        watch->before->next = watch->next;
    if (watch->next != NULL)
        watch->next->before = watch->before;
    store_relaxed(&worker->watch_count, worker->watch_count - 1);
}

/* With the lock: whom a timer or a watch belongs to cannot go on before it is released. */
static void wake_timed(struct exo_worker *worker, uint64_t now)
{
    struct exo_timer *timer;
    while ((timer = worker->timers) != NULL && timer->deadline <= now) {
        exo_timer_remove(&worker->timers, timer);
        timer->fired = true;
        exo_fiber_wake(timer->fiber);
    }
    exo_worker_note_earliest(worker);
}

static void wake_watching(struct exo_worker *worker)
{
    struct exo_fiber_watch *watch = worker->watches, *next;
    for (; watch != NULL; watch = next) {
        next = watch->next;
        if (load_acquire(watch->word) == watch->seen)
            continue;
        exo_watch_unlink(worker, watch);
        watch->fired = true;
        exo_fiber_wake(watch->fiber);
    }
}

void exo_worker_look(struct exo_worker *worker, uint64_t now)
{
    if (load_relaxed(&worker->watch_count) == 0 && load_relaxed(&worker->earliest) > now)
        return;
    pthread_mutex_lock(&worker->lock);
    wake_timed(worker, now);
    wake_watching(worker);
    pthread_mutex_unlock(&worker->lock);
}

/* The words after the bell's; false: they are too many to sleep on. */
static bool note_words(struct exo_worker *worker, struct futex_waitv *waits, uint32_t *count)
{
    bool all = worker->watch_count < FUTEX_WAITV_MAX;
    struct exo_fiber_watch *watch = all ? worker->watches : NULL;
    for (; watch != NULL; watch = watch->next)
        waits[(*count)++] = (struct futex_waitv){
            .val = watch->seen, .uaddr = (uint64_t)(uintptr_t)watch->word, .flags = FUTEX_32};
    return all;
}

/* Watches are added by fibers on this worker, and none runs: the list can only shrink meanwhile. */
static void sleep_on(struct exo_worker *worker, struct futex_waitv *waits)
{
    uint32_t count = 1;
    pthread_mutex_lock(&worker->lock);
    bool all = note_words(worker, waits, &count);
    uint64_t left_ns = exo_ns_until(worker->earliest);
    pthread_mutex_unlock(&worker->lock);
    struct timespec until;
    clock_gettime(CLOCK_MONOTONIC, &until);
    until.tv_sec += (time_t)(left_ns / NS_PER_S);
    until.tv_nsec += (long)(left_ns % NS_PER_S);
    if (until.tv_nsec >= (long)NS_PER_S) {
        until.tv_sec++;
        until.tv_nsec -= (long)NS_PER_S;
    }
    if (!all)
        sched_yield();
    else if (left_ns != 0)
        syscall(SYS_futex_waitv, waits, count, 0, left_ns == EXO_FOREVER ? NULL : &until,
                CLOCK_MONOTONIC);
}

void exo_worker_sleep(struct exo_worker *worker)
{
    struct exo_sched *sched = worker->workers->sched;
    struct exo_sched_cpu *cpu = exo_sched_cpu_at(sched, worker->cpu);
    struct futex_waitv waits[FUTEX_WAITV_MAX];
    uint32_t seen = exo_bell_want(&cpu->bell);
    waits[0] = (struct futex_waitv){
        .val = seen, .uaddr = (uint64_t)(uintptr_t)&cpu->bell.word, .flags = FUTEX_32};
    fetch_or(&sched->idle, 1UL << worker->cpu);
    full_fence();
    if (!exo_sched_is_ready(sched, worker->cpu) && !load_acquire(&worker->workers->stopping)) {
        store_relaxed(&worker->sleeps, worker->sleeps + 1);
        sleep_on(worker, waits);
    }
    fetch_and(&sched->idle, ~(1UL << worker->cpu));
    store_relaxed(&cpu->bell.wanted, 0);
}
