/* futex(2), priority inheritance: errors, waiting, time-outs, signals, requeueing, dead owners. */
#include "check.h"
#include <linux/futex.h>
#include <pthread.h>
#include <sys/mman.h>

#ifndef FUTEX_LOCK_PI2
#define FUTEX_LOCK_PI2 13
#endif

static uint32_t word, other;
static uint32_t *shared;

static long futex(uint32_t *at, int operation, uint32_t value, const void *timeout, uint32_t *at2,
                  uint32_t value3)
{
    return syscall(SYS_futex, at, operation, value, timeout, at2, value3);
}

static long lock(uint32_t *at)
{
    return futex(at, FUTEX_LOCK_PI, 0, NULL, NULL, 0);
}

static long unlock(uint32_t *at)
{
    return futex(at, FUTEX_UNLOCK_PI, 0, NULL, NULL, 0);
}

static uint32_t tid(void)
{
    return (uint32_t)syscall(SYS_gettid);
}

/* The word in words: who owns it, as far as that can be said the same everywhere. */
static void show(const char *name)
{
    uint32_t owner = word & FUTEX_TID_MASK;
    printf("%s: owner %s%s%s\n", name,
           owner == 0       ? "none"
           : owner == tid() ? "I"
                            : "another",
           word & FUTEX_WAITERS ? ", waiters" : "", word & FUTEX_OWNER_DIED ? ", died" : "");
}

static void errors(void)
{
    static const struct timespec past = {1, 0}, bad = {0, 2000000000}, negative = {-1, 0};
    uint32_t *nowhere = (uint32_t *)8, *odd = (uint32_t *)((char *)&word + 1);
    uint32_t *page = mmap(NULL, 4096, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    CHECK(lock(&word) == 0);
    show("locked");
    FAILS(lock(&word));
    FAILS(futex(&word, FUTEX_TRYLOCK_PI, 0, NULL, NULL, 0));
    CHECK(unlock(&word) == 0);
    show("unlocked");
    FAILS(unlock(&word));
    FAILS(lock(nowhere));
    FAILS(lock(odd));
    FAILS(lock(page));
    FAILS(unlock(nowhere));
    FAILS(unlock(odd));
    FAILS(futex(&word, FUTEX_LOCK_PI, 0, &bad, NULL, 0));
    FAILS(futex(&word, FUTEX_LOCK_PI, 0, &negative, NULL, 0));
    FAILS(futex(&word, FUTEX_LOCK_PI, 0, nowhere, NULL, 0));
    FAILS(futex(&word, FUTEX_LOCK_PI | FUTEX_CLOCK_REALTIME, 0, NULL, NULL, 0));
    FAILS(futex(&word, FUTEX_TRYLOCK_PI | FUTEX_CLOCK_REALTIME, 0, NULL, NULL, 0));
    word = 4194000;
    FAILS(lock(&word));
    FAILS(futex(&word, FUTEX_TRYLOCK_PI, 0, NULL, NULL, 0));
    FAILS(unlock(&word));
    word = FUTEX_OWNER_DIED;
    CHECK(lock(&word) == 0);
    show("from the dead");
    CHECK(unlock(&word) == 0);
    show("unlocked");
    CHECK(futex(&word, FUTEX_TRYLOCK_PI | FUTEX_PRIVATE_FLAG, 0, NULL, NULL, 0) == 0);
    CHECK(futex(&word, FUTEX_UNLOCK_PI | FUTEX_PRIVATE_FLAG, 0, NULL, NULL, 0) == 0);
    CHECK(futex(&word, FUTEX_LOCK_PI2, 0, &past, NULL, 0) == 0);
    CHECK(unlock(&word) == 0);
    FAILS(futex(&word, FUTEX_CMP_REQUEUE_PI, 2, NULL, &other, 0));
    FAILS(futex(&word, FUTEX_CMP_REQUEUE_PI, 1, NULL, &word, 0));
    FAILS(futex(&word, FUTEX_CMP_REQUEUE_PI, 1, NULL, &other, 55));
    FAILS(futex(&word, FUTEX_WAIT_REQUEUE_PI, 0, NULL, &word, 0));
    FAILS(futex(&word, FUTEX_WAIT_REQUEUE_PI, 1, NULL, &other, 0));
    FAILS(futex(&word, FUTEX_WAIT_REQUEUE_PI, 0, &past, &other, 0));
    FAILS(futex(&word, FUTEX_WAIT_REQUEUE_PI | FUTEX_CLOCK_REALTIME, 0, &past, &other, 0));
    CHECK(futex(&word, FUTEX_CMP_REQUEUE_PI, 1, NULL, &other, 0) == 0);
}

static struct timespec soon(clockid_t clock)
{
    struct timespec now;
    clock_gettime(clock, &now);
    now.tv_nsec += 20000000;
    now.tv_sec += now.tv_nsec / 1000000000;
    now.tv_nsec %= 1000000000;
    return now;
}

static void *time_out(void *argument)
{
    static const struct timespec past = {1, 0};
    FAILS(futex(&word, FUTEX_TRYLOCK_PI, 0, NULL, NULL, 0));
    FAILS(unlock(&word));
    FAILS(futex(&word, FUTEX_LOCK_PI, 0, &past, NULL, 0));
    FAILS(futex(&word, FUTEX_LOCK_PI2, 0, &past, NULL, 0));
    FAILS(futex(&word, FUTEX_LOCK_PI2 | FUTEX_CLOCK_REALTIME, 0, &past, NULL, 0));
    struct timespec real = soon(CLOCK_REALTIME), monotonic = soon(CLOCK_MONOTONIC);
    FAILS(futex(&word, FUTEX_LOCK_PI, 0, &real, NULL, 0));
    FAILS(futex(&word, FUTEX_LOCK_PI2, 0, &monotonic, NULL, 0));
    return argument;
}

static void time_outs(void)
{
    pthread_t thread;
    CHECK(lock(&word) == 0);
    CHECK(pthread_create(&thread, NULL, time_out, NULL) == 0);
    pthread_join(thread, NULL);
    show("after time-outs");
    CHECK(unlock(&word) == 0);
    show("unlocked");
}

static volatile uint32_t inside, total;

static void *contend(void *argument)
{
    uint32_t mine = tid();
    for (int i = 0; i < 3000; i++) {
        uint32_t none = 0;
        if (!__atomic_compare_exchange_n(&word, &none, mine, 0, __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST))
            CHECK(lock(&word) == 0);
        CHECK(inside++ == 0);
        total++;
        if (i % 64 == 0)
            sched_yield();
        inside--;
        uint32_t own = mine;
        if (!__atomic_compare_exchange_n(&word, &own, 0, 0, __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST))
            CHECK(unlock(&word) == 0);
    }
    return argument;
}

static void contention(void)
{
    pthread_t threads[4];
    total = 0;
    for (int i = 0; i < 4; i++)
        CHECK(pthread_create(&threads[i], NULL, contend, NULL) == 0);
    for (int i = 0; i < 4; i++)
        pthread_join(threads[i], NULL);
    printf("contention: %u\n", total);
}

static volatile int signalled;
static volatile pid_t waiter;

static void on_signal(int sig)
{
    signalled += sig == SIGUSR1;
}

static void *wait_for_it(void *argument)
{
    waiter = (pid_t)tid();
    *(long *)argument = lock(&word);
    CHECK(unlock(&word) == 0);
    return NULL;
}

/* Until somebody has marked the word. */
static void until_waited(uint32_t *at)
{
    while (!(__atomic_load_n(at, __ATOMIC_SEQ_CST) & FUTEX_WAITERS))
        sleep_ms(1);
}

/* Handlers run while the thread waits, and it goes on waiting, whatever SA_RESTART says. */
static void signals(void)
{
    for (int flags = 0; flags <= 1; flags++) {
        struct sigaction action = {.sa_handler = on_signal, .sa_flags = flags ? SA_RESTART : 0};
        pthread_t thread;
        long result = -1;
        sigaction(SIGUSR1, &action, NULL);
        signalled = 0;
        CHECK(lock(&word) == 0);
        CHECK(pthread_create(&thread, NULL, wait_for_it, &result) == 0);
        until_waited(&word);
        for (int i = 1; i <= 20; i++) {
            pthread_kill(thread, SIGUSR1);
            while (signalled < i)
                sched_yield();
        }
        show("signalled");
        CHECK(unlock(&word) == 0);
        pthread_join(thread, NULL);
        printf("signals %d, result %ld\n", signalled, result);
    }
}

static void *requeued(void *argument)
{
    long result = futex(&word, FUTEX_WAIT_REQUEUE_PI, 7, NULL, &other, 0);
    CHECK(result == 0 && (other & FUTEX_TID_MASK) == tid());
    CHECK(unlock(&other) == 0);
    __atomic_add_fetch((int *)argument, 1, __ATOMIC_SEQ_CST);
    return NULL;
}

static void requeueing(void)
{
    pthread_t threads[3];
    int done = 0;
    long moved = 0;
    word = 7;
    other = 0;
    CHECK(lock(&other) == 0);
    for (int i = 0; i < 3; i++)
        CHECK(pthread_create(&threads[i], NULL, requeued, &done) == 0);
    while (moved < 3) /* nobody is woken by accident: all wait for the second one */
        moved += futex(&word, FUTEX_CMP_REQUEUE_PI, 1, (void *)10, &other, 7);
    CHECK(done == 0);
    CHECK(unlock(&other) == 0);
    for (int i = 0; i < 3; i++)
        pthread_join(threads[i], NULL);
    printf("requeued %ld, done %d\n", moved, done);
    word = 0;
}

static void *lock_and_leave(void *argument)
{
    CHECK(lock(&word) == 0);
    until_waited(&word);
    until_asleep(getpid(), getpid());
    return argument;
}

/* The owner ends without unlocking, not known to any robust list. */
static void dead_thread(void)
{
    pthread_t owner;
    CHECK(pthread_create(&owner, NULL, lock_and_leave, NULL) == 0);
    while (!(__atomic_load_n(&word, __ATOMIC_SEQ_CST) & FUTEX_TID_MASK))
        sched_yield();
    long result = lock(&word);
    printf("its owner has ended: %ld\n", result);
    show("left behind");
    pthread_join(owner, NULL);
    CHECK(unlock(&word) == 0);
    show("unlocked");
}

static void dead_process(int kills, int waiters)
{
    pid_t waiting[3];
    shared[0] = shared[1] = 0;
    pid_t owner = fork();
    if (owner == 0) {
        lock(shared);
        while (kills || !__atomic_load_n(&shared[1], __ATOMIC_SEQ_CST))
            sleep_ms(1);
        _exit(0);
    }
    while (!(__atomic_load_n(shared, __ATOMIC_SEQ_CST) & FUTEX_TID_MASK))
        sleep_ms(1);
    for (int i = 0; i < waiters; i++) {
        waiting[i] = fork();
        if (waiting[i] == 0) {
            int result = (int)lock(shared);
            sleep_ms(5);
            _exit(result == 0 ? (int)(unlock(shared) == 0) : 9);
        }
    }
    until_waited(shared);
    for (int i = 0; i < waiters; i++)
        until_asleep(waiting[i], waiting[i]);
    __atomic_store_n(&shared[1], 1, __ATOMIC_SEQ_CST);
    if (kills)
        kill(owner, SIGKILL);
    CHECK(reap(owner) == (kills ? 128 + SIGKILL : 0));
    int good = 0;
    for (int i = 0; i < waiters; i++)
        good += reap(waiting[i]) == 1;
    printf("process %s, %d waiters: %d\n", kills ? "killed" : "ended", waiters, good);
}

int main(void)
{
    shared = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    CHECK(shared != MAP_FAILED);
    errors();
    time_outs();
    contention();
    signals();
    requeueing();
    dead_thread();
    dead_process(0, 1);
    dead_process(1, 1);
    dead_process(0, 3);
    dead_process(1, 3);
    return finish();
}
