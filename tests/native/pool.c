/* Blocks that travel in messages: never copied, and all back after everybody is gone, however. */
#include "setup.h"

#include <errno.h>
#include <exo/pool.h>

#define OWNERS 8
#define BLOCKS 24
#define BLOCK_SIZE 4096
#define ROUNDS 200
#define ROUNDS_S 3.0

#define get(p) __atomic_load_n((p), __ATOMIC_SEQ_CST)
#define set(p, v) __atomic_store_n((p), (v), __ATOMIC_SEQ_CST)
#define add(p, v) __atomic_add_fetch((p), (v), __ATOMIC_SEQ_CST)

struct shared {
    struct exo_task tasks[OWNERS];
    uint32_t ready, finish, wrong;
    uint64_t received;
    _Alignas(64) struct exo_ring ring;
    struct exo_ring_slot slots[1 << 4];
    _Alignas(4096) struct exo_pool pool;
    char rest[4096 + BLOCKS * (BLOCK_SIZE + sizeof(struct exo_block))];
};

static void shared_init(struct shared *shared, uint32_t kind)
{
    uint32_t *first = &shared->tasks[0].alive.word;
    memset(shared, 0, offsetof(struct shared, ring));
    CHECK(exo_pool_size(BLOCK_SIZE, BLOCKS) <= sizeof(shared->pool) + sizeof(shared->rest));
    CHECK_SAME(exo_ring_init(&shared->ring, 4, kind, 0), 0);
    CHECK_SAME(exo_pool_init(&shared->pool, BLOCK_SIZE, BLOCKS), 0);
    exo_owners_set(&shared->ring.owners, first, sizeof(struct exo_task), OWNERS);
    exo_owners_set(&shared->pool.owners, first, sizeof(struct exo_task), OWNERS);
}

static void test_blocks(struct shared *shared)
{
    struct exo_pool *pool = &shared->pool;
    shared_init(shared, EXO_RING_MPMC);
    CHECK_SAME(exo_pool_init(pool, 100, 1), -EINVAL);
    CHECK_SAME(exo_pool_init(pool, 4096, 0), -EINVAL);
    shared_init(shared, EXO_RING_MPMC);
    for (int lap = 0; lap < 3; lap++) {
        for (uint32_t i = 0; i < BLOCKS; i++) {
            long index = exo_block_create(pool, 1);
            CHECK(index >= 0 && index < BLOCKS);
            memset(exo_block_at(pool, (uint32_t)index), (int)index + 1, BLOCK_SIZE);
        }
        CHECK_SAME(exo_block_create(pool, 1), -EAGAIN);
        for (uint32_t i = 0; i < BLOCKS; i++) {
            char *at = exo_block_at(pool, i);
            CHECK(at[0] == (char)(i + 1) && at[BLOCK_SIZE - 1] == (char)(i + 1));
            exo_block_free(pool, i, 2); /* not the holder */
            CHECK_SAME(exo_pool_free_count(pool), i);
            exo_block_free(pool, i, 1);
            CHECK_SAME(exo_pool_free_count(pool), i + 1);
        }
    }
}

static void test_sharing(struct shared *shared)
{
    struct exo_pool *pool = &shared->pool;
    shared_init(shared, EXO_RING_MPMC);
    uint32_t index = (uint32_t)exo_block_create(pool, 1);
    for (uint32_t i = 2; i < 2 + EXO_POOL_SHARERS; i++)
        CHECK_SAME(exo_block_share(pool, index, i), 0);
    CHECK_SAME(exo_block_share(pool, index, 7), -EMLINK);
    uint32_t order[] = {3, 1, 5, 2, 4};
    for (size_t i = 0; i < COUNT(order); i++) {
        CHECK_SAME(exo_pool_free_count(pool), BLOCKS - 1);
        exo_block_free(pool, index, order[i]);
    }
    CHECK_SAME(exo_pool_free_count(pool), BLOCKS);
}

static void test_messages(struct shared *shared, uint32_t kind)
{
    struct exo_pool *from;
    uint32_t index;
    uint64_t size;
    shared_init(shared, kind);
    uint32_t block = (uint32_t)exo_block_create(&shared->pool, 1);
    strcpy(exo_block_at(&shared->pool, block), "no copy");
    CHECK_SAME(exo_ring_send_block(&shared->ring, 2, 5, &shared->pool, block, 8), -EBADF);
    CHECK_SAME(exo_ring_send_block(&shared->ring, 1, 5, &shared->pool, BLOCKS, 8), -EBADF);
    CHECK_SAME(exo_ring_send_block(&shared->ring, 1, 5, &shared->pool, block, BLOCK_SIZE + 1),
               -EMSGSIZE);
    CHECK_SAME(exo_ring_receive_block(&shared->ring, 2, &from, &index, &size), -EAGAIN);
    CHECK_SAME(exo_ring_send_block(&shared->ring, 1, 5, &shared->pool, block, 8), 0);
    CHECK_SAME(exo_ring_send_block(&shared->ring, 1, 5, &shared->pool, block, 8), -EBADF);
    exo_block_free(&shared->pool, block, 1); /* no longer ours */
    CHECK_SAME(exo_ring_receive_block(&shared->ring, 2, &from, &index, &size), 0);
    CHECK(from == &shared->pool && index == block && size == 8);
    CHECK(strcmp(exo_block_at(from, index), "no copy") == 0);
    exo_block_free(from, index, 2);
    CHECK_SAME(exo_pool_free_count(&shared->pool), BLOCKS);
    CHECK_SAME(shared->pool.copied, 0);
    char text[8] = "";
    CHECK_SAME(exo_block_write(&shared->pool, index, "copied", 7), 0);
    CHECK_SAME(exo_block_read(&shared->pool, index, text, 7), 0);
    CHECK_SAME(exo_block_write(&shared->pool, index, text, BLOCK_SIZE + 1), -EMSGSIZE);
    CHECK(strcmp(text, "copied") == 0);
    CHECK_SAME(shared->pool.copied, 14);
}

static void be_alive(struct shared *shared, uint32_t owner)
{
    exo_alive_mark(&shared->tasks[owner], exo_self(), NULL);
    add(&shared->ready, 1);
}

static void send_blocks(struct shared *shared, uint32_t owner)
{
    for (uint64_t number = 1; !get(&shared->finish); number++) {
        long index = exo_block_create(&shared->pool, owner);
        if (index < 0)
            continue;
        uint64_t *words = exo_block_at(&shared->pool, (uint32_t)index);
        words[0] = words[BLOCK_SIZE / 8 - 1] = number << 8 | owner;
        while (exo_ring_send_block(&shared->ring, owner, 1, &shared->pool, (uint32_t)index,
                                   BLOCK_SIZE) == -EAGAIN)
            if (get(&shared->finish)) {
                exo_block_free(&shared->pool, (uint32_t)index, owner);
                break;
            }
    }
}

static void receive_blocks(struct shared *shared, uint32_t owner)
{
    struct exo_pool *from;
    uint32_t index;
    uint64_t size, last[OWNERS] = {0};
    int error;
    while ((error = exo_ring_receive_block(&shared->ring, owner, &from, &index, &size)) != -EPIPE) {
        if (error != 0)
            continue;
        const uint64_t *words = exo_block_at(from, index);
        uint32_t sender = words[0] & 7;
        if (words[0] != words[BLOCK_SIZE / 8 - 1] || words[0] <= last[sender])
            add(&shared->wrong, 1);
        last[sender] = words[0];
        add(&shared->received, 1);
        exo_block_free(from, index, owner);
    }
}

static pid_t fork_end(struct shared *shared, uint32_t owner)
{
    pid_t pid = fork_child();
    if (pid != 0)
        return pid;
    be_alive(shared, owner);
    if (owner <= 2)
        send_blocks(shared, owner);
    else
        receive_blocks(shared, owner);
    _exit(0);
}

/* Senders 1 and 2, receivers 3 and 4 (for one kind of ring, 3 alone); one is killed anywhere. */
static void killing_round(struct shared *shared, uint32_t kind, uint32_t victim, uint64_t *random)
{
    pid_t pids[5];
    uint32_t senders = kind == EXO_RING_SPSC ? 1 : 2, receivers = kind == EXO_RING_MPMC ? 2 : 1;
    uint32_t all[4] = {1, 3, 2, 4}, count = 0, used[4];
    shared_init(shared, kind);
    for (int i = 0; i < 4; i++)
        if (all[i] <= 2 ? all[i] <= senders : all[i] - 2 <= receivers)
            used[count++] = all[i];
    for (uint32_t i = 0; i < count; i++)
        pids[i] = fork_end(shared, used[i]);
    while (get(&shared->ready) < count)
        usleep(20);
    usleep(random_below(random, 500));
    victim %= count;
    kill(pids[victim], SIGKILL);
    CHECK_SAME(reap(pids[victim]), 128 + SIGKILL);
    usleep(random_below(random, 200));
    exo_pool_repair(&shared->pool); /* while the others go on */
    set(&shared->finish, 1);
    for (uint32_t i = 0; i < count; i++)
        if (i != victim && used[i] <= 2)
            CHECK_SAME(reap(pids[i]), 0);
    exo_ring_close(&shared->ring);
    for (uint32_t i = 0; i < count; i++)
        if (i != victim && used[i] > 2)
            CHECK_SAME(reap(pids[i]), 0);
    receive_blocks(shared, 7); /* what a lone receiver that was killed has left */
    exo_ring_repair(&shared->ring);
    exo_pool_repair(&shared->pool);
    CHECK_SAME(shared->wrong, 0);
    CHECK_SAME(exo_pool_free_count(&shared->pool), BLOCKS);
}

int main(void)
{
    begin(20);
    static const uint32_t kinds[] = {EXO_RING_SPSC, EXO_RING_MPSC, EXO_RING_MPMC};
    struct shared *shared = map_shared(sizeof(struct shared));
    uint64_t random = 3;
    int round = 0;
    test_blocks(shared);
    test_sharing(shared);
    for (size_t i = 0; i < COUNT(kinds); i++)
        test_messages(shared, kinds[i]);
    begin_phase("killed anywhere");
    for (double end = now_s() + ROUNDS_S; round < ROUNDS && now_s() < end; round++)
        killing_round(shared, kinds[round % 3], (uint32_t)round / 3, &random);
    printf("%d killed\n", round);
    return 0;
}
