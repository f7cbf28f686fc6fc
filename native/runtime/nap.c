/* Few wake-ups for many small writes: the batch optimiser.
 *
 * To wake a reader for each line costs the writer more than all else, and has the reader read one line at a time. A
 * reader whose last sleeps were short, and ended by little, naps first: it waits on its twin as any sleeper, but
 * for EXO_NAP_NS at most, and no writer wakes it at once. A writer that finds a napper owes it a bell, which it
 * rings when it is about to wait for anything or to end, or when much has come. So a nap is a delay only while the
 * writer goes on, and a short one then; what is owed by who is killed is lost without harm.
 *
 * A nap in which fewer than two writes came was none too good: the next one comes twice as late.
 */
#include "nap.h"
#include "epoll.h"
#include "patience.h"
#include "pipe.h"
#include "translate.h"

#define SHORT_WAIT 256    /* units of 1024 cycles: more than two writes come in a nap, then */
#define HOPES_WANTED 16   /* such waits, one after the other */
#define FAILURES_LIMIT 13 /* then there is one nap in two billion cycles */

static uint16_t moment(void)
{
    return (uint16_t)(exo_moment() >> 8);
}

bool exo_nap_is_worth(struct exo_nap_habit *habit)
{
    if (load_relaxed(&habit->hope) < HOPES_WANTED || (exo_mm.flags & EXO_KR_BELLS))
        return false;
    uint32_t failures = load_relaxed(&habit->failures);
    return failures == 0 ||
           (uint16_t)(moment() - load_relaxed(&habit->failed)) >> failures % (FAILURES_LIMIT + 1);
}

bool exo_nap_begin_locked(struct exo_nap *nap)
{
    uint32_t other = load_relaxed(&nap->napper);
    if (other != 0 && other < EXO_TASK_COUNT && exo_alive_test(&KR->tasks[other]))
        return false;
    store_relaxed(&nap->spared, 0);
    store_release(&nap->napper, area()->slot);
    return true;
}

void exo_nap_end_locked(struct exo_nap *nap, struct exo_nap_habit *habit)
{
    uint32_t spared = load_relaxed(&nap->spared), failures = load_relaxed(&habit->failures);
    store_release(&nap->napper, 0);
    fetch_add(&KR->stats.naps, 1);
    if (spared != 0)
        fetch_add(&KR->stats.bells_spared, spared);
    failures = spared >= 2 ? 0 : failures < FAILURES_LIMIT ? failures + 1 : failures;
    store_relaxed(&habit->failures, (uint8_t)failures);
    if (failures != 0)
        store_relaxed(&habit->failed, moment());
}

void exo_nap_learn(struct exo_nap_habit *habit, uint32_t since, bool little)
{
    uint32_t hope = load_relaxed(&habit->hope), now = 0;
    if (little && exo_moment() - since < SHORT_WAIT)
        now = hope < HOPES_WANTED ? hope + 1 : hope;
    if (now != hope)
        store_relaxed(&habit->hope, (uint8_t)now);
}

void exo_nap_owe(struct exo_nap *nap, struct exo_fd *at, struct exo_fd fd)
{
    struct exo_area *mine = area();
    store_relaxed(&nap->spared, load_relaxed(&nap->spared) + 1);
    if (mine->owes == at && exo_fd_same(mine->owes_fd, fd))
        return;
    exo_nap_pay();
    mine->owes_fd = fd;
    mine->owes = at;
}

/* The entry is asked again: it may have been closed meanwhile. */
void exo_nap_pay_now(void)
{
    struct exo_area *mine = area();
    struct exo_fd *at = mine->owes, now = exo_fd_now(at);
    if (mine->core.robust.op_pending != 0) /* a lock is held: no time for others' */
        return;
    mine->owes = NULL;
    if (!exo_fd_same(now, mine->owes_fd))
        return;
    if (now.flags & EXO_FD_PIPE)
        exo_pipe_end_nap(at, now);
    else if (now.flags & EXO_FD_SOCKET)
        exo_sock_end_nap(at);
}
