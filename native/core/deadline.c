/* When a set is to be looked at because a timer in it expires, or in a set that is in it.
 *
 * Nobody tells when a timer expires: whoever looks at a set looks at the clock first, if there are timers in it, and then
 * tells of those that have expired. So a set, and each group of its watches, has a deadline before which it is
 * not worth while: no later than the first of its timers, perhaps earlier.
 *
 * Rules: a deadline's low ten bits count how often it was set by who sets a timer, so who has looked at all timers, and sets the
 * next one, finds out that it is not right any more. Bits of `timers` and `stale` are set before deadlines.
 * Killed between them, one who sets a timer has not set it, for who sleeps; the next look is by its old deadline.
 */
#include "deadline.h"

#include "atomic.h"
#include "epoll.h"
#include "now.h"

#define COUNTS 1023U /* the bits that count */
#define ABOVE_COUNT 16

bool exo_timer_is_due(struct exo_kr *kr, const struct exo_event *event)
{
    uint64_t expiry = load_acquire(&event->expiry_ns);
    return expiry != 0 && expiry <= exo_now_ns(kr);
}

uint64_t exo_timer_take_locked(struct exo_kr *kr, struct exo_event *event)
{
    uint64_t expiry = event->expiry_ns, interval = event->interval_ns, count = event->count;
    uint64_t now = expiry != 0 ? exo_now_ns(kr) : 0;
    if (expiry != 0 && expiry <= now) {
        uint64_t more = interval != 0 ? (now - expiry) / interval + 1 : 1;
        store_relaxed(&event->told_ns, 0);
        store_relaxed(&event->armed, 0);
        store_release(&event->expiry_ns, interval != 0 ? expiry + more * interval : 0);
        count += more;
    }
    store_release(&event->count, 0);
    return count;
}

/* A deadline is no later than ns, and has been set once more. */
static void lower(uint64_t *deadline, uint64_t ns)
{
    uint64_t was = load_relaxed(deadline), now, least;
    do {
        least = was != 0 && (was | COUNTS) < (ns | COUNTS) ? was : ns;
        now = (least & ~(uint64_t)COUNTS) | ((was + 1) & COUNTS);
    } while (!compare_exchange(deadline, &was, now));
}

static bool is_due(uint64_t deadline, uint64_t now)
{
    return deadline != 0 && (deadline & ~(uint64_t)COUNTS) <= now + COUNTS;
}

bool exo_deadline_is_due(struct exo_kr *kr, const struct exo_epoll *set)
{
    uint64_t deadline = load_acquire(&set->deadline);
    return deadline < EXO_NEVER && is_due(deadline, exo_now_ns(kr));
}

struct noting {
    uint64_t ns;
    bool inside; /* somebody sleeps on one of the sets */
    uint32_t count;
    uint32_t above[ABOVE_COUNT]; /* sets that are watched themselves */
};

static void note_one(struct exo_kr *kr, uint32_t number, void *with)
{
    struct noting *noting = with;
    struct exo_watch_group *group = exo_watch_group_of(kr, number);
    uint32_t in = load_relaxed(&group->set);
    struct exo_epoll *set = exo_epoll_at(kr, in);
    uint64_t bit = 1ULL << number % EXO_WATCH_GROUP_SIZE;
    fetch_or(&group->timers, bit);
    fetch_or(&group->stale, bit);
    store_release(&set->stale, 1);
    lower(&group->deadline, noting->ns);
    lower(&set->deadline, noting->ns);
    noting->inside |= load_relaxed(&set->inside) != 0;
    if (exo_watched(&set->watch) && noting->count < ABOVE_COUNT)
        noting->above[noting->count++] = in;
}

/* DIFFERS: of the sets that have a timer in them, and are in others, only the first 16 tell those of it. */
static bool note(struct exo_kr *kr, uint32_t *watch, uint64_t ns, int depth)
{
    struct noting noting = {.ns = ns};
    exo_watch_each(kr, watch, note_one, &noting);
    for (uint32_t i = 0; i < noting.count && depth < EXO_NEST_LIMIT; i++)
        noting.inside |= note(kr, &exo_epoll_at(kr, noting.above[i])->watch, ns, depth + 1);
    return noting.inside;
}

bool exo_deadline_note(struct exo_kr *kr, uint32_t *watch, uint64_t ns)
{
    return note(kr, watch, ns, 0);
}

bool exo_deadline_note_object(struct exo_kr *kr, uint32_t object)
{
    uint32_t number = object & 0xffff;
    enum exo_kind kind = exo_object_kind(number);
    uint64_t ns = 0;
    if (kind == EXO_KIND_EVENT)
        ns = load_acquire(&exo_event_at(kr, number)->expiry_ns);
    else if (kind == EXO_KIND_EPOLL)
        ns = load_acquire(&exo_epoll_at(kr, number)->deadline);
    return ns != 0 && note(kr, exo_object_watch(kr, object), ns, 0);
}

/* When the timer is to be looked at next. */
static uint64_t look_at_timer(struct exo_kr *kr, struct exo_event *event, uint64_t now)
{
    uint64_t expiry = load_acquire(&event->expiry_ns);
    if (!exo_is_timer(event) || expiry == 0 || expiry == load_relaxed(&event->told_ns))
        return EXO_NEVER;
    if (expiry > now)
        return expiry;
    exo_watch_note(kr, &event->watch, EXO_POLLIN);
    store_release(&event->told_ns, expiry);
    return EXO_NEVER;
}

static uint64_t look_at(struct exo_kr *kr, uint32_t object, uint64_t now, int depth)
{
    uint32_t number = object & 0xffff;
    enum exo_kind kind = exo_object_kind(number);
    if (object != 0 && kind == EXO_KIND_EVENT)
        return look_at_timer(kr, exo_event_at(kr, number), now);
    if (object == 0 || kind != EXO_KIND_EPOLL || depth >= EXO_NEST_LIMIT)
        return EXO_NEVER;
    exo_deadline_look(kr, number, depth + 1);
    uint64_t next = load_acquire(&exo_epoll_at(kr, number)->deadline);
    return next != 0 ? next : EXO_NEVER;
}

/* The next one, unless somebody has set it meanwhile. */
static void raise(uint64_t *deadline, uint64_t was, uint64_t next)
{
    compare_exchange(deadline, &was, (next & ~(uint64_t)COUNTS) | ((was + 1) & COUNTS));
}

static uint64_t look_at_group(struct exo_kr *kr, struct exo_watch_group *group, uint64_t now,
                              int depth)
{
    uint64_t was = load_acquire(&group->deadline), next = EXO_NEVER;
    if (!is_due(was, now))
        return was != 0 ? was : EXO_NEVER;
    for (uint64_t bits = load_acquire(&group->timers); bits != 0; bits &= bits - 1) {
        const struct exo_watch *watch = &group->watches[__builtin_ctzll(bits)];
        uint64_t its = look_at(kr, load_acquire(&watch->object), now, depth);
        next = its < next ? its : next;
    }
    raise(&group->deadline, was, next);
    return next;
}

void exo_deadline_look(struct exo_kr *kr, uint32_t number, int depth)
{
    struct exo_epoll *set = exo_epoll_at(kr, number);
    uint64_t was = load_acquire(&set->deadline), next = EXO_NEVER, now;
    if (was == 0 || was >= EXO_NEVER || !is_due(was, now = exo_now_ns(kr)))
        return;
    for (uint32_t i = 0; i < exo_epoll_groups(set); i++) {
        uint64_t its = look_at_group(kr, exo_epoll_group_at(kr, set->groups[i]), now, depth);
        next = its < next ? its : next;
    }
    raise(&set->deadline, was, next);
}
