/* Thread areas and the runtime's process-wide state: made, attached, given back.
 *
 * An area belongs to its thread until the host marks exo_area_owners[index] at the thread's real
 * end, as it does with every lock on a robust list; only then may another thread have it, since the
 * dying one still runs on the area's stack. Areas stay mapped for the next thread.
 */
#include <linux/futex.h>

#include "record.h"
#include "stub.h"

#define TAKEN FUTEX_TID_MASK /* by exo_area_create, for a thread without a host tid yet */
#define SIGHAND_COUNT 64

_Static_assert(offsetof(struct exo_area, stashed) == AREA_PENDING, "offsets.h");
_Static_assert(offsetof(struct exo_area, observe) == AREA_OBSERVE, "offsets.h");
_Static_assert(offsetof(struct exo_area, stack) == AREA_STACK, "offsets.h");
_Static_assert(offsetof(struct exo_area, flags) == AREA_FLAGS, "offsets.h");
_Static_assert(offsetof(struct exo_area, host_calls) == AREA_HOST_CALLS, "offsets.h");
_Static_assert(offsetof(struct exo_area, regs) == AREA_REGS, "offsets.h");
_Static_assert(offsetof(struct exo_area, direct) == EXO_DIRECT_AT, "direct.h");
_Static_assert(EXO_WINDOW_BASE >> EXO_DIRECT_WINDOW_SHIFT == EXO_DIRECT_WINDOW, "direct.h");
_Static_assert((EXO_WINDOW_END - 1) >> EXO_DIRECT_WINDOW_SHIFT == EXO_DIRECT_WINDOW, "direct.h");
_Static_assert(offsetof(struct exo_regs, rip) == REGS_RIP, "offsets.h");
_Static_assert(offsetof(struct exo_regs, rax) == REGS_RAX, "offsets.h");
_Static_assert(offsetof(struct exo_regs, nr) == REGS_NR, "offsets.h");
_Static_assert(sizeof(struct exo_area) <= AREA_STRUCT_END - AREA_STRUCT, "area page");
_Static_assert(EXO_KR_BASE + EXO_KR_MAPPED_SIZE <= EXO_AREA_BASE, "areas follow the region");

/* Area 0, less its unmapped page: code stands there (exo-guest.ld). */
static char first_area[AREA_STRUCT_END - AREA_ALTSTACK_START]
    __attribute__((section(".bss.area"), aligned(4096)));
HOT struct exo_mm exo_mm;
HOT bool exo_has_fsgsbase;
__attribute__((section(".bss.owners"))) struct exo_lock exo_area_owners[EXO_AREA_COUNT];
static uint8_t area_mapped[EXO_AREA_COUNT];
HOT static uint32_t area_high; /* none was ever mapped from here on */
struct exo_warm exo_warm __attribute__((section(".bss.warm"), aligned(4096)));
static struct exo_sighand more_sighands[SIGHAND_COUNT - 1];
HOT static uint8_t sighand_users[SIGHAND_COUNT]; /* apart from them: all are looked at after fork */

static struct exo_sighand *sighand_at(int i)
{
    return i == 0 ? &exo_warm.sighand : &more_sighands[i - 1];
}

struct exo_self *exo_self(void)
{
    return &area()->core;
}

long exo_host_call(long nr, long a, long b, long c, long d, long e, long f)
{
    return host_call(nr, a, b, c, d, e, f);
}

long exo_guest_copy(void *to, const void *from, uint64_t size)
{
    return exo_copy(to, from, size);
}

long exo_guest_copy_past(void *to, const void *from, uint64_t size)
{
    return KR->cpu_count > 1 ? exo_copy_past(to, from, size) : exo_copy(to, from, size);
}

bool exo_area_lives(uint32_t host_tid)
{
    for (uint32_t i = 0; i < load_acquire(&area_high); i++)
        if (load_acquire(&exo_area_owners[i].word) == host_tid)
            return true;
    return false;
}

long guest_read(void *to, uint64_t from, uint64_t size)
{
    return exo_copy(to, (const void *)from, size);
}

long guest_write(uint64_t to, const void *from, uint64_t size)
{
    return exo_copy((void *)to, from, size);
}

long guest_string(char *to, uint64_t from, uint64_t size)
{
    for (uint64_t i = 0; i < size; i++) {
        long byte = guest_byte(from + i);
        if (byte < 0)
            return byte;
        to[i] = (char)byte;
        if (byte == 0)
            return (long)i;
    }
    return -ENAMETOOLONG;
}

static uint64_t area_base(uint32_t index)
{
    return index == 0 ? (uint64_t)first_area - AREA_ALTSTACK_START
                      : EXO_AREA_BASE + (uint64_t)index * EXO_AREA_SIZE;
}

static bool map_area(uint32_t index)
{
    if (area_mapped[index])
        return true;
    long got = host_call_early(
        __NR_mmap, (long)(area_base(index) + AREA_ALTSTACK_START),
        EXO_AREA_SIZE - AREA_ALTSTACK_START, PROT_READ_ | PROT_WRITE_,
        MAP_PRIVATE_ | MAP_ANONYMOUS_ | MAP_FIXED_NOREPLACE_ | MAP_NORESERVE_, -1, 0);
    area_mapped[index] = got >= 0;
    return got >= 0;
}

static uint32_t take_index(void)
{
    for (uint32_t i = 0; i < EXO_AREA_COUNT; i++) {
        uint32_t word = load_relaxed(&exo_area_owners[i].word);
        if ((word == 0 || (word & FUTEX_OWNER_DIED)) &&
            compare_exchange(&exo_area_owners[i].word, &word, TAKEN))
            return i;
    }
    return EXO_AREA_COUNT;
}

/* NULL when memory or indices are used up. The area's stack pointer is set, its thread is not. */
struct exo_area *exo_area_create(void)
{
    uint32_t index = take_index();
    if (index == EXO_AREA_COUNT)
        return NULL;
    if (index != 0 && !map_area(index)) {
        store_release(&exo_area_owners[index].word, 0);
        return NULL;
    }
    uint32_t high = load_relaxed(&area_high);
    while (high <= index && !compare_exchange(&area_high, &high, index + 1))
        ;
    struct exo_area *new = (struct exo_area *)(area_base(index) + AREA_STRUCT);
    exo_sighand_drop(new); /* that of the dead thread who had the area */
    memset(new, 0, sizeof(*new));
    new->self = new;
    new->index = index;
    new->stack = (uint64_t) new;
    new->altstack.flags = SS_DISABLE_;
    return new;
}

/* Ties the area to task slot; the caller is that thread, GS base already points at the area. */
void exo_area_attach(struct exo_area *new, uint32_t slot, uint32_t host_tid)
{
    struct exo_task *task = &KR->tasks[slot];
    struct exo_lock *owner = &exo_area_owners[new->index];
    new->slot = new->core.slot = slot;
    new->task = task;
    new->leader = &KR->tasks[task->leader_slot];
    new->tid = task->tid;
    new->tgid = task->tgid;
    new->dispatch = (struct exo_dispatch){0};
    new->observe = exo_mm.flags &EXO_KR_STATS ? EXO_OBSERVE_STATS : 0;
    full_fence(); /* against exo_area_observe_siblings() */
    exo_record_attach(new);
    if (load_acquire(&task->filter) != 0 || (task->security & EXO_SECURITY_STRICT))
        fetch_or(&new->observe, EXO_OBSERVE_FILTER);
    new->core.host_tid = host_tid;
    exo_alive_mark(task, &new->core, owner);
    /* Who ends the instance looks for us after the kernel's end: one of us sees the other. */
    full_fence();
    uint32_t kernel = load_acquire(&KR->kernel_state);
    if ((kernel == EXO_KERNEL_THERE || kernel == EXO_KERNEL_SERVES) &&
        !exo_alive_test(&KR->tasks[0]))
        exo_end_with_kernel();
}

/* Gives back an area whose thread never came to be, or was killed before it was its own. */
void exo_area_abandon(struct exo_area *new)
{
    uint32_t taken = TAKEN;
    compare_exchange(&exo_area_owners[new->index].word, &taken, 0);
}

/* After fork: the other threads' areas have no thread in this process. */
void exo_area_keep_only(struct exo_area *mine)
{
    uint32_t high = area_high;
    for (uint32_t i = 0; i < high; i++)
        if (i != mine->index)
            exo_area_owners[i].word = 0;
    for (int i = 0; i < SIGHAND_COUNT; i++)
        if (sighand_at(i) != mine->sighand && sighand_users[i] != 0)
            sighand_users[i] = 0;
}

/* A CLONE_VM child that nobody waits for in the runtime leaves the memory by exec, by its end or by
 * being killed. Each time the host marks its area, so the areas are counted. */
bool exo_alone_counted(void)
{
    uint32_t high = load_acquire(&area_high), count = 0;
    for (uint32_t i = 0; i < high; i++) {
        uint32_t word = load_acquire(&exo_area_owners[i].word);
        count += word != 0 && !(word & FUTEX_OWNER_DIED);
    }
    if (count > 1)
        return false;
    exo_mm.strays = 0; /* only we could make another one */
    store_relaxed(&exo_mm.tasks, 1);
    return true;
}

/* The area of a thread of this process, or a dead one's, from *index on; NULL behind the last. */
struct exo_area *exo_area_sibling(uint32_t *index)
{
    uint32_t high = load_acquire(&area_high), leader = area()->task->leader_slot;
    for (; *index < high; ++*index) {
        struct exo_area *other = (struct exo_area *)(area_base(*index) + AREA_STRUCT);
        if ((*index == 0 || load_acquire(&area_mapped[*index])) &&
            KR->tasks[other->slot].leader_slot == leader)
            return other;
    }
    return NULL;
}

/* The process's threads have been given filters in their slots: their calls are to be looked at. */
void exo_area_observe_siblings(void)
{
    struct exo_area *other;
    full_fence();
    for (uint32_t i = 0; (other = exo_area_sibling(&i)) != NULL; i++)
        fetch_or(&other->observe, EXO_OBSERVE_FILTER);
}

void exo_sighand_drop(struct exo_area *old)
{
    if (old->owns_sighand)
        store_release(
            &sighand_users[old->sighand == &exo_warm.sighand ? 0
                                                             : old->sighand - more_sighands + 1],
            0);
    old->owns_sighand = 0;
}

struct exo_sighand *exo_sighand_create(const struct exo_sighand *from)
{
    for (int i = 0; i < SIGHAND_COUNT; i++) {
        uint8_t none = 0;
        if (!compare_exchange(&sighand_users[i], &none, 1))
            continue;
        if (from != NULL)
            *sighand_at(i) = *from;
        return sighand_at(i);
    }
    return NULL;
}

void exo_forget_pages(void *start, uint64_t size)
{
    uint64_t from = ((uint64_t)start + 4095) & ~4095UL, to = ((uint64_t)start + size) & ~4095UL;
    if (from < to)
        HOST_3(__NR_madvise, from, to - from, 4 /* MADV_DONTNEED */);
}

/* The kernel process is gone, and no guest outlives it. exo-watch sees to that; should it have been
 * killed as well, the first guest that notices does. */
noreturn void exo_end_with_kernel(void)
{
    uint32_t mine = area()->leader->host_tgid;
    for (uint32_t i = 1; i < load_acquire(&KR->task_high); i++) {
        const struct exo_task *task = &KR->tasks[i];
        if (exo_alive_test(task) && task->host_tgid > 1 && task->host_tgid != mine)
            HOST_2(__NR_kill, task->host_tgid, SIGKILL_);
    }
    HOST_2(__NR_kill, HOST_0(__NR_getpid), SIGKILL_);
    __builtin_trap();
}

void exo_say(const char *text)
{
    host_call_early(__NR_write, 2, (long)text, (long)strlen(text), 0, 0, 0);
}

/* The runtime found itself broken: says so and dies like a fatal bug in a kernel would. */
void exo_die(const char *why)
{
    exo_say("exo-um: runtime: ");
    exo_say(why);
    exo_say("\n");
    host_call_early(__NR_exit_group, 134, 0, 0, 0, 0, 0);
    __builtin_trap();
}
