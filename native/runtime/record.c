/* A call of a watched task: its arguments are put into the task's stage before it, its result after
 * it, and then all of it goes into the ring at once. Who watches finds calls in progress in the stages. */
#include <asm-generic/errno-base.h>

#include "record.h"

#define HEAD sizeof(struct exo_called)
#define LONG_SHIFT 20
#define UC_RAX 144 /* of the ucontext to which the stack pointer points then */

static bool never_returns(uint32_t nr)
{
    return nr == __NR_exit || nr == __NR_exit_group;
}

static void begin(struct exo_area *mine, struct exo_stage *stage, uint32_t nr)
{
    const struct exo_regs *regs = &mine->regs;
    struct exo_called *called = exo_called_of(stage);
    uint32_t argc = nr < exo_call_limit ? exo_calls[nr].argc : 6;
    const uint64_t args[6] = {regs->rdi, regs->rsi, regs->rdx, regs->r10, regs->r8, regs->r9};
    uint64_t *to = (uint64_t *)(void *)(called + 1);
    *called = (struct exo_called){.nr = (uint16_t)nr, .argc = (uint8_t)argc};
    for (uint32_t i = 0; i < argc; i++)
        to[i] = args[i];
    stage->size = (uint32_t)HEAD + argc * 8;
    if (KR->recording.flags & EXO_RECORDING_ORIGINS)
        exo_record_origin(stage, regs);
    stage->pieces = stage->size;
    if (nr < exo_call_limit)
        exo_record_memory(stage, regs, false);
    called->began = exo_tsc();
    store_release(&stage->call, (stage->sequence + 1) & ~EXO_RECORD_MORE);
}

static void finish(struct exo_area *mine, struct exo_stage *stage, long result, uint8_t flags)
{
    struct exo_called *called = exo_called_of(stage);
    uint64_t spent = exo_tsc() - called->began;
    store_release(&stage->call, 0);
    called->result = result;
    called->flags |= flags;
    if (spent >> 32) {
        called->flags |= EXO_CALLED_LONG;
        spent >>= LONG_SHIFT;
    }
    called->spent = (uint32_t)spent;
    if (exo_record_is_cut(result) && exo_record_is_timed(called->nr, (int)mine->regs.rdi))
        called->flags |= EXO_CALLED_CUT;
    if (called->nr < exo_call_limit)
        exo_record_memory(stage, &mine->regs, true);
    exo_record_push(mine, EXO_RECORD_CALL, stage->data, stage->size);
}

/* What rt_sigreturn(2) returns: what stands in the signal's frame. It does not come back to us. */
static long restored(const struct exo_regs *regs)
{
    int64_t rax = 0;
    return guest_get(&rax, regs->rsp + UC_RAX) == 0 ? rax : 0;
}

/* Who else was asked, by the task's counters before and after it. */
static uint8_t asked(const struct exo_area *mine, uint64_t host_calls, uint64_t legacy_calls)
{
    if (!(KR->recording.flags & EXO_RECORDING_ORIGINS))
        return 0;
    return (uint8_t)((mine->host_calls != host_calls ? EXO_CALLED_HOST : 0) |
                     (mine->legacy_calls != legacy_calls ? EXO_CALLED_LEGACY : 0));
}

static long serve(struct exo_stage *stage, uint32_t nr, uint8_t *flags, const long *args)
{
    const struct exo_tamper *change =
        likely(KR->recording.tamper_count == 0) ? NULL : exo_record_tamper(stage, nr);
    long result;
    if (likely(change == NULL))
        return exo_observe_unrecorded(args[0], args[1], args[2], args[3], args[4], args[5]);
    *flags |= change->flags & EXO_TAMPER_RESULT ? EXO_CALLED_INJECTED : 0;
    *flags |= change->delay_enter_ns || change->delay_exit_ns ? EXO_CALLED_DELAYED : 0;
    exo_record_delay(change->delay_enter_ns);
    if (change->signal)
        exo_record_kill(change->signal);
    if (change->flags & EXO_TAMPER_RESULT)
        result = change->result;
    else
        result = exo_observe_unrecorded(args[0], args[1], args[2], args[3], args[4], args[5]);
    exo_record_delay(change->delay_exit_ns);
    return result;
}

long exo_record_call(long a, long b, long c, long d, long e, long f)
{
    struct exo_area *mine = area();
    const struct exo_recording *recording = &KR->recording;
    uint32_t nr = (uint32_t)mine->regs.nr, tid = mine->tid;
    const long args[6] = {a, b, c, d, e, f};
    uint8_t flags = 0;
    if (nr >= EXO_CALL_COUNT || !(recording->calls[nr / 64] >> nr % 64 & 1))
        return exo_observe_unrecorded(a, b, c, d, e, f);
    if (recording->flags == EXO_RECORDING_TALLIES && recording->tamper_count == 0)
        return exo_tally_call(mine, nr, args);
    struct exo_stage *stage = exo_stage_of(mine);
    bool events = recording->flags & EXO_RECORDING_EVENTS;
    uint64_t before = recording->flags & EXO_RECORDING_TALLIES ? exo_tsc() : 0;
    if (events && (recording->flags & EXO_RECORDING_STACKS))
        exo_record_stack(mine);
    if (events)
        begin(mine, stage, nr);
    if (events && never_returns(nr))
        finish(mine, stage, 0, EXO_CALLED_ENDLESS);
    if (events && nr == __NR_rt_sigreturn)
        finish(mine, stage, restored(&mine->regs), 0);
    uint64_t host_calls = mine->host_calls, legacy_calls = mine->legacy_calls;
    long result = serve(stage, nr, &flags, args);
    if (area()->tid != tid || !(mine->observe & EXO_OBSERVE_RECORD))
        return result; /* a forked child: it was not the one to call */
    if (recording->flags & EXO_RECORDING_TALLIES)
        exo_tally_add(area(), nr, result, exo_tsc() - before);
    if (events && stage->call != 0)
        finish(mine, stage, result, flags | asked(mine, host_calls, legacy_calls));
    return result;
}
