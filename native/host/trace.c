/* The hot part of the ptrace platform's tracer: system-call stops; exo_um/kernel/tracing.py has the
 * rest and says how it works. Called by the tracer's one thread only.
 */
#include <errno.h>
#include <linux/futex.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stddef.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <sys/user.h>
#include <sys/wait.h>
#include <unistd.h>

#include "host.h"

#define SYSCALL_STOP (SIGTRAP | 0x80)
#define NO_CALL (~0ULL) /* as orig_rax: make none, restart none */
#define INT80 0x80cd
#define CALLS_BETWEEN_LOOKS 256
#define PID_LIMIT 4194305 /* the host's largest pid_max, and one */

/* What a thread's next system-call stop is, if it is not PTRACE_SYSEMU's. */
enum next { LEAVING = 1, COMING = 2 };

static uint8_t next_stop[PID_LIMIT];

static bool in_runtime(uint64_t rip)
{
    return rip >= EXO_WINDOW_BASE && rip < EXO_KR_BASE;
}

/* 0, or -errno; a thread that was killed in its stop is no error. */
static int resume(enum __ptrace_request request, pid_t tid)
{
    return ptrace(request, tid, NULL, NULL) < 0 && errno != ESRCH ? -errno : 0;
}

/* Whether the instruction that ends there is int $0x80. */
static bool is_int80(pid_t tid, uint64_t end)
{
    static const int before[] = {8, 2}; /* the word may reach out of the code on one side */
    for (size_t i = 0; i < sizeof before / sizeof *before; i++) {
        errno = 0;
        uint64_t word =
            (uint64_t)ptrace(PTRACE_PEEKTEXT, tid, (void *)(end - (uint64_t)before[i]), NULL);
        if (errno == 0)
            return (word >> 8 * (before[i] - 2) & 0xffff) == INT80;
    }
    return false;
}

/* To exo_entry, as a site's stub would; a 32-bit call fails at once. */
static void enter(const struct exo_tracing *tracing, pid_t tid, struct user_regs_struct *regs)
{
    if (is_int80(tid, regs->rip)) {
        regs->rax = (uint64_t)-ENOSYS;
        return;
    }
    regs->rax = (uint32_t)regs->orig_rax;
    regs->rcx = regs->rip;
    regs->rip = tracing->kr->entry;
}

static bool needs_host(const struct exo_tracing *tracing, uint64_t nr)
{
    return nr >= EXO_CALL_COUNT || !tracing->fast[nr];
}

static int serve_call(const struct exo_tracing *tracing, pid_t tid)
{
    struct user_regs_struct regs;
    uint8_t expected = next_stop[tid];
    bool follow = true; /* under PTRACE_SYSCALL */
    next_stop[tid] = 0;
    if (expected == LEAVING) {
        next_stop[tid] = COMING;
        return resume(PTRACE_SYSCALL, tid);
    }
    if (ptrace(PTRACE_GETREGS, tid, NULL, &regs) < 0)
        return errno == ESRCH ? 0 : -errno;
    if (in_runtime(regs.rip)) {
        if (expected == COMING)
            return resume(PTRACE_SYSEMU, tid);
        regs.rip -= 2;
        regs.rax = regs.orig_rax;
    } else {
        follow = expected != COMING && needs_host(tracing, (uint32_t)regs.orig_rax);
        enter(tracing, tid, &regs);
    }
    regs.orig_rax = NO_CALL;
    if (ptrace(PTRACE_SETREGS, tid, NULL, &regs) < 0)
        return errno == ESRCH ? 0 : -errno;
    if (follow)
        next_stop[tid] = LEAVING;
    return resume(follow ? PTRACE_SYSCALL : PTRACE_SYSEMU, tid);
}

/* Waits for a stop, an end, or the control socket; or only looks. */
static int control_ready(const struct exo_tracing *tracing, int timeout_ms)
{
    struct pollfd polled[2] = {{.fd = tracing->signals, .events = POLLIN},
                               {.fd = tracing->control, .events = POLLIN}};
    struct exo_signal ignored;
    if (poll(polled, 2, timeout_ms) < 0)
        return errno == EINTR ? 0 : -errno;
    while (polled[0].revents && exo_host_signal_next(tracing->signals, &ignored) > 0)
        ;
    return polled[1].revents ? EXO_TRACE_CONTROL : 0;
}

int exo_host_trace(const struct exo_tracing *tracing, struct exo_stop *stop)
{
    for (unsigned served = 1;; served++) {
        int status, error = 0;
        pid_t tid = waitpid(-1, &status, WNOHANG | __WALL);
        if (tid > 0 && WIFSTOPPED(status) && status >> 8 == SYSCALL_STOP) {
            error = serve_call(tracing, tid);
            if (error == 0 && served % CALLS_BETWEEN_LOOKS == 0)
                error = control_ready(tracing, 0);
        } else if (tid > 0) {
            next_stop[tid] = 0;
            *stop = (struct exo_stop){.tid = tid, .status = status};
            return EXO_TRACE_STOP;
        } else {
            error = control_ready(tracing, -1);
        }
        if (error != 0)
            return error;
    }
}

void exo_host_traced(struct exo_kr *kr, uint32_t slot)
{
    uint32_t *traced = &kr->tasks[slot].traced;
    __atomic_store_n(traced, 1, __ATOMIC_RELEASE);
    syscall(SYS_futex, traced, FUTEX_WAKE, 1, NULL, NULL, 0);
}
