/* What wait4(2) and waitid(2) tell a tracer: stops and ends of its tracees, beside the host's news of
 * its children.
 *
 * The thread sleeps in the host's wait. Before, it says so (trace_waits), and a tracee that has news
 * interrupts it (EXO_SI_WAKE), for which it looks again.
 */
#include <linux/futex.h>

#include "trace.h"
#include "tracewait.h"

static bool fits(const struct exo_task *task, const struct exo_wanted *want)
{
    switch (want->type) {
    case P_ALL:
        return true;
    case P_PID:
        return task->tid == want->id;
    case P_PGID:
        return KR->tasks[task->leader_slot].pgid == want->id;
    default:
        return task == &KR->tasks[want->id];
    }
}

static bool has_news(const struct exo_task *task, long options)
{
    const struct exo_trace *its = exo_trace_of(task);
    if (!its->unreported)
        return false;
    if (its->state == EXO_TRACE_EXITED)
        return options & WEXITED_;
    return its->state == EXO_TRACE_STOPPED && exo_alive_test(task);
}

static void consume(struct exo_task *task, long options, struct exo_trace_news *news)
{
    struct exo_trace *its = exo_trace_of(task);
    uint32_t status = its->status, sig = status & 0x7f;
    *news = (struct exo_trace_news){.tid = task->tid, .status = status};
    news->code = sig == 0x7f ? CLD_TRAPPED_ : sig == 0 ? CLD_EXITED_ : CLD_KILLED_;
    news->value = sig == 0 || sig == 0x7f ? status >> 8 : sig;
    if (options & WNOWAIT_)
        return;
    its->unreported = 0;
    if (its->state != EXO_TRACE_EXITED)
        return;
    task->tracer = 0;
    store_release(&its->state, EXO_TRACE_REAPED);
    HOST_3(__NR_futex, &its->state, FUTEX_WAKE, INT32_MAX);
}

/* A task may be without a mark of life before its birth and in the middle of an exec. */
static bool may_tell(const struct exo_task *task)
{
    if (exo_alive_test(task) || load_acquire(&task->state) == EXO_TASK_EMBRYO)
        return true;
    char state = exo_trace_host_state(task);
    return state != 'Z' && state != 'X';
}

/* Whether there was news; *any, whether there may be. */
static bool look_locked(const struct exo_wanted *want, long options, struct exo_trace_news *news,
                        bool *any)
{
    *any = false;
    for (uint32_t i = 1; i < load_acquire(&KR->task_high); i++) {
        struct exo_task *task = &KR->tasks[i];
        if (task->tracer != area()->tgid || load_relaxed(&exo_ids_of(KR, i)->tid) == 0 ||
            !fits(task, want))
            continue;
        *any = *any || may_tell(task);
        if (has_news(task, options)) {
            consume(task, options, news);
            return true;
        }
    }
    return false;
}

/* No EXO_SI_WAKE is under way to us any more. */
static void wake_up(void)
{
    struct exo_area *mine = area();
    exo_lock_acquire(&KR->trace_lock);
    bool called = mine->task->trace_waits == 0;
    mine->task->trace_waits = 0;
    exo_lock_release(&KR->trace_lock);
    if (called)
        HOST_0(__NR_getpid); /* it comes now at the latest */
    fetch_and(&mine->pending, (uint8_t)~EXO_PENDING_AGAIN);
}

static bool is_interrupted(long result)
{
    return result == -EINTR || result == -EXO_ERESTART || result == -EXO_ERESTARTNOHAND;
}

bool exo_trace_wait(const struct exo_wanted *want, long options, struct exo_trace_news *news,
                    const struct exo_host_wait *host, long *result)
{
    bool hangs = !(options & WNOHANG_);
    for (;;) {
        bool any;
        exo_lock_acquire(&KR->trace_lock);
        bool found = look_locked(want, options, news, &any);
        area()->task->trace_waits = hangs && !found;
        exo_lock_release(&KR->trace_lock);
        if (found)
            return true;
        const long *args = host->args;
        *result = host->none ? -ECHILD
                             : host_wait(host->nr, args[0], args[1], args[2], args[3], args[4], 0);
        if (*result == -ECHILD && any)
            *result = hangs ? host_wait(__NR_pause, 0, 0, 0, 0, 0, 0) : 0;
        if (hangs)
            wake_up();
        if (!is_interrupted(*result))
            return false;
        if (area()->pending == 0 && !area()->stashed)
            continue;
        /* A signal: but news that came with it come first, as in the host. */
        exo_lock_acquire(&KR->trace_lock);
        found = look_locked(want, options, news, &any);
        exo_lock_release(&KR->trace_lock);
        return found;
    }
}
