/* Task slots: taking, freeing, and finding them by exo's or the host's number.
 *
 * Rules: slots are taken and freed under task_lock; finding needs no lock and may race with a task's
 * death, exactly as kill(2) may. The dense array ids is written last on birth and cleared first on
 * death. What a task has left in rings and pools is repaired before its slot is free, since the slot
 * is its number there. A slot is taken by its state, written when all that the reaper needs to know
 * stands there; task_low is raised after that and lowered before the reverse. Whether a slot whose
 * maker was killed is a living child's or nobody's is decided once: by exo_task_claim() or by
 * exo_task_reclaim(), whoever comes first.
 */
#include <exo/roster.h>

#include "atomic.h"
#include "mem.h"
#include "tables.h"

#define TID_LAST 4194303 /* as Linux's pid_max on 64-bit */

_Static_assert(sizeof(struct exo_ids) == 8 && offsetof(struct exo_kr, ids) % 8 == 0, "one word");

uint32_t exo_task_find(struct exo_kr *kr, uint32_t tid)
{
    uint32_t high = tid == 0 ? 0 : load_acquire(&kr->task_high);
    for (uint32_t slot = 0; slot < high; slot++)
        if (load_relaxed(&exo_ids_of(kr, slot)->tid) == tid)
            return slot;
    return 0;
}

uint32_t exo_task_find_host(struct exo_kr *kr, uint32_t host_tid)
{
    uint32_t high = host_tid == 0 ? 0 : load_acquire(&kr->task_high);
    for (uint32_t slot = 0; slot < high; slot++)
        if (load_relaxed(&exo_ids_of(kr, slot)->host_tid) == host_tid)
            return slot;
    return 0;
}

/* A number in use as a process group or session must not come back as a pid. */
static bool tid_in_use(const struct exo_kr *kr, uint32_t tid)
{
    for (uint32_t i = 0; i < kr->task_high; i++) {
        const struct exo_task *task = &kr->tasks[i];
        if (task->state != EXO_TASK_FREE &&
            (task->tid == tid || task->pgid == tid || task->sid == tid))
            return true;
    }
    return false;
}

static uint32_t next_tid_locked(struct exo_kr *kr)
{
    for (;;) {
        uint32_t tid = kr->next_tid;
        bool fresh = !kr->tids_wrapped; /* before the first wrap every number is new */
        if (tid >= TID_LAST)
            kr->tids_wrapped = 1;
        kr->next_tid = tid >= TID_LAST ? 300 : tid + 1;
        if (fresh || !tid_in_use(kr, tid))
            return tid;
    }
}

static uint32_t take_slot_locked(struct exo_kr *kr)
{
    for (uint32_t i = kr->task_low > 0 ? kr->task_low : 1; i < EXO_TASK_COUNT; i++) {
        if (kr->tasks[i].state != EXO_TASK_FREE)
            continue;
        if (i >= kr->task_high)
            store_release(&kr->task_high, i + 1);
        return i;
    }
    return 0;
}

uint32_t exo_task_create(struct exo_kr *kr, uint32_t parent_slot, bool thread)
{
    exo_lock_acquire(&kr->task_lock);
    uint32_t slot = take_slot_locked(kr);
    if (slot != 0) {
        const struct exo_task *parent = &kr->tasks[parent_slot];
        struct exo_task *task = &kr->tasks[slot];
        memset(task, 0, sizeof(*task));
        task->tid = next_tid_locked(kr);
        task->tgid = thread ? parent->tgid : task->tid;
        task->ppid = thread ? parent->ppid : parent->tgid;
        task->parent_slot = thread ? parent->parent_slot : parent->leader_slot;
        task->leader_slot = thread ? parent->leader_slot : slot;
        task->flags = thread ? 0
                             : EXO_TASK_LEADER | (kr->tasks[parent->leader_slot].flags &
                                                  (EXO_TASK_SHARES_MEMORY | EXO_TASK_AUTO_REAPS |
                                                   EXO_TASK_HEARS | EXO_TASK_PIPES));
        task->pgid = kr->tasks[parent->leader_slot].pgid;
        task->sid = kr->tasks[parent->leader_slot].sid;
        store_release(&task->state, EXO_TASK_EMBRYO);
        store_release(&exo_ids_of(kr, slot)->tid, task->tid);
        kr->task_low = slot + 1;
    }
    exo_lock_release(&kr->task_lock);
    return slot;
}

static void free_locked(struct exo_kr *kr, uint32_t slot)
{
    struct exo_task *task = &kr->tasks[slot];
    uint64_t host = load_relaxed(&exo_ids_of(kr, slot)->host_tid);
    if (host != 0)
        store_relaxed(&kr->departed[host % EXO_DEPARTED_COUNT], host << 32 | task->tid);
    store_relaxed(&exo_ids_of(kr, slot)->tid, 0);
    store_relaxed(&exo_ids_of(kr, slot)->host_tid, 0);
    task->call_posted = 0;
    if (exchange(&kr->frames[slot].state, EXO_FRAME_IDLE) != EXO_FRAME_IDLE ||
        task->held_table != 0 || task->held_array != 0 || task->held_objects != 0)
        store_release(&kr->left_behind, 1);
    if (load_acquire(&kr->has_items)) /* looked at here: what exo_kr_repair() needs is far away */
        exo_kr_repair(kr, slot);
    if (slot < kr->task_low)
        store_release(&kr->task_low, slot);
    store_release(&task->state, EXO_TASK_FREE);
}

/* Frees slot under the lock; the fd table it held, to be recycled without it. Our own slot keeps
 * the table in hand, so it goes when that is done. */
static uint64_t free_and_take_locked(struct exo_kr *kr, uint32_t slot)
{
    if (kr->tasks[slot].state == EXO_TASK_FREE)
        return 0;
    uint64_t table = exo_table_detach_locked(kr, slot);
    if (table == 0 || slot != exo_self()->slot)
        free_locked(kr, slot);
    return table;
}

void exo_task_free(struct exo_kr *kr, uint32_t slot)
{
    exo_lock_acquire(&kr->task_lock);
    uint64_t table = free_and_take_locked(kr, slot);
    exo_lock_release(&kr->task_lock);
    if (table == 0)
        return;
    exo_table_recycle(kr, table);
    if (slot == exo_self()->slot)
        exo_task_free(kr, slot);
}

static void orphan_children_locked(struct exo_kr *kr, uint32_t leader_slot)
{
    for (uint32_t i = 1; i < kr->task_high; i++) {
        struct exo_task *task = &kr->tasks[i];
        if (task->state != EXO_TASK_FREE && task->parent_slot == leader_slot) {
            task->ppid = 1;
            fetch_or(&task->flags, EXO_TASK_ORPHANED); /* the host knows whose it is now */
            store_release(&task->parent_slot, 0);
            if (!exo_alive_test(task))
                store_release(&kr->left_behind, 1);
        }
    }
}

/* Frees the highest of a process's other threads with a slot below *below, which moves down. */
static bool free_thread(struct exo_kr *kr, uint32_t leader_slot, uint32_t *below)
{
    bool found = false;
    uint64_t table = 0;
    exo_lock_acquire(&kr->task_lock);
    while (!found && *below > 1) {
        const struct exo_task *task = &kr->tasks[--*below];
        found = *below != leader_slot && task->leader_slot == leader_slot &&
                task->state != EXO_TASK_FREE;
        if (found)
            table = free_and_take_locked(kr, *below);
    }
    exo_lock_release(&kr->task_lock);
    if (table != 0)
        exo_table_recycle(kr, table);
    return found;
}

void exo_task_free_process(struct exo_kr *kr, uint32_t leader_slot)
{
    uint32_t below = load_acquire(&kr->task_high);
    while (free_thread(kr, leader_slot, &below))
        ;
    exo_lock_acquire(&kr->task_lock);
    orphan_children_locked(kr, leader_slot);
    exo_lock_release(&kr->task_lock);
    exo_task_free(kr, leader_slot);
}

/* A slot's numbers as one word: both change together, or neither. */
static bool rename_slot(struct exo_kr *kr, uint32_t slot, struct exo_ids was,
                        struct exo_ids becomes)
{
    uint64_t old, new;
    memcpy(&old, &was, sizeof(old));
    memcpy(&new, &becomes, sizeof(new));
    return compare_exchange((uint64_t *)exo_ids_of(kr, slot), &old, new);
}

bool exo_task_claim(struct exo_kr *kr, uint32_t slot, uint32_t tid, uint32_t host_tid)
{
    struct exo_ids unborn = {.tid = tid}, born = {.tid = tid, .host_tid = host_tid};
    return rename_slot(kr, slot, unborn, born) || rename_slot(kr, slot, born, born);
}

/* Dead, and without a parent that might still ask the host about it; the kernel process, which calls
 * this, knows that it will not find it there. A task without a mark of life may be in the middle of
 * an exec, so it is to have the same number as when it was not found. */
static bool is_reclaimable_locked(struct exo_kr *kr, uint32_t slot, uint32_t tid, uint32_t host_tid)
{
    const struct exo_task *task = &kr->tasks[slot], *parent = &kr->tasks[task->parent_slot];
    if (task->tid != tid || task->state == EXO_TASK_FREE || !(task->flags & EXO_TASK_LEADER) ||
        load_acquire(&exo_ids_of(kr, slot)->host_tid) != host_tid || exo_alive_test(task))
        return false;
    if (task->parent_slot == 0 || parent->state == EXO_TASK_FREE || parent->tid != task->ppid)
        return true;
    /* Some thread of the parent may be about to make the child. */
    return task->state != EXO_TASK_EMBRYO &&
           ((parent->flags & EXO_TASK_AUTO_REAPS) ||
            !(exo_alive_test(parent) || (parent->flags & EXO_TASK_LEADER_EXITED)));
}

bool exo_task_reclaim(struct exo_kr *kr, uint32_t slot, uint32_t tid, uint32_t host_tid)
{
    struct exo_ids unborn = {.tid = tid}, nobody = {0};
    exo_lock_acquire(&kr->task_lock);
    bool ours = is_reclaimable_locked(kr, slot, tid, host_tid) &&
                (host_tid != 0 || rename_slot(kr, slot, unborn, nobody) ||
                 rename_slot(kr, slot, nobody, nobody)); /* who freed it was killed */
    if (ours)
        kr->tasks[slot].state = EXO_TASK_ZOMBIE; /* no longer anybody's to free but ours */
    exo_lock_release(&kr->task_lock);
    if (ours)
        exo_task_free_process(kr, slot);
    return ours;
}

void exo_task_set_host(struct exo_kr *kr, uint32_t slot, uint32_t host_tid, uint32_t host_tgid)
{
    store_release(&kr->tasks[slot].host_tid, host_tid);
    store_release(&kr->tasks[slot].host_tgid, host_tgid);
    store_release(&exo_ids_of(kr, slot)->host_tid, host_tid);
}

void exo_task_name(struct exo_kr *kr, uint32_t slot, uint32_t tid, uint32_t host_tid,
                   uint32_t host_tgid)
{
    struct exo_task *task = &kr->tasks[slot];
    exo_lock_acquire(&kr->task_lock);
    if (task->state != EXO_TASK_FREE && task->tid == tid && task->host_tid == 0)
        exo_task_set_host(kr, slot, host_tid, host_tgid);
    exo_lock_release(&kr->task_lock);
}

uint32_t exo_task_departed(const struct exo_kr *kr, uint32_t host_tid)
{
    uint64_t pair = load_relaxed(&kr->departed[host_tid % EXO_DEPARTED_COUNT]);
    return host_tid != 0 && pair >> 32 == host_tid ? (uint32_t)pair : 0;
}

uint32_t exo_task_pgid_of_host(struct exo_kr *kr, uint32_t host_pgid)
{
    if (host_pgid == kr->kernel_host_pgid || host_pgid == kr->kernel_host_sid)
        return 1;
    uint32_t slot = exo_task_find_host(kr, host_pgid);
    if (slot != 0)
        return kr->tasks[slot].tid;
    /* The leader is gone, members may be left. */
    for (uint32_t i = 1; i < kr->task_high; i++)
        if (kr->tasks[i].state != EXO_TASK_FREE && kr->tasks[i].host_pgid == host_pgid)
            return kr->tasks[i].pgid;
    return 0;
}

uint32_t exo_task_member_of(const struct exo_kr *kr, uint32_t pgid)
{
    for (uint32_t i = 1; i < kr->task_high; i++) {
        const struct exo_task *task = &kr->tasks[i];
        if (task->state != EXO_TASK_FREE && task->pgid == pgid && task->host_pgid != 0)
            return task->host_pgid;
    }
    return 0;
}
