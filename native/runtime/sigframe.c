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

extern long exo_xsave(uint64_t to, uint64_t features);
extern void exo_xrstor(const void *from, uint64_t features);
extern noreturn void host_sigreturn(struct k_ucontext *uc);

bool exo_on_altstack(const struct exo_area *mine, uint64_t rsp)
{
    const struct k_stack *alt = &mine->altstack;
    return !(alt->flags & (SS_DISABLE_ | SS_AUTODISARM_)) && rsp > alt->sp &&
           rsp - alt->sp <= alt->size;
}

static uint64_t choose_stack(const struct exo_regs *regs, const struct exo_delivery *what)
{
    const struct exo_area *mine = area();
    uint64_t sp = regs->rsp - RED_ZONE;
    bool usable = !(mine->altstack.flags & SS_DISABLE_);
    if ((what->action->flags & SA_ONSTACK_) && usable && !exo_on_altstack(mine, regs->rsp))
        sp = mine->altstack.sp + mine->altstack.size;
    return sp;
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
    struct exo_area *mine = area();
    memset(uc, 0, sizeof(*uc));
    uc->flags = UC_FP_XSTATE_ | UC_SIGCONTEXT_SS_ | UC_STRICT_RESTORE_SS_;
    uc->stack = mine->altstack;
    if (exo_on_altstack(mine, regs->rsp))
        uc->stack.flags |= SS_ONSTACK_;
    memcpy(&uc->mcontext, regs, offsetof(struct exo_regs, nr));
    uc->mcontext.eflags = what->eflags;
    uc->mcontext.cs = 0x33;
    uc->mcontext.ss = 0x2b;
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
    memcpy(&sw, mine->xstate_format, sizeof(sw));
    uint64_t sp = choose_stack(regs, what);
    uint64_t fpstate = (sp - sw.extended_size) & ~63UL;
    uint64_t at = ((fpstate - sizeof(frame)) & ~15UL) - 8;
    /* Inside the alternate stack a frame that no longer fits is fatal, as in the host. */
    if (exo_on_altstack(mine, sp) && at <= mine->altstack.sp)
        return -EFAULT;
    frame.pretcode = what->action->restorer;
    fill_ucontext(&frame.uc, regs, what, fpstate);
    frame.info = *what->info;
    if (in_window(at, sp - at) || put_fpstate(fpstate, what, &sw) != 0 ||
        guest_write(at, &frame, sizeof(frame)) != 0)
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

static void restore_altstack(const struct k_stack *stack)
{
    struct exo_area *mine = area();
    if (stack->flags & SS_DISABLE_)
        mine->altstack = (struct k_stack){.flags = SS_DISABLE_};
    else if (stack->size >= MINSIGSTKSZ_)
        mine->altstack = (struct k_stack){
            .sp = stack->sp, .size = stack->size, .flags = stack->flags & SS_AUTODISARM_};
}

SYSCALL(rt_sigreturn)
{
    struct exo_area *mine = area();
    struct k_ucontext uc;
    if (guest_read(&uc, mine->regs.rsp, sizeof(uc)) != 0)
        exo_signal_kill_self(SIGSEGV_);
    restore_altstack(&uc.stack);
    uc.stack = exo_area_altstack(mine);
    uc.mcontext.cs = 0x33;
    uc.mcontext.ss = 0x2b;
    mine->unblockable_blocked = uc.sigmask & SIG_UNBLOCKABLE;
    uc.sigmask &= ~SIG_UNBLOCKABLE;
    if (mine->adopted)
        exo_trace_sigreturn(&uc);
    if (mine->unblockable_pending != 0)
        exo_raise_unblocked();
    host_sigreturn(&uc);
}
