/* Signals of a traced task: its tracer is asked before each, and after a step into a handler. */
#include "trace.h"

int exo_trace_ask_now(int sig, struct k_siginfo *info, struct k_ucontext *uc)
{
    struct exo_stopped at;
    exo_stopped_in_handler(&at, uc);
    sig = exo_trace_signal(&at, sig, info);
    exo_stopped_return(&at, uc);
    return sig;
}

int exo_trace_ask_on_exit(int sig, struct k_siginfo *info)
{
    struct exo_stopped at;
    exo_stopped_in_call(&at);
    sig = exo_trace_signal(&at, sig, info);
    exo_stopped_go_on(&at);
    return sig;
}

static int stop_for_step(struct exo_stopped *at)
{
    struct k_siginfo info = {.signo = SIGTRAP_, .code = SIGTRAP_};
    info.pid = (int32_t)area()->tid;
    return exo_trace_stop(at, SIGTRAP_, &info);
}

void exo_trace_stop_at_handler(struct k_ucontext *uc)
{
    struct exo_stopped at;
    exo_stopped_in_handler(&at, uc);
    int sig = stop_for_step(&at);
    exo_stopped_return(&at, uc);
    if (sig != 0)
        exo_trace_queue(sig);
}

void exo_trace_stop_in_handler(void)
{
    struct exo_stopped at;
    exo_stopped_in_call(&at);
    int sig = stop_for_step(&at);
    exo_stopped_go_on(&at);
    if (sig != 0)
        exo_trace_queue(sig);
}

/* Of a thread that nobody traces, beside one that is traced: the host's disposition is ours. */
static void stop_by_host(void)
{
    const struct exo_area *mine = area();
    HOST_3(__NR_tgkill, mine->leader->host_tgid, mine->core.host_tid, SIGSTOP_);
}

void exo_trace_default_stop_now(int sig, struct k_ucontext *uc)
{
    struct exo_stopped at;
    if (!area()->adopted) {
        stop_by_host();
        return;
    }
    exo_stopped_in_handler(&at, uc);
    exo_trace_group_stop(&at, sig);
    exo_stopped_return(&at, uc);
}

void exo_trace_default_stop_on_exit(int sig)
{
    struct exo_stopped at;
    if (!area()->adopted) {
        stop_by_host();
        return;
    }
    exo_stopped_in_call(&at);
    exo_trace_group_stop(&at, sig);
    exo_stopped_go_on(&at);
}

static void work_is_begun(void)
{
    fetch_and(&area()->pending, (uint8_t)~EXO_PENDING_TRACE);
}

void exo_trace_work_now(struct k_ucontext *uc)
{
    struct exo_stopped at;
    work_is_begun();
    exo_stopped_in_handler(&at, uc);
    exo_trace_do_work(&at);
    exo_stopped_return(&at, uc);
}

void exo_trace_work_on_exit(void)
{
    struct exo_stopped at;
    work_is_begun();
    exo_stopped_in_call(&at);
    exo_trace_do_work(&at);
    exo_stopped_go_on(&at);
}
