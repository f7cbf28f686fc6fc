/* Who makes a call, for `exo-um trace -k`: the registers are told, and the task waits until who
 * watches has walked up its stack, in the memory as it is now. */
#include "record.h"
#include "stub.h"

#define LOOKS_NS 100000000L /* between looks whether anybody still watches */
#define FUTEX_WAIT 0

static bool is_watched(const struct exo_area *mine)
{
    return load_relaxed(&KR->recording.on) && (mine->observe & EXO_OBSERVE_RECORD);
}

void exo_record_stack(struct exo_area *mine)
{
    struct exo_stage *stage = exo_stage_of(mine);
    const int64_t patience[2] = {0, LOOKS_NS};
    struct exo_regs regs = mine->regs;
    exo_stub_hide(&regs);
    const uint64_t data[] = {exo_tsc(), regs.rip, regs.rsp, regs.rbp, regs.rbx,
                             regs.r12,  regs.r13, regs.r14, regs.r15};
    store_release(&stage->walked, 0);
    exo_record_push(mine, EXO_RECORD_STACK, data, sizeof(data));
    while (load_acquire(&stage->walked) == 0 && is_watched(mine))
        HOST_4(__NR_futex, &stage->walked, FUTEX_WAIT, 0, patience);
}
