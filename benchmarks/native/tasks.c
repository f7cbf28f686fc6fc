/* KiB of memory for each of 100,000 exo tasks that have begun and are parked: what the process has
 * more of, resident and in page tables, before and after. tasks [COUNT]
 */
#include <sched.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <exo/fiber.h>

#include "host/self.c"

#define SAMPLES 3

static uint64_t parked, released;

static int64_t wait_here(int64_t number)
{
    __atomic_fetch_add(&parked, 1, __ATOMIC_SEQ_CST);
    while (!__atomic_load_n(&released, __ATOMIC_SEQ_CST))
        exo_fiber_park();
    return number;
}

/* KiB: resident pages and page tables. */
static uint64_t memory_kib(void)
{
    char line[256];
    uint64_t sum = 0, value;
    FILE *status = fopen("/proc/self/status", "r");
    while (status != NULL && fgets(line, sizeof(line), status) != NULL)
        if (sscanf(line, "VmRSS: %lu", &value) == 1 || sscanf(line, "VmPTE: %lu", &value) == 1)
            sum += value;
    if (status != NULL)
        fclose(status);
    return sum;
}

static double measure(uint64_t count)
{
    struct exo_fiber **fibers = calloc(count, sizeof(*fibers));
    struct exo_workers_options options = {.cpus = NULL};
    struct exo_workers *workers;
    int64_t result;
    memset(fibers, 1, count * sizeof(*fibers)); /* ours, not theirs */
    parked = released = 0;
    if (exo_workers_create(&workers, &options) != 0)
        exit(3);
    uint64_t before = memory_kib();
    for (uint64_t i = 0; i < count; i++)
        if (exo_workers_spawn(workers, wait_here, (int64_t)i, -1, &fibers[i]) != 0)
            exit(4);
    while (__atomic_load_n(&parked, __ATOMIC_SEQ_CST) < count)
        sched_yield();
    uint64_t after = memory_kib();
    __atomic_store_n(&released, 1, __ATOMIC_SEQ_CST);
    for (uint64_t i = 0; i < count; i++)
        exo_fiber_wake(fibers[i]);
    for (uint64_t i = 0; i < count; i++)
        if (exo_fiber_join(fibers[i], EXO_FOREVER, &result) != 0 || result != (int64_t)i)
            exit(5);
    exo_workers_destroy(workers);
    free(fibers);
    return (double)(after - before) / (double)count;
}

int main(int argc, char **argv)
{
    uint64_t count = argc > 1 ? strtoul(argv[1], NULL, 10) : 100000;
    for (int i = 0; i < SAMPLES; i++)
        printf("%.3f\n", measure(count));
    return 0;
}
