/* exo_lock: mutual exclusion between threads and between processes, and taking over the locks of
 * owners that were killed.
 */
#include "setup.h"

#define ROUNDS 250   /* of each kind of killing */
#define ROUNDS_S 2.2 /* ... if that takes no longer */
#define WORKERS 4

/* In memory shared by all processes. a and b are only ever changed together, under the lock. */
struct shared {
    struct exo_lock lock;
    uint64_t a, b;
    uint32_t held;   /* atomic: an owner about to be killed has the lock */
    uint32_t ready;  /* atomic: workers that have begun */
    uint32_t finish; /* atomic: workers shall leave */
    uint32_t torn;   /* times a and b differed after a take-over, under the lock */
    uint64_t turns;
};

#define get(p) __atomic_load_n((p), __ATOMIC_SEQ_CST)
#define set(p, v) __atomic_store_n((p), (v), __ATOMIC_SEQ_CST)
#define add(p, v) __atomic_add_fetch((p), (v), __ATOMIC_SEQ_CST)

static void take_turn(struct shared *shared)
{
    exo_lock_acquire(&shared->lock);
    if (shared->a != shared->b) {
        shared->torn++;
        shared->a = shared->b;
    }
    shared->a++;
    __asm__ volatile("" : : : "memory");
    shared->b++;
    shared->turns++;
    exo_lock_release(&shared->lock);
}

static void take_turns(struct worker *worker)
{
    for (int i = 0; i < 20000; i++)
        take_turn(worker->shared);
}

static void check_turns(struct shared *shared, uint64_t expected)
{
    CHECK_SAME(shared->turns, expected);
    CHECK_SAME(shared->a, shared->b);
    CHECK_SAME(shared->lock.word, 0);
    CHECK_SAME(shared->lock.generation, 0);
}

static void test_threads(struct shared *shared)
{
    begin_phase("threads");
    run_threads(WORKERS, take_turns, shared);
    check_turns(shared, 20000 * WORKERS);
}

/* Two threads that meet a few times only: no third one repairs a lost wake-up. */
static void meet(struct worker *worker)
{
    for (int i = 0; i < 50; i++)
        take_turn(worker->shared);
}

static void test_meetings(struct shared *shared)
{
    begin_phase("meetings");
    double end = now_s() + 1;
    uint64_t turns = 0;
    for (int round = 0; round < 1000 && now_s() < end; round++) {
        run_threads(3, meet, shared);
        turns += 150;
    }
    check_turns(shared, turns);
}

static void test_processes(struct shared *shared)
{
    begin_phase("processes");
    pid_t pids[WORKERS];
    for (int i = 0; i < WORKERS; i++) {
        pids[i] = fork_child();
        if (pids[i] == 0) {
            take_turns(&(struct worker){.shared = shared});
            _exit(0);
        }
    }
    for (int i = 0; i < WORKERS; i++)
        CHECK_SAME(reap(pids[i]), 0);
    check_turns(shared, 20000 * WORKERS);
}

static void wait_until(const uint32_t *word, uint32_t value)
{
    while (get(word) != value)
        usleep(20);
}

static pid_t fork_owner(struct shared *shared)
{
    pid_t pid = fork_child();
    if (pid == 0) {
        exo_lock_acquire(&shared->lock);
        shared->a++; /* and never b */
        set(&shared->held, 1);
        for (;;)
            pause();
    }
    return pid;
}

static pid_t fork_waiter(struct shared *shared)
{
    pid_t pid = fork_child();
    if (pid == 0) {
        add(&shared->ready, 1);
        take_turn(shared);
        _exit(0);
    }
    return pid;
}

/* The owner dies with the lock held and two processes asleep on it: both must get it. */
static int test_killed_owner(struct shared *shared)
{
    begin_phase("killed owner");
    double end = now_s() + ROUNDS_S;
    int round = 0;
    for (; round < ROUNDS && now_s() < end; round++) {
        shared->held = shared->ready = 0;
        pid_t owner = fork_owner(shared);
        wait_until(&shared->held, 1);
        pid_t waiters[2] = {fork_waiter(shared), fork_waiter(shared)};
        wait_until(&shared->ready, 2);
        if (round % 4 != 0) /* else kill it before they sleep, perhaps */
            while (!(get(&shared->lock.word) & 0x80000000))
                usleep(20);
        CHECK_SAME(get(&shared->lock.word) & 0x3fffffff, owner);
        kill(owner, SIGKILL);
        CHECK_SAME(reap(owner), 128 + SIGKILL);
        for (int i = 0; i < 2; i++)
            CHECK_SAME(reap(waiters[i]), 0);
        CHECK_SAME(shared->lock.generation, round + 1);
        CHECK_SAME(shared->torn, round + 1);
        CHECK_SAME(shared->turns, 2 * (round + 1));
        CHECK_SAME(shared->lock.word, 0);
    }
    return round;
}

static pid_t fork_worker(struct shared *shared)
{
    pid_t pid = fork_child();
    if (pid == 0) {
        add(&shared->ready, 1);
        while (!get(&shared->finish))
            take_turn(shared);
        _exit(0);
    }
    return pid;
}

/* One of several is killed wherever it happens to be; then the others stop competing, so that a
 * wake-up lost with it leaves a sleeper behind for good. */
static int test_killed_anywhere(struct shared *shared)
{
    begin_phase("killed anywhere");
    uint64_t random = 1;
    double end = now_s() + ROUNDS_S;
    int round = 0;
    for (; round < ROUNDS && now_s() < end; round++) {
        pid_t pids[WORKERS];
        shared->finish = shared->ready = 0;
        for (int i = 0; i < WORKERS; i++)
            pids[i] = fork_worker(shared);
        wait_until(&shared->ready, WORKERS);
        usleep(random_below(&random, 500));
        kill(pids[0], SIGKILL);
        usleep(random_below(&random, 200));
        set(&shared->finish, 1);
        CHECK_SAME(reap(pids[0]), 128 + SIGKILL);
        for (int i = 1; i < WORKERS; i++)
            CHECK_SAME(reap(pids[i]), 0);
        take_turn(shared);
        CHECK(shared->lock.generation <= (uint32_t)round + 1);
        CHECK(shared->torn <= shared->lock.generation);
        CHECK_SAME(shared->lock.word & 0x7fffffff, 0);
    }
    return round;
}

static void hold_and_leave(struct worker *worker)
{
    exo_lock_acquire(worker->shared);
}

/* A thread is an owner, too: the lock goes on when the thread ends, not with its process. */
static void test_dead_thread(struct exo_lock *lock)
{
    begin_phase("dead thread");
    for (uint32_t i = 1; i <= 20; i++) {
        run_threads(1, hold_and_leave, lock);
        exo_lock_acquire(lock);
        CHECK_SAME(lock->generation, i);
        exo_lock_release(lock);
    }
}

/* A task's word, and one more lock, are marked by the host when their process dies. */
static void test_alive(struct exo_task *task, struct exo_lock *with, uint32_t *held)
{
    begin_phase("alive");
    CHECK(!exo_alive_test(task));
    pid_t pid = fork_child();
    if (pid == 0) {
        with->word = exo_self()->host_tid;
        exo_alive_mark(task, exo_self(), with);
        struct exo_lock *other = with + 1; /* locks come and go meanwhile */
        exo_lock_acquire(other);
        exo_lock_release(other);
        set(held, 1);
        for (;;)
            pause();
    }
    wait_until(held, 1);
    CHECK(exo_alive_test(task));
    kill(pid, SIGKILL);
    CHECK_SAME(reap(pid), 128 + SIGKILL);
    CHECK(!exo_alive_test(task));
    CHECK(task->alive.word & 0x40000000);
    exo_lock_acquire(with);
    CHECK_SAME(with->generation, 1);
    exo_lock_release(with);
}

int main(void)
{
    begin(20);
    struct shared *shared = map_shared(sizeof(struct shared) * 8);
    struct {
        struct exo_task task;
        struct exo_lock locks[2];
        uint32_t held;
    } *life = map_shared(sizeof(*life));
    test_threads(&shared[0]);
    test_meetings(&shared[1]);
    test_processes(&shared[2]);
    int rounds = test_killed_owner(&shared[3]);
    rounds += test_killed_anywhere(&shared[4]);
    test_dead_thread(&shared[5].lock);
    test_alive(&life->task, life->locks, &life->held);
    printf("%d owners killed\n", rounds);
    return 0;
}
