/* What threads of one process cost each other: futex mutex WORK (two threads on two CPUs take one mutex, hold
 * it and leave it for WORK rounds of a loop each; cycles per turn of both) | cond CPU (one hands a turn to the
 * other, on that CPU, by a condition variable, and gets it back; cycles one way).
 */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "../native/pin.h"
#include "clock.h"

#define SAMPLES 100
#define TURNS 300

static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t turned = PTHREAD_COND_INITIALIZER;
static pthread_barrier_t both;
static double samples[SAMPLES];
static long work;
static int turn, other_cpu;

static void busy(void)
{
    for (long i = 0; i < work; i++)
        __asm__ volatile("" : : : "memory");
}

static void take_turns(void)
{
    for (int i = 0; i < TURNS; i++) {
        pthread_mutex_lock(&mutex);
        busy();
        pthread_mutex_unlock(&mutex);
        busy();
    }
}

static void hand_over(int mine)
{
    for (int i = 0; i < TURNS; i++) {
        pthread_mutex_lock(&mutex);
        while (turn != mine)
            pthread_cond_wait(&turned, &mutex);
        turn = !mine;
        pthread_cond_signal(&turned);
        pthread_mutex_unlock(&mutex);
    }
}

static void *other(void *hands_over)
{
    pin(other_cpu);
    for (int i = -10; i < SAMPLES; i++) {
        pthread_barrier_wait(&both);
        if (hands_over != NULL)
            hand_over(1);
        else
            take_turns();
        pthread_barrier_wait(&both);
    }
    return NULL;
}

int main(int argc, char **argv)
{
    pthread_t thread;
    if (argc < 3)
        return 2;
    int hands_over = strcmp(argv[1], "cond") == 0;
    work = hands_over ? 0 : atol(argv[2]);
    other_cpu = hands_over ? atoi(argv[2]) : 1;
    pin(0);
    pthread_barrier_init(&both, NULL, 2);
    pthread_create(&thread, NULL, other, hands_over ? &turn : NULL);
    for (int i = -10; i < SAMPLES; i++) {
        pthread_barrier_wait(&both);
        uint64_t began = cycles();
        if (hands_over)
            hand_over(0);
        else
            take_turns();
        pthread_barrier_wait(&both);
        if (i >= 0)
            samples[i] = (double)(cycles() - began) / (hands_over ? 2 * TURNS : TURNS);
    }
    pthread_join(thread, NULL);
    for (int i = 0; i < SAMPLES; i++)
        printf("%.1f\n", samples[i]);
    return 0;
}
