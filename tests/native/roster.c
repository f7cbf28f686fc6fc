/* Numbers in rosters: taken, given back, lost by SIGKILL at any instruction, and another's only when
 * the rings and pools are as if their last holder had never begun. The same for task slots.
 */
#include "setup.h"

#include <errno.h>

#include "host/keeper.c"

#define NUMBERS 7 /* and 0 */
#define ORDER 4
#define BLOCKS 32
#define BLOCK_SIZE 4096
#define KILLS 200
#define KILLS_S 3.0

#define get(p) __atomic_load_n((p), __ATOMIC_SEQ_CST)
#define set(p, v) __atomic_store_n((p), (v), __ATOMIC_SEQ_CST)
#define add(p, v) __atomic_add_fetch((p), (v), __ATOMIC_SEQ_CST)

struct shared {
    struct exo_roster roster;
    struct exo_lock members[NUMBERS + 1];
    uint32_t ready, finish, wrong;
    uint64_t received;
    _Alignas(64) struct exo_ring ring;
    struct exo_ring_slot slots[1 << ORDER];
    _Alignas(4096) struct exo_pool pool;
    char rest[4096 + BLOCKS * BLOCK_SIZE];
};

static struct exo_mapped mapped;

/* Forked children start a thread of their own, the keeper. */
const char *__tsan_default_options(void);
const char *__tsan_default_options(void)
{
    return "die_after_fork=0";
}

static void shared_init(struct shared *shared, uint32_t kind)
{
    mapped = (struct exo_mapped){shared, sizeof(*shared)};
    memset(shared, 0, offsetof(struct shared, ring));
    CHECK_SAME(exo_roster_init(&shared->roster, NUMBERS + 1), 0);
    CHECK_SAME(exo_ring_init(&shared->ring, ORDER, kind, 0), 0);
    CHECK_SAME(exo_pool_init(&shared->pool, BLOCK_SIZE, BLOCKS), 0);
    CHECK_SAME(exo_roster_register(&shared->roster, &mapped, &shared->ring), 0);
    CHECK_SAME(exo_roster_register(&shared->roster, &mapped, &shared->pool), 0);
}

static int join_it(struct shared *shared)
{
    return exo_host_join(&shared->roster, &mapped);
}

static void test_numbers(struct shared *shared)
{
    begin_phase("numbers");
    struct exo_roster *roster = &shared->roster;
    shared_init(shared, EXO_RING_MPMC);
    CHECK_SAME(exo_roster_init(roster, 1), -EINVAL);
    CHECK_SAME(exo_roster_init(roster, EXO_ROSTER_COUNT_MAX + 1), -EINVAL);
    for (int lap = 0; lap < 3; lap++) {
        bool seen[NUMBERS + 1] = {true};
        for (int i = 0; i < NUMBERS; i++) {
            int number = join_it(shared);
            CHECK(number > 0 && number <= NUMBERS && !seen[number]);
            seen[number] = true;
            CHECK(exo_roster_is_alive(roster, (uint32_t)number));
            CHECK_SAME(exo_roster_generation(roster, (uint32_t)number), lap + 1);
        }
        CHECK_SAME(join_it(shared), -EAGAIN);
        for (uint32_t i = 0; i < NUMBERS; i++) {
            uint32_t number = i * 3 % NUMBERS + 1;
            CHECK_SAME(exo_host_leave(roster, &mapped, number), 0);
            CHECK_SAME(exo_host_leave(roster, &mapped, number), -ENOENT);
            CHECK(!exo_roster_is_alive(roster, number));
        }
        CHECK(keeper.robust.list == (uint64_t)(uintptr_t)&keeper.robust.list);
    }
}

static void test_bounds(struct shared *shared)
{
    shared_init(shared, EXO_RING_MPMC);
    struct exo_mapped less = {shared, sizeof(struct exo_roster)};
    CHECK_SAME(exo_roster_check(&shared->roster, &mapped), 0);
    CHECK_SAME(exo_roster_check(&shared->roster, &less), -EBADF);
    CHECK_SAME(exo_roster_register(&shared->roster, &less, &shared->ring), -EBADF);
    CHECK_SAME(exo_roster_register(&shared->roster, &mapped, &shared->members), -EBADF);
    shared->roster.items.away[5] = 1L << 40; /* as if somebody wanted us to fall */
    shared->roster.items.away[6] = -4096;
    shared->ring.order = 20;
    CHECK_SAME(exo_roster_repair(&shared->roster, &mapped), 0);
    shared->ring.order = ORDER;
    shared->pool.count = UINT32_MAX;
    CHECK_SAME(exo_roster_repair(&shared->roster, &mapped), 0);
    for (int i = 0; i < EXO_ITEM_COUNT; i++)
        shared->roster.items.away[i] = 8;
    CHECK_SAME(exo_roster_register(&shared->roster, &mapped, &shared->ring), -ENOSPC);
}

/* Dies with a claim in the ring, a taken slot, a block in hand and one shared. */
static void be_caught(struct shared *shared)
{
    uint64_t position, header;
    int error, number = join_it(shared);
    uint32_t owner = (uint32_t)number;
    CHECK(number > 0);
    CHECK_SAME(exo_ring_push(&shared->ring, owner, 1, "a", 1), 0);
    CHECK(exo_ring_take(&shared->ring, owner, &position, &header, &error) != NULL);
    CHECK(exo_ring_claim(&shared->ring, owner, &position, &error) != NULL);
    CHECK(exo_block_create(&shared->pool, owner) >= 0);
    CHECK_SAME(exo_block_share(&shared->pool, 0, owner), 0); /* the parent's */
    set(&shared->ready, owner);
    for (;;)
        pause();
}

static void test_successor(struct shared *shared)
{
    begin_phase("successor");
    struct exo_message message;
    shared_init(shared, EXO_RING_MPMC);
    uint32_t own = (uint32_t)join_it(shared);
    CHECK_SAME(exo_block_create(&shared->pool, own), 0);
    pid_t pid = fork_child();
    if (pid == 0)
        be_caught(shared);
    while (get(&shared->ready) == 0)
        usleep(20);
    uint32_t number = get(&shared->ready);
    CHECK(number != own);
    struct exo_wait_policy of_it = {.spins = 10,
                                    .yields = 1,
                                    .sleeps = 1,
                                    .peer = number,
                                    .timeout_ns = UINT64_MAX,
                                    .generation = 1};
    CHECK_SAME(exo_pool_free_count(&shared->pool), BLOCKS - 2);
    kill(pid, SIGKILL);
    CHECK_SAME(exo_ring_pop_wait(&shared->ring, 0, &message, &of_it), -EPIPE);
    CHECK_SAME(reap(pid), 128 + SIGKILL);
    CHECK(!exo_roster_is_alive(&shared->roster, number));
    for (int i = 0; i < NUMBERS - 1; i++)
        CHECK(join_it(shared) > 0);
    CHECK(exo_roster_is_alive(&shared->roster, number)); /* ours now */
    CHECK_SAME(exo_roster_generation(&shared->roster, number), 2);
    CHECK_SAME(exo_pool_free_count(&shared->pool), BLOCKS - 1);
    CHECK_SAME(shared->pool.copied, 0);
    CHECK_SAME(exo_ring_pop(&shared->ring, 0, &message), -EAGAIN);
    CHECK_SAME(exo_ring_pop_wait(&shared->ring, 0, &message, &of_it), -EPIPE); /* not that one */
    exo_block_free(&shared->pool, 0, own);
    CHECK_SAME(exo_pool_free_count(&shared->pool), BLOCKS);
    for (uint32_t i = 1; i <= NUMBERS; i++)
        CHECK_SAME(exo_host_leave(&shared->roster, &mapped, i), 0);
}

static void send_one(struct shared *shared, uint32_t owner)
{
    long index = exo_block_create(&shared->pool, owner);
    if (index < 0)
        return;
    uint64_t *words = exo_block_at(&shared->pool, (uint32_t)index);
    words[0] = words[BLOCK_SIZE / 8 - 1] = (uint64_t)index * 977 + owner;
    if (exo_ring_send_block(&shared->ring, owner, 1, &shared->pool, (uint32_t)index, BLOCK_SIZE) !=
        0)
        exo_block_free(&shared->pool, (uint32_t)index, owner);
}

static void receive_one(struct shared *shared, uint32_t owner)
{
    struct exo_pool *from;
    uint32_t index;
    uint64_t size;
    if (exo_ring_receive_block(&shared->ring, owner, &from, &index, &size) != 0)
        return;
    const uint64_t *words = exo_block_at(from, index);
    if (words[0] != words[BLOCK_SIZE / 8 - 1])
        add(&shared->wrong, 1);
    add(&shared->received, 1);
    exo_block_free(from, index, owner);
}

/* Joins, sends and receives, leaves, again and again. */
static void come_and_go(struct shared *shared)
{
    while (!get(&shared->finish)) {
        int number = join_it(shared);
        CHECK(number > 0 || number == -EAGAIN);
        for (int i = 0; i < 20 && number > 0; i++) {
            send_one(shared, (uint32_t)number);
            receive_one(shared, (uint32_t)number);
        }
        add(&shared->ready, 1);
        if (number > 0)
            CHECK_SAME(exo_host_leave(&shared->roster, &mapped, (uint32_t)number), 0);
    }
    _exit(0);
}

static pid_t fork_one(struct shared *shared)
{
    pid_t pid = fork_child();
    if (pid == 0)
        come_and_go(shared);
    return pid;
}

static int test_killed(struct shared *shared)
{
    begin_phase("killed");
    pid_t pids[4];
    uint64_t random = 5;
    int kills = 0;
    shared_init(shared, EXO_RING_MPMC);
    for (size_t i = 0; i < COUNT(pids); i++)
        pids[i] = fork_one(shared);
    for (double end = now_s() + KILLS_S; kills < KILLS && now_s() < end; kills++) {
        uint32_t victim = random_below(&random, COUNT(pids)), before = get(&shared->ready);
        while (get(&shared->ready) - before < 3)
            usleep(20);
        usleep(random_below(&random, 300));
        kill(pids[victim], SIGKILL);
        CHECK_SAME(reap(pids[victim]), 128 + SIGKILL);
        pids[victim] = fork_one(shared);
    }
    set(&shared->finish, 1);
    for (size_t i = 0; i < COUNT(pids); i++)
        CHECK_SAME(reap(pids[i]), 0);
    CHECK(get(&shared->received) > 0);
    CHECK_SAME(shared->wrong, 0);
    for (uint32_t i = 1; i <= NUMBERS; i++)
        CHECK(!exo_roster_is_alive(&shared->roster, i));
    int number = join_it(shared);
    exo_roster_repair(&shared->roster, &mapped);
    while (exo_ring_count(&shared->ring) > 0)
        receive_one(shared, (uint32_t)number);
    CHECK_SAME(exo_host_leave(&shared->roster, &mapped, (uint32_t)number), 0);
    CHECK_SAME(exo_pool_free_count(&shared->pool), BLOCKS);
    return kills;
}

/* A task that is killed with claims: its slot is another's only without them. */
static void test_region(void)
{
    begin_phase("region");
    struct exo_kr *kr = region_create();
    char *heap = (char *)kr + EXO_FAR_HEAP;
    struct exo_ring *ring = (struct exo_ring *)heap;
    struct exo_pool *pool = (struct exo_pool *)(heap + 65536);
    uint64_t position;
    int error;
    CHECK_SAME(exo_ring_init(ring, ORDER, EXO_RING_MPMC, 0), 0);
    CHECK_SAME(exo_pool_init(pool, BLOCK_SIZE, BLOCKS), 0);
    CHECK_SAME(exo_kr_register(kr, kr), -EBADF);
    CHECK_SAME(exo_kr_register(kr, ring), 0);
    CHECK_SAME(exo_kr_register(kr, pool), 0);
    for (int lap = 0; lap < 20; lap++) {
        uint32_t slot = exo_task_create(kr, 0, false);
        pid_t pid = fork_child();
        if (pid == 0) {
            exo_alive_mark(&kr->tasks[slot], exo_self(), NULL);
            for (int i = 0; i < 1 << ORDER; i++)
                CHECK(exo_ring_claim(ring, slot, &position, &error) != NULL);
            CHECK(exo_block_create(pool, slot) >= 0);
            kill(getpid(), SIGKILL);
        }
        CHECK_SAME(reap(pid), 128 + SIGKILL);
        CHECK_SAME(exo_pool_free_count(pool), BLOCKS - 1);
        exo_task_free(kr, slot);
        CHECK_SAME(exo_pool_free_count(pool), BLOCKS);
        CHECK_SAME(exo_task_create(kr, 0, false), slot);
        exo_alive_mark(&kr->tasks[slot], exo_self(), NULL);
        struct exo_message message;
        CHECK_SAME(exo_ring_pop(ring, slot, &message), -EAGAIN);
        /* Frees its own slot, alive, with a block in hand. */
        CHECK(exo_block_create(pool, slot) >= 0);
        exo_task_free(kr, slot);
        CHECK_SAME(exo_pool_free_count(pool), BLOCKS);
    }
    region_destroy(kr);
}

int main(void)
{
    begin(20);
    struct shared *shared = map_shared(sizeof(struct shared));
    test_numbers(shared);
    test_bounds(shared);
    test_successor(shared);
    test_region();
    printf("%d killed\n", test_killed(shared));
    return 0;
}
