/* System calls of a traced task: the stops at their beginning and end. */
#include "stub.h"
#include "trace.h"

#define SKIPPED 0x7fffffff
#define ERESTART_RESTARTBLOCK 516

static struct k_siginfo call_info(uint32_t code)
{
    struct k_siginfo info = {.signo = SIGTRAP_, .code = (int32_t)code};
    info.pid = (int32_t)area()->tid;
    info.uid = (uint32_t)HOST_0(__NR_getuid);
    return info;
}

static void stop_in_call(struct exo_stopped *at, uint32_t op)
{
    struct exo_trace *me = exo_trace_of(area()->task);
    uint32_t code = SIGTRAP_ | (me->options & PTRACE_O_TRACESYSGOOD ? 0x80 : 0);
    struct k_siginfo info = call_info(code);
    me->call_stop = op;
    me->message = op == PTRACE_SYSCALL_INFO_ENTRY ? PTRACE_EVENTMSG_SYSCALL_ENTRY
                                                  : PTRACE_EVENTMSG_SYSCALL_EXIT;
    int sig = exo_trace_stop(at, code, &info);
    if (sig != 0 && !(code == SIGTRAP_ && sig == SIGTRAP_ && !area()->adopted))
        exo_trace_queue(sig);
}

static bool stops_at_calls(uint32_t how)
{
    return how == PTRACE_SYSCALL || how == PTRACE_SYSEMU || how == PTRACE_SYSEMU_SINGLESTEP;
}

/* The number to serve, or SKIPPED. */
static uint32_t begin(void)
{
    struct exo_area *mine = area();
    struct exo_trace *me = exo_trace_of(mine->task);
    struct exo_stopped at;
    uint32_t how = me->resume;
    exo_stub_hide(&mine->regs);
    mine->regs.rcx = mine->regs.rip; /* as `syscall` leaves them */
    mine->regs.r11 = mine->flags;
    if (!stops_at_calls(how))
        return (uint32_t)mine->regs.nr;
    exo_stopped_in_call(&at);
    at.regs.rax = (uint64_t)-ENOSYS;
    stop_in_call(&at, PTRACE_SYSCALL_INFO_ENTRY);
    exo_stopped_go_on(&at);
    bool emulated = how != PTRACE_SYSCALL;
    return emulated || (int)mine->regs.nr == -1 ? SKIPPED : (uint32_t)mine->regs.nr;
}

/* After the call, or after a step over its instruction. */
static void end(struct exo_stopped *at)
{
    struct exo_trace *me = exo_trace_of(area()->task);
    if (me->resume == PTRACE_SYSCALL) {
        stop_in_call(at, PTRACE_SYSCALL_INFO_EXIT);
        return;
    }
    if (!exo_trace_steps())
        return;
    struct k_siginfo info = {
        .signo = SIGTRAP_, .code = 1 /* TRAP_BRKPT */, .address = at->regs.rip};
    int sig = exo_trace_signal(at, SIGTRAP_, &info);
    if (sig != 0)
        exo_trace_queue(sig);
}

/* What the host calls it when this call is cut short and may be done again. */
static long restart_code(uint64_t nr)
{
    switch (nr) {
    case __NR_epoll_wait:
    case __NR_epoll_pwait:
    case __NR_epoll_pwait2:
    case __NR_semop:
    case __NR_semtimedop:
    case __NR_rt_sigtimedwait:
        return -EINTR; /* it is not */
    case __NR_nanosleep:
    case __NR_clock_nanosleep:
    case __NR_poll:
        return -ERESTART_RESTARTBLOCK;
    case __NR_pause:
    case __NR_rt_sigsuspend:
    case __NR_select:
    case __NR_pselect6:
    case __NR_ppoll:
    case __NR_msgrcv:
    case __NR_msgsnd:
        return -EXO_ERESTARTNOHAND;
    default:
        return -EXO_ERESTART;
    }
}

static void finish(long result)
{
    struct exo_area *mine = area();
    struct exo_stopped at;
    bool cut = result == -EXO_ERESTART || result == -EXO_ERESTARTNOHAND;
    long shown = cut ? restart_code(mine->regs.nr) : result;
    if (shown == -EINTR && result == -EXO_ERESTARTNOHAND)
        result = -EINTR;
    exo_stopped_in_call(&at);
    at.regs.rax = (uint64_t)shown;
    if (mine->adopted && !(load_relaxed(&exo_trace_of(mine->task)->work) & EXO_WORK_EXIT))
        end(&at);
    if (at.regs.rax == (uint64_t)shown)
        at.regs.rax = (uint64_t)result;
    exo_stopped_go_on(&at);
    if (mine->set_all)
        fetch_or(&mine->pending, EXO_PENDING_LEAVE);
}

/* In place of the handler; the result goes to the guest. */
long exo_trace_call(void)
{
    struct exo_area *mine = area();
    uint32_t tid = mine->tid, nr = begin();
    const struct exo_regs *regs = &mine->regs;
    long result = (long)regs->rax;
    if (nr != SKIPPED)
        result = exo_serve_call(nr, (long)regs->rdi, (long)regs->rsi, (long)regs->rdx,
                                (long)regs->r10, (long)regs->r8, (long)regs->r9);
    if (mine->tid != tid) /* a forked child: its first stop is another one */
        return result;
    finish(result);
    return (long)mine->regs.rax;
}

bool exo_trace_seccomp(uint32_t value, long *result)
{
    struct exo_area *mine = area();
    struct exo_trace *me = exo_trace_of(mine->task);
    struct exo_stopped at;
    struct k_siginfo info = call_info(EVENT(PTRACE_EVENT_SECCOMP));
    exo_stopped_in_call(&at);
    at.regs.rax = (uint64_t)-ENOSYS;
    me->message = value;
    me->call_stop = PTRACE_SYSCALL_INFO_SECCOMP;
    int sig = exo_trace_stop(&at, EVENT(PTRACE_EVENT_SECCOMP), &info);
    if (sig != 0)
        exo_trace_queue(sig);
    exo_stopped_go_on(&at);
    *result = (long)at.regs.rax;
    return (int)at.regs.nr == -1;
}

/* rt_sigreturn(2) does not come back: its end, with the registers that it restores. */
noreturn void exo_trace_sigreturned(void)
{
    struct exo_area *mine = area();
    struct exo_stopped at;
    mine->regs.nr = ~0UL;
    exo_stopped_in_call(&at);
    end(&at);
    exo_stopped_go_on(&at);
    mine->set_all = 1;
    fetch_or(&mine->pending, EXO_PENDING_LEAVE);
    exo_leave_runtime();
}

/* The same by the host's sigreturn. */
void exo_trace_sigreturn(struct k_ucontext *uc)
{
    struct exo_stopped at;
    exo_stopped_in_handler(&at, uc);
    at.flags = uc->mcontext.eflags;
    end(&at);
    exo_stopped_return(&at, uc);
}

/* A new program's first stops; then to it. */
void exo_trace_executed(uint64_t entry, uint64_t stack)
{
    struct exo_area *mine = area();
    struct exo_trace *me = exo_trace_of(mine->task);
    struct exo_stopped at;
    if (!mine->adopted)
        return;
    mine->regs = (struct exo_regs){.rip = entry, .rsp = stack, .nr = __NR_execve};
    mine->flags = 0x202;
    exo_stopped_in_call(&at);
    at.regs.rcx = at.regs.r11 = 0;
    if (exo_trace_wants(PTRACE_O_TRACEEXEC)) {
        exo_trace_event(&at, PTRACE_EVENT_EXEC, me->message);
    } else if (!(me->flags & EXO_TRACE_SEIZED)) {
        struct k_siginfo info = call_info(SI_USER_);
        info.pid = (int32_t)mine->core.host_tid;
        HOST_4(__NR_rt_tgsigqueueinfo, mine->leader->host_tgid, mine->core.host_tid, SIGTRAP_,
               &info);
    }
    if (mine->adopted && me->resume == PTRACE_SYSCALL)
        stop_in_call(&at, PTRACE_SYSCALL_INFO_EXIT);
    mine->set_all = 1;
    exo_stopped_go_on(&at);
    fetch_or(&mine->pending, EXO_PENDING_LEAVE);
    exo_leave_runtime();
}
