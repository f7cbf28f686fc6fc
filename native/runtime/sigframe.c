/* The frame a signal handler gets, in the host kernel's own format (arch/x86/kernel/signal_64.c
 * and fpu/signal.c describe it), and the guest's way back: rt_sigreturn(2).
 */
#include "trace.h"

#define FP_XSTATE_MAGIC1 0x46505853U
#define FP_XSTATE_MAGIC2 0x46505845U
#define LEGACY_SIZE 512
#define HEADER_SIZE 64
#define SW_OFFSET 464 /* sw_reserved within the legacy area */
#define RED_ZONE 128
#define CODE_SEGMENT 0x33
#define STACK_SEGMENT 0x2b
#define RESTORED_FLAGS 0x40cd5UL /* AC, OF, DF, SF, ZF, AF, PF, CF: what sigreturn may set */
#define HIGHEST_ADDRESS 0x7ffffffff000UL

extern long exo_xsave(uint64_t to, uint64_t features);
extern long exo_xrstor(const void *from, uint64_t features);
extern noreturn void exo_resume_full(void);
/* Comes back, with -EXO_ERESTART, only if a signal has been stashed. */
extern long host_sigreturn(struct k_ucontext *uc);

static bool within(const struct k_stack *stack, uint64_t rsp)
{
    return rsp > stack->sp && rsp - stack->sp <= stack->size;
}

bool exo_on_altstack(const struct exo_area *mine, uint64_t rsp)
{
    return !(mine->altstack.flags & SS_AUTODISARM_) && within(&mine->altstack, rsp);
}

/* Where the frame goes; false if that is an alternate stack in which it does not fit. */
static bool place(const struct exo_regs *regs, const struct exo_delivery *what,
                  const struct exo_sw_bytes *sw, uint64_t *top, uint64_t *fpstate, uint64_t *at)
{
    const struct exo_area *mine = area();
    bool on_it = exo_on_altstack(mine, regs->rsp);
    *top = regs->rsp - RED_ZONE;
    if ((what->action->flags & SA_ONSTACK_) && mine->altstack.size != 0 &&
        !exo_on_altstack(mine, *top)) {
        *top = mine->altstack.sp + mine->altstack.size;
        on_it = true;
    }
    *fpstate = (*top - sw->extended_size) & ~63UL;
    *at = ((*fpstate - sizeof(struct k_sigframe)) & ~15UL) - 8;
    return !on_it || within(&mine->altstack, *at);
}

/* Writes the vector state to the guest's stack at to, from the host's frame or from the CPU. */
static long put_fpstate(uint64_t to, const struct exo_delivery *what, const struct exo_sw_bytes *sw)
{
    uint32_t magic2 = FP_XSTATE_MAGIC2;
    uint8_t zero[HEADER_SIZE] = {0};
    if (what->fpstate != 0)
        return guest_write(to, (void *)what->fpstate, sw->extended_size);
    if (guest_write(to + LEGACY_SIZE, zero, sizeof(zero)) != 0 ||
        exo_xsave(to, sw->features) != 0 || guest_write(to + SW_OFFSET, sw, sizeof(*sw)) != 0)
        return -EFAULT;
    return guest_write(to + sw->xstate_size, &magic2, sizeof(magic2));
}

/* A handler starts with vector state as after exec; where that state is live, reset it here. */
static void reset_vector_state(const struct exo_delivery *what, const struct exo_sw_bytes *sw)
{
    static const struct {
        uint16_t fcw, fsw;
        uint8_t more[20];
        uint32_t mxcsr, mask;
        uint8_t rest[LEGACY_SIZE + HEADER_SIZE - 32];
    } initial __attribute__((aligned(64))) = {.fcw = 0x37f, .mxcsr = 0x1f80};
    if (what->fpstate == 0) {
        exo_xrstor(&initial, sw->features);
        return;
    }
    uint8_t *header = (uint8_t *)what->fpstate + LEGACY_SIZE;
    memset(header, 0, 8); /* xfeatures: every component in its initial state */
    *(uint32_t *)(what->fpstate + 24) = 0x1f80;
}

static void fill_ucontext(struct k_ucontext *uc, const struct exo_regs *regs,
                          const struct exo_delivery *what, uint64_t fpstate)
{
    uc->flags = UC_FP_XSTATE_ | UC_SIGCONTEXT_SS_ | UC_STRICT_RESTORE_SS_;
    uc->link = 0;
    uc->stack = area()->altstack;
    memcpy(&uc->mcontext, regs, offsetof(struct exo_regs, nr));
    memset((char *)&uc->mcontext + offsetof(struct k_sigcontext, eflags), 0,
           sizeof(uc->mcontext) - offsetof(struct k_sigcontext, eflags));
    uc->mcontext.eflags = what->eflags;
    uc->mcontext.cs = what->cs;
    uc->mcontext.ss = what->ss;
    uc->mcontext.err = what->error_code;
    uc->mcontext.trapno = what->trapno;
    uc->mcontext.cr2 = what->cr2;
    uc->mcontext.oldmask = what->mask;
    uc->mcontext.fpstate = fpstate;
    uc->sigmask = what->mask;
}

long exo_frame_push(struct exo_regs *regs, const struct exo_delivery *what)
{
    struct exo_area *mine = area();
    struct exo_sw_bytes sw;
    struct k_sigframe frame;
    uint64_t top, fpstate, at;
    memcpy(&sw, mine->xstate_format, sizeof(sw));
    if (!place(regs, what, &sw, &top, &fpstate, &at) || !(what->action->flags & SA_RESTORER_))
        return -EFAULT;
    bool tells = what->action->flags & SA_SIGINFO_;
    frame.pretcode = what->action->restorer;
    fill_ucontext(&frame.uc, regs, what, fpstate);
    if (tells)
        frame.info = *what->info;
    if (in_window(at, top - at) || put_fpstate(fpstate, what, &sw) != 0 ||
        guest_write(at, &frame, tells ? sizeof(frame) : offsetof(struct k_sigframe, info)) != 0)
        return -EFAULT;
    reset_vector_state(what, &sw);
    fetch_add(&KR->stats.signals, 1);
    if (mine->altstack.flags & SS_AUTODISARM_)
        mine->altstack = (struct k_stack){.flags = SS_DISABLE_};
    regs->rdi = (uint64_t)what->sig;
    regs->rsi = at + offsetof(struct k_sigframe, info);
    regs->rdx = at + offsetof(struct k_sigframe, uc);
    regs->rax = 0;
    regs->rsp = at;
    regs->rip = what->action->handler;
    return 0;
}

/* Takes the vector state from the frame, if that is one that only needs the processor. */
static bool take_fpstate(const struct k_ucontext *uc)
{
    struct exo_sw_bytes sw, expected;
    uint32_t magic2;
    uint64_t from = uc->mcontext.fpstate;
    memcpy(&expected, area()->xstate_format, sizeof(expected));
    return (from & 63) == 0 && expected.magic1 == FP_XSTATE_MAGIC1 &&
           guest_get(&sw, from + SW_OFFSET) == 0 && memcmp(&sw, &expected, sizeof(sw)) == 0 &&
           guest_get(&magic2, from + sw.xstate_size) == 0 && magic2 == FP_XSTATE_MAGIC2 &&
           exo_xrstor((const void *)from, sw.features) == 0;
}

/* Whether the registers can be loaded without the host's help. */
static bool is_plain(const struct k_ucontext *uc)
{
    const struct k_sigcontext *regs = &uc->mcontext;
    return (uc->flags & UC_FP_XSTATE_) && regs->cs == CODE_SEGMENT && regs->ss == STACK_SEGMENT &&
           !(regs->eflags & EXO_TRAP_FLAG) && regs->rip < HIGHEST_ADDRESS &&
           !in_window(regs->rip, 1);
}

/* Odd frames: the host judges them, as it would have done. */
static long return_by_host(struct k_ucontext *uc)
{
    struct exo_area *mine = area();
    long error = exo_mask_change(uc->sigmask);
    if (error != 0 || mine->stashed)
        return -EXO_ERESTART;
    exo_altstack_set(&uc->stack, uc->mcontext.rsp);
    uc->stack = exo_area_altstack(mine);
    uc->sigmask = mine->host_mask;
    if (mine->adopted)
        exo_trace_sigreturn(uc);
    return host_sigreturn(uc);
}

SYSCALL(rt_sigreturn)
{
    struct exo_area *mine = area();
    struct k_ucontext uc;
    if (guest_read(&uc, mine->regs.rsp, sizeof(uc)) != 0) {
        exo_signal_force_segv();
        return 0;
    }
    if (!is_plain(&uc) || !take_fpstate(&uc))
        return return_by_host(&uc);
    long error = exo_mask_change(uc.sigmask);
    if (error != 0)
        return error;
    exo_altstack_set(&uc.stack, uc.mcontext.rsp);
    memcpy(&mine->regs, &uc.mcontext, offsetof(struct exo_regs, nr));
    mine->flags = (mine->flags & ~RESTORED_FLAGS) | (uc.mcontext.eflags & RESTORED_FLAGS);
    if (unlikely(mine->adopted))
        exo_trace_sigreturned();
    exo_resume_full();
}
