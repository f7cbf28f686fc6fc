/* The allocator: classes, contents, all memory back; threads that free each other's objects; owners
 * killed anywhere; guard and poison modes. */
#include "setup.h"

#include <errno.h>
#include <exo/alloc.h>

#define OWNERS 8
#define HEAP_SIZE (64UL << 20)
#define TABLE 512
#define CHUNK (1UL << EXO_CHUNK_SHIFT)
#define STEPS 30000
#define ROUNDS 150
#define ROUNDS_S 3.0

#define get(p) __atomic_load_n((p), __ATOMIC_SEQ_CST)
#define set(p, v) __atomic_store_n((p), (v), __ATOMIC_SEQ_CST)
#define add(p, v) __atomic_add_fetch((p), (v), __ATOMIC_SEQ_CST)
#define exchange(p, v) __atomic_exchange_n((p), (v), __ATOMIC_SEQ_CST)

struct shared {
    struct exo_task tasks[OWNERS];
    uint32_t ready, wrong;
    uint64_t table[TABLE]; /* offsets of objects, each in one place */
    _Alignas(65536) struct exo_heap heap;
};

/* What an object begins and ends with: its size, and where it is. */
struct stamp {
    uint64_t size, offset;
};

static struct exo_heap_user attach(struct shared *shared, uint32_t owner)
{
    struct exo_heap_user user;
    CHECK_SAME(exo_heap_attach(&user, &shared->heap, HEAP_SIZE, owner), 0);
    return user;
}

static void heap_init(struct shared *shared, uint32_t flags)
{
    CHECK(madvise(shared, sizeof(*shared) + HEAP_SIZE, MADV_REMOVE) == 0);
    CHECK_SAME(exo_heap_init(&shared->heap, HEAP_SIZE, OWNERS, flags | EXO_HEAP_SHARED), 0);
    exo_owners_set(&shared->heap.owners, &shared->tasks[0].alive.word, sizeof(struct exo_task),
                   OWNERS);
    for (uint32_t i = 0; i < OWNERS; i++)
        set(&shared->tasks[i].alive.word, 1);
}

static uint64_t stamped(struct exo_heap_user *user, uint64_t size)
{
    uint64_t offset = exo_alloc(user, size);
    CHECK(offset != 0 && offset % 16 == 0);
    CHECK(exo_heap_usable(user, offset) >= size);
    struct stamp stamp = {size, offset};
    memcpy(user->base + offset, &stamp, sizeof(stamp));
    memcpy(user->base + offset + size - sizeof(stamp), &stamp, sizeof(stamp));
    return offset;
}

static bool is_whole(const struct exo_heap_user *user, uint64_t offset)
{
    struct stamp first, last;
    memcpy(&first, user->base + offset, sizeof(first));
    if (first.offset != offset || first.size < sizeof(first) || first.size > HEAP_SIZE)
        return false;
    memcpy(&last, user->base + offset + first.size - sizeof(last), sizeof(last));
    return memcmp(&first, &last, sizeof(first)) == 0;
}

static uint64_t random_size(uint64_t *random)
{
    uint32_t kind = random_below(random, 100);
    return 32 + random_below(random, kind < 80 ? 200 : kind < 98 ? 8000 : 60000);
}

static void test_classes(void)
{
    for (uint64_t size = 0, last = 0; size <= EXO_SMALL_LIMIT; size++) {
        uint32_t class_ = exo_class_of(size);
        uint64_t room = exo_class_size(class_);
        CHECK(class_ >= 1 && class_ < EXO_CLASS_COUNT && room >= size && room % 16 == 0);
        CHECK(class_ == 1 || exo_class_size(class_ - 1) < size);
        CHECK(size < 128 || (room - size) * 8 <= room);
        CHECK(class_ == last || class_ == last + 1);
        last = class_;
    }
}

/* Everything free: one run of pages again. */
static void check_all_back(struct shared *shared, struct exo_heap_user *user)
{
    struct exo_heap_stats stats;
    exo_heap_trim(user);
    exo_heap_stats(user, &stats);
    CHECK_SAME(stats.large, 0);
    CHECK_SAME(stats.slabs, 0);
    CHECK_SAME(stats.dirty, 0);
    CHECK_SAME(shared->heap.free_pages, shared->heap.pages - shared->heap.first_page);
}

static void step(struct shared *shared, struct exo_heap_user *user, uint64_t *random)
{
    uint64_t *place = &shared->table[random_below(random, TABLE)];
    uint64_t mine = random_below(random, 4) == 0 ? 0 : stamped(user, random_size(random));
    uint64_t old = exchange(place, mine);
    if (old == 0)
        return;
    if (!is_whole(user, old))
        add(&shared->wrong, 1);
    memset(user->base + old, 0, sizeof(struct stamp));
    if (exo_free(user, old) != 0)
        add(&shared->wrong, 1);
}

static void free_table(struct shared *shared, struct exo_heap_user *user)
{
    for (uint32_t i = 0; i < TABLE; i++)
        if (shared->table[i] != 0) {
            CHECK(is_whole(user, shared->table[i]));
            CHECK_SAME(exo_free(user, shared->table[i]), 0);
            shared->table[i] = 0;
        }
}

static void test_one(struct shared *shared, uint32_t owner, uint32_t flags)
{
    uint64_t random = 5;
    heap_init(shared, flags);
    struct exo_heap_user user = attach(shared, owner);
    for (int i = 0; i < STEPS; i++)
        step(shared, &user, &random);
    CHECK_SAME(shared->wrong, 0);
    free_table(shared, &user);
    if (flags == 0)
        check_all_back(shared, &user);
}

static void test_sizes(struct shared *shared)
{
    heap_init(shared, 0);
    struct exo_heap_user user = attach(shared, 1);
    CHECK(exo_alloc(&user, HEAP_SIZE) == 0 && user.error == -ENOMEM);
    CHECK(exo_alloc(&user, UINT64_MAX) == 0);
    for (uint64_t align = 16; align <= 65536; align *= 2)
        for (uint64_t size = 1; size < 40000; size = size * 3 + 1) {
            uint64_t offset = exo_alloc_aligned(&user, size, align);
            CHECK(offset != 0 && offset % align == 0 && exo_heap_usable(&user, offset) >= size);
            memset(user.base + offset, 0xff, size);
            CHECK_SAME(exo_free(&user, offset), 0);
            uint64_t zeroed = exo_alloc_zeroed(&user, size);
            for (uint64_t i = 0; i < size; i++)
                CHECK(user.base[zeroed + i] == 0);
            memset(user.base + zeroed, 0xff, size);
            CHECK_SAME(exo_free(&user, zeroed), 0);
        }
    CHECK_SAME(exo_free(&user, 0), -EFAULT);
    CHECK_SAME(exo_free(&user, HEAP_SIZE), -EFAULT);
    CHECK_SAME(exo_free(&user, 4096), -EFAULT);
    uint64_t large = exo_alloc(&user, 100000);
    CHECK_SAME(exo_free(&user, large + 4096), -EFAULT);
    CHECK_SAME(exo_free(&user, large), 0);
    CHECK_SAME(exo_free(&user, large), -EALREADY);
    check_all_back(shared, &user);
}

static void test_resize(struct shared *shared)
{
    uint64_t random = 9, sizes[8], objects[8];
    heap_init(shared, 0);
    struct exo_heap_user user = attach(shared, 1);
    for (int i = 0; i < 8; i++)
        objects[i] = exo_alloc(&user, sizes[i] = 20000);
    for (int i = 0; i < 20000; i++) {
        uint32_t which = random_below(&random, 8);
        uint64_t size = 9000 + random_below(&random, 300000);
        user.base[objects[which]] = (char)which;
        if (exo_heap_resize(&user, objects[which], size)) {
            CHECK(exo_heap_usable(&user, objects[which]) >= size);
            CHECK(user.base[objects[which]] == (char)which);
            memset(user.base + objects[which] + size - 64, 1, 64);
        } else {
            CHECK_SAME(exo_free(&user, objects[which]), 0);
            CHECK((objects[which] = exo_alloc(&user, size)) != 0);
        }
    }
    for (int i = 0; i < 8; i++)
        CHECK_SAME(exo_free(&user, objects[i]), 0);
    check_all_back(shared, &user);
}

/* Most objects of each slab are freed: the pages that they leave free go back, the others stay as
 * they are, and what goes back can be allocated again. */
static void test_sparse(struct shared *shared, uint64_t size)
{
    enum { COUNT = 4096 };
    static uint64_t objects[COUNT];
    struct exo_heap_stats stats;
    heap_init(shared, 0);
    struct exo_heap_user user = attach(shared, 1);
    for (int lap = 0; lap < 2; lap++) {
        for (uint64_t i = 0; i < COUNT; i++)
            if (objects[i] == 0)
                objects[i] = stamped(&user, size);
        for (uint64_t i = 0; i < COUNT; i++) {
            CHECK(is_whole(&user, objects[i]));
            if (i * size % CHUNK < size)
                continue;
            CHECK_SAME(exo_free(&user, objects[i]), 0);
            objects[i] = 0;
        }
        exo_heap_trim(&user);
        exo_heap_stats(&user, &stats);
        CHECK(stats.returned > stats.slab_free / 2 && stats.returned <= stats.slab_free);
        CHECK_SAME(stats.resident, stats.slabs - stats.returned);
    }
    for (uint64_t i = 0; i < COUNT; i++) {
        CHECK(objects[i] == 0 || is_whole(&user, objects[i]));
        CHECK_SAME(objects[i] == 0 ? 0 : exo_free(&user, objects[i]), 0);
        objects[i] = 0;
    }
    check_all_back(shared, &user);
}

/* A class without free objects takes a larger one's, as long as that has several slabs with some:
 * without a new slab, whole, and aligned all the same. */
static void test_borrowing(struct shared *shared)
{
    enum { COUNT = 4 * (CHUNK / 1408), BORROWED = 20 };
    static uint64_t objects[COUNT], borrowed[2 * BORROWED];
    heap_init(shared, 0);
    struct exo_heap_user user = attach(shared, 1);
    for (int i = 0; i < COUNT; i++)
        objects[i] = stamped(&user, 1408);
    for (int i = 0; i < COUNT; i += 2)
        CHECK_SAME(exo_free(&user, objects[i]), 0);
    exo_heap_detach(&user);
    user = attach(shared, 1);
    uint64_t slabs = shared->heap.slab_count;
    for (int i = 0; i < BORROWED; i++) {
        borrowed[2 * i] = stamped(&user, 1280);
        CHECK_SAME(exo_heap_usable(&user, borrowed[2 * i]), 1408);
    }
    CHECK_SAME(shared->heap.slab_count, slabs);
    for (int i = 0; i < BORROWED; i++) {
        borrowed[2 * i + 1] = exo_alloc_aligned(&user, 1280, 256);
        CHECK(borrowed[2 * i + 1] != 0 && borrowed[2 * i + 1] % 256 == 0);
    }
    for (int i = 0; i < BORROWED; i++)
        CHECK(is_whole(&user, borrowed[2 * i]));
    for (int i = 0; i < 2 * BORROWED; i++)
        CHECK_SAME(exo_free(&user, borrowed[i]), 0);
    for (int i = 1; i < COUNT; i += 2)
        CHECK(is_whole(&user, objects[i]) && exo_free(&user, objects[i]) == 0);
    check_all_back(shared, &user);
}

static bool is_zero(const char *at, uint64_t size)
{
    return at[0] == 0 && memcmp(at, at + 1, size - 1) == 0;
}

/* Clean pages merge with dirty ones and are parted from them again: what is zeroed is zeros. */
static void test_zeros(struct shared *shared)
{
    uint64_t random = 3, objects[64] = {0};
    heap_init(shared, 0);
    struct exo_heap_user user = attach(shared, 1);
    for (int i = 0; i < 8000; i++) {
        uint64_t *place = &objects[random_below(&random, 64)];
        uint64_t size = 8200 + random_below(&random, 24000);
        if (*place != 0)
            CHECK_SAME(exo_free(&user, *place), 0);
        bool zeroed = random_below(&random, 2) != 0;
        *place = zeroed ? exo_alloc_zeroed(&user, size) : exo_alloc(&user, size);
        CHECK(*place != 0 && (!zeroed || is_zero(user.base + *place, size)));
        memset(user.base + *place, 0xff, size);
        if (i % 100 == 0)
            exo_heap_trim(&user);
        CHECK(shared->heap.dirty_pages <= shared->heap.free_pages);
    }
    for (int i = 0; i < 64; i++)
        if (objects[i] != 0)
            CHECK_SAME(exo_free(&user, objects[i]), 0);
    check_all_back(shared, &user);
}

/* Memory runs out, and comes back whole. */
static void test_exhaustion(struct shared *shared, uint64_t size)
{
    heap_init(shared, 0);
    struct exo_heap_user user = attach(shared, 1);
    for (int lap = 0; lap < 2; lap++) {
        uint64_t first = 0, count = 0, offset;
        for (; (offset = exo_alloc(&user, size)) != 0; count++) {
            memcpy(user.base + offset, &first, 8);
            first = offset;
        }
        CHECK(count * size > HEAP_SIZE / 10 * 9);
        for (; first != 0; first = offset) {
            memcpy(&offset, user.base + first, 8);
            CHECK_SAME(exo_free(&user, first), 0);
        }
        check_all_back(shared, &user);
    }
}

static void exchange_objects(struct worker *worker)
{
    struct shared *shared = worker->shared;
    struct exo_heap_user user = attach(shared, worker->index + 1);
    uint64_t random = worker->index;
    for (int i = 0; i < STEPS; i++)
        step(shared, &user, &random);
    exo_heap_detach(&user);
}

static void test_threads(struct shared *shared)
{
    begin_phase("threads");
    heap_init(shared, 0);
    run_threads(4, exchange_objects, shared);
    CHECK_SAME(shared->wrong, 0);
    struct exo_heap_user user = attach(shared, 1);
    free_table(shared, &user);
    check_all_back(shared, &user);
}

static pid_t fork_user(struct shared *shared, uint32_t owner, uint64_t random)
{
    pid_t pid = fork_child();
    if (pid != 0)
        return pid;
    exo_alive_mark(&shared->tasks[owner], exo_self(), NULL);
    struct exo_heap_user user = attach(shared, owner);
    add(&shared->ready, 1);
    for (;;)
        step(shared, &user, &random);
}

/* All that is allocated but in nobody's list, table or slab: what the killed had in hand. */
static uint64_t count_lost(struct exo_heap_user *user)
{
    struct exo_heap_stats stats;
    uint64_t tails = 0;
    exo_heap_stats(user, &stats);
    for (uint32_t i = 1; i < EXO_CLASS_COUNT; i++)
        tails += ((struct exo_heap *)user->base)->slabs_of[i] * (CHUNK % exo_class_size(i));
    return stats.slabs - tails - stats.slab_free - stats.cached + stats.large;
}

static void killing_round(struct shared *shared, uint64_t *random)
{
    pid_t pids[3];
    heap_init(shared, 0);
    for (uint32_t i = 1; i <= 3; i++)
        pids[i - 1] = fork_user(shared, i, *random + i);
    while (get(&shared->ready) < 3)
        usleep(20);
    struct exo_heap_user user = attach(shared, 4);
    for (uint32_t i = 0; i < 3; i++) {
        usleep(random_below(random, 2000));
        kill(pids[i], SIGKILL);
        CHECK_SAME(reap(pids[i]), 128 + SIGKILL);
        if (random_below(random, 2))
            exo_heap_repair(&user); /* while the others go on */
        for (uint32_t j = 0; j < 300; j++)
            step(shared, &user, random);
    }
    exo_heap_repair(&user);
    CHECK_SAME(shared->wrong, 0);
    free_table(shared, &user);
    CHECK(count_lost(&user) <= 3UL * 2 * CHUNK);
    exo_heap_trim(&user);
    CHECK(shared->heap.slab_count <= 6);
}

static int test_killed_anywhere(struct shared *shared)
{
    begin_phase("killed anywhere");
    uint64_t random = 11;
    double end = now_s() + ROUNDS_S;
    int round = 0;
    for (; round < ROUNDS && now_s() < end; round++)
        killing_round(shared, &random);
    return round;
}

static void test_guard(struct shared *shared)
{
    heap_init(shared, EXO_HEAP_GUARD | EXO_HEAP_POISON);
    struct exo_heap_user user = attach(shared, 1);
    for (uint64_t size = 1; size < 50000; size = size * 2 + 5) {
        uint64_t offset = exo_alloc(&user, size);
        CHECK_SAME(exo_heap_usable(&user, offset), size);
        CHECK_SAME(exo_free(&user, offset + 16), -EFAULT);
        CHECK_SAME(exo_free(&user, offset), 0);
        CHECK_SAME(exo_free(&user, offset), -EALREADY);
        offset = exo_alloc(&user, size);
        user.base[offset + size] = 1;
        CHECK_SAME(exo_free(&user, offset), -EOVERFLOW);
    }
    uint64_t offset = exo_alloc(&user, 300);
    CHECK_SAME(exo_free(&user, offset), 0);
    user.base[offset + 7] = 1;
    CHECK(exo_alloc(&user, 300) == 0 && user.error == -EUCLEAN);
    CHECK(strcmp(exo_heap_complaint(-EALREADY), "double free") == 0);
}

int main(void)
{
    begin(20);
    struct shared *shared = map_shared(sizeof(struct shared) + HEAP_SIZE);
    test_classes();
    test_sizes(shared);
    test_resize(shared);
    test_one(shared, 1, 0);
    test_one(shared, 0, 0);
    test_one(shared, 1, EXO_HEAP_GUARD | EXO_HEAP_POISON);
    begin_phase("exhaustion");
    test_exhaustion(shared, 64);
    test_exhaustion(shared, 7000);
    test_exhaustion(shared, 1 << 20);
    for (uint64_t size = 32; size <= EXO_SMALL_LIMIT / 2; size = size * 3 / 2)
        test_sparse(shared, size);
    test_borrowing(shared);
    test_zeros(shared);
    test_guard(shared);
    test_threads(shared);
    printf("%d rounds of killing\n", test_killed_anywhere(shared));
    return 0;
}
