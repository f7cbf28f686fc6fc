/* Cycles from one context to another on one CPU, one way:
 * switch exo|yield|many|park|spawn|sched_yield|futex. exo: exo_switch() alone; yield: an exo task to
 * the next, with the scheduler; many: among 1,000 of them; park: one wakes the other and parks; spawn:
 * from the start of an exo task to its end; the last two are the host's threads. A sample is the mean
 * of a batch.
 */
#include <linux/futex.h>
#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>

#include <exo/fiber.h>
#include <exo/switch.h>

#include "bench/clock.h"
#include "host/self.c"
#include "pin.h"

#define SAMPLES 300
#define WARM 20

static uint32_t batch = 1000;
static double samples[SAMPLES];

/* Makes all samples: step() is half of to and fro, so twice that many ways. */
static void take(void (*step)(void))
{
    for (int i = -WARM; i < SAMPLES; i++) {
        uint64_t began = cycles();
        for (uint32_t k = 0; k < batch; k++)
            step();
        if (i >= 0)
            samples[i] = (double)(cycles() - began) / (2.0 * batch);
    }
}

static struct exo_context mine, its;

static void be_switched_to(void *argument)
{
    (void)argument;
    for (;;)
        exo_switch(&its, &mine);
}

static void switch_there(void)
{
    exo_switch(&mine, &its);
}

static void run_switch(void)
{
    static char stack[65536];
    exo_context_init(&its, stack + sizeof(stack), be_switched_to, NULL);
    take(switch_there);
}

/* --- exo tasks */

static struct exo_workers *workers;
static struct exo_fiber *partner, *first;
static uint32_t stop;

static int64_t yield_on(int64_t unused)
{
    while (!__atomic_load_n(&stop, __ATOMIC_RELAXED))
        exo_fiber_yield();
    return unused;
}

static int64_t take_yields(int64_t unused)
{
    take(exo_fiber_yield);
    stop = 1;
    return unused;
}

#define MANY 1000

/* All of them have run when this returns. */
static int64_t take_many(int64_t unused)
{
    batch = 4;
    for (int i = 0; i < MANY - 1; i++)
        if (exo_workers_spawn(workers, yield_on, 0, -1, NULL) != 0)
            exit(4);
    take(exo_fiber_yield);
    for (int i = 0; i < SAMPLES; i++)
        samples[i] *= 2.0 / MANY;
    stop = 1;
    return unused;
}

static uint32_t turn;

static void hand_over(void)
{
    turn = 1;
    exo_fiber_wake(partner);
    while (turn != 0)
        exo_fiber_park();
}

static int64_t hand_back(int64_t unused)
{
    while (!stop) {
        if (turn == 1) {
            turn = 0;
            exo_fiber_wake(first);
        }
        exo_fiber_park();
    }
    return unused;
}

static int64_t take_parks(int64_t unused)
{
    first = exo_fiber_self();
    take(hand_over);
    stop = 1;
    exo_fiber_wake(partner);
    return unused;
}

static int64_t nothing(int64_t unused)
{
    return unused;
}

static void spawn_one(void)
{
    struct exo_fiber *fiber;
    int64_t result;
    for (int i = 0; i < 2; i++) { /* as take() halves */
        exo_workers_spawn(workers, nothing, 0, -1, &fiber);
        exo_fiber_join(fiber, EXO_FOREVER, &result);
    }
}

static int64_t take_spawns(int64_t unused)
{
    take(spawn_one);
    return unused;
}

static void run_fibers(int64_t (*other)(int64_t), int64_t (*taker)(int64_t))
{
    int32_t cpu = 1;
    struct exo_workers_options options = {.cpus = &cpu, .cpu_count = 1};
    struct exo_fiber *fiber;
    int64_t result;
    if (exo_workers_create(&workers, &options) != 0)
        exit(3);
    if (other != NULL && exo_workers_spawn(workers, other, 0, -1, &partner) != 0)
        exit(4);
    if (exo_workers_spawn(workers, taker, 0, -1, &fiber) != 0)
        exit(4);
    exo_fiber_join(fiber, EXO_FOREVER, &result);
    exo_workers_destroy(workers);
}

/* --- the host's threads, on one CPU */

/* With a word that says whose turn it is: the host may let the same thread go on. */
static void yield_to(uint32_t value)
{
    __atomic_store_n(&turn, value, __ATOMIC_SEQ_CST);
    while (__atomic_load_n(&turn, __ATOMIC_SEQ_CST) == value)
        sched_yield();
}

static void yield_thread(void)
{
    yield_to(1);
}

static void *yield_thread_on(void *unused)
{
    while (__atomic_load_n(&turn, __ATOMIC_SEQ_CST) == 0)
        sched_yield();
    for (;;)
        yield_to(0);
    return unused;
}

static void futex(uint32_t *word, int operation, uint32_t value)
{
    syscall(SYS_futex, word, operation | FUTEX_PRIVATE_FLAG, value, NULL, NULL, 0);
}

static void hand_to(uint32_t value)
{
    __atomic_store_n(&turn, value, __ATOMIC_SEQ_CST);
    futex(&turn, FUTEX_WAKE, 1);
    while (__atomic_load_n(&turn, __ATOMIC_SEQ_CST) == value)
        futex(&turn, FUTEX_WAIT, value);
}

static void hand_over_thread(void)
{
    hand_to(1);
}

static void *hand_back_thread(void *unused)
{
    while (__atomic_load_n(&turn, __ATOMIC_SEQ_CST) == 0)
        futex(&turn, FUTEX_WAIT, 0);
    for (;;)
        hand_to(0);
    return unused;
}

static void run_threads(void *(*other)(void *), void (*step)(void))
{
    pthread_t thread;
    batch = 100;
    pin(1);
    if (pthread_create(&thread, NULL, other, NULL) != 0)
        exit(4);
    sched_yield();
    take(step);
}

int main(int argc, char **argv)
{
    const char *what = argc > 1 ? argv[1] : "exo";
    if (strcmp(what, "yield") == 0)
        run_fibers(yield_on, take_yields);
    else if (strcmp(what, "many") == 0)
        run_fibers(NULL, take_many);
    else if (strcmp(what, "park") == 0)
        run_fibers(hand_back, take_parks);
    else if (strcmp(what, "spawn") == 0)
        run_fibers(NULL, take_spawns);
    else if (strcmp(what, "sched_yield") == 0)
        run_threads(yield_thread_on, yield_thread);
    else if (strcmp(what, "futex") == 0)
        run_threads(hand_back_thread, hand_over_thread);
    else {
        pin(1);
        run_switch();
    }
    for (int i = 0; i < SAMPLES; i++)
        printf("%.1f\n", samples[i]);
    exit(0);
}
