/* Waiting for an epoll set of exo's: epoll_wait(2) and its like.
 *
 * What is ready of exo's objects stands in the region (core/epoll.c); of the host's files, and of the
 * other ends of objects, the twin knows. To sleep is to wait for the twin, in which whoever has
 * something for a sleeper makes an object's twin say so.
 *
 * Rules: what the twin says of an object is only where to look, and that somebody has gone. A set that
 * is never empty asks the twin too: each time if it has files of the host's, else now and then.
 */
#include "epoll.h"
#include "event.h"
#include "patience.h"
#include "pipe.h"
#include "poll.h"
#include "translate.h"

#define HOST_COUNT 128 /* events that the host is asked for at once */
#define LOOK_TRIES 16
#define ASK_EVERY 2048 /* units of 1024 cycles */

struct waiting {
    struct exo_fd *at;
    struct exo_fd set;
    uint64_t to; /* the guest's array */
    long max;
    int64_t timeout_ns, since_ns; /* -1: for ever; 0: not asked for yet */
    struct exo_wait_mask *mask;
    bool asked;          /* the host has just said what it has */
    uint32_t kept_count; /* told of what was kept: the twin may tell them once more */
    uint64_t kept[EXO_KEPT_COUNT];
};

static struct exo_epoll *set_of(const struct waiting *by)
{
    return exo_epoll_at(KR, by->set.stamp);
}

/* Nothing was told after all. */
static void put_back(const struct exo_look *look)
{
    for (uint32_t i = 0; i < look->count; i++)
        exo_watch_mark(KR, look->numbers[i]);
}

/* Tells what was kept of the host's files. */
static long take_kept(struct waiting *by, long done)
{
    struct exo_epoll_event found[EXO_KEPT_COUNT];
    uint32_t count = exo_epoll_kept(KR, by->set.stamp, found, (uint32_t)(by->max - done));
    uint64_t to = by->to + (uint64_t)done * sizeof(found[0]);
    if (count != 0 && guest_write(to, found, count * sizeof(found[0])) != 0) {
        for (uint32_t i = 0; i < count; i++)
            exo_epoll_keep(KR, by->set.stamp, &found[i]);
        return done > 0 ? done : -EFAULT;
    }
    for (by->kept_count = 0; by->kept_count < count; by->kept_count++)
        by->kept[by->kept_count] = found[by->kept_count].data;
    return done + count;
}

static bool was_kept(const struct waiting *by, uint64_t data)
{
    for (uint32_t i = 0; i < by->kept_count; i++)
        if (by->kept[i] == data)
            return true;
    return false;
}

/* What keeps from looking at all: true if it may be gone. */
static bool clear_way(const struct waiting *by, const struct exo_look *look, int *tries)
{
    if (look->stray != 0)
        exo_watch_stray(by->set, look->stray);
    if (look->busy != 0)
        exo_set_calm(look->busy);
    return look->stray != 0 || (look->busy != 0 && ++*tries < LOOK_TRIES);
}

/* Tells what is ready of exo's, behind done events; how many there are now. */
static long take_own(struct waiting *by, long done)
{
    struct exo_look look;
    int tries = 0;
    if (unlikely(load_acquire(&set_of(by)->nested)))
        exo_set_refresh(by->set.stamp);
    if (unlikely(load_acquire(&set_of(by)->kept_count) != 0))
        done = take_kept(by, done);
    if (done < 0)
        return done;
    look.max = (uint32_t)(by->max - done);
    look.begun = false;
    look.peeks = false;
    int more = look.max != 0;
    while (more > 0) {
        more = exo_epoll_look(KR, by->set.stamp, &look);
        if (more < 0)
            return done > 0 ? done : EXO_EPOLL_AGAIN;
        uint64_t to = by->to + (uint64_t)done * sizeof(look.found[0]);
        if (look.count != 0 &&
            guest_write(to, look.found, look.count * sizeof(look.found[0])) != 0) {
            put_back(&look);
            return done > 0 ? done : -EFAULT;
        }
        done += look.count;
        if (unlikely(look.stray | look.busy) != 0) {
            more = clear_way(by, &look, &tries);
            if (done > 0)
                return done;
            look.begun = false;
        }
    }
    return done;
}

/* Tells what the host has found behind done events, and learns the rest; how many there are now. */
static long sort_out(const struct waiting *by, const struct exo_epoll_event *found, long count,
                     long done)
{
    for (long i = 0; i < count; i++) {
        if (exo_epoll_heard(by->set, &found[i]) || was_kept(by, found[i].data))
            continue;
        if (guest_put(by->to + (uint64_t)done * sizeof(*found), &found[i]) != 0)
            return done > 0 ? done : -EFAULT;
        done++;
    }
    return done;
}

/* The plainest call that does it is the fastest. */
static long ask_host(const struct waiting *by, struct exo_epoll_event *found, long room,
                     const int64_t *timeout)
{
    bool now = timeout != NULL && timeout[0] == 0 && timeout[1] == 0;
    if (by->mask == NULL && (now || timeout == NULL))
        return EXO_WAIT(NULL, __NR_epoll_wait, by->set.host, (long)found, room, now ? 0 : -1, 0, 0);
    return EXO_WAIT(by->mask, __NR_epoll_pwait2, by->set.host, (long)found, room, (long)timeout,
                    by->mask == NULL ? 0 : (long)&by->mask->host, 8);
}

/* Asks the host, and waits for it as timeout says; how many events there are now, done before. */
static long take_hosts(const struct waiting *by, const int64_t *timeout, long done)
{
    struct exo_epoll_event found[HOST_COUNT];
    long room = by->max - done < HOST_COUNT ? by->max - done : HOST_COUNT;
    store_relaxed(&set_of(by)->asked, exo_moment());
    long count = ask_host(by, found, room, timeout);
    if (count < 0)
        return done > 0 ? done : count;
    return sort_out(by, found, count, done);
}

static bool asks_too(const struct waiting *by)
{
    const struct exo_epoll *set = set_of(by);
    return (load_relaxed(&set->hosts) != 0 && !by->asked) || load_relaxed(&set->nested) ||
           exo_moment() - load_relaxed(&set->asked) > ASK_EVERY;
}

/* Who is told leaves what is still there to the next who sleeps, as Linux does. */
static void pass_on(const struct waiting *by)
{
    if (exo_epoll_passes(KR, by->set.stamp))
        exo_epoll_ring(by->set);
}

/* Without waiting: ready ones of exo's, and of the host's where those might be overlooked. */
static long take(struct waiting *by)
{
    static const int64_t now[2] = {0};
    long done = take_own(by, 0);
    if (done > 0)
        pass_on(by);
    if (done <= 0 || done == by->max || !asks_too(by))
        return done;
    return take_hosts(by, now, done);
}

static int64_t clock_ns(void)
{
    int64_t time[2];
    HOST_2(__NR_clock_gettime, 1 /* CLOCK_MONOTONIC */, time);
    return time[0] * 1000000000 + time[1];
}

/* What is left to wait, NULL for ever. */
static const int64_t *time_left(struct waiting *by, int64_t left[2])
{
    if (by->timeout_ns < 0)
        return NULL;
    int64_t now = clock_ns();
    if (by->since_ns == 0)
        by->since_ns = now;
    int64_t rest = by->since_ns + by->timeout_ns - now;
    left[0] = rest > 0 ? rest / 1000000000 : 0;
    left[1] = rest > 0 ? rest % 1000000000 : 0;
    return left;
}

static bool is_ready(const void *set, UNUSED int what)
{
    return exo_epoll_is_ready(KR, *(const uint16_t *)set);
}

/* Nothing was ready. EXO_EPOLL_NEWS: something may be now. */
#define EXO_EPOLL_NEWS (-4098L)

static long sleep_once(struct waiting *by)
{
    int64_t left[2];
    struct exo_patience *patience = &set_of(by)->patience;
    by->asked = false;
    if (exo_look(patience, is_ready, &by->set.stamp, 0))
        return EXO_EPOLL_NEWS;
    uint32_t since = exo_moment();
    store_release(&area()->task->asleep_on, by->set.stamp); /* before it is counted, until after */
    if (!exo_epoll_settle(KR, by->set.stamp)) {
        store_release(&area()->task->asleep_on, 0);
        return EXO_EPOLL_NEWS;
    }
    const int64_t *timeout = exo_timers_bound(by->set.stamp, time_left(by, left), left);
    long result = take_hosts(by, timeout, 0);
    exo_epoll_rise(KR, by->set.stamp);
    store_release(&area()->task->asleep_on, 0);
    by->asked = true;
    if (result > 0 || exo_epoll_is_ready(KR, by->set.stamp))
        exo_slept(patience, since);
    if (result != 0)
        return result;
    return timeout != NULL && timeout[0] == 0 && timeout[1] == 0 ? 0 : EXO_EPOLL_NEWS;
}

/* Once more without waiting, the host too. */
static long take_at_last(struct waiting *by)
{
    static const int64_t now[2] = {0};
    long done = take_hosts(by, now, 0);
    return done < 0 ? done : take_own(by, done);
}

static long wait(struct waiting *by)
{
    long result;
    do {
        by->set = exo_fd_now(by->at);
        if (!(by->set.flags & EXO_FD_EPOLL))
            return EXO_EPOLL_AGAIN;
        result = take(by);
        if (result != 0)
            return result;
        if (by->timeout_ns == 0)
            return take_at_last(by);
        result = sleep_once(by);
    } while (result == EXO_EPOLL_NEWS);
    return result != 0 ? result : take_own(by, 0);
}

long exo_epoll_wait(struct exo_fd *at, uint64_t to, long max, int64_t timeout_ns,
                    struct exo_wait_mask *mask)
{
    struct waiting by = {.at = at, .to = to, .max = max, .timeout_ns = timeout_ns, .mask = mask};
    if (max <= 0 || max > INT32_MAX / (long)sizeof(struct exo_epoll_event))
        return -EINVAL;
    if (to >= EXO_USER_END || (uint64_t)max * sizeof(struct exo_epoll_event) > EXO_USER_END - to)
        return -EFAULT;
    long result;
    while ((result = wait(&by)) == EXO_EPOLL_AGAIN && (load_acquire(&at->flags) & EXO_FD_EPOLL))
        exo_epoll_to_host(at);
    return result;
}

static bool is_own(const struct exo_fd *at)
{
    return at != NULL && (load_relaxed(&at->flags) & EXO_FD_EPOLL);
}

SYSCALL(epoll_wait)
{
    struct exo_fd *at = exo_fd_entry((int)a);
    int milliseconds = (int)d;
    int64_t timeout_ns = milliseconds < 0 ? -1 : (int64_t)milliseconds * 1000000;
    long result =
        is_own(at) ? exo_epoll_wait(at, (uint64_t)b, (int)c, timeout_ns, NULL) : EXO_EPOLL_AGAIN;
    if (likely(result != EXO_EPOLL_AGAIN))
        return result;
    return EXO_WAIT(NULL, __NR_epoll_wait, exo_fd_or_bad((int)a), b, c, d, 0, 0);
}

/* nr and d: as the host has them, should the set be the host's. */
static long wait_masked(long nr, long a, long b, long c, long d, int64_t timeout_ns,
                        const long mask_at[2])
{
    struct exo_wait_mask room, *mask = &room;
    long error = exo_poll_mask(&mask, (uint64_t)mask_at[0], (uint64_t)mask_at[1]);
    if (error != 0)
        return error;
    struct exo_fd *at = exo_fd_entry((int)a);
    long result =
        is_own(at) ? exo_epoll_wait(at, (uint64_t)b, (int)c, timeout_ns, mask) : EXO_EPOLL_AGAIN;
    if (likely(result != EXO_EPOLL_AGAIN))
        return result;
    return EXO_WAIT(mask, nr, exo_fd_or_bad((int)a), b, c, d, mask == NULL ? 0 : (long)&mask->host,
                    8);
}

SYSCALL(epoll_pwait)
{
    int milliseconds = (int)d;
    int64_t timeout_ns = milliseconds < 0 ? -1 : (int64_t)milliseconds * 1000000;
    return wait_masked(__NR_epoll_pwait, a, b, c, d, timeout_ns, (const long[2]){e, f});
}

#define LONGEST 9000000000 /* seconds: beyond is for ever */

SYSCALL(epoll_pwait2)
{
    int64_t timeout[2], timeout_ns = -1;
    long error = exo_poll_check_timeout((uint64_t)d);
    if (error == 0 && d != 0 && guest_get(&timeout, d) != 0)
        error = -EFAULT;
    if (error != 0)
        return error;
    if (d != 0 && timeout[0] < LONGEST)
        timeout_ns = timeout[0] * 1000000000 + timeout[1];
    return wait_masked(__NR_epoll_pwait2, a, b, c, d, timeout_ns, (const long[2]){e, f});
}
