/* Sets of rings, one for each CPU. exo/ringset.h says what for.
 *
 * The CPU's number is in the register that rdpid and rdtscp read: Linux keeps the node there in bits
 * 12 and up. It is only a hint where to push.
 */
#include <asm-generic/errno-base.h>
#include <asm-generic/errno.h>

#include <exo/ringset.h>

#include "mem.h"
#include "ring.h"

#define CPU_MASK 0xfff
#define LEAF_FEATURES 7
#define ECX_RDPID (1U << 22)

_Static_assert(sizeof(struct exo_ringset) == 128, "a line of constants, a line for the bell");

static uint64_t stride_of(uint32_t order)
{
    return (exo_ring_size(order) + 127) & ~127UL; /* processors fetch lines in pairs */
}

uint64_t exo_ringset_size(uint32_t count, uint32_t order)
{
    return sizeof(struct exo_ringset) + count * stride_of(order);
}

static bool has_rdpid(void)
{
    uint32_t a = 0, b, c = 0, d;
    __asm__("cpuid" : "+a"(a), "=b"(b), "+c"(c), "=d"(d));
    if (a < LEAF_FEATURES)
        return false;
    a = LEAF_FEATURES;
    c = 0;
    __asm__("cpuid" : "+a"(a), "=b"(b), "+c"(c), "=d"(d));
    return c & ECX_RDPID;
}

int exo_ringset_init(struct exo_ringset *set, uint32_t count, uint32_t order, uint32_t kind,
                     uint32_t flags)
{
    if (count == 0 || count > EXO_RINGSET_MAX || order < 1 || order > EXO_RING_ORDER_MAX ||
        (kind != EXO_RING_MPSC && kind != EXO_RING_MPMC))
        return -EINVAL;
    memset(set, 0, sizeof(*set));
    set->count = count;
    set->flags = has_rdpid() ? EXO_RINGSET_RDPID : 0;
    set->stride = stride_of(order);
    set->order = order;
    set->kind = kind;
    for (uint32_t i = 0; i < count; i++)
        exo_ring_init(exo_ringset_ring(set, i), order, kind, flags);
    store_release(&set->magic, EXO_RINGSET_MAGIC);
    return 0;
}

struct exo_ring *exo_ringset_ring(struct exo_ringset *set, uint32_t index)
{
    return (struct exo_ring *)(void *)((char *)(set + 1) + index * set->stride);
}

uint32_t exo_ringset_here(const struct exo_ringset *set)
{
    uint64_t id = 0;
    uint32_t low, high;
    if (set->flags & EXO_RINGSET_RDPID)
        __asm__ volatile(".byte 0xf3, 0x0f, 0xc7, 0xf8" : "=a"(id)); /* rdpid %rax */
    else
        __asm__ volatile("rdtscp" : "=a"(low), "=d"(high), "=c"(id));
    uint32_t cpu = id & CPU_MASK;
    return cpu < set->count ? cpu : cpu % set->count;
}

/* Behind the full fence that the ring's own bell takes. */
static void wake(struct exo_ringset *set, struct exo_ring *ring)
{
    exo_ring_wake_data(ring);
    if (!(ring->flags & EXO_RING_NEVER_SLEEPS) && load_relaxed(&set->data.wanted) != 0)
        exo_bell_ring(&set->data);
}

long exo_ringset_push_many(struct exo_ringset *set, uint32_t owner, uint32_t type, const void *data,
                           uint32_t size, uint32_t count)
{
    struct exo_ring *ring = exo_ringset_ring(set, exo_ringset_here(set));
    long done = exo_ring_push_many_quiet(ring, owner, type, data, size, count);
    if (done > 0)
        wake(set, ring);
    return done;
}

int exo_ringset_push(struct exo_ringset *set, uint32_t owner, uint32_t type, const void *data,
                     uint32_t size)
{
    long done = exo_ringset_push_many(set, owner, type, data, size, 1);
    return done > 0 ? 0 : (int)done;
}

int exo_ringset_push_wait(struct exo_ringset *set, uint32_t owner, uint32_t type, const void *data,
                          uint32_t size, const struct exo_wait_policy *policy)
{
    int error;
    while ((error = exo_ringset_push(set, owner, type, data, size)) == -EAGAIN)
        if ((error = exo_ring_wait_room(exo_ringset_ring(set, exo_ringset_here(set)), policy)) != 0)
            break;
    return error;
}

long exo_ringset_pop_many(struct exo_ringset *set, uint32_t owner, struct exo_message *messages,
                          uint32_t count)
{
    uint32_t rings = set->count, first = load_relaxed(&set->next) % rings, closed = 0;
    long done = 0;
    for (uint32_t i = 0; i < rings && done < count; i++) {
        uint32_t index = first + i < rings ? first + i : first + i - rings;
        long now = exo_ring_pop_many(exo_ringset_ring(set, index), owner, messages + done,
                                     count - (uint32_t)done);
        closed += now == -EPIPE;
        if (now <= 0)
            continue;
        done += now;
        if (rings > 1)
            store_relaxed(&set->next, index + 1);
    }
    return done > 0 || count == 0 ? done : closed == rings ? -EPIPE : -EAGAIN;
}

int exo_ringset_pop(struct exo_ringset *set, uint32_t owner, struct exo_message *message)
{
    long done = exo_ringset_pop_many(set, owner, message, 1);
    return done > 0 ? 0 : (int)done;
}

void exo_ringset_close(struct exo_ringset *set)
{
    for (uint32_t i = 0; i < set->count; i++)
        exo_ring_close(exo_ringset_ring(set, i));
    exo_bell_ring(&set->data);
}

uint64_t exo_ringset_count(struct exo_ringset *set)
{
    uint64_t count = 0;
    for (uint32_t i = 0; i < set->count; i++)
        count += exo_ring_count(exo_ringset_ring(set, i));
    return count;
}
