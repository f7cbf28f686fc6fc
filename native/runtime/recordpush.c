/* Events into the ring of this CPU. The sequence number says, for each task, what comes after what,
 * whatever ring it is in. A full ring makes the guest wait; a closed one ends the watching. */
#include <asm-generic/errno-base.h>
#include <asm-generic/errno.h>

#include "record.h"

#define BATCH 8
#define LOOKS_NS 100000000UL /* between looks whether somebody still takes what we write */

static void stop_watching(struct exo_area *mine)
{
    fetch_and(&mine->observe, ~(uint32_t)EXO_OBSERVE_RECORD);
    fetch_and(&mine->task->flags, ~(uint32_t)EXO_TASK_RECORDED);
}

/* False: nobody takes it. */
static bool put(struct exo_area *mine, uint32_t kind, const struct exo_told *records,
                uint32_t count)
{
    struct exo_ringset *set = exo_record_rings(KR);
    const struct exo_wait_policy policy = {
        .spins = KR->cpu_count > 1 ? 100 : 0, .sleeps = 1, .timeout_ns = LOOKS_NS};
    uint32_t done = 0;
    while (done < count) {
        if (!load_relaxed(&KR->recording.on))
            return false;
        long now = exo_ringset_push_many(set, mine->slot, kind, records + done,
                                         sizeof(struct exo_told), count - done);
        if (now > 0)
            done += (uint32_t)now;
        else if (now != -EAGAIN || exo_ring_wait_room(exo_ringset_ring(set, exo_ringset_here(set)),
                                                      &policy) == -EPIPE)
            return false;
    }
    return true;
}

void exo_record_push(struct exo_area *mine, uint32_t kind, const void *data, uint32_t size)
{
    struct exo_stage *stage = exo_stage_of(mine);
    struct exo_told records[BATCH];
    uint32_t done = 0;
    do {
        uint32_t count = 0;
        for (; count < BATCH && done < size; count++) {
            uint32_t part = size - done < EXO_RECORD_DATA ? size - done : EXO_RECORD_DATA;
            struct exo_told *record = &records[count];
            record->tid = mine->tid;
            record->sequence = (++stage->sequence & ~EXO_RECORD_MORE) |
                               (size - done > EXO_RECORD_DATA ? EXO_RECORD_MORE : 0);
            if (part < EXO_RECORD_DATA)
                memset(record->data, 0, EXO_RECORD_DATA);
            memcpy(record->data, (const char *)data + done, part);
            done += part;
        }
        if (!put(mine, kind, records, count)) {
            stop_watching(mine);
            return;
        }
    } while (done < size);
}
