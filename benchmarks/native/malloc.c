/* What an allocator costs, whichever is preloaded; cycles, one number a line:
 * malloc pair SIZE        an alloc and its free, one thread
 * malloc pipe             allocated on one CPU, freed on another, per object
 * malloc churn            two threads replace random objects of random size and swap their sets
 * malloc waste SECONDS [drift]  what is resident beyond the live bytes after so long, percent
 */
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "bench/clock.h"
#include "pin.h"

#define SAMPLES 1000

static uint32_t random_next(uint32_t *state)
{
    *state ^= *state << 13;
    *state ^= *state >> 17;
    return *state ^= *state << 5;
}

static void *touched(size_t size)
{
    unsigned char *object = malloc(size);
    if (object == NULL)
        _exit(4);
    object[0] = 1;
    object[size - 1] = 1;
    return object;
}

static void print(const double *samples, int count)
{
    for (int i = 0; i < count; i++)
        printf("%.1f\n", samples[i]);
}

/* --- pair ------------------------------------------------------------------------------------- */

static void pair(size_t size)
{
    static double samples[SAMPLES];
    pin(0);
    for (int i = -10; i < SAMPLES; i++) {
        uint64_t began = cycles();
        for (int j = 0; j < 1000; j++) {
            void *object = malloc(size);
            __asm__ volatile("" : "+r"(object) : : "memory");
            free(object);
        }
        if (i >= 0)
            samples[i] = (double)(cycles() - began) / 1000;
    }
    print(samples, SAMPLES);
}

/* --- pipe: objects cross from one thread to the other in a small ring of pointers --------------- */

#define RING 1024
#define BATCH 4096

static void *_Atomic crossing[RING];

static void *consume(void *unused)
{
    pin(1);
    for (uint64_t at = 0;; at++) {
        void *object;
        while ((object = atomic_load_explicit(&crossing[at % RING], memory_order_acquire)) == NULL)
            __builtin_ia32_pause();
        atomic_store_explicit(&crossing[at % RING], NULL, memory_order_release);
        if (object == (void *)&crossing)
            return unused;
        free(object);
    }
}

static void put(uint64_t at, void *object)
{
    while (atomic_load_explicit(&crossing[at % RING], memory_order_acquire) != NULL)
        __builtin_ia32_pause();
    atomic_store_explicit(&crossing[at % RING], object, memory_order_release);
}

static void pipe_(void)
{
    static double samples[SAMPLES / 4];
    pthread_t consumer;
    uint32_t seed = 1;
    uint64_t at = 0;
    pin(0);
    pthread_create(&consumer, NULL, consume, NULL);
    for (int i = -10; i < SAMPLES / 4; i++) {
        uint64_t began = cycles();
        for (int j = 0; j < BATCH; j++)
            put(at++, touched(16 + random_next(&seed) % 497));
        if (i >= 0)
            samples[i] = (double)(cycles() - began) / BATCH;
    }
    put(at, (void *)&crossing);
    pthread_join(consumer, NULL);
    print(samples, SAMPLES / 4);
}

/* --- churn: after Larson and Krishnan, "Memory allocation for long-running server applications"
 * (1998): sets of objects outlive the threads that made them ---------------------------------------- */

#define SET 5000
#define STEPS 50000
#define ROUNDS 60

static void *sets[2][SET];
static double churned[2][ROUNDS];

struct turn {
    int cpu, set, round;
};

static size_t random_size(uint32_t *seed)
{
    uint32_t r = random_next(seed);
    return r % 64 == 0 ? 2048 + r / 64 % 14336 : 8 + r / 64 % (r % 4 == 0 ? 2040 : 248);
}

static void *churn_turn(void *argument)
{
    struct turn *turn = argument;
    void **set = sets[turn->set];
    uint32_t seed = 77 + turn->round * 2 + turn->cpu;
    pin(turn->cpu);
    uint64_t began = cycles();
    for (int i = 0; i < STEPS; i++) {
        uint32_t victim = random_next(&seed) % SET;
        free(set[victim]);
        set[victim] = touched(random_size(&seed));
    }
    churned[turn->cpu][turn->round] = (double)(cycles() - began) / STEPS;
    return NULL;
}

static void churn(void)
{
    for (int round = 0; round < ROUNDS; round++) {
        pthread_t threads[2];
        struct turn turns[2];
        for (int i = 0; i < 2; i++) {
            turns[i] = (struct turn){i, (i + round) % 2, round};
            pthread_create(&threads[i], NULL, churn_turn, &turns[i]);
        }
        for (int i = 0; i < 2; i++)
            pthread_join(threads[i], NULL);
    }
    for (int i = 0; i < 2; i++)
        print(churned[i] + 3, ROUNDS - 3);
}

/* --- waste: what is resident beyond the live bytes, with sizes as in churn, or drifting as a server's do */

#define LIVE (64L << 20)
#define OBJECTS 1000000

static void *objects[OBJECTS];
static uint32_t sizes[OBJECTS];
static long live;

static long resident(void)
{
    long pages = 0;
    FILE *statm = fopen("/proc/self/statm", "r");
    if (statm == NULL || fscanf(statm, "%*d %ld", &pages) != 1)
        _exit(5);
    fclose(statm);
    return pages * 4096;
}

static void replace(uint32_t at, uint32_t size)
{
    free(objects[at]);
    live -= sizes[at];
    objects[at] = NULL;
    sizes[at] = 0;
    if (live + size > LIVE)
        return;
    objects[at] = touched(size);
    memset(objects[at], 1, size);
    sizes[at] = size;
    live += size;
}

static void waste(double seconds, int drifts)
{
    uint32_t seed = 5, count = drifts ? OBJECTS : 100000;
    pin(0);
    memset(objects, 1, sizeof(objects)); /* resident before it counts */
    memset(objects, 0, sizeof(objects));
    memset(sizes, 1, sizeof(sizes));
    memset(sizes, 0, sizeof(sizes));
    long before = resident();
    double end = now_us() + seconds * 1e6;
    for (uint32_t phase = 0; now_us() < end; phase++) {
        uint32_t scale = 16u << phase / 4 % 6; /* 16 to 512, then again */
        for (int i = 0; i < 1000000; i++) {
            uint32_t at = random_next(&seed) % count;
            replace(at, drifts ? scale + random_next(&seed) % (3 * scale) : random_size(&seed));
        }
    }
    printf("%.2f\n", 100.0 * (double)(resident() - before - live) / (double)live);
}

int main(int argc, char **argv)
{
    const char *what = argc > 1 ? argv[1] : "";
    if (strcmp(what, "pair") == 0)
        pair(argc > 2 ? strtoul(argv[2], NULL, 0) : 64);
    else if (strcmp(what, "pipe") == 0)
        pipe_();
    else if (strcmp(what, "churn") == 0)
        churn();
    else if (strcmp(what, "waste") == 0)
        waste(argc > 2 ? strtod(argv[2], NULL) : 10, argc > 3);
    else
        return fprintf(stderr, "malloc pair SIZE | pipe | churn | waste SECONDS [drift]\n"), 2;
    return 0;
}
