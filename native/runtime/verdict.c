/* What becomes of a call before it is served: the guest's own Syscall User Dispatch and seccomp
 * filters. The host knows nothing of either; only a thread that is to die by a filter is handed to
 * a host filter that says so, for the same status and core dump.
 *
 * Sources: Documentation/userspace-api/seccomp_filter.rst,
 * Documentation/admin-guide/syscall-user-dispatch.rst, seccomp(2).
 */
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/prctl.h>
#include <linux/seccomp.h>

#include "robust.h"
#include "stub.h"
#include "trace.h"
#include "verdict.h"

#define ERRNO_LIMIT 4095

/* Where the guest goes on, as it would see it: behind its system-call instruction. */
static uint64_t guest_rip(void)
{
    struct exo_regs shown = {.rip = area()->regs.rip};
    exo_stub_hide(&shown);
    return shown.rip;
}

/* SIGSYS that the guest must take: blocked or without a handler it is deadly. Sent through the host,
 * so that it is stashed like any other and delivered on the way out; the registers are as before the
 * call. With another signal stashed already, that one first and the call anew. */
static long force_sigsys(int code, int error)
{
    struct exo_area *mine = area();
    struct k_sigaction action = exo_action_get(mine->sighand, SIGSYS_);
    struct k_siginfo info = {.signo = SIGSYS_,
                             .error = error,
                             .code = code,
                             .call_address = guest_rip(),
                             .syscall = (int)mine->regs.nr,
                             .arch = AUDIT_ARCH_X86_64};
    if (action.handler <= SIG_IGN_ || (mine->mask & SIG_BIT(SIGSYS_)))
        exo_signal_kill_self(SIGSYS_);
    long sent = host_wait(__NR_rt_tgsigqueueinfo, mine->leader->host_tgid, mine->core.host_tid,
                          SIGSYS_, (long)&info, 0, 0);
    return sent == 0 ? (long)mine->regs.nr : sent;
}

/* As the host's do_exit(): the last thread of a process takes it along, with the signal's status. */
static noreturn void kill_thread(void)
{
    struct sock_filter code[] = {BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_KILL_THREAD)};
    struct sock_fprog program = {.len = 1, .filter = code};
    exo_thread_leave();
    HOST_5(__NR_prctl, PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
    HOST_3(__NR_seccomp, SECCOMP_SET_MODE_FILTER, 0, &program);
    HOST_1(__NR_exit, SIGSYS_); /* does not come to that */
    __builtin_trap();
}

/* The same with SIGKILL, by strict mode on the host.
 * DIFFERS: under --intercept seccomp a thread of several that is killed by strict mode just ends. */
static noreturn void kill_strict_thread(void)
{
    bool alone = exo_alone();
    exo_thread_leave();
    HOST_2(__NR_prctl, PR_SET_SECCOMP, SECCOMP_MODE_STRICT);
    HOST_0(__NR_getpid);
    if (alone) /* the host has a filter instead of strict mode */
        exo_signal_kill_self(SIGKILL_);
    HOST_1(__NR_exit, SIGKILL_);
    __builtin_trap();
}

/* A tracer that has asked for PTRACE_EVENT_SECCOMP gets value and decides. DIFFERS: the filters are
 * not asked again about a call that it has changed. */
static bool tracer_takes(uint32_t value, long *result)
{
    if (exo_trace_wants(PTRACE_O_TRACESECCOMP))
        return exo_trace_seccomp(value, result);
    *result = -ENOSYS;
    return true;
}

static bool is_strictly_allowed(uint64_t nr)
{
    return nr == __NR_read || nr == __NR_write || nr == __NR_exit || nr == __NR_rt_sigreturn;
}

static uint32_t ask_filters(const struct exo_area *mine)
{
    const struct exo_regs *regs = &mine->regs;
    struct exo_bpf_data data = {
        .nr = (int32_t)regs->nr,
        .arch = AUDIT_ARCH_X86_64,
        .instruction_pointer = guest_rip(),
        .args = {regs->rdi, regs->rsi, regs->rdx, regs->r10, regs->r8, regs->r9}};
    return exo_filter_run(KR, load_acquire(&mine->task->filter), &data);
}

/* DIFFERS: SECCOMP_RET_LOG and SECCOMP_FILTER_FLAG_LOG write nothing to the host's audit log. */
bool exo_seccomp_takes(long *result)
{
    const struct exo_area *mine = area();
    if (mine->task->security & EXO_SECURITY_STRICT) {
        if (is_strictly_allowed(mine->regs.nr))
            return false;
        kill_strict_thread();
    }
    uint32_t answer = ask_filters(mine), value = answer & SECCOMP_RET_DATA;
    switch (answer & SECCOMP_RET_ACTION_FULL) {
    case SECCOMP_RET_ALLOW:
    case SECCOMP_RET_LOG:
        return false;
    case SECCOMP_RET_TRACE:
        return tracer_takes(value, result);
    case SECCOMP_RET_USER_NOTIF: /* nobody listens */
        *result = -ENOSYS;
        return true;
    case SECCOMP_RET_ERRNO:
        *result = -(long)(value > ERRNO_LIMIT ? ERRNO_LIMIT : value);
        return true;
    case SECCOMP_RET_TRAP:
        *result = force_sigsys(SYS_SECCOMP_, (int)value);
        return true;
    case SECCOMP_RET_KILL_THREAD:
        kill_thread();
    default:
        exo_signal_kill_self(SIGSYS_);
    }
}

bool exo_dispatch_takes(long *result)
{
    const struct exo_dispatch *dispatch = &area()->dispatch;
    if (guest_rip() - dispatch->start < dispatch->size)
        return false;
    if (dispatch->selector != 0) {
        long selected = guest_byte(dispatch->selector);
        if (selected < 0)
            exo_signal_kill_self(SIGSEGV_);
        if (selected == SYSCALL_DISPATCH_FILTER_ALLOW)
            return false;
        if (selected != SYSCALL_DISPATCH_FILTER_BLOCK)
            exo_signal_kill_self(SIGSYS_);
    }
    *result = force_sigsys(SYS_USER_DISPATCH_, 0);
    return true;
}
