/* An epoll set that nobody has any more, and one whose counts a dead task has left wrong. */
#include "asleep.h"
#include "epoll.h"

#include "atomic.h"

/* A group's watches go from their objects' lists; nobody adds any, for nobody has the set. */
static void end_group(struct exo_kr *kr, uint32_t index)
{
    const struct exo_watch_group *group = exo_epoll_group_at(kr, index);
    for (uint64_t used = load_acquire(&group->used); used != 0; used &= used - 1) {
        uint32_t number = index * EXO_WATCH_GROUP_SIZE + (uint32_t)__builtin_ctzll(used);
        uint32_t object = load_acquire(&exo_watch_at(kr, number)->object);
        uint32_t *watch = object == 0 ? NULL : exo_object_watch(kr, object);
        if (watch != NULL)
            exo_watch_remove(kr, watch, number);
    }
}

void exo_epoll_recount(struct exo_kr *kr, uint32_t number)
{
    struct exo_epoll *set = exo_epoll_at(kr, number);
    exo_lock_acquire(&set->lock);
    uint32_t count = exo_sleepers(kr, number, false, true);
    if (count < set->inside) {
        store_relaxed(&set->inside, count);
        store_release(&set->sleepers, count);
    }
    exo_lock_release(&set->lock);
}

bool exo_epoll_has_group(struct exo_kr *kr, uint32_t index)
{
    const struct exo_watch_group *group = exo_epoll_group_at(kr, index);
    const struct exo_epoll *set = exo_epoll_at(kr, load_acquire(&group->set));
    uint32_t place = load_relaxed(&group->place);
    return load_acquire(&set->mode) != 0 && place < exo_epoll_groups(set) &&
           set->groups[place] == index;
}

void exo_epoll_end(struct exo_kr *kr, uint32_t number)
{
    struct exo_epoll *set = exo_epoll_at(kr, number);
    for (uint32_t i = 0; i < exo_epoll_groups(set); i++) {
        uint32_t index = set->groups[i] % EXO_WATCH_GROUP_COUNT;
        if (index == 0 || exo_epoll_group_at(kr, index)->set != number)
            continue;
        end_group(kr, index);
        exo_epoll_free_group(kr, index);
    }
}
