/* pthread_mutexattr_setrobust(3): owners that end, are killed, or exec while they hold a mutex. */
#include "check.h"
#include <pthread.h>
#include <sys/mman.h>

struct shared {
    pthread_mutex_t mutex;
    volatile int value, locked;
};
static struct shared *shared;

static void init(void)
{
    pthread_mutexattr_t attributes;
    pthread_mutexattr_init(&attributes);
    pthread_mutexattr_setpshared(&attributes, PTHREAD_PROCESS_SHARED);
    pthread_mutexattr_setrobust(&attributes, PTHREAD_MUTEX_ROBUST);
    memset(shared, 0, sizeof *shared);
    CHECK(pthread_mutex_init(&shared->mutex, &attributes) == 0);
}

static void *lock_and_end(void *argument)
{
    pthread_mutex_lock(&shared->mutex);
    shared->value = 1;
    return argument;
}

static void recover(const char *name)
{
    int error = pthread_mutex_lock(&shared->mutex);
    printf("%s: %s, value %d", name, error_name(error), shared->value);
    if (error == EOWNERDEAD)
        CHECK(pthread_mutex_consistent(&shared->mutex) == 0);
    CHECK(pthread_mutex_unlock(&shared->mutex) == 0);
    printf(", then %s\n", error_name(pthread_mutex_trylock(&shared->mutex)));
    pthread_mutex_unlock(&shared->mutex);
}

/* A child that takes the mutex, says so, and leaves in the given way. */
static void child(const char *name, int how)
{
    init();
    pid_t pid = fork();
    if (pid == 0) {
        pthread_mutex_lock(&shared->mutex);
        shared->value = 2 + how;
        shared->locked = 1;
        if (how == 0)
            _exit(0);
        if (how == 2)
            execl("/proc/self/exe", "robust", "child", NULL);
        for (;;)
            pause();
    }
    while (!shared->locked)
        sleep_ms(1);
    if (how == 1)
        kill(pid, SIGKILL);
    recover(name);
    CHECK(reap(pid) == (how == 1 ? 128 + SIGKILL : 0));
}

static void *block(void *argument)
{
    *(int *)argument = pthread_mutex_lock(&shared->mutex);
    pthread_mutex_consistent(&shared->mutex);
    pthread_mutex_unlock(&shared->mutex);
    return NULL;
}

int main(int argc, char **argv)
{
    (void)argv;
    if (argc > 1)
        return 0;
    shared = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    CHECK(shared != MAP_FAILED);
    init();
    pthread_t thread;
    pthread_create(&thread, NULL, lock_and_end, NULL);
    pthread_join(thread, NULL);
    recover("thread ended");
    child("process exited", 0);
    child("process killed", 1);
    child("process exec-ed", 2);
    init();
    pid_t pid = fork();
    if (pid == 0) {
        pthread_mutex_lock(&shared->mutex);
        shared->locked = 1;
        sleep_ms(200);
        _exit(0);
    }
    while (!shared->locked)
        sleep_ms(1);
    int error = 0;
    pthread_create(&thread, NULL, block, &error);
    pthread_join(thread, NULL);
    printf("woken while blocked: %s\n", error_name(error));
    CHECK(reap(pid) == 0);
    init();
    pthread_create(&thread, NULL, lock_and_end, NULL);
    pthread_join(thread, NULL);
    CHECK(pthread_mutex_lock(&shared->mutex) == EOWNERDEAD);
    CHECK(pthread_mutex_unlock(&shared->mutex) == 0);
    printf("not made consistent: %s\n", error_name(pthread_mutex_lock(&shared->mutex)));
    return finish();
}
