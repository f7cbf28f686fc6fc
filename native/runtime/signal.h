/* Signals: dispositions, masks, the host handler, delivery to the guest. */
#ifndef EXO_RUNTIME_SIGNAL_H
#define EXO_RUNTIME_SIGNAL_H

#include "area.h"

#define EXO_ALL_BUT_FAULTS (~SIG_UNBLOCKABLE)

/* sigaction.c */
void exo_signal_init(void);
long exo_host_sigaction(int sig, const struct k_sigaction *new, struct k_sigaction *old);
struct k_sigaction exo_action_get(struct exo_sighand *hand, int sig);
enum exo_default { EXO_DEFAULT_DIES, EXO_DEFAULT_STOPS, EXO_DEFAULT_IGNORES };
enum exo_default exo_default_of(int sig);
void exo_action_to_host(int sig, const struct k_sigaction *action);
void exo_actions_clear(struct exo_sighand *hand);
void exo_actions_before_exec(struct exo_sighand *hand);

/* sigmask.c. block_all returns the host's old mask; what changes the guest's says 0 or, with a
 * signal stashed, -EXO_ERESTART. */
uint64_t exo_mask_block_all(void);
long exo_mask_block_everything(uint64_t *old);
void exo_mask_set(uint64_t mask);
long exo_mask_set_now(uint64_t mask);
void exo_mask_init(void);
void exo_mask_sync(void);
long exo_mask_change(uint64_t mask);
bool exo_mask_grow(uint64_t mask);
long exo_mask_grow_now(uint64_t mask);
void exo_mask_shrink(uint64_t mask);
void exo_mask_before_exec(void);
void exo_mask_after_failed_exec(void);
void exo_mask_after_fork(void);
bool exo_signal_hold(int sig, const struct k_siginfo *info, struct k_ucontext *uc);
void exo_own_add(int sig, const struct k_siginfo *info);
uint64_t exo_pending_set(void);
bool exo_pending_take(struct k_siginfo *info, uint64_t wanted);
bool exo_pending_stash(uint64_t blocked);
void exo_pending_discard(int sig);
void exo_held_to_host(void);
void exo_pending_to_host(struct k_siginfo *info);

/* ownqueue.c: of our three, what was sent to the process and waits for any of its threads. */
uint64_t exo_own_queue_set(void);
bool exo_own_queue_take(int sig, struct k_siginfo *info);
void exo_own_queue_add(int sig, const struct k_siginfo *info);
void exo_own_queue_clear(void);

/* waitmask.c: calls that wait with a mask of their own. */
struct exo_wait_mask {
    uint64_t guest, host;
};
/* area.wait_masked: sigtimedwait(2) takes what wait_mask lets through, handlers do not run for it. */
enum { EXO_WAITS_MASKED = 1, EXO_WAITS_TO_TAKE = 2 };
struct exo_wait_mask exo_wait_mask_from(uint64_t guest);
/* host_wait() of a call that has the host block mask->host while it waits, NULL: that has no mask, and
 * that may look at a signalfd. The number, then the arguments; what is not given is 0. */
#define EXO_WAIT(mask, ...) exo_wait_call((mask), (const long[7]){__VA_ARGS__})
long exo_wait_call(struct exo_wait_mask *mask, const long call[7]);
/* What is blocked in the middle of a call, and what a handler's mask grows from. */
uint64_t exo_wait_mask_now(void);
uint64_t exo_wait_mask_end(void);
/* What the host does not restart, of a call that it would: -EINTR is so only for a handler without SA_RESTART. */
long exo_wait_restarts(long result);

/* signal.c */
/* Hidden: its address is taken, and there is no GOT to take it from. */
__attribute__((visibility("hidden"))) void exo_host_handler(int sig, struct k_siginfo *info,
                                                            struct k_ucontext *uc);
void exo_exit_work(void);
void exo_exit_work_full(void);
noreturn void exo_signal_kill_self(int sig);
/* A SIGSEGV of the kernel's for a thread that is in a call; its handler, or death. */
void exo_signal_force_segv(void);
/* A signal that the caller sends to itself, without the host: 0, -EXO_ERESTART or, if it has to go
 * through the host after all, EXO_BY_HOST. */
long exo_signal_self(const struct k_siginfo *info);
#define EXO_BY_HOST 1

/* sw_reserved of a signal frame: what the host says of the extended state there. */
struct exo_sw_bytes {
    uint32_t magic1, extended_size;
    uint64_t features;
    uint32_t xstate_size, padding[7];
};
_Static_assert(sizeof(struct exo_sw_bytes) == 48, "sw_reserved");

/* sigframe.c: a handler's frame on the guest's stack. */
struct exo_delivery {
    int sig;
    const struct k_siginfo *info;
    const struct k_sigaction *action;
    uint64_t mask;                    /* to go back to when the handler returns */
    uint64_t error_code, trapno, cr2; /* of a fault */
    uint64_t fpstate;                 /* host's saved vector state; 0: it is live in the CPU */
    uint64_t eflags;
    uint16_t cs, ss;
};
/* Pushes the frame and points regs at the handler; -EFAULT if the guest's stack is bad. */
long exo_frame_push(struct exo_regs *regs, const struct exo_delivery *what);
bool exo_on_altstack(const struct exo_area *mine, uint64_t rsp);
/* sigaltstack(2) with rsp as the stack pointer: 0 or -errno. */
long exo_altstack_set(const struct k_stack *new, uint64_t rsp);

/* trap.c: a SIGSYS of ours; patch.c and stub.c behind it. */
void exo_trap(struct k_siginfo *info, struct k_ucontext *uc);
/* The trap flag has stopped the thread on its way into the runtime: true if the guest sees no step. */
bool exo_step(struct k_ucontext *uc);
/* Where a fault inside the runtime's copy routines goes on; 0 if rip is not one of those. */
uint64_t exo_fault_fixup(struct k_ucontext *uc);

#endif
