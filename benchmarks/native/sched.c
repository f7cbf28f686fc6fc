/* Cycles for a pick of the scheduler's: sched hot|mean|p99, of exo/sched.h, on one CPU.
 *
 * hot: 32 picks behind each other from a list of hot entities, per pick. mean: the same among entities
 * of all classes, of which every fourth came through the inbox. p99: of these picks, timed one by one
 * less what the timing costs, the 99th of a hundred in each round of 1000.
 */
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "bench/clock.h"
#include "host/self.c"
#include "pin.h"

#include <exo/sched.h>

#define ENTITIES 1024
#define BATCH 32
#define BATCHES 5000
#define ROUND 1000
#define ROUNDS 60
#define WARM 5
#define FIRST_MIXED 100
#define LAST_MIXED 300

static const int64_t runs[] = {100000, 3000000, 40000000};
static struct exo_sched *sched;
static uint64_t floor_cycles;

static int compare(const void *a, const void *b)
{
    uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
    return (x > y) - (x < y);
}

static void measure_floor(void)
{
    static uint64_t samples[ROUND];
    for (int i = 0; i < ROUND; i++) {
        uint64_t began = cycles();
        samples[i] = cycles() - began;
    }
    qsort(samples, ROUND, sizeof(samples[0]), compare);
    floor_cycles = samples[ROUND / 2];
}

static int begin(void)
{
    uint64_t at = (exo_sched_size(2) + 63) / 64 * 64;
    uint64_t size = at + ENTITIES * sizeof(struct exo_sched_entity);
    char *memory = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (memory == MAP_FAILED)
        return -1;
    sched = (struct exo_sched *)memory;
    return exo_sched_init(sched, 2) |
           exo_sched_set_entities(sched, (struct exo_sched_entity *)(memory + at),
                                  sizeof(struct exo_sched_entity), ENTITIES) |
           exo_sched_attach(sched, 0, 0);
}

/* Of ten, seven are hot, two normal, one cold. */
static int64_t run_of(uint32_t index)
{
    if (index < FIRST_MIXED)
        return runs[EXO_SCHED_HOT];
    return runs[index % 10 < 7   ? EXO_SCHED_HOT
                : index % 10 < 9 ? EXO_SCHED_NORMAL
                                 : EXO_SCHED_COLD];
}

static void add(uint32_t index)
{
    exo_sched_create(sched, index, index, 0);
    for (int i = 0; i < 8; i++)
        exo_sched_account(sched, index, run_of(index));
    exo_sched_wake(sched, 0, 0, index);
}

/* Of mixed entities, every fourth blocks and is woken from outside. */
static void give_up(uint32_t index, uint32_t number)
{
    exo_sched_account(sched, index, run_of(index));
    if (number % 4 != 0 || index < FIRST_MIXED) {
        exo_sched_requeue(sched, 0, index);
    } else {
        exo_sched_block(sched, 0, index);
        exo_sched_wake(sched, EXO_SCHED_NO_CPU, 0, index);
    }
}

static void batches(void)
{
    uint32_t picked[BATCH];
    for (int round = -WARM; round < BATCHES; round++) {
        uint64_t began = cycles();
        for (int i = 0; i < BATCH; i++)
            picked[i] = exo_sched_pick(sched, 0);
        uint64_t took = cycles() - began - floor_cycles;
        for (uint32_t i = 0; i < BATCH; i++)
            give_up(picked[i], i);
        if (round >= 0)
            printf("%.1f\n", (double)took / BATCH);
    }
}

static uint64_t pick_once(uint32_t number)
{
    uint64_t began = cycles();
    uint32_t index = exo_sched_pick(sched, 0);
    uint64_t took = cycles() - began;
    if (index == 0)
        exit(2);
    give_up(index, number);
    return took > floor_cycles ? took - floor_cycles : 0;
}

static void singly(void)
{
    static uint64_t samples[ROUND];
    for (int round = -WARM; round < ROUNDS; round++) {
        for (uint32_t i = 0; i < ROUND; i++)
            samples[i] = pick_once(i);
        qsort(samples, ROUND, sizeof(samples[0]), compare);
        if (round >= 0)
            printf("%llu\n", (unsigned long long)samples[ROUND * 99 / 100]);
    }
}

int main(int argc, char **argv)
{
    const char *what = argc > 1 ? argv[1] : "hot";
    bool is_hot = strcmp(what, "hot") == 0;
    pin((int)sysconf(_SC_NPROCESSORS_ONLN) - 1);
    if (begin() != 0)
        return 1;
    for (uint32_t i = is_hot ? 1 : FIRST_MIXED; i < (is_hot ? FIRST_MIXED : LAST_MIXED); i++)
        add(i);
    measure_floor();
    if (strcmp(what, "p99") == 0)
        singly();
    else
        batches();
    return 0;
}
