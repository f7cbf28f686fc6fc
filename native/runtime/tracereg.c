/* Registers of a stopped tracee: between the runtime's and ptrace(2)'s layout of them. */
#include "stub.h"
#include "trace.h"

#define FLAGS_SETTABLE 0x54dd5UL /* CF PF AF ZF SF TF DF OF RF AC, as the host's FLAG_MASK */
#define LEGACY_SIZE 512
#define SW_OFFSET 464
#define FP_XSTATE_MAGIC2 0x46505845U
#define ARCH_SET_FS_ 0x1002
#define ARCH_GET_FS_ 0x1003

extern long exo_xsave(uint64_t to, uint64_t features);
extern long exo_xrstor(const void *from, uint64_t features);
extern long host_sigreturn(struct k_ucontext *uc);

/* struct user_regs_struct by what struct exo_regs has of it. */
static const uint8_t places[][2] = {
    {0, offsetof(struct exo_regs, r15)},  {1, offsetof(struct exo_regs, r14)},
    {2, offsetof(struct exo_regs, r13)},  {3, offsetof(struct exo_regs, r12)},
    {4, offsetof(struct exo_regs, rbp)},  {5, offsetof(struct exo_regs, rbx)},
    {6, offsetof(struct exo_regs, r11)},  {7, offsetof(struct exo_regs, r10)},
    {8, offsetof(struct exo_regs, r9)},   {9, offsetof(struct exo_regs, r8)},
    {10, offsetof(struct exo_regs, rax)}, {11, offsetof(struct exo_regs, rcx)},
    {12, offsetof(struct exo_regs, rdx)}, {13, offsetof(struct exo_regs, rsi)},
    {14, offsetof(struct exo_regs, rdi)}, {15, offsetof(struct exo_regs, nr)},
    {16, offsetof(struct exo_regs, rip)}, {19, offsetof(struct exo_regs, rsp)},
};
#define PLACE_COUNT (sizeof(places) / sizeof(places[0]))

static const struct exo_sw_bytes *format(void)
{
    return (const struct exo_sw_bytes *)area()->xstate_format;
}

uint8_t *exo_trace_xstate(struct exo_trace *trace)
{
    return (uint8_t *)(((uint64_t)trace->xstate + 63) & ~63UL);
}

static void cpuid(uint32_t leaf, uint32_t sub, uint32_t out[4])
{
    __asm__ volatile("cpuid"
                     : "=a"(out[0]), "=b"(out[1]), "=c"(out[2]), "=d"(out[3])
                     : "a"(leaf), "c"(sub));
}

/* What the CPU has not written because it is in its initial state: zero, but for two fields. */
static void fill_initial(uint8_t *state, uint64_t features)
{
    uint64_t written;
    memcpy(&written, state + LEGACY_SIZE, 8);
    if (!(written & 1)) {
        memset(state, 0, 24);
        memset(state + 32, 0, 128);
        state[0] = 0x7f; /* the control word, 0x37f */
        state[1] = 0x03;
    }
    if (!(written & 2))
        memset(state + 160, 0, 256);
    for (uint32_t i = 2; i < 63; i++) {
        uint32_t leaf[4];
        if (!(features & ~written & 1UL << i))
            continue;
        cpuid(0xd, i, leaf);
        if ((uint64_t)leaf[0] + leaf[1] <= format()->xstate_size)
            memset(state + leaf[1], 0, leaf[0]);
    }
}

static void publish_vectors(struct exo_trace *me, uint64_t fpstate)
{
    const struct exo_sw_bytes *sw = format();
    uint8_t *state = exo_trace_xstate(me);
    if (sw->xstate_size > EXO_XSTATE_SIZE - 64)
        exo_die("the vector state is too large to be traced");
    me->xstate_size = sw->xstate_size;
    memset(state + LEGACY_SIZE, 0, 64);
    if (fpstate != 0)
        guest_read(state, fpstate, sw->xstate_size);
    else
        exo_xsave((uint64_t)state, sw->features);
    fill_initial(state, sw->features);
    memset(state + SW_OFFSET, 0, LEGACY_SIZE - SW_OFFSET);
    memcpy(state + SW_OFFSET, &sw->features, 8);
}

/* The record is the tracer's to write: nothing that the CPU would not load. */
static void sanitise(uint8_t *state, uint64_t features)
{
    uint64_t written;
    uint32_t mxcsr, mask;
    memcpy(&written, state + LEGACY_SIZE, 8);
    memcpy(&mxcsr, state + 24, 4);
    memcpy(&mask, state + 28, 4);
    written &= features;
    mxcsr &= mask != 0 ? mask : 0xffbf;
    mxcsr &= 0xffff;
    memset(state + LEGACY_SIZE, 0, 64);
    memcpy(state + LEGACY_SIZE, &written, 8);
    memcpy(state + 24, &mxcsr, 4);
}

static void take_vectors(struct exo_trace *me, uint64_t fpstate)
{
    const struct exo_sw_bytes *sw = format();
    uint8_t *state = exo_trace_xstate(me);
    sanitise(state, sw->features);
    if (fpstate == 0) {
        exo_xrstor(state, sw->features);
        return;
    }
    guest_write(fpstate, state, SW_OFFSET);
    guest_write(fpstate + LEGACY_SIZE, state + LEGACY_SIZE, sw->xstate_size - LEGACY_SIZE);
}

void exo_trace_publish(struct exo_trace *me, const struct exo_stopped *at)
{
    uint64_t fs_base = 0;
    HOST_2(__NR_arch_prctl, ARCH_GET_FS_, &fs_base);
    memset(me->regs, 0, sizeof(me->regs));
    for (size_t i = 0; i < PLACE_COUNT; i++)
        me->regs[places[i][0]] = *(const uint64_t *)((const char *)&at->regs + places[i][1]);
    me->regs[REG_EFLAGS] = at->flags;
    me->regs[REG_CS] = 0x33;
    me->regs[REG_SS] = 0x2b;
    me->regs[REG_FS_BASE] = fs_base;
    me->mask = at->mask;
    me->changed = 0;
    publish_vectors(me, at->fpstate);
}

void exo_trace_take_back(struct exo_trace *me, struct exo_stopped *at)
{
    if (me->changed & EXO_CHANGED_VECTORS)
        take_vectors(me, at->fpstate);
    if (me->changed & EXO_CHANGED_DEBUG)
        exo_trace_arm(me);
    if (me->changed & EXO_CHANGED_MASK)
        at->mask = me->mask & ~SIG_ALWAYS;
    if (!(me->changed & EXO_CHANGED_REGS))
        return;
    for (size_t i = 0; i < PLACE_COUNT; i++)
        *(uint64_t *)((char *)&at->regs + places[i][1]) = me->regs[places[i][0]];
    at->flags = (at->flags & ~FLAGS_SETTABLE) | (me->regs[REG_EFLAGS] & FLAGS_SETTABLE);
    HOST_2(__NR_arch_prctl, ARCH_SET_FS_, me->regs[REG_FS_BASE]);
    area()->set_all = 1;
}

void exo_stopped_in_call(struct exo_stopped *at)
{
    const struct exo_area *mine = area();
    at->regs = mine->regs;
    exo_stub_hide(&at->regs);
    at->flags = mine->flags;
    at->fpstate = 0;
    at->mask = mine->mask;
}

/* With everything blocked: no signal is stashed between the two. */
static void change_mask(uint64_t mask)
{
    const struct exo_area *mine = area();
    exo_mask_set(~0UL);
    exo_mask_shrink(mask);
    exo_mask_set(mine->stashed ? EXO_ALL_BUT_FAULTS : mine->host_mask);
    exo_pending_stash(mask);
}

void exo_stopped_go_on(const struct exo_stopped *at)
{
    struct exo_area *mine = area();
    mine->regs = at->regs;
    mine->flags = at->flags;
    if (!(exo_trace_of(mine->task)->changed & EXO_CHANGED_MASK))
        return;
    exo_trace_of(mine->task)->changed &= ~(uint32_t)EXO_CHANGED_MASK;
    change_mask(at->mask);
}

void exo_stopped_in_handler(struct exo_stopped *at, const struct k_ucontext *uc)
{
    const struct exo_area *mine = area();
    memcpy(&at->regs, &uc->mcontext, offsetof(struct exo_regs, nr));
    exo_stub_hide(&at->regs);
    at->regs.nr = ~0UL;
    at->flags = uc->mcontext.eflags;
    if (mine->steps)
        at->flags &= ~EFLAGS_TF;
    at->fpstate = uc->mcontext.fpstate;
    at->mask = mine->mask;
}

void exo_stopped_return(const struct exo_stopped *at, struct k_ucontext *uc)
{
    struct exo_area *mine = area();
    memcpy(&uc->mcontext, &at->regs, offsetof(struct exo_regs, nr));
    uc->mcontext.eflags = at->flags | (mine->steps ? EFLAGS_TF : 0);
    exo_mask_shrink(at->mask);
    uc->sigmask = mine->host_mask;
    mine->set_all = 0;
}

/* To the guest with every register, rcx and r11 too, and with the trap flag where it steps. Comes
 * back if something else is to be seen to first. */
void exo_trace_leave(void)
{
    struct exo_area *mine = area();
    const struct exo_sw_bytes *sw = format();
    uint8_t *state = exo_trace_xstate(exo_trace_of(mine->task));
    uint32_t magic2 = FP_XSTATE_MAGIC2;
    struct k_ucontext uc = {.flags = UC_FP_XSTATE_ | UC_SIGCONTEXT_SS_ | UC_STRICT_RESTORE_SS_};
    fetch_and(&mine->pending, (uint8_t)~EXO_PENDING_LEAVE);
    mine->set_all = 0;
    memset(state, 0, LEGACY_SIZE + 64);
    exo_xsave((uint64_t)state, sw->features);
    memcpy(state + SW_OFFSET, sw, sizeof(*sw));
    memcpy(state + sw->xstate_size, &magic2, sizeof(magic2));
    memcpy(&uc.mcontext, &mine->regs, offsetof(struct exo_regs, nr));
    uc.mcontext.eflags = mine->flags | (mine->steps ? EFLAGS_TF : 0);
    uc.mcontext.cs = 0x33;
    uc.mcontext.ss = 0x2b;
    uc.mcontext.fpstate = (uint64_t)state;
    uc.stack = exo_area_altstack(mine);
    uc.sigmask = mine->host_mask;
    host_sigreturn(&uc);
    mine->set_all = 1;
    fetch_or(&mine->pending, EXO_PENDING_LEAVE);
}
