/* Fd tables: the numbers they give are those Linux gives, they grow and are reused, and threads
 * never get the same number.
 */
#include "setup.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/resource.h>

#define LIMIT 300 /* beyond EXO_FD_BASE_COUNT, so that the table grows once */

static void take(struct exo_kr *kr, uint64_t table, int fd, int host)
{
    exo_fd_install(kr, table, fd, host, EXO_FD_OPEN);
    const struct exo_fd *entry = exo_fd_at(kr, table, fd);
    CHECK(entry != NULL);
    CHECK_SAME(entry->host, host);
    CHECK_SAME(entry->flags, EXO_FD_OPEN);
}

/* One step with the process's own fds and the same with table; the host's answer, checked. */
static void step_dup(struct exo_kr *kr, uint64_t table, uint32_t lowest)
{
    int theirs = fcntl(0, F_DUPFD, (int)lowest);
    int ours = exo_fd_reserve(kr, table, lowest, LIMIT);
    CHECK_SAME(ours, theirs == -1 ? -errno : theirs);
    if (ours >= 0)
        take(kr, table, ours, ours);
}

static void step_dup_to(struct exo_kr *kr, uint64_t table, int target)
{
    int theirs = dup2(0, target);
    int ours = exo_fd_ensure(kr, table, target, LIMIT);
    CHECK_SAME(ours, theirs == -1 ? -errno : 0);
    if (ours == 0)
        take(kr, table, target, target);
}

static void step_close(struct exo_kr *kr, uint64_t table, int fd)
{
    const struct exo_fd *entry = exo_fd_at(kr, table, fd);
    bool open = entry != NULL && entry->host >= 0;
    CHECK_SAME(close(fd) == 0, open);
    if (open)
        exo_fd_unreserve(kr, table, fd);
}

static void copy_own_fds(struct exo_kr *kr, uint64_t table)
{
    for (int fd = 0; fd < LIMIT; fd++)
        if (fcntl(fd, F_GETFD) != -1) {
            CHECK_SAME(exo_fd_ensure(kr, table, fd, LIMIT), 0);
            take(kr, table, fd, fd);
        }
}

static void test_like_linux(struct exo_kr *kr)
{
    begin_phase("like linux");
    struct rlimit old, small;
    getrlimit(RLIMIT_NOFILE, &old);
    small = (struct rlimit){.rlim_cur = LIMIT, .rlim_max = old.rlim_max};
    int null = open("/dev/null", O_RDWR);
    CHECK(null == 0 || dup2(null, 0) == 0);
    CHECK(setrlimit(RLIMIT_NOFILE, &small) == 0);
    uint64_t table = exo_fd_table_create(kr);
    CHECK(table != 0);
    copy_own_fds(kr, table);
    uint64_t random = 7;
    for (int i = 0; i < 60000; i++) {
        bool filling = i / 1000 % 2 == 0; /* up to the limit, and down again */
        uint32_t what = random_below(&random, 100);
        if (what < (filling ? 60U : 20U))
            step_dup(kr, table, 0);
        else if (what < (filling ? 70U : 25U))
            step_dup(kr, table, random_below(&random, LIMIT));
        else if (what < 75 && filling)
            step_dup_to(kr, table, 3 + (int)random_below(&random, LIMIT + 40));
        else
            step_close(kr, table, 3 + (int)random_below(&random, LIMIT + 40));
    }
    exo_fd_table_release(kr, table);
    setrlimit(RLIMIT_NOFILE, &old);
    close_range(3, ~0U, 0);
}

static void test_limits(struct exo_kr *kr)
{
    begin_phase("limits");
    uint64_t table = exo_fd_table_create(kr);
    CHECK_SAME(exo_fd_ensure(kr, table, -1, LIMIT), -EBADF);
    CHECK_SAME(exo_fd_ensure(kr, table, LIMIT, LIMIT), -EBADF);
    CHECK_SAME(exo_fd_ensure(kr, table, LIMIT - 1, LIMIT), 0);
    CHECK_SAME(exo_fd_reserve(kr, table, 0, 0), -EMFILE);
    CHECK_SAME(exo_fd_reserve(kr, table, 5, 5), -EMFILE);
    CHECK_SAME(exo_fd_reserve(kr, table, 5, 6), 5);
    CHECK_SAME(exo_fd_reserve(kr, table, 5, 6), -EMFILE);
    CHECK_SAME(exo_fd_reserve(kr, table, 0, 6), 0); /* nothing is left reserved by the failures */
    CHECK_SAME(exo_fd_reserve(kr, table, 0, 1 << 30), 1);
    CHECK_SAME(exo_fd_reserve(kr, table, EXO_FD_MAX_COUNT - 1, 1 << 30), EXO_FD_MAX_COUNT - 1);
    CHECK_SAME(exo_fd_reserve(kr, table, EXO_FD_MAX_COUNT - 1, 1 << 30), -EMFILE);
    CHECK_SAME(exo_fd_reserve(kr, table, 1U << 31, ~0UL), -EMFILE);
    CHECK_SAME(exo_fd_ensure(kr, table, EXO_FD_MAX_COUNT, 1 << 30), -EMFILE);
    CHECK(exo_fd_at(kr, table, -1) == NULL);
    CHECK(exo_fd_at(kr, table, EXO_FD_MAX_COUNT) == NULL);
    CHECK(exo_fd_at(kr, table, EXO_FD_MAX_COUNT - 1) != NULL);
    exo_fd_table_release(kr, table);
}

/* A reserved number is taken for others, and no open file for readers and clones. */
static void test_reserved(struct exo_kr *kr)
{
    begin_phase("reserved");
    uint64_t table = exo_fd_table_create(kr);
    for (int fd = 0; fd < 3; fd++)
        CHECK_SAME(exo_fd_reserve(kr, table, 0, LIMIT), fd);
    CHECK_SAME(exo_fd_at(kr, table, 1)->host, EXO_FD_HOST_RESERVED);
    CHECK_SAME(exo_fd_at(kr, table, 3)->host, EXO_FD_HOST_FREE);
    take(kr, table, 0, 10);
    take(kr, table, 2, 12);
    uint64_t copy = exo_fd_table_clone(kr, table);
    CHECK(copy != 0 && copy != table);
    CHECK_SAME(exo_fd_at(kr, copy, 0)->host, 10);
    CHECK_SAME(exo_fd_at(kr, copy, 1)->host, EXO_FD_HOST_FREE);
    CHECK_SAME(exo_fd_at(kr, copy, 2)->host, 12);
    CHECK_SAME(exo_fd_reserve(kr, copy, 0, LIMIT), 1);
    CHECK_SAME(exo_fd_reserve(kr, copy, 0, LIMIT), 3);
    exo_fd_unreserve(kr, table, 1);
    CHECK_SAME(exo_fd_at(kr, table, 1)->host, EXO_FD_HOST_FREE);
    CHECK_SAME(exo_fd_reserve(kr, table, 0, LIMIT), 1);
    exo_fd_table_release(kr, copy);
    exo_fd_table_release(kr, table);
}

#define MANY 70000

static void test_growth(struct exo_kr *kr)
{
    begin_phase("growth");
    uint64_t table = exo_fd_table_create(kr);
    const struct exo_fd *first = exo_fd_at(kr, table, 0);
    for (int fd = 0; fd < MANY; fd++) {
        CHECK_SAME(exo_fd_reserve(kr, table, 0, EXO_FD_MAX_COUNT), fd);
        exo_fd_install(kr, table, fd, fd + 1, EXO_FD_OPEN);
    }
    CHECK_SAME(first->host, 1); /* outgrown, and still readable */
    uint64_t copy = exo_fd_table_clone(kr, table);
    CHECK(copy != 0);
    for (int fd = 0; fd < MANY; fd++) {
        const struct exo_fd *entry = exo_fd_at(kr, table, fd);
        CHECK_SAME(entry->host, fd + 1);
        CHECK(memcmp(entry, exo_fd_at(kr, copy, fd), sizeof(*entry)) == 0);
    }
    exo_fd_unreserve(kr, table, 31);
    CHECK_SAME(exo_fd_at(kr, copy, 31)->host, 32); /* a copy, not the same */
    CHECK_SAME(exo_fd_reserve(kr, table, 0, EXO_FD_MAX_COUNT), 31);
    CHECK_SAME(exo_fd_reserve(kr, table, 0, EXO_FD_MAX_COUNT), MANY);
    CHECK_SAME(exo_fd_reserve(kr, copy, 0, EXO_FD_MAX_COUNT), MANY);
    exo_fd_table_release(kr, table);
    CHECK_SAME(exo_fd_at(kr, copy, MANY - 1)->host, MANY);
    exo_fd_table_release(kr, copy);
}

/* What one process does with its table in a life; now and then a big one. */
static void live(struct exo_kr *kr, int round)
{
    static const uint32_t sizes[] = {1, 255, 256, 600, 1100, 5000};
    uint32_t size = round % 500 == 0 ? MANY : sizes[(uint32_t)round % COUNT(sizes)];
    uint64_t table = exo_fd_table_create(kr);
    CHECK(table != 0);
    CHECK_SAME(exo_fd_reserve(kr, table, 0, LIMIT), 0); /* nothing of the one before */
    take(kr, table, 0, 3);
    CHECK_SAME(exo_fd_reserve(kr, table, size, EXO_FD_MAX_COUNT), size);
    uint64_t copy = round % 3 == 0 ? exo_fd_table_clone(kr, table) : 0;
    __atomic_add_fetch(&((struct exo_fd_table *)exo_kr_at(kr, table))->users, 1, __ATOMIC_SEQ_CST);
    exo_fd_table_release(kr, table);
    CHECK_SAME(exo_fd_at(kr, table, 0)->host, 3); /* a second user had it */
    exo_fd_table_release(kr, table);
    if (copy != 0)
        exo_fd_table_release(kr, copy);
}

static void test_reuse(struct exo_kr *kr)
{
    begin_phase("reuse");
    for (int round = 0; round < 12; round++)
        live(kr, round);
    uint64_t heap_next = kr->heap_next;
    for (int round = 0; round < 10000; round++)
        live(kr, round);
    CHECK_SAME(kr->heap_next, heap_next);
}

static void test_full(void)
{
    begin_phase("full");
    struct exo_kr *kr = region_create();
    kr->size = kr->heap_next + 3 * 4096; /* room for a handful of tables */
    uint64_t table = exo_fd_table_create(kr);
    CHECK(table != 0);
    CHECK_SAME(exo_fd_reserve(kr, table, 5000, LIMIT * 100), -ENFILE);
    CHECK_SAME(exo_fd_reserve(kr, table, 0, LIMIT), 0);
    int tables = 1;
    while (exo_fd_table_create(kr) != 0)
        CHECK(++tables < 10);
    CHECK(exo_fd_table_clone(kr, table) == 0);
    CHECK(kr->heap_next <= kr->size);
    exo_fd_table_release(kr, table);
    CHECK(exo_fd_table_create(kr) != 0);
    region_destroy(kr);
}

#define THREADS 4
#define EACH 3000
#define NUMBERS (THREADS * (EACH + 1)) /* each has one too many for a moment */

struct shared {
    struct exo_kr *kr;
    uint64_t table;
    uint32_t owner[NUMBERS]; /* atomic: 1 + index of the thread that has the number */
    uint32_t done;
};

static int reserve_one(struct shared *shared, uint32_t index)
{
    int fd = exo_fd_reserve(shared->kr, shared->table, 0, EXO_FD_MAX_COUNT);
    CHECK(fd >= 0 && fd < NUMBERS);
    CHECK_SAME(__atomic_exchange_n(&shared->owner[fd], index + 1, __ATOMIC_SEQ_CST), 0);
    return fd;
}

static void reserve_many(struct worker *worker)
{
    struct shared *shared = worker->shared;
    for (int i = 0; i < EACH; i++) {
        int back = reserve_one(shared, worker->index);
        int fd = i % 2 ? reserve_one(shared, worker->index) : -1;
        exo_fd_install(shared->kr, shared->table, back, back, EXO_FD_OPEN);
        if (fd >= 0) { /* give one of two back, so that numbers come round */
            __atomic_store_n(&shared->owner[back], 0, __ATOMIC_SEQ_CST);
            exo_fd_unreserve(shared->kr, shared->table, back);
        }
    }
    __atomic_add_fetch(&shared->done, 1, __ATOMIC_SEQ_CST);
}

/* Readers take no lock: they see an entry free, reserved or whole. */
static void read_all(struct shared *shared)
{
    while (__atomic_load_n(&shared->done, __ATOMIC_SEQ_CST) < THREADS)
        for (int fd = 0; fd < NUMBERS; fd += 7) {
            const struct exo_fd *at = exo_fd_at(shared->kr, shared->table, fd);
            if (at == NULL)
                break;
            uint64_t whole = __atomic_load_n((const uint64_t *)at, __ATOMIC_ACQUIRE);
            struct exo_fd entry;
            memcpy(&entry, &whole, sizeof(entry));
            CHECK_SAME(entry.flags, entry.host >= 0 ? EXO_FD_OPEN : 0);
            CHECK(entry.host == fd || entry.host == EXO_FD_HOST_FREE ||
                  entry.host == EXO_FD_HOST_RESERVED);
        }
}

static void reserve_or_read(struct worker *worker)
{
    if (worker->index < THREADS)
        reserve_many(worker);
    else
        read_all(worker->shared);
}

static void test_threads(struct exo_kr *kr)
{
    begin_phase("threads");
    static struct shared shared;
    shared.kr = kr;
    shared.table = exo_fd_table_create(kr);
    run_threads(THREADS + 1, reserve_or_read, &shared);
    uint32_t taken = 0;
    for (int fd = 0; fd < NUMBERS; fd++) {
        const struct exo_fd *entry = exo_fd_at(kr, shared.table, fd);
        bool free = entry == NULL || entry->host == EXO_FD_HOST_FREE;
        CHECK_SAME(!free, shared.owner[fd] != 0);
        taken += !free;
    }
    CHECK_SAME(taken, THREADS * EACH);
    exo_fd_table_release(kr, shared.table);
}

static void clone_all(struct worker *worker)
{
    struct shared *shared = worker->shared;
    for (int i = 0; i < 200; i++) {
        if (worker->index == 0) {
            int fd = exo_fd_reserve(shared->kr, shared->table, (uint32_t)i * 40, 1 << 20);
            CHECK_SAME(fd, i * 40);
            exo_fd_install(shared->kr, shared->table, fd, fd, EXO_FD_OPEN);
            continue;
        }
        uint64_t copy = exo_fd_table_clone(shared->kr, shared->table);
        CHECK(copy != 0);
        for (int fd = 0; fd < 200 * 40; fd++) {
            const struct exo_fd *entry = exo_fd_at(shared->kr, copy, fd);
            if (entry == NULL)
                break;
            CHECK(entry->host == EXO_FD_HOST_FREE || (entry->host == fd && fd % 40 == 0));
        }
        exo_fd_table_release(shared->kr, copy);
    }
}

/* A table that grows while it is cloned. */
static void test_clone_while_growing(struct exo_kr *kr)
{
    begin_phase("clone while growing");
    static struct shared shared;
    shared.kr = kr;
    for (int round = 0; round < 5; round++) {
        shared.table = exo_fd_table_create(kr);
        run_threads(3, clone_all, &shared);
        exo_fd_table_release(kr, shared.table);
    }
}

int main(void)
{
    begin(20);
    struct exo_kr *kr = region_create();
    test_like_linux(kr);
    test_limits(kr);
    test_reserved(kr);
    test_growth(kr);
    test_reuse(kr);
    test_full();
    test_threads(kr);
    test_clone_while_growing(kr);
    region_destroy(kr);
    return 0;
}
