/* Rosters: numbers for processes outside an instance. exo/roster.h has the layout.
 *
 * A member's word and generation change together, in one 8-byte compare-exchange: whoever has
 * repaired after a dead member, and was slow, must not take the number of the next one that died.
 * The word's states are a lock's: 0 never taken, a host tid alive, FUTEX_OWNER_DIED dead.
 */
#include <asm-generic/errno-base.h>
#include <linux/futex.h>

#include "atomic.h"
#include "items.h"
#include "mem.h"
#include "ring.h"

_Static_assert(sizeof(struct exo_roster) == 576 && sizeof(struct exo_lock) == 16, "layout");
_Static_assert(offsetof(struct exo_lock, generation) == offsetof(struct exo_lock, word) + 4 &&
                   offsetof(struct exo_lock, word) % 8 == 0,
               "one 8-byte word");

uint64_t exo_roster_size(uint32_t count)
{
    return sizeof(struct exo_roster) + (uint64_t)count * sizeof(struct exo_lock);
}

struct exo_lock *exo_roster_member(struct exo_roster *roster, uint32_t number)
{
    return (struct exo_lock *)(roster + 1) + number;
}

int exo_roster_init(struct exo_roster *roster, uint32_t count)
{
    if (count < 2 || count > EXO_ROSTER_COUNT_MAX)
        return -EINVAL;
    memset(roster, 0, exo_roster_size(count));
    roster->count = count;
    store_release(&roster->magic, EXO_ROSTER_MAGIC);
    return 0;
}

int exo_roster_check(const struct exo_roster *roster, const struct exo_mapped *mapped)
{
    uint64_t at = (uint64_t)((const char *)roster - (const char *)mapped->at);
    if ((at & 63) || at > mapped->size || mapped->size - at < sizeof(*roster) ||
        load_acquire(&roster->magic) != EXO_ROSTER_MAGIC)
        return -EBADF;
    uint32_t count = load_relaxed(&roster->count);
    return count >= 2 && count <= EXO_ROSTER_COUNT_MAX &&
                   exo_roster_size(count) <= mapped->size - at
               ? 0
               : -EBADF;
}

int exo_roster_register(struct exo_roster *roster, const struct exo_mapped *mapped, void *item)
{
    struct exo_owners owners;
    exo_owners_set(&owners, &exo_roster_member(roster, 0)->word, sizeof(struct exo_lock),
                   roster->count);
    return exo_items_add(&roster->items, mapped, item, &owners);
}

void exo_roster_unregister(struct exo_roster *roster, const void *item)
{
    exo_items_remove(&roster->items, item);
}

static uint64_t *both(struct exo_lock *member)
{
    return (uint64_t *)(void *)&member->word;
}

static bool is_taken(uint64_t both)
{
    uint32_t word = (uint32_t)both;
    return word != 0 && !(word & FUTEX_OWNER_DIED);
}

bool exo_roster_is_alive(struct exo_roster *roster, uint32_t number)
{
    return number != 0 && number < roster->count &&
           is_taken(load_acquire(&exo_roster_member(roster, number)->word));
}

uint32_t exo_roster_generation(struct exo_roster *roster, uint32_t number)
{
    return number < roster->count ? load_acquire(&exo_roster_member(roster, number)->generation)
                                  : 0;
}

uint32_t exo_roster_repair(struct exo_roster *roster, const struct exo_mapped *mapped)
{
    return exo_items_repair(&roster->items, mapped, 0);
}

/* The host looks at op_pending, too, so it marks a number whose taker is killed half way. */
static bool take(struct exo_lock *member, uint64_t seen, struct exo_self *self)
{
    uint64_t mine = ((seen >> 32) + 1) << 32 | self->host_tid;
    if (mine >> 32 == 0) /* 0 says any generation */
        mine |= 1UL << 32;
    store_relaxed(&self->robust.op_pending, (uint64_t)(uintptr_t)&member->node);
    bool done = compare_exchange(both(member), &seen, mine);
    if (done) {
        store_relaxed(&member->node, self->robust.list);
        store_release(&self->robust.list, (uint64_t)(uintptr_t)&member->node);
    }
    store_release(&self->robust.op_pending, 0);
    if (done && (seen & FUTEX_WAITERS))
        exo_word_wake(&member->word);
    return done;
}

int exo_roster_take(struct exo_roster *roster, const struct exo_mapped *mapped,
                    struct exo_self *self)
{
    uint32_t count = roster->count, next = load_relaxed(&roster->next);
    if (exo_roster_check(roster, mapped) != 0)
        return -EBADF;
    for (uint32_t i = 0; i < count; i++) {
        uint32_t number = (uint32_t)(((uint64_t)next + i) % count);
        struct exo_lock *member = exo_roster_member(roster, number);
        uint64_t seen = load_acquire(both(member));
        if (number == 0 || is_taken(seen))
            continue;
        if ((uint32_t)seen != 0)
            exo_roster_repair(roster, mapped);
        if (!take(member, seen, self))
            continue;
        store_relaxed(&roster->next, number + 1);
        return (int)number;
    }
    return -EAGAIN;
}

void exo_roster_give(struct exo_roster *roster, const struct exo_mapped *mapped, uint32_t number)
{
    struct exo_lock *member = exo_roster_member(roster, number);
    uint32_t word = exchange(&member->word, FUTEX_OWNER_DIED);
    if (word & FUTEX_WAITERS)
        exo_word_wake(&member->word);
    exo_roster_repair(roster, mapped);
}
