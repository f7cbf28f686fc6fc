/* pthread_cancel(3): cancellation points, clean-up handlers, disabled and asynchronous. */
#include "check.h"
#include <pthread.h>

static int pipes[2];
static volatile int cleaned, told;
static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t never = PTHREAD_COND_INITIALIZER;

static void clean(void *argument)
{
    cleaned += (int)(long)argument;
}
static void unlock(void *argument)
{
    cleaned += pthread_mutex_unlock(argument) == 0;
}

static void *in_read(void *argument)
{
    char c;
    pthread_cleanup_push(clean, (void *)1);
    pthread_cleanup_push(clean, (void *)10);
    (void)!read(pipes[0], &c, 1);
    pthread_cleanup_pop(0);
    pthread_cleanup_pop(0);
    return argument;
}

static void *in_sleep(void *argument)
{
    pthread_cleanup_push(clean, (void *)2);
    sleep(60);
    pthread_cleanup_pop(0);
    return argument;
}

static void *in_wait(void *argument)
{
    pthread_mutex_lock(&mutex);
    pthread_cleanup_push(unlock, &mutex);
    for (;;)
        pthread_cond_wait(&never, &mutex);
    pthread_cleanup_pop(0);
    return argument;
}

static void *spinning(void *argument)
{
    pthread_setcanceltype(PTHREAD_CANCEL_ASYNCHRONOUS, NULL);
    for (;;)
        ;
    return argument;
}

static void *disabled(void *argument)
{
    pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, NULL);
    while (!told)
        sleep_ms(1);
    cleaned += 100;
    pthread_setcancelstate(PTHREAD_CANCEL_ENABLE, NULL);
    pthread_testcancel();
    cleaned += 1000;
    return argument;
}

static void try(const char *name, void *(*body)(void *), long delay_ms)
{
    pthread_t thread;
    void *result = NULL;
    cleaned = told = 0;
    CHECK(pthread_create(&thread, NULL, body, NULL) == 0);
    sleep_ms(delay_ms);
    CHECK(pthread_cancel(thread) == 0);
    told = 1;
    CHECK(pthread_join(thread, &result) == 0);
    printf("%s: cancelled %d, clean-up %d\n", name, result == PTHREAD_CANCELED, cleaned);
}

int main(void)
{
    CHECK(pipe(pipes) == 0);
    try("blocked in read", in_read, 50);
    try("blocked in sleep", in_sleep, 50);
    try("blocked in cond_wait", in_wait, 50);
    CHECK(pthread_mutex_trylock(&mutex) == 0);
    try("spinning", spinning, 50);
    try("disabled", disabled, 30);
    char c = 0;
    CHECK(write(pipes[1], "p", 1) == 1 && read(pipes[0], &c, 1) == 1 && c == 'p');
    return finish();
}
