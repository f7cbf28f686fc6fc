/* The scheduler with a thread or a process on each CPU: messages between entities get through, nobody
 * runs twice at once, and nobody is forgotten when an owner or a waker is killed anywhere. */
#include "setup.h"

#include <errno.h>
#include <exo/sched.h>

#define CPUS 4
#define ENTITIES 24
#define HOPS 3000
#define MESSAGES 8
#define OWNERS 8
#define ROUNDS 150
#define ROUNDS_S 4.0

#define get(p) __atomic_load_n((p), __ATOMIC_SEQ_CST)
#define set(p, v) __atomic_store_n((p), (v), __ATOMIC_SEQ_CST)
#define add(p, v) __atomic_add_fetch((p), (v), __ATOMIC_SEQ_CST)
#define swap(p, v) __atomic_exchange_n((p), (v), __ATOMIC_SEQ_CST)

static const int64_t runs[] = {100000, 3000000, 40000000};

struct shared {
    struct exo_task tasks[OWNERS]; /* for their alive words; 0 is nobody */
    uint32_t ready, finish, wrong, handled;
    uint32_t pending[ENTITIES], busy[ENTITIES], count[ENTITIES];
    _Alignas(64) struct exo_sched sched;
    struct exo_sched_cpu cpus[CPUS];
    struct exo_sched_entity entities[ENTITIES];
};

static void begin_sched(struct shared *shared)
{
    struct exo_sched *sched = &shared->sched;
    memset(shared, 0, sizeof(*shared));
    CHECK_SAME(exo_sched_init(sched, CPUS), 0);
    CHECK_SAME(
        exo_sched_set_entities(sched, shared->entities, sizeof(shared->entities[0]), ENTITIES), 0);
    exo_owners_set(&sched->owners, &shared->tasks[0].alive.word, sizeof(struct exo_task), OWNERS);
    for (uint32_t i = 1; i < ENTITIES; i++)
        CHECK_SAME(exo_sched_create(sched, i, i % 3, 0), 0);
}

static uint32_t someone(uint64_t *random)
{
    return 1 + random_below(random, ENTITIES - 1);
}

static void send(struct shared *shared, uint32_t cpu, uint32_t owner, uint32_t to)
{
    add(&shared->pending[to], 1);
    CHECK(exo_sched_wake(&shared->sched, cpu, owner, to) >= 0);
}

/* One run of an entity: a message is handed on, if there is one. */
static void run_one(struct shared *shared, uint32_t cpu, uint32_t owner, uint32_t index,
                    uint64_t *random)
{
    struct exo_sched *sched = &shared->sched;
    if (swap(&shared->busy[index], owner) != 0)
        add(&shared->wrong, 1);
    if (get(&shared->pending[index]) > 0) {
        add(&shared->pending[index], -1);
        if (add(&shared->handled, 1) < HOPS || !get(&shared->finish))
            send(shared, cpu, owner, someone(random));
    }
    exo_sched_account(sched, index, runs[random_below(random, 3)]);
    add(&shared->count[index], 1);
    set(&shared->busy[index], 0);
    if (get(&shared->pending[index]) > 0 || random_below(random, 4) == 0)
        exo_sched_requeue(sched, cpu, index);
    else
        exo_sched_block(sched, cpu, index);
}

static void work(struct shared *shared, uint32_t cpu, uint32_t owner, uint64_t random)
{
    struct exo_sched *sched = &shared->sched;
    while (!get(&shared->finish) || get(&shared->handled) < HOPS) {
        uint32_t index = exo_sched_pick(sched, cpu);
        if (index != 0)
            run_one(shared, cpu, owner, index, &random);
        else
            exo_sched_wait(sched, cpu, UINT64_MAX);
    }
}

static void ring_all(struct shared *shared)
{
    for (uint32_t cpu = 0; cpu < CPUS; cpu++)
        exo_sched_ring(&shared->sched, cpu);
}

/* The last worker owns no CPU for long: it sends, and takes part now and then. */
static void be_worker(struct worker *worker)
{
    struct shared *shared = worker->shared;
    uint32_t cpu = worker->index, owner = 0;
    uint64_t random = cpu + 1;
    if (cpu < CPUS - 1) {
        CHECK_SAME(exo_sched_attach(&shared->sched, cpu, owner), 0);
        work(shared, cpu, owner, random);
    }
    for (int i = 0; cpu == CPUS - 1 && get(&shared->handled) < HOPS; i++) {
        if (i < MESSAGES)
            send(shared, EXO_SCHED_NO_CPU, owner, someone(&random));
        CHECK_SAME(exo_sched_attach(&shared->sched, cpu, owner), 0);
        for (int picks = 0; picks < 10; picks++) {
            uint32_t index = exo_sched_pick(&shared->sched, cpu);
            if (index != 0)
                run_one(shared, cpu, owner, index, &random);
        }
        exo_sched_detach(&shared->sched, cpu);
        usleep(50);
    }
    set(&shared->finish, 1);
    ring_all(shared);
}

static void test_threads(struct shared *shared)
{
    begin_phase("threads");
    begin_sched(shared);
    run_threads(CPUS, be_worker, shared);
    CHECK_SAME(shared->wrong, 0);
    CHECK(shared->handled >= HOPS);
}

static pid_t fork_worker(struct shared *shared, uint32_t cpu, uint64_t random)
{
    pid_t pid = fork_child();
    if (pid != 0)
        return pid;
    exo_alive_mark(&shared->tasks[cpu + 1], exo_self(), NULL);
    if (exo_sched_attach(&shared->sched, cpu, cpu + 1) != 0)
        _exit(2);
    add(&shared->ready, 1);
    struct exo_sched *sched = &shared->sched;
    for (;;) {
        uint32_t index = exo_sched_pick(sched, cpu);
        if (index != 0)
            run_one(shared, cpu, cpu + 1, index, &random);
        else
            exo_sched_wait(sched, cpu, UINT64_MAX);
    }
}

static uint32_t state_of(struct shared *shared, uint32_t index)
{
    uint64_t word = get(&shared->entities[index].word);
    return (uint32_t)(word >> EXO_SCHED_STATE_SHIFT & 0xff);
}

/* Waits until an entity has run once more; the alarm ends what takes for ever. */
static void wait_for_run(struct shared *shared, uint32_t index, uint32_t since)
{
    while (get(&shared->count[index]) == since)
        usleep(10);
}

static void check_all_alive(struct shared *shared)
{
    uint32_t lost = 0;
    for (uint32_t i = 1; i < ENTITIES; i++) {
        uint32_t state = state_of(shared, i), since = get(&shared->count[i]);
        CHECK(state != EXO_SCHED_FREE);
        if (state == EXO_SCHED_LOST) {
            lost++;
            continue;
        }
        CHECK(exo_sched_wake(&shared->sched, EXO_SCHED_NO_CPU, 0, i) >= 0);
        wait_for_run(shared, i, since);
    }
    CHECK(lost <= 1);
}

static void killing_round(struct shared *shared, uint32_t victim, uint64_t *random)
{
    pid_t pids[CPUS];
    begin_sched(shared);
    for (uint32_t i = 0; i < CPUS; i++)
        pids[i] = fork_worker(shared, i, random_below(random, 1000));
    while (get(&shared->ready) < CPUS)
        usleep(20);
    for (uint32_t i = 0; i < MESSAGES; i++)
        send(shared, EXO_SCHED_NO_CPU, 0, someone(random));
    usleep(random_below(random, 800));
    kill(pids[victim], SIGKILL);
    CHECK_SAME(reap(pids[victim]), 128 + SIGKILL);
    CHECK_SAME(exo_sched_repair(&shared->sched, 0), 1);
    check_all_alive(shared);
    for (uint32_t i = 0; i < CPUS; i++)
        if (i != victim) {
            kill(pids[i], SIGKILL);
            CHECK_SAME(reap(pids[i]), 128 + SIGKILL);
        }
    CHECK_SAME(shared->wrong, 0);
}

static int test_killed_anywhere(struct shared *shared)
{
    begin_phase("killed anywhere");
    uint64_t random = 7;
    double end = now_s() + ROUNDS_S;
    int round = 0;
    for (; round < ROUNDS && now_s() < end; round++)
        killing_round(shared, (uint32_t)round % CPUS, &random);
    return round;
}

int main(void)
{
    begin(20);
    struct shared *shared = map_shared(sizeof(struct shared));
    test_threads(shared);
    printf("%d killed\n", test_killed_anywhere(shared));
    return 0;
}
