/* Watched tasks: from when on, what programs they execute, signals that come to them, their end. */
#include "record.h"
#include "trace.h"

static void empty(struct exo_stage *stage)
{
    stage->call = stage->sequence = stage->size = 0;
    memset(stage->counts, 0, sizeof(stage->counts));
}

static void tell_birth(struct exo_area *mine)
{
    const uint64_t data[3] = {exo_tsc(), mine->tgid, mine->leader->ppid};
    exo_record_push(mine, EXO_RECORD_BORN, data, sizeof(data));
}

static void watch(struct exo_area *mine)
{
    fetch_or(&mine->observe, EXO_OBSERVE_RECORD);
    if (!mine->sighand->traced && (KR->recording.flags & EXO_RECORDING_EVENTS))
        exo_trace_divert(mine->sighand, true); /* every signal comes to the runtime */
}

/* A new task, or one that has executed a program and goes on with its stage. */
void exo_record_attach(struct exo_area *new)
{
    if (likely(!(new->task->flags &EXO_TASK_RECORDED)))
        return;
    struct exo_stage *stage = exo_stage_of(new);
    stage->tally = 0;
    uint32_t nr = exo_called_of(stage)->nr;
    if (stage->call == 0 || (nr != __NR_execve && nr != __NR_execveat)) {
        empty(stage);
        stage->unborn = 1;
    }
    new->observe |= EXO_OBSERVE_RECORD;
}

/* In a new program, or a new task that has attached: nothing of it has run. */
void exo_record_executed(void)
{
    struct exo_area *mine = area();
    struct exo_stage *stage = exo_stage_of(mine);
    if (likely(!(mine->observe & EXO_OBSERVE_RECORD)))
        return;
    watch(mine);
    bool events = KR->recording.flags & EXO_RECORDING_EVENTS;
    if (exchange(&stage->unborn, 0) && events)
        tell_birth(mine);
    struct exo_called *called = exo_called_of(stage);
    if (stage->call == 0)
        return;
    stage->call = 0;
    called->result = 0;
    uint64_t spent = exo_tsc() - called->began;
    called->spent = spent >> 32 ? UINT32_MAX : (uint32_t)spent;
    if (KR->recording.flags & EXO_RECORDING_TALLIES)
        exo_tally_add(mine, called->nr, 0, spent);
    if (events)
        exo_record_push(mine, EXO_RECORD_CALL, stage->data, stage->size);
}

/* EXO_WORK_RECORD: the kernel process has set the task's flag, or taken it away. */
void exo_record_change(void)
{
    struct exo_area *mine = area();
    if (!(mine->task->flags & EXO_TASK_RECORDED)) {
        fetch_and(&mine->observe, ~(uint32_t)EXO_OBSERVE_RECORD);
        if (mine->sighand->traced && mine->task->tracer == 0)
            exo_trace_divert(mine->sighand, false);
        return;
    }
    if (mine->observe & EXO_OBSERVE_RECORD)
        return;
    empty(exo_stage_of(mine));
    exo_stage_of(mine)->tally = 0;
    watch(mine);
    tell_birth(mine);
}

void exo_record_signal(const struct k_siginfo *info)
{
    struct exo_area *mine = area();
    uint64_t data[12] = {exo_tsc()};
    if (!(KR->recording.flags & EXO_RECORDING_EVENTS))
        return;
    memcpy(data + 1, info, sizeof(data) - 8);
    exo_record_push(mine, EXO_RECORD_SIGNAL, data, sizeof(data));
}

/* status: as wait4 has it. whole: of the process. */
void exo_record_end(uint32_t status, bool whole)
{
    struct exo_area *mine = area();
    if (likely(!(mine->observe & EXO_OBSERVE_RECORD)))
        return;
    exo_tally_leave(mine);
    if (!(KR->recording.flags & EXO_RECORDING_EVENTS))
        return;
    const uint64_t data[3] = {exo_tsc(), status, whole};
    exo_record_push(mine, EXO_RECORD_ENDED, data, sizeof(data));
}
