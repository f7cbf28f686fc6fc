/* futex(2): errors, time-outs, counts, bitsets, requeueing, between threads and processes. */
#include "check.h"
#include <linux/futex.h>
#include <pthread.h>
#include <sys/mman.h>

static uint32_t word, other;
static volatile int awake;
static pthread_t threads[4];
static volatile pid_t tids[4];

static long futex(uint32_t *at, int operation, uint32_t value, void *timeout, uint32_t *at2,
                  uint32_t value3)
{
    return syscall(SYS_futex, at, operation, value, timeout, at2, value3);
}

static void *sleeper(void *argument)
{
    int index = (int)(long)argument;
    uint32_t bits = 1u << index;
    tids[index] = (pid_t)syscall(SYS_gettid);
    while (futex(&word, FUTEX_WAIT_BITSET | FUTEX_PRIVATE_FLAG, 0, NULL, NULL, bits) == -1 &&
           errno == EINTR)
        ;
    __sync_fetch_and_add(&awake, 1);
    return NULL;
}

static void wait_for(int index)
{
    while (tids[index] == 0)
        sleep_ms(1);
    until_asleep(getpid(), tids[index]);
}

static void start(int count)
{
    awake = 0;
    for (long i = 0; i < count; i++) {
        tids[i] = 0;
        CHECK(pthread_create(&threads[i], NULL, sleeper, (void *)i) == 0);
    }
    for (int i = 0; i < count; i++)
        wait_for(i);
}

static void join(int count)
{
    for (int i = 0; i < count; i++)
        pthread_join(threads[i], NULL);
}

static long wake(uint32_t *at, uint32_t count, uint32_t bits)
{
    return futex(at, FUTEX_WAKE_BITSET | FUTEX_PRIVATE_FLAG, count, NULL, NULL, bits);
}

int main(void)
{
    struct timespec brief = {0, 10000000}, past = {1, 0}, bad = {0, 2000000000};
    FAILS(futex(&word, FUTEX_WAIT, 1, NULL, NULL, 0));
    FAILS(futex(&word, FUTEX_WAIT, 0, &brief, NULL, 0));
    FAILS(futex(&word, FUTEX_WAIT_BITSET, 0, &past, NULL, FUTEX_BITSET_MATCH_ANY));
    FAILS(futex(&word, FUTEX_WAIT_BITSET | FUTEX_CLOCK_REALTIME, 0, &past, NULL, 1));
    FAILS(futex(&word, FUTEX_WAIT, 0, &bad, NULL, 0));
    FAILS(futex(&word, FUTEX_WAIT_BITSET, 0, NULL, NULL, 0));
    FAILS(futex((uint32_t *)((char *)&word + 1), FUTEX_WAIT, 0, NULL, NULL, 0));
    FAILS(futex((uint32_t *)8, FUTEX_WAIT, 0, NULL, NULL, 0));
    FAILS(futex(&word, 99, 0, NULL, NULL, 0));
    FAILS(futex(&word, FUTEX_CMP_REQUEUE, 1, (void *)1, &other, 55));
    printf("nobody to wake: %ld\n", wake(&word, 10, ~0u));
    start(4);
    printf("bit 2: woke %ld", wake(&word, 10, 4));
    printf(", at most two: %ld", wake(&word, 2, ~0u));
    printf(", rest: %ld\n", wake(&word, 10, ~0u));
    join(4);
    start(4);
    long moved = futex(&word, FUTEX_CMP_REQUEUE | FUTEX_PRIVATE_FLAG, 1, (void *)2, &other, 0);
    printf("requeue: %ld", moved);
    while (!awake)
        sleep_ms(1);
    printf(", awake %d", awake);
    printf(", on the other %ld", wake(&other, 10, ~0u));
    printf(", on the first %ld\n", wake(&word, 10, ~0u));
    join(4);
    start(2);
    word = 5;
    uint32_t operation = FUTEX_OP(FUTEX_OP_ADD, 3, FUTEX_OP_CMP_EQ, 0);
    long woken = futex(&word, FUTEX_WAKE_OP | FUTEX_PRIVATE_FLAG, 1, (void *)1, &other, operation);
    printf("wake_op: %ld other %u", woken, other);
    printf(", rest %ld\n", wake(&word, 10, ~0u));
    join(2);
    uint32_t *shared = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    pid_t pid = fork();
    if (pid == 0) {
        while (__atomic_load_n(shared, __ATOMIC_SEQ_CST) == 0)
            futex(shared, FUTEX_WAIT, 0, NULL, NULL, 0);
        _exit((int)*shared);
    }
    until_asleep(pid, pid);
    __atomic_store_n(shared, 21, __ATOMIC_SEQ_CST);
    printf("between processes: woke %ld", futex(shared, FUTEX_WAKE, 10, NULL, NULL, 0));
    printf(", status %d\n", reap(pid));
    return finish();
}
