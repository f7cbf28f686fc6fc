/* Rings for each CPU: all that is pushed arrives once, whoever is moved where meanwhile; order within
 * a ring; waiting for any of them; a set's dead owners.
 */
#include "setup.h"

#include <errno.h>
#include <exo/ringset.h>
#include <exo/roster.h>
#include <sched.h>

#define COUNT_MAX 4
#define ORDER 5
#define PRODUCERS 3
#define MESSAGES 15000

#define get(p) __atomic_load_n((p), __ATOMIC_SEQ_CST)
#define add(p, v) __atomic_add_fetch((p), (v), __ATOMIC_SEQ_CST)

struct shared {
    struct exo_roster roster;
    struct exo_lock members[8];
    uint32_t finished, wrong;
    uint64_t received;
    uint8_t seen[PRODUCERS][MESSAGES];
    _Alignas(128) struct exo_ringset set;
    char rest[COUNT_MAX * (256 + (64 << ORDER) + 128)];
};

static const struct exo_wait_policy patient = {
    .spins = 100, .yields = 10, .sleeps = 1, .timeout_ns = UINT64_MAX};

static void set_init(struct shared *shared, uint32_t count, uint32_t kind)
{
    memset(shared, 0, offsetof(struct shared, set));
    CHECK(exo_ringset_size(count, ORDER) <= sizeof(shared->set) + sizeof(shared->rest));
    CHECK_SAME(exo_ringset_init(&shared->set, count, ORDER, kind, 0), 0);
}

static void test_limits(struct shared *shared)
{
    struct exo_ringset *set = &shared->set;
    struct exo_message messages[8];
    uint64_t data[8] = {0, 1, 2, 3, 4, 5, 6, 7};
    CHECK_SAME(exo_ringset_init(set, 0, ORDER, EXO_RING_MPMC, 0), -EINVAL);
    CHECK_SAME(exo_ringset_init(set, 1, ORDER, EXO_RING_SPSC, 0), -EINVAL);
    CHECK_SAME(exo_ringset_init(set, EXO_RINGSET_MAX + 1, ORDER, EXO_RING_MPMC, 0), -EINVAL);
    set_init(shared, 2, EXO_RING_MPSC);
    CHECK_SAME(exo_ringset_pop(set, 0, messages), -EAGAIN);
    CHECK_SAME(exo_ringset_push_many(set, 0, 1, data, 8, 8), 8);
    CHECK_SAME(exo_ringset_count(set), 8);
    CHECK_SAME(exo_ringset_pop_many(set, 0, messages, 5), 5);
    CHECK_SAME(exo_ringset_pop_many(set, 0, messages, 5), 3);
    for (uint32_t i = 0; i < 2; i++) /* none is forgotten, though the first has always some */
        CHECK_SAME(exo_ring_push(exo_ringset_ring(set, i), 0, i, data, 8), 0);
    CHECK_SAME(exo_ringset_pop(set, 0, messages), 0);
    CHECK_SAME(exo_ring_push(exo_ringset_ring(set, messages[0].type), 0, 7, data, 8), 0);
    uint32_t first = messages[0].type;
    CHECK_SAME(exo_ringset_pop(set, 0, messages), 0);
    CHECK_SAME(messages[0].type, !first);
    exo_ringset_close(set);
    CHECK_SAME(exo_ringset_push(set, 0, 1, data, 8), -EPIPE);
    CHECK_SAME(exo_ringset_pop(set, 0, messages), 0);
    CHECK_SAME(exo_ringset_pop(set, 0, messages), -EPIPE);
}

static void test_here(struct shared *shared)
{
    cpu_set_t before, one;
    CHECK(sched_getaffinity(0, sizeof(before), &before) == 0);
    set_init(shared, COUNT_MAX, EXO_RING_MPSC);
    for (int cpu = 0; cpu < COUNT_MAX; cpu++) {
        if (!CPU_ISSET(cpu, &before))
            continue;
        CPU_ZERO(&one);
        CPU_SET(cpu, &one);
        CHECK(sched_setaffinity(0, sizeof(one), &one) == 0);
        CHECK_SAME(exo_ringset_here(&shared->set), cpu);
        shared->set.flags = 0; /* without rdpid */
        CHECK_SAME(exo_ringset_here(&shared->set), cpu);
        set_init(shared, COUNT_MAX, EXO_RING_MPSC);
    }
    CHECK(sched_setaffinity(0, sizeof(before), &before) == 0);
}

/* Is moved to another CPU at every hundredth message. */
static void wander(const cpu_set_t *cpus, uint64_t i)
{
    cpu_set_t one;
    int cpu = (int)(i / 100 % (uint64_t)CPU_COUNT(cpus)), at = 0;
    for (int seen = 0; at < CPU_SETSIZE && (!CPU_ISSET(at, cpus) || seen++ < cpu); at++)
        ;
    CPU_ZERO(&one);
    CPU_SET(at, &one);
    CHECK(sched_setaffinity(0, sizeof(one), &one) == 0);
}

static void produce(struct shared *shared, uint64_t number)
{
    cpu_set_t cpus;
    CHECK(sched_getaffinity(0, sizeof(cpus), &cpus) == 0);
    for (uint64_t i = 0; i < MESSAGES; i++) {
        uint64_t text[2] = {number, i};
        if (i % 100 == 0)
            wander(&cpus, i + number * 100);
        CHECK_SAME(exo_ringset_push_wait(&shared->set, 0, 1, text, sizeof(text), &patient), 0);
    }
    if (add(&shared->finished, 1) == PRODUCERS)
        exo_ringset_close(&shared->set);
}

static void note(struct shared *shared, const struct exo_message *message)
{
    uint64_t text[2];
    memcpy(text, message->payload, sizeof(text));
    if (message->size != sizeof(text) || text[0] >= PRODUCERS || text[1] >= MESSAGES ||
        __atomic_exchange_n(&shared->seen[text[0]][text[1]], 1, __ATOMIC_SEQ_CST))
        add(&shared->wrong, 1);
    add(&shared->received, 1);
}

static void produce_or_consume(struct worker *worker)
{
    struct shared *shared = worker->shared;
    struct exo_message message;
    if (worker->index < PRODUCERS) {
        produce(shared, worker->index);
        return;
    }
    int error;
    while ((error = exo_ringset_pop_wait(&shared->set, 0, &message, &patient)) == 0)
        note(shared, &message);
    CHECK_SAME(error, -EPIPE);
}

static void test_threads(struct shared *shared, uint32_t count, uint32_t kind, uint32_t consumers)
{
    begin_phase("threads");
    set_init(shared, count, kind);
    run_threads(PRODUCERS + consumers, produce_or_consume, shared);
    CHECK_SAME(shared->wrong, 0);
    CHECK_SAME(shared->received, PRODUCERS * MESSAGES);
}

/* Each consumer waits for its own ring alone. */
static void consume_own(struct worker *worker)
{
    struct shared *shared = worker->shared;
    struct exo_message message;
    if (worker->index < PRODUCERS) {
        produce(shared, worker->index);
        return;
    }
    struct exo_ring *ring = exo_ringset_ring(&shared->set, worker->index - PRODUCERS);
    while (exo_ring_pop_wait(ring, 0, &message, &patient) == 0)
        note(shared, &message);
}

static void test_own(struct shared *shared)
{
    begin_phase("own rings");
    set_init(shared, 2, EXO_RING_MPSC);
    run_threads(PRODUCERS + 2, consume_own, shared);
    CHECK_SAME(shared->wrong, 0);
    CHECK_SAME(shared->received, PRODUCERS * MESSAGES);
}

static void test_dead_owner(struct shared *shared)
{
    begin_phase("dead owner");
    struct exo_mapped mapped = {shared, sizeof(*shared)};
    struct exo_message message;
    struct exo_self self = {.host_tid = 1};
    uint64_t position;
    int error;
    set_init(shared, 2, EXO_RING_MPMC);
    CHECK_SAME(exo_roster_init(&shared->roster, COUNT(shared->members)), 0);
    CHECK_SAME(exo_roster_register(&shared->roster, &mapped, &shared->set), 0);
    int number = exo_roster_take(&shared->roster, &mapped, &self);
    CHECK(number > 0);
    for (uint32_t i = 0; i < 2; i++)
        CHECK(exo_ring_claim(exo_ringset_ring(&shared->set, i), (uint32_t)number, &position,
                             &error) != NULL);
    CHECK_SAME(exo_roster_repair(&shared->roster, &mapped), 0);
    exo_roster_give(&shared->roster, &mapped, (uint32_t)number);
    CHECK_SAME(exo_ringset_count(&shared->set), 2);
    CHECK_SAME(exo_ringset_pop(&shared->set, 0, &message), -EAGAIN);
    CHECK_SAME(exo_ringset_count(&shared->set), 0);
}

int main(void)
{
    begin(20);
    struct shared *shared = map_shared(sizeof(struct shared));
    test_limits(shared);
    test_here(shared);
    test_threads(shared, 2, EXO_RING_MPSC, 1);
    test_threads(shared, COUNT_MAX, EXO_RING_MPMC, 2);
    test_threads(shared, 1, EXO_RING_MPMC, 2);
    test_own(shared);
    test_dead_owner(shared);
    return 0;
}
