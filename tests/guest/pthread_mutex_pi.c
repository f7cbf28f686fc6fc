/* pthread_mutexattr_setprotocol(3) with PTHREAD_PRIO_INHERIT: every kind of mutex, robust and not,
 * between threads and processes, with condition variables, time-outs, and owners that die.
 */
#include "check.h"
#include <pthread.h>
#include <sys/mman.h>

struct shared {
    pthread_mutex_t mutex;
    volatile int locked, inside, total;
};
static struct shared *shared;

static void init(int type, int robust, int protocol)
{
    pthread_mutexattr_t attributes;
    pthread_mutexattr_init(&attributes);
    pthread_mutexattr_settype(&attributes, type);
    pthread_mutexattr_setpshared(&attributes, PTHREAD_PROCESS_SHARED);
    pthread_mutexattr_setrobust(&attributes, robust);
    CHECK(pthread_mutexattr_setprotocol(&attributes, protocol) == 0);
    memset(shared, 0, sizeof *shared);
    CHECK(pthread_mutex_init(&shared->mutex, &attributes) == 0);
}

static void *contend(void *argument)
{
    for (int i = 0; i < 2000; i++) {
        CHECK(pthread_mutex_lock(&shared->mutex) == 0);
        CHECK(shared->inside++ == 0);
        shared->total++;
        if (i % 64 == 0)
            sched_yield();
        shared->inside--;
        CHECK(pthread_mutex_unlock(&shared->mutex) == 0);
    }
    return argument;
}

static void contention(const char *name, int type, int robust)
{
    pthread_t threads[3];
    pid_t pids[2];
    init(type, robust, PTHREAD_PRIO_INHERIT);
    for (int i = 0; i < 2; i++)
        if ((pids[i] = fork()) == 0) {
            contend(NULL);
            _exit(failures != 0);
        }
    for (int i = 0; i < 3; i++)
        CHECK(pthread_create(&threads[i], NULL, contend, NULL) == 0);
    for (int i = 0; i < 3; i++)
        pthread_join(threads[i], NULL);
    for (int i = 0; i < 2; i++)
        CHECK(reap(pids[i]) == 0);
    printf("%s: %d\n", name, shared->total);
}

static void *try_it(void *argument)
{
    struct timespec until;
    clock_gettime(CLOCK_REALTIME, &until);
    until.tv_nsec += 10000000;
    until.tv_sec += until.tv_nsec / 1000000000;
    until.tv_nsec %= 1000000000;
    printf("  by another: trylock %s", error_name(pthread_mutex_trylock(&shared->mutex)));
    printf(", timedlock %s", error_name(pthread_mutex_timedlock(&shared->mutex, &until)));
    printf(", unlock %s\n", error_name(pthread_mutex_unlock(&shared->mutex)));
    return argument;
}

static void rules(const char *name, int type, int robust)
{
    pthread_t thread;
    init(type, robust, PTHREAD_PRIO_INHERIT);
    CHECK(pthread_mutex_lock(&shared->mutex) == 0);
    printf("%s: once more %s", name, error_name(pthread_mutex_trylock(&shared->mutex)));
    if (type != PTHREAD_MUTEX_NORMAL)
        printf(", lock %s", error_name(pthread_mutex_lock(&shared->mutex)));
    printf("\n");
    if (type != PTHREAD_MUTEX_NORMAL || robust) {
        CHECK(pthread_create(&thread, NULL, try_it, NULL) == 0);
        pthread_join(thread, NULL);
    }
    while (pthread_mutex_unlock(&shared->mutex) == 0 && type == PTHREAD_MUTEX_RECURSIVE)
        ;
    printf("  trylock after all %s\n", error_name(pthread_mutex_trylock(&shared->mutex)));
}

static void *lock_and_end(void *argument)
{
    pthread_mutex_lock(&shared->mutex);
    shared->locked = 1;
    return argument;
}

static void recover(const char *name)
{
    int error = pthread_mutex_lock(&shared->mutex);
    printf("%s: %s", name, error_name(error));
    if (error == EOWNERDEAD)
        CHECK(pthread_mutex_consistent(&shared->mutex) == 0);
    CHECK(pthread_mutex_unlock(&shared->mutex) == 0);
    printf(", then %s\n", error_name(pthread_mutex_trylock(&shared->mutex)));
    pthread_mutex_unlock(&shared->mutex);
}

/* A child that takes the mutex and leaves in the given way, before or while others wait. */
static void leave(const char *name, int how)
{
    init(PTHREAD_MUTEX_NORMAL, PTHREAD_MUTEX_ROBUST, PTHREAD_PRIO_INHERIT);
    pid_t pid = fork();
    if (pid == 0) {
        pthread_mutex_lock(&shared->mutex);
        shared->locked = 1;
        if (how & 4)
            sleep_ms(50);
        if ((how & 3) == 0)
            _exit(0);
        if ((how & 3) == 1)
            kill(getpid(), SIGKILL);
        if ((how & 3) == 2)
            execl("/proc/self/exe", "pi", "child", NULL);
        abort();
    }
    while (!shared->locked)
        sleep_ms(1);
    if (!(how & 4))
        reap(pid);
    recover(name);
    if (how & 4)
        reap(pid);
}

static pthread_cond_t condition;
static volatile int waiting, woken;

static void *wait_for_it(void *argument)
{
    pthread_mutex_lock(&shared->mutex);
    waiting++;
    while (!woken)
        pthread_cond_wait(&condition, &shared->mutex);
    waiting--;
    pthread_mutex_unlock(&shared->mutex);
    return argument;
}

static void conditions(void)
{
    pthread_condattr_t attributes;
    pthread_t threads[4];
    init(PTHREAD_MUTEX_NORMAL, PTHREAD_MUTEX_STALLED, PTHREAD_PRIO_INHERIT);
    pthread_condattr_init(&attributes);
    pthread_condattr_setpshared(&attributes, PTHREAD_PROCESS_SHARED);
    pthread_cond_init(&condition, &attributes);
    for (int i = 0; i < 4; i++)
        CHECK(pthread_create(&threads[i], NULL, wait_for_it, NULL) == 0);
    for (int all = 0; !all; sched_yield()) {
        pthread_mutex_lock(&shared->mutex);
        all = waiting == 4;
        pthread_mutex_unlock(&shared->mutex);
    }
    pthread_mutex_lock(&shared->mutex);
    woken = 1;
    pthread_cond_broadcast(&condition);
    pthread_mutex_unlock(&shared->mutex);
    for (int i = 0; i < 4; i++)
        pthread_join(threads[i], NULL);
    printf("condition: still waiting %d\n", waiting);
}

int main(int argc, char **argv)
{
    (void)argv;
    if (argc > 1)
        return 0;
    shared = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    CHECK(shared != MAP_FAILED);
    rules("normal", PTHREAD_MUTEX_NORMAL, PTHREAD_MUTEX_STALLED);
    rules("error-checking", PTHREAD_MUTEX_ERRORCHECK, PTHREAD_MUTEX_STALLED);
    rules("recursive", PTHREAD_MUTEX_RECURSIVE, PTHREAD_MUTEX_STALLED);
    rules("robust", PTHREAD_MUTEX_NORMAL, PTHREAD_MUTEX_ROBUST);
    rules("robust, error-checking", PTHREAD_MUTEX_ERRORCHECK, PTHREAD_MUTEX_ROBUST);
    contention("contention", PTHREAD_MUTEX_NORMAL, PTHREAD_MUTEX_STALLED);
    contention("contention, robust", PTHREAD_MUTEX_NORMAL, PTHREAD_MUTEX_ROBUST);
    pthread_t thread;
    init(PTHREAD_MUTEX_NORMAL, PTHREAD_MUTEX_ROBUST, PTHREAD_PRIO_INHERIT);
    pthread_create(&thread, NULL, lock_and_end, NULL);
    pthread_join(thread, NULL);
    recover("thread ended");
    leave("process exited", 0);
    leave("process killed", 1);
    leave("process exec-ed", 2);
    leave("process aborted", 3);
    leave("exits while waited for", 4);
    leave("is killed while waited for", 5);
    leave("exec-s while waited for", 6);
    leave("aborts while waited for", 7);
    init(PTHREAD_MUTEX_NORMAL, PTHREAD_MUTEX_ROBUST, PTHREAD_PRIO_INHERIT);
    pthread_create(&thread, NULL, lock_and_end, NULL);
    pthread_join(thread, NULL);
    CHECK(pthread_mutex_lock(&shared->mutex) == EOWNERDEAD);
    CHECK(pthread_mutex_unlock(&shared->mutex) == 0);
    printf("not made consistent: %s\n", error_name(pthread_mutex_lock(&shared->mutex)));
    conditions();
    return finish();
}
