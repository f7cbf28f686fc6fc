/* Guests that trace guests: ptrace(2). The tracee serves itself: in a stop it puts its registers into
 * its struct exo_trace and sleeps; the tracer changes them there and lets it go on.
 */
#ifndef EXO_RUNTIME_TRACE_H
#define EXO_RUNTIME_TRACE_H

#include <linux/ptrace.h>

#include "signal.h"

/* si_code of a SIGCHLD from a tracee, less that of <bits/siginfo-consts.h>; its pid is exo's. */
#define EXO_SI_CHILD (-4720)
#define CLD_EXITED_ 1
#define CLD_KILLED_ 2
#define CLD_DUMPED_ 3
#define CLD_TRAPPED_ 4
#define CLD_STOPPED_ 5

#define EFLAGS_TF EXO_TRAP_FLAG
#define EXO_ADDRESS_LIMIT 0x7ffffffff000UL /* of the guest's addresses */
#define EVENT(event) (SIGTRAP_ | (event) << 8)

/* struct user_regs_struct, by index. */
enum {
    REG_R11 = 6,
    REG_RAX = 10,
    REG_RCX = 11,
    REG_ORIG_RAX = 15,
    REG_RIP = 16,
    REG_CS = 17,
    REG_EFLAGS = 18,
    REG_RSP = 19,
    REG_SS = 20,
    REG_FS_BASE = 21,
    REG_GS_BASE = 22,
    REG_COUNT = 27,
};

/* Where a tracee stopped, and where it goes on. */
struct exo_stopped {
    struct exo_regs regs; /* nr is orig_rax */
    uint64_t flags;       /* without the tracer's trap flag */
    uint64_t fpstate;     /* vector state as in a signal frame; 0: it is live in the CPU */
    uint64_t mask;        /* signals blocked */
};

static inline struct exo_trace *exo_trace_of(const struct exo_task *task)
{
    return &KR->traces[task - KR->tasks];
}

/* tracereg.c */
void exo_trace_publish(struct exo_trace *me, const struct exo_stopped *at);
void exo_trace_take_back(struct exo_trace *me, struct exo_stopped *at);
uint8_t *exo_trace_xstate(struct exo_trace *trace);
/* In a system call, on its way out. */
void exo_stopped_in_call(struct exo_stopped *at);
void exo_stopped_go_on(const struct exo_stopped *at);
/* In a host signal handler that found guest code. */
void exo_stopped_in_handler(struct exo_stopped *at, const struct k_ucontext *uc);
void exo_stopped_return(const struct exo_stopped *at, struct k_ucontext *uc);
void exo_trace_leave(void);

/* tracee.c: returns the signal that the tracer wants delivered, 0 for none. */
int exo_trace_stop(struct exo_stopped *at, uint32_t code, const struct k_siginfo *info);
int exo_trace_event(struct exo_stopped *at, uint32_t event, uint64_t message);
int exo_trace_signal(struct exo_stopped *at, int sig, struct k_siginfo *info);
void exo_trace_group_stop(struct exo_stopped *at, int sig);
void exo_trace_do_work(struct exo_stopped *at);
bool exo_trace_wants(uint32_t option);
bool exo_trace_steps(void);
long exo_trace_signal_locked(const struct exo_task *task, int code);
void exo_trace_call_tracee(struct exo_task *task, uint32_t work);
void exo_trace_tell_locked(const struct exo_task *task, int code, uint32_t status);
void exo_trace_queue(int sig);
/* Sleeps while the tracer has the record; false when there is no tracer any more. */
bool exo_trace_await(struct exo_trace *me);

/* traceexit.c */
void exo_trace_end(uint32_t status, bool group);
void exo_trace_end_with_group(void);
noreturn void exo_exit_group(uint32_t code); /* exit.c */

struct k_futex_waitv {
    uint64_t value, address;
    uint32_t flags, reserved;
};
#define FUTEX2_SIZE_U32_ 2

/* watch.c: in the tracee, makes the host's breakpoints those of its debug registers, or removes them;
 * has a SIGTRAP of one look like the CPU's, true if it is that. */
void exo_trace_arm(const struct exo_trace *me);
void exo_trace_disarm(void);
bool exo_trace_watched(struct k_siginfo *info);

/* adopt.c */
void exo_trace_divert(struct exo_sighand *hand, bool on);
void exo_trace_unfollowed(void);
void exo_trace_adopt(struct exo_stopped *at);
void exo_trace_leave_tracer(void);

/* tracebirth.c */
uint32_t exo_trace_expect(uint32_t slot, uint64_t flags, uint64_t exit_signal);
void exo_trace_begin(void);
void exo_trace_before_exec(void);
void exo_trace_after_exec(void);
void exo_trace_after_failed_exec(void);
void exo_trace_made(uint32_t event, uint64_t tid);
void exo_trace_vfork(uint32_t event, uint32_t slot, uint32_t tid);

/* tracer.c: the state letter of proc(5), X if there is no such task. */
char exo_trace_host_state(const struct exo_task *task);
void exo_trace_tracer_ends(void);
/* SIGSTOP and SIGCONT to a traced process, or to its task. 0 or -errno when that is all, 1
 * when the host is to send it. */
long exo_trace_stop_or_cont(const struct exo_task *leader, struct exo_task *task, int sig);

/* tracecall.c */
extern noreturn void exo_leave_runtime(void);
void exo_trace_executed(uint64_t entry, uint64_t stack);
long exo_trace_call(void);
/* Where a filter says SECCOMP_RET_TRACE: true when the call is not to be made, with its result. */
bool exo_trace_seccomp(uint32_t value, long *result);
noreturn void exo_trace_sigreturned(void);
void exo_trace_sigreturn(struct k_ucontext *uc);

/* tracesignal.c: the tracer's say in the delivery of a signal. The choice of what to deliver, 0 for
 * nothing; _now in the host handler, that found guest code, else on the way out. */
int exo_trace_ask_now(int sig, struct k_siginfo *info, struct k_ucontext *uc);
int exo_trace_ask_on_exit(int sig, struct k_siginfo *info);
/* A step into a handler ends at its first instruction. */
void exo_trace_stop_at_handler(struct k_ucontext *uc);
void exo_trace_stop_in_handler(void);
/* The default action is to stop. */
void exo_trace_default_stop_now(int sig, struct k_ucontext *uc);
void exo_trace_default_stop_on_exit(int sig);
/* EXO_PENDING_TRACE. */
void exo_trace_work_now(struct k_ucontext *uc);
void exo_trace_work_on_exit(void);
long exo_serve_call(uint32_t nr, long a, long b, long c, long d, long e, long f); /* dispatch.c */

#endif
