/* exo tasks on workers: ends and results, wakes that must not be lost, time, words and rings of other
 * processes.
 */
#include "setup.h"

#include <errno.h>
#include <sched.h>
#include <sys/eventfd.h>

#include <exo/fiber.h>

#include "host/fibers.h"

#define MS 1000000UL
#if __SANITIZE_THREAD__ || __SANITIZE_ADDRESS__
#define MANY 1000 /* ThreadSanitizer has room for 8,128 */
#define ROUNDS 2000
#define STACK_SIZE (256U << 10)
#else
#define MANY 20000
#define ROUNDS 20000
#define STACK_SIZE 0
#endif

#define get(p) __atomic_load_n((p), __ATOMIC_SEQ_CST)
#define set(p, v) __atomic_store_n((p), (v), __ATOMIC_SEQ_CST)
#define add(p, v) __atomic_add_fetch((p), (v), __ATOMIC_SEQ_CST)

static struct exo_workers *workers;
static uint32_t arrived, gate;

/* count workers on the CPUs that there are. */
static void start(uint32_t count, uint64_t spin_ns)
{
    int32_t cpus[8];
    cpu_set_t set;
    CHECK(sched_getaffinity(0, sizeof(set), &set) == 0);
    for (uint32_t i = 0, cpu = 0; i < count; cpu = (cpu + 1) % CPU_SETSIZE)
        if (CPU_ISSET(cpu, &set))
            cpus[i++] = (int32_t)cpu;
    struct exo_workers_options options = {
        .cpus = cpus, .cpu_count = count, .stack_size = STACK_SIZE, .spin_ns = spin_ns};
    CHECK_SAME(exo_workers_create(&workers, &options), 0);
}

static void finish(void)
{
    CHECK_SAME(exo_workers_destroy(workers), 0);
}

static struct exo_fiber *spawn(int64_t (*function)(int64_t), void *argument)
{
    struct exo_fiber *fiber;
    CHECK_SAME(exo_workers_spawn(workers, function, (int64_t)(intptr_t)argument, -1, &fiber), 0);
    return fiber;
}

static int64_t join(struct exo_fiber *fiber)
{
    int64_t result;
    CHECK_SAME(exo_fiber_join(fiber, EXO_FOREVER, &result), 0);
    return result;
}

/* --- Ends and results. */

static int64_t twice(int64_t value)
{
    if (value % 3 == 0)
        exo_fiber_yield();
    if (value % 5 == 0)
        exo_fiber_exit(value * 2);
    return value * 2;
}

static int64_t join_others(int64_t count)
{
    int64_t sum = 0, result;
    struct exo_fiber *fibers[10];
    CHECK_SAME(exo_fiber_join(exo_fiber_self(), EXO_FOREVER, &result), -EDEADLK);
    CHECK_SAME(exo_workers_destroy(workers), -EDEADLK);
    for (int64_t i = 0; i < count; i++)
        fibers[i] = spawn(twice, (void *)i);
    for (int64_t i = 0; i < count; i++)
        sum += join(fibers[i]);
    return sum;
}

static void test_ends(uint32_t count)
{
    begin_phase("ends");
    struct exo_workers_stats stats;
    struct exo_fiber *fibers[100];
    int64_t result = -1;
    start(count, 1);
    for (int round = 0; round < 10; round++) {
        for (intptr_t i = 0; i < 100; i++)
            fibers[i] = spawn(twice, (void *)i);
        for (int i = 99; i >= 0; i--)
            CHECK_SAME(join(fibers[i]), i * 2);
    }
    for (int i = 0; i < 100; i++)
        fibers[i] = spawn(join_others, (void *)10);
    for (int i = 0; i < 100; i++)
        CHECK_SAME(join(fibers[i]), 90);
    struct exo_fiber *one = spawn(twice, (void *)7);
    exo_fiber_hold(one);
    CHECK_SAME(join(one), 14);
    CHECK_SAME(exo_fiber_done(one, &result), 1);
    CHECK_SAME(result, 14);
    exo_fiber_release(one);
    CHECK(exo_fiber_self() == NULL);
    exo_workers_stats(workers, &stats);
    CHECK_SAME(stats.spawned, 1000 + 100 * 11 + 1);
    CHECK(stats.stacks <= 1100); /* of the 2101: used again */
    finish();
}

/* Nobody asks; an eventfd tells. */
static void test_detached(void)
{
    begin_phase("detached");
    int fd = eventfd(0, 0);
    uint64_t seen = 0, ended;
    start(2, 1);
    for (int i = 0; i < MANY; i++)
        CHECK_SAME(exo_workers_spawn(workers, twice, i, fd, NULL), 0);
    for (; seen < MANY; seen += ended)
        CHECK(read(fd, &ended, sizeof(ended)) == sizeof(ended));
    CHECK_SAME(seen, MANY);
    finish();
    close(fd);
}

/* --- Wakes. */

struct pair {
    struct exo_fiber *fibers[2];
    uint64_t turn;
    uint32_t ready;
};

static int64_t play(struct pair *pair, uint64_t side)
{
    while (get(&pair->ready) == 0)
        exo_fiber_park();
    for (uint64_t i = side; i < ROUNDS; i += 2) {
        while (get(&pair->turn) != i)
            exo_fiber_park();
        set(&pair->turn, i + 1);
        exo_fiber_wake(pair->fibers[1 - side]);
    }
    return 0;
}

static int64_t play_first(int64_t pair)
{
    return play((struct pair *)pair, 0);
}

static int64_t play_second(int64_t pair)
{
    return play((struct pair *)pair, 1);
}

/* Pairs that wake each other: one lost wake, and one hangs. */
static void test_pairs(uint32_t count, uint64_t spin_ns, bool cold)
{
    begin_phase("pairs");
    struct pair pairs[4] = {0};
    struct exo_workers_stats stats;
    start(count, spin_ns);
    if (cold) /* all are: so they are stolen */
        CHECK_SAME(exo_sched_set_thresholds(workers->sched, 1, 1), 0);
    for (uint32_t i = 0; i < COUNT(pairs); i++) {
        pairs[i].fibers[0] = spawn(play_first, &pairs[i]);
        pairs[i].fibers[1] = spawn(play_second, &pairs[i]);
        exo_fiber_hold(pairs[i].fibers[0]);
        exo_fiber_hold(pairs[i].fibers[1]);
        set(&pairs[i].ready, 1);
        exo_fiber_wake(pairs[i].fibers[0]);
        exo_fiber_wake(pairs[i].fibers[1]);
    }
    for (uint32_t i = 0; i < COUNT(pairs); i++)
        for (int side = 0; side < 2; side++) {
            join(pairs[i].fibers[side]);
            exo_fiber_release(pairs[i].fibers[side]);
        }
    exo_workers_stats(workers, &stats);
    CHECK(stats.parks > 0 && stats.wakes > 0 && stats.switches > stats.parks);
    finish();
}

static uint64_t posted;

static int64_t take_posts(int64_t count)
{
    for (int64_t taken = 0; taken < count; taken++)
        for (;;) {
            uint64_t have = get(&posted);
            if (have > 0 && __atomic_compare_exchange_n(&posted, &have, have - 1, 0,
                                                        __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST))
                break;
            if (have == 0)
                exo_fiber_park();
        }
    return count;
}

struct post {
    struct exo_fiber *fiber;
};

static void post(struct worker *worker)
{
    struct post *self = worker->shared;
    for (int i = 0; i < ROUNDS / 4; i++) {
        add(&posted, 1);
        exo_fiber_wake(self->fiber);
    }
}

/* Threads wake a fiber. */
static void test_threads(void)
{
    begin_phase("threads");
    start(1, 1);
    struct post self = {spawn(take_posts, (void *)(ROUNDS / 4 * 3L))};
    run_threads(3, post, &self);
    CHECK_SAME(join(self.fiber), ROUNDS / 4 * 3);
    finish();
}

static int64_t wait_at_gate(int64_t number)
{
    add(&arrived, 1);
    while (get(&gate) == 0)
        exo_fiber_park();
    return number;
}

static void test_many(void)
{
    begin_phase("many");
    struct exo_fiber **fibers = calloc(MANY, sizeof(*fibers));
    set(&gate, 0);
    set(&arrived, 0);
    start(2, 1);
    for (intptr_t i = 0; i < MANY; i++)
        fibers[i] = spawn(wait_at_gate, (void *)i);
    while (get(&arrived) < MANY)
        sched_yield();
    set(&gate, 1);
    for (int i = 0; i < MANY; i++)
        exo_fiber_wake(fibers[i]);
    for (int i = 0; i < MANY; i++)
        CHECK_SAME(join(fibers[i]), i);
    finish();
    free(fibers);
}

/* --- Time. */

static void test_heap(void)
{
    enum { TIMERS = 500 };
    static struct exo_timer timers[TIMERS];
    struct exo_timer *heap = NULL;
    uint64_t random = 1, last = 0;
    bool inside[TIMERS] = {false};
    for (int i = 0; i < 20 * TIMERS; i++) {
        uint32_t at = random_below(&random, TIMERS);
        if (inside[at])
            exo_timer_remove(&heap, &timers[at]);
        else {
            timers[at] = (struct exo_timer){.deadline = random_below(&random, 1000)};
            exo_timer_insert(&heap, &timers[at]);
        }
        inside[at] = !inside[at];
    }
    uint32_t left = 0;
    for (int i = 0; i < TIMERS; i++)
        left += inside[i];
    for (; heap != NULL; left--) {
        CHECK(heap->deadline >= last);
        last = heap->deadline;
        exo_timer_remove(&heap, heap);
    }
    CHECK_SAME(left, 0);
}

static int64_t nap(int64_t ms)
{
    double before = now_s();
    CHECK_SAME(exo_fiber_park_for((uint64_t)ms * MS), -ETIMEDOUT);
    CHECK(now_s() - before >= (double)ms / 1e3 * 0.99);
    return 0;
}

static int64_t impatient(int64_t fiber)
{
    struct exo_fiber *other = (struct exo_fiber *)fiber;
    int64_t result;
    CHECK_SAME(exo_fiber_join(other, MS, &result), -ETIMEDOUT);
    exo_fiber_wake(other);
    return join(other);
}

static int64_t wait_for_wake(int64_t unused)
{
    (void)unused;
    CHECK_SAME(exo_fiber_park_for(60000 * MS), 0);
    return 5;
}

static void test_time(uint32_t count)
{
    begin_phase("time");
    struct exo_fiber *fibers[50];
    int64_t result;
    start(count, 1);
    for (intptr_t i = 0; i < 50; i++)
        fibers[i] = spawn(nap, (void *)(i * 7 % 50));
    for (int i = 0; i < 50; i++)
        CHECK_SAME(join(fibers[i]), 0);
    struct exo_fiber *one = spawn(wait_for_wake, NULL);
    CHECK_SAME(exo_fiber_join(one, MS, &result), -ETIMEDOUT);
    CHECK_SAME(exo_fiber_done(one, &result), 0);
    CHECK_SAME(join(spawn(impatient, one)), 5);
    CHECK_SAME(exo_fiber_park_for(MS), -EPERM);
    finish();
}

/* --- Words and rings that another process works on. */

#define ORDER 4
#define MESSAGES 3000

struct shared {
    uint32_t words[300];
    uint32_t start;
    _Alignas(64) struct exo_ring there;
    struct exo_ring_slot there_slots[1 << ORDER];
    _Alignas(64) struct exo_ring back;
    struct exo_ring_slot back_slots[1 << ORDER];
};

static void echo(struct shared *shared, bool sleeps)
{
    const struct exo_wait_policy patient = {
        .spins = 100, .yields = 10, .sleeps = sleeps, .timeout_ns = UINT64_MAX};
    struct exo_message message;
    while (exo_ring_pop_wait(&shared->there, 0, &message, &patient) == 0)
        CHECK_SAME(exo_ring_push_wait(&shared->back, 0, message.type, message.payload, message.size,
                                      &patient),
                   0);
    exo_ring_close(&shared->back);
    _exit(0);
}

static int64_t send_all(int64_t at)
{
    struct shared *shared = (struct shared *)at;
    for (uint64_t i = 0; i < MESSAGES; i++)
        CHECK_SAME(exo_fiber_push(&shared->there, 0, 1, &i, sizeof(i), EXO_FOREVER), 0);
    exo_ring_close(&shared->there);
    return 0;
}

static int64_t receive_all(int64_t at)
{
    struct shared *shared = (struct shared *)at;
    struct exo_message message;
    uint64_t i = 0;
    int error;
    for (; (error = exo_fiber_pop(&shared->back, 0, &message, EXO_FOREVER)) == 0; i++)
        CHECK(memcmp(message.payload, &i, sizeof(i)) == 0);
    CHECK_SAME(error, -EPIPE);
    return (int64_t)i;
}

static void test_rings(uint32_t flags, uint32_t count)
{
    begin_phase("rings");
    struct shared *shared = map_shared(sizeof(*shared));
    struct exo_message message;
    CHECK_SAME(exo_ring_init(&shared->there, ORDER, EXO_RING_SPSC, flags), 0);
    CHECK_SAME(exo_ring_init(&shared->back, ORDER, EXO_RING_SPSC, flags), 0);
    pid_t pid = fork_child();
    if (pid == 0)
        echo(shared, flags == 0);
    start(count, 1);
    CHECK_SAME(exo_fiber_pop(&shared->back, 0, &message, MS), -ETIMEDOUT); /* as a thread */
    struct exo_fiber *receiver = spawn(receive_all, shared), *sender = spawn(send_all, shared);
    CHECK_SAME(join(sender), 0);
    CHECK_SAME(join(receiver), MESSAGES);
    CHECK_SAME(reap(pid), 0);
    finish();
    munmap(shared, sizeof(*shared));
}

static int64_t wait_word(int64_t word)
{
    CHECK_SAME(exo_fiber_wait_word((uint32_t *)word, 7, MS), -ETIMEDOUT);
    add(&arrived, 1);
    CHECK_SAME(exo_fiber_wait_word((uint32_t *)word, 7, 100000 * MS), 0);
    return *(uint32_t *)word;
}

static void change_words(struct shared *shared, uint32_t count)
{
    exo_futex_wait(&shared->start, 0, EXO_FOREVER);
    for (uint32_t i = 0; i < count; i++) {
        set(&shared->words[i], 8);
        exo_word_wake(&shared->words[i]);
    }
    _exit(0);
}

/* Few words, and more than a worker can sleep on. */
static void test_words(uint32_t count)
{
    begin_phase("words");
    struct shared *shared = map_shared(sizeof(*shared));
    struct exo_fiber *fibers[300];
    for (uint32_t i = 0; i < count; i++)
        shared->words[i] = 7;
    set(&arrived, 0);
    pid_t pid = fork_child();
    if (pid == 0)
        change_words(shared, count);
    start(1, 1);
    for (uint32_t i = 0; i < count; i++)
        fibers[i] = spawn(wait_word, &shared->words[i]);
    while (get(&arrived) < count)
        sched_yield();
    set(&shared->start, 1);
    exo_word_wake(&shared->start);
    for (uint32_t i = 0; i < count; i++)
        CHECK_SAME(join(fibers[i]), 8);
    CHECK_SAME(reap(pid), 0);
    finish();
    munmap(shared, sizeof(*shared));
}

static void test_options(void)
{
    begin_phase("options");
    int32_t cpus[] = {0, -1, CPU_SETSIZE};
    struct exo_workers_options options = {.cpus = cpus, .cpu_count = 0};
    CHECK_SAME(exo_workers_create(&workers, &options), -EINVAL);
    options.cpu_count = 2;
    CHECK_SAME(exo_workers_create(&workers, &options), -EINVAL);
    options = (struct exo_workers_options){.cpus = NULL, .stack_size = 12345};
    CHECK_SAME(exo_workers_create(&workers, &options), -EINVAL);
    options = (struct exo_workers_options){.cpus = cpus + 2, .cpu_count = 1};
    CHECK_SAME(exo_workers_create(&workers, &options), -EINVAL);
    cpus[0] = CPU_SETSIZE - 1; /* a CPU that is not there */
    options.cpus = cpus;
    CHECK_SAME(exo_workers_create(&workers, &options), -EINVAL);
    for (int i = 0; i < 20; i++) {
        options = (struct exo_workers_options){.flags = i % 2 ? EXO_WORKERS_OLD_GUARDS : 0};
        CHECK_SAME(exo_workers_create(&workers, &options), 0);
        join(spawn(twice, NULL));
        finish();
    }
}

int main(void)
{
    begin(100);
    test_heap();
    test_options();
    test_ends(1);
    test_ends(3);
    test_detached();
    test_pairs(1, 1, false);
    test_pairs(2, 1, false);
    test_pairs(4, 20000, false);
    test_pairs(3, 0, true);
    test_threads();
    test_many();
    test_time(1);
    test_time(2);
    test_rings(0, 1);
    test_rings(0, 2);
    test_rings(EXO_RING_NEVER_SLEEPS, 2);
    test_words(50);
    test_words(300);
    return 0;
}
