/* pthread_create(3): shared memory, thread-local storage, ids, synchronisation, detached threads. */
#include "check.h"
#include <pthread.h>
#include <semaphore.h>

static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t changed = PTHREAD_COND_INITIALIZER;
static pthread_barrier_t barrier;
static pthread_rwlock_t lock = PTHREAD_RWLOCK_INITIALIZER;
static sem_t semaphore;
static _Thread_local long local = 5;
static long counter, turn;
static pid_t tids[8];
static volatile sig_atomic_t signalled;

static void *work(void *argument)
{
    long self = (long)argument;
    local += self;
    tids[self] = (pid_t)syscall(SYS_gettid);
    pthread_barrier_wait(&barrier);
    for (int i = 0; i < 5000; i++) {
        pthread_mutex_lock(&mutex);
        counter++;
        pthread_mutex_unlock(&mutex);
    }
    pthread_mutex_lock(&mutex);
    while (turn != self)
        pthread_cond_wait(&changed, &mutex);
    turn++;
    pthread_cond_broadcast(&changed);
    pthread_mutex_unlock(&mutex);
    return (void *)local;
}

static void *detached(void *argument)
{
    pthread_rwlock_wrlock(&lock);
    *(long *)argument += 1;
    pthread_rwlock_unlock(&lock);
    sem_post(&semaphore);
    return NULL;
}

static void handler(int number)
{
    (void)number;
    signalled = (sig_atomic_t)local;
}

static void *waiter(void *argument)
{
    local = 99;
    sem_post(&semaphore);
    while (!signalled)
        sleep_ms(1);
    return argument;
}

static pthread_once_t once = PTHREAD_ONCE_INIT;
static int once_calls;
static void first(void)
{
    once_calls++;
}

int main(void)
{
    pthread_t threads[8];
    sem_init(&semaphore, 0, 0);
    pthread_barrier_init(&barrier, NULL, 8);
    for (long i = 0; i < 8; i++)
        CHECK(pthread_create(&threads[i], NULL, work, (void *)i) == 0);
    for (long i = 0; i < 8; i++) {
        void *result;
        CHECK(pthread_join(threads[i], &result) == 0);
        printf("%ld ", (long)result);
    }
    printf("local %ld counter %ld turn %ld\n", local, counter, turn);
    bool distinct = true;
    for (int i = 0; i < 8; i++) {
        CHECK(tids[i] != getpid());
        for (int k = 0; k < i; k++)
            distinct = distinct && tids[i] != tids[k];
    }
    printf("distinct tids %d\n", distinct);
    pthread_attr_t attributes;
    pthread_attr_init(&attributes);
    pthread_attr_setdetachstate(&attributes, PTHREAD_CREATE_DETACHED);
    pthread_attr_setstacksize(&attributes, 65536);
    long total = 0;
    for (int i = 0; i < 50; i++) {
        pthread_t thread;
        CHECK(pthread_create(&thread, &attributes, detached, &total) == 0);
        sem_wait(&semaphore);
    }
    printf("detached %ld\n", total);
    struct timespec soon;
    clock_gettime(CLOCK_REALTIME, &soon);
    soon.tv_sec -= 1;
    pthread_mutex_lock(&mutex);
    printf("timed wait %s\n", error_name(pthread_cond_timedwait(&changed, &mutex, &soon)));
    printf("sem_timedwait %s\n", sem_timedwait(&semaphore, &soon) ? error_name(errno) : "0");
    printf("trylock %s\n", error_name(pthread_mutex_trylock(&mutex)));
    signal(SIGUSR1, handler);
    CHECK(pthread_create(&threads[0], NULL, waiter, NULL) == 0);
    sem_wait(&semaphore);
    CHECK(pthread_kill(threads[0], SIGUSR1) == 0 && pthread_join(threads[0], NULL) == 0);
    printf("signal ran in the thread: %d\n", (int)signalled);
    pthread_once(&once, first);
    pthread_once(&once, first);
    printf("once %d\n", once_calls);
    pid_t pid = fork();
    if (pid == 0) {
        CHECK(pthread_create(&threads[0], NULL, detached, &total) == 0);
        CHECK(pthread_join(threads[0], NULL) == 0);
        exit(total == 51 ? 11 : 12);
    }
    printf("threads after fork: %d\n", reap(pid));
    return finish();
}
