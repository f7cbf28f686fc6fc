/* libexo_malloc's heaps on a machine of several NUMA nodes, as far as one of a single node can show it:
 * what it is told of the nodes is made up, mbind(2) is the host's, and fails for a node that is not
 * there.
 */
#include <errno.h>
#include <linux/mempolicy.h>

#include "check.h"

#include "malloc/heaps.c"

#define NODE_COUNT 2
#define FIRST_NODE 0
#define SECOND_NODE 2 /* the host has no such */

/* What heaps.c needs of the library's other files. */
uint32_t exo_heap_flags, exo_arena_count = 1;
_Thread_local struct exo_heap_user exo_user;
static struct exo_self self = {.host_tid = 1};

void exo_options_read(void) {}

struct exo_self *exo_self(void)
{
    return &self;
}

static struct bound {
    uint64_t at, size, mask, mode;
    long result;
} bound[NODE_COUNT];
static uint32_t bound_count, current_node;

static long host(long nr, long a, long b, long c, long d, long e, long f)
{
    long result = syscall(nr, a, b, c, d, e, f);
    return result == -1 ? -errno : result;
}

static long bind(long at, long size, long mode, const uint64_t *mask, long maxnode)
{
    CHECK(bound_count < NODE_COUNT && maxnode == 64);
    struct bound *one = &bound[bound_count++];
    *one = (struct bound){(uint64_t)at, (uint64_t)size, *mask, (uint64_t)mode, 0};
    one->result = host(SYS_mbind, at, size, mode, (long)mask, maxnode, 0);
    return one->result;
}

/* Under a limit of address space heaps are small; sanitizers have little room. */
long exo_host_call(long nr, long a, long b, long c, long d, long e, long f)
{
    switch (nr) {
    case SYS_prlimit64:
        ((struct rlimit *)d)->rlim_cur = 1UL << 40;
        return 0;
    case SYS_get_mempolicy:
        CHECK(e == MPOL_F_MEMS_ALLOWED && a == 0 && c == 1024);
        *(uint64_t *)b = 1UL << FIRST_NODE | 1UL << SECOND_NODE;
        return 0;
    case SYS_getcpu:
        *(uint32_t *)b = current_node;
        return 0;
    case SYS_mbind:
        return bind(a, b, c, (const uint64_t *)d, e);
    default:
        return host(nr, a, b, c, d, e, f);
    }
}

static struct exo_home *home_on(uint32_t node)
{
    current_node = node;
    return exo_home_choose();
}

/* A policy that was set is the memory's, not the thread's. */
static void check_bound(const struct exo_home *home, const struct bound *one, uint32_t node)
{
    CHECK_SAME(one->at, (uint64_t)home->heap);
    CHECK_SAME(one->size, home->mapped);
    CHECK_SAME(one->mode, MPOL_PREFERRED);
    CHECK_SAME(one->mask, 1UL << node);
    int mode = -1;
    if (one->result == -ENOSYS || one->result == -EPERM) /* a host that lets nobody */
        return;
    CHECK_SAME(one->result, node == FIRST_NODE ? 0 : -EINVAL);
    CHECK_SAME(host(SYS_get_mempolicy, (long)&mode, 0, 0, (long)home->heap, MPOL_F_ADDR, 0), 0);
    CHECK_SAME(mode, node == FIRST_NODE ? MPOL_PREFERRED : MPOL_DEFAULT);
}

int main(void)
{
    alarm(20);
    struct exo_home *first = home_on(FIRST_NODE), *second = home_on(SECOND_NODE);
    CHECK(first == &exo_homes[0] && second == &exo_homes[1]);
    CHECK(exo_arena_count == NODE_COUNT && exo_home_count == NODE_COUNT);
    CHECK_SAME(bound_count, NODE_COUNT);
    check_bound(first, &bound[0], FIRST_NODE);
    check_bound(second, &bound[1], SECOND_NODE);
    CHECK(home_on(1) == second); /* one that is not ours: some home */
    CHECK(home_on(63) == first || home_on(63) == second);
    for (uint32_t i = 0; i < NODE_COUNT; i++) { /* bound or not, it can be used */
        struct exo_heap_user *user = &exo_homes[i].anyone;
        uint64_t object = exo_alloc(user, 100);
        CHECK(object != 0 && exo_user_of(user->base + object) == user);
        memset(user->base + object, 1, 100);
        CHECK_SAME(exo_free(user, object), 0);
    }
    return 0;
}
