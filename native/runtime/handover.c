/* Zero-copy detection: what a thread has read from a pipe, page by page, so that what it then writes from the same
 * memory can be put into another pipe as it stands (core/lane.c).
 *
 * A process has a few records, each of one thread at a time. Where pages turn out to have been changed, nothing is
 * noted for a while.
 */
#include "../core/lane.h"
#include "pipe.h"

#define RECORD_COUNT 8
#define PATIENCE_LIMIT 10 /* then 1 of 1024 reads is noted */

struct record {
    uint32_t busy, owner; /* index of the thread's area */
    uint32_t failures, skips;
    struct exo_seen seen;
};

static struct record records[RECORD_COUNT];

static struct record *take(void)
{
    struct record *mine = &records[area()->index % RECORD_COUNT];
    return exchange(&mine->busy, 1) == 0 ? mine : NULL;
}

/* A page that is the guest's as it was has been worth the while; one that it has changed has cost some. */
static void learn(struct record *mine)
{
    struct exo_seen *seen = &mine->seen;
    if (seen->handed != 0)
        mine->failures = 0;
    else if (seen->differed != 0 && mine->failures < PATIENCE_LIMIT)
        mine->failures++;
    if (seen->differed != 0)
        mine->skips = (1U << mine->failures) - 1;
    if (seen->handed != 0)
        fetch_add(&KR->stats.handed_pages, seen->handed);
    if (seen->differed != 0)
        fetch_add(&KR->stats.handed_differed, seen->differed);
    if (seen->late != 0)
        fetch_add(&KR->stats.handed_late, seen->late);
    seen->handed = seen->differed = seen->late = 0;
}

struct exo_seen *exo_seen_begin(const struct exo_pipe *pipe, int side)
{
    if (side == EXO_PIPE_READS &&
        (!exo_pipe_may_see_locked(KR, pipe) || (exo_mm.flags & EXO_KR_COPIES)))
        return NULL;
    struct record *mine = take();
    if (mine == NULL)
        return NULL;
    if (mine->owner != area()->index) {
        mine->owner = area()->index;
        mine->seen.count = 0;
    }
    if ((side == EXO_PIPE_READS && mine->skips != 0) ||
        (side == EXO_PIPE_WRITES && mine->seen.count == 0)) {
        mine->skips -= side == EXO_PIPE_READS;
        store_release(&mine->busy, 0);
        return NULL;
    }
    return &mine->seen;
}

void exo_seen_end(struct exo_seen *seen)
{
    struct record *mine = (struct record *)((char *)seen - offsetof(struct record, seen));
    learn(mine);
    store_release(&mine->busy, 0);
}
