/* Signals: dispositions, the host handler, delivery to the guest. */
#ifndef EXO_RUNTIME_SIGNAL_H
#define EXO_RUNTIME_SIGNAL_H

#include "area.h"

/* signal.c */
void exo_signal_init(void);
void exo_host_handler(int sig, struct k_siginfo *info, struct k_ucontext *uc);
struct k_sigaction exo_action_get(struct exo_sighand *hand, int sig);
void exo_action_to_host(int sig, const struct k_sigaction *action);
void exo_actions_clear(struct exo_sighand *hand);
void exo_actions_before_exec(struct exo_sighand *hand);
void exo_exit_work(void);
void exo_signal_give_back(void);
void exo_raise_unblocked(void);
/* The first of those in set that were sent while blocked, with its siginfo; 0 if there is none. */
int exo_take_unblockable(uint64_t set, struct k_siginfo *info);
noreturn void exo_signal_kill_self(int sig);

/* Host mask of the thread. block_all returns the old one. */
uint64_t exo_mask_block_all(void);
long exo_mask_block_everything(uint64_t *old);
void exo_mask_set(uint64_t mask);

/* sigframe.c: a handler's frame on the guest's stack. */
struct exo_delivery {
    int sig;
    const struct k_siginfo *info;
    const struct k_sigaction *action;
    uint64_t mask;                    /* to go back to when the handler returns */
    uint64_t error_code, trapno, cr2; /* of a fault */
    uint64_t fpstate;                 /* host's saved vector state; 0: it is live in the CPU */
    uint64_t eflags;
};
/* Pushes the frame and points regs at the handler; -EFAULT if the guest's stack is bad. */
long exo_frame_push(struct exo_regs *regs, const struct exo_delivery *what);
bool exo_on_altstack(const struct exo_area *mine, uint64_t rsp);

/* trap.c: a SIGSYS of ours; patch.c and stub.c behind it. */
void exo_trap(struct k_siginfo *info, struct k_ucontext *uc);
/* Where a fault inside the runtime's copy routines goes on; 0 if rip is not one of those. */
uint64_t exo_fault_fixup(struct k_ucontext *uc);

#endif
