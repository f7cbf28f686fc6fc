/* Counting a watched task's calls, for `exo-um trace -c`: in a set of the region that is its own, so
 * that nothing is lost when it is killed, and nobody else writes there. The set outlives it: the next
 * owner adds to what it finds. Tasks that find no free set share the last one. */
#include "record.h"

#define SHARED EXO_TALLY_SETS /* as stage.tally: 1 + the number */

static bool is_owned(uint64_t owner)
{
    const struct exo_task *task = &KR->tasks[(uint32_t)owner % EXO_TASK_COUNT];
    return owner != 0 && task->tid == owner >> 32 && exo_alive_test(task);
}

static uint64_t name_of(const struct exo_area *mine)
{
    return (uint64_t)mine->tid << 32 | mine->slot;
}

/* Ours already, if we have executed a program; or one of nobody's, or of a dead task's. */
static __attribute__((noinline)) void take_set(const struct exo_area *mine, struct exo_stage *stage)
{
    uint64_t *owners = KR->recording.tally_owners, name = name_of(mine);
    for (uint32_t i = 0; i + 1 < EXO_TALLY_SETS && stage->tally == 0; i++)
        if (load_relaxed(&owners[i]) == name)
            stage->tally = (uint16_t)(i + 1);
    for (uint32_t i = 0; i + 1 < EXO_TALLY_SETS && stage->tally == 0; i++) {
        uint64_t owner = load_relaxed(&owners[i]);
        if (!is_owned(owner) && compare_exchange(&owners[i], &owner, name))
            stage->tally = (uint16_t)(i + 1);
    }
    if (stage->tally == 0)
        stage->tally = SHARED;
    store_relaxed(&KR->recording.tally_seen[stage->tally - 1], 1);
}

void exo_tally_leave(struct exo_area *mine)
{
    struct exo_stage *stage = exo_stage_of(mine);
    uint32_t set = stage->tally;
    stage->tally = SHARED; /* for what it still does */
    if (set != 0 && set < SHARED)
        store_release(&KR->recording.tally_owners[set - 1], 0);
}

static void add(struct exo_tally *tally, bool failed, uint64_t cycles)
{
    store_relaxed(&tally->calls, tally->calls + 1);
    store_relaxed(&tally->cycles, tally->cycles + cycles);
    if (failed)
        store_relaxed(&tally->errors, tally->errors + 1);
}

static void add_shared(struct exo_tally *tally, bool failed, uint64_t cycles)
{
    fetch_add(&tally->calls, 1);
    fetch_add(&tally->cycles, cycles);
    if (failed)
        fetch_add(&tally->errors, 1);
}

void exo_tally_add(struct exo_area *mine, uint32_t nr, long result, uint64_t cycles)
{
    bool failed = result < 0 && result >= -4095;
    struct exo_stage *stage = exo_stage_of(mine);
    if (unlikely(stage->tally == 0))
        take_set(mine, stage);
    uint32_t set = stage->tally;
    struct exo_tally *tally = &KR->recording.tallies[set < SHARED ? set - 1 : SHARED - 1][nr];
    if (likely(set < SHARED))
        add(tally, failed, cycles);
    else
        add_shared(tally, failed, cycles);
}

/* One that succeeds is counted by the program that it executes: exo_record_executed(). */
static void begin_exec(struct exo_stage *stage, uint32_t nr, uint64_t now)
{
    *exo_called_of(stage) = (struct exo_called){.nr = (uint16_t)nr, .began = now};
    store_release(&stage->call, 1);
}

long exo_tally_call(struct exo_area *mine, uint32_t nr, const long *args)
{
    uint32_t tid = mine->tid;
    uint64_t before = exo_tsc();
    if (unlikely(nr == __NR_execve || nr == __NR_execveat))
        begin_exec(exo_stage_of(mine), nr, before);
    if (unlikely(nr == __NR_rt_sigreturn)) /* does not come back */
        exo_tally_add(mine, nr, 0, 0);
    long result = exo_observe_unrecorded(args[0], args[1], args[2], args[3], args[4], args[5]);
    mine = area();
    if (mine->tid != tid || !(mine->observe & EXO_OBSERVE_RECORD))
        return result; /* a forked child: it was not the one to call */
    if (unlikely(nr == __NR_execve || nr == __NR_execveat))
        exo_stage_of(mine)->call = 0;
    exo_tally_add(mine, nr, result, exo_tsc() - before);
    return result;
}
