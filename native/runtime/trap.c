/* SIGSYS of a guest's system call, and faults in the runtime's access to guest memory. */
#include "signal.h"
#include "stub.h"

#define AUDIT_ARCH_X86_64 0xc000003e

extern const char exo_entry[];
extern const char exo_copy_insn[], exo_copy_fault[], guest_byte_insn[], exo_xsave_insn[],
    exo_xrstor_insn[], guest_exchange_insn[], exo_copy_past_begin[], exo_copy_past_end[],
    exo_same_begin[], exo_same_end[], exo_same_fault[];

/* The call itself is not stepped through: the flag is back when the guest is. */
static void step_later(struct k_sigcontext *regs)
{
    regs->eflags &= ~EXO_TRAP_FLAG;
    if (!area()->steps) /* a tracer's step ends with the call */
        area()->observe |= EXO_OBSERVE_STEP;
}

bool exo_step(struct k_ucontext *uc)
{
    uint64_t rip = uc->mcontext.rip;
    if (rip != (uint64_t)exo_entry)
        return exo_stub_steps_over(rip);
    step_later(&uc->mcontext);
    return true;
}

/* Goes on as if the site had jumped to its stub; patches it so that it will. */
void exo_trap(struct k_siginfo *info, struct k_ucontext *uc)
{
    struct k_sigcontext *regs = &uc->mcontext;
    if (info->arch != AUDIT_ARCH_X86_64) {
        regs->rax = (uint64_t)-ENOSYS; /* int $0x80 and the like: 32-bit calls are not served */
        return;
    }
    if (regs->eflags & EXO_TRAP_FLAG)
        step_later(regs);
    regs->rax = (uint32_t)info->syscall;
    exo_patch_trapped(regs->rip - 2, regs->rax);
    regs->rcx = exo_return_address(regs->rip);
    regs->rip = (uint64_t)exo_entry;
    if ((area()->observe & EXO_OBSERVE_STATS) && regs->rax < EXO_CALL_COUNT)
        fetch_add(&KR->counts.trapped[regs->rax], 1);
}

/* PR_SET_TSC of prctl(2) is of the whole thread: where the guest may not read time stamps, the runtime gets
 * nanoseconds instead. The bytes of the instruction, 0: it is another one. */
static uint64_t time_stamp(struct k_sigcontext *regs)
{
    const uint8_t *code = (const uint8_t *)regs->rip;
    bool with_cpu = code[0] == 0x0f && code[1] == 0x01 && code[2] == 0xf9; /* rdtscp */
    int64_t now[2] = {0};
    uint32_t cpu = 0, node = 0;
    if (!with_cpu && (code[0] != 0x0f || code[1] != 0x31))
        return 0;
    HOST_2(__NR_clock_gettime, 1 /* CLOCK_MONOTONIC */, now);
    uint64_t ns = (uint64_t)now[0] * 1000000000 + (uint64_t)now[1];
    regs->rax = (uint32_t)ns;
    regs->rdx = ns >> 32;
    if (!with_cpu)
        return 2;
    HOST_3(__NR_getcpu, &cpu, &node, 0);
    regs->rcx = node << 12 | cpu;
    return 3;
}

uint64_t exo_fault_fixup(struct k_ucontext *uc)
{
    uint64_t rip = uc->mcontext.rip;
    uint64_t size = time_stamp(&uc->mcontext);
    if (size != 0)
        return rip + size;
    if (rip == (uint64_t)exo_copy_insn || rip == (uint64_t)guest_byte_insn ||
        rip == (uint64_t)exo_xsave_insn || rip == (uint64_t)exo_xrstor_insn ||
        rip == (uint64_t)guest_exchange_insn ||
        (rip >= (uint64_t)exo_copy_past_begin && rip < (uint64_t)exo_copy_past_end))
        return (uint64_t)exo_copy_fault;
    if (rip >= (uint64_t)exo_same_begin && rip < (uint64_t)exo_same_end)
        return (uint64_t)exo_same_fault;
    return 0;
}
