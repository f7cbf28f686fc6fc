/* Cycles for a message one way, between two processes on two CPUs: ring
 * ping|batch|block|one|own [BYTES [KIND [FLAGS]]], of exo/ring.h.
 *
 * ping: one message to and fro, half of it; batch: sixteen behind one fence, per message; block: a
 * block of so many bytes by reference, of which each side touches the first and the last line. one,
 * own: both push a message and take one out, at the same time, through one ring, or each through its
 * CPU's.
 */
#include <signal.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "bench/clock.h"
#include "host/self.c"
#include "pin.h"

#include <exo/pool.h>
#include <exo/ringset.h>

#define ROUNDS 20000
#define WARM 2000
#define BATCH 16
#define BATCHES 4000

static double samples[ROUNDS];
static struct exo_ring *there, *back;
static struct exo_pool *pool;
static struct exo_ringset *rings;

static void *shared(uint64_t size)
{
    void *memory =
        mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    return memory == MAP_FAILED ? NULL : memory;
}

static void ping(bool first)
{
    char data[EXO_RING_PAYLOAD] = {0};
    struct exo_message message;
    for (int i = 0; i < WARM + ROUNDS; i++) {
        uint64_t began = cycles();
        if (first)
            exo_ring_push(there, 0, 1, data, sizeof(data));
        while (exo_ring_pop(first ? back : there, 0, &message) != 0)
            __builtin_ia32_pause();
        if (!first)
            exo_ring_push(back, 0, 1, message.payload, sizeof(data));
        else if (i >= WARM)
            samples[i - WARM] = (double)(cycles() - began) / 2;
    }
}

static int batches(bool first)
{
    static char data[BATCH * EXO_RING_PAYLOAD];
    static struct exo_message messages[BATCH];
    int count = 0;
    for (int i = 0; i < WARM + BATCHES; i++) {
        uint64_t began = cycles();
        for (long done = 0, got; done < BATCH; done += got) {
            got = first ? exo_ring_push_many(there, 0, 1, data, EXO_RING_PAYLOAD, BATCH - done)
                        : exo_ring_pop_many(there, 0, messages, BATCH - done);
            if (got < 0) {
                got = 0;
                __builtin_ia32_pause();
            }
        }
        if (i >= WARM)
            samples[count++] = (double)(cycles() - began) / BATCH;
    }
    return count;
}

static void touch(uint32_t index, uint64_t size)
{
    volatile char *block = exo_block_at(pool, index);
    block[0]++;
    block[size - 1]++;
}

static void blocks(bool first, uint64_t size)
{
    uint32_t index = 0, owner = first ? 1 : 2;
    struct exo_pool *from;
    uint64_t got;
    if (first)
        index = (uint32_t)exo_block_create(pool, owner);
    for (int i = 0; i < WARM + ROUNDS; i++) {
        uint64_t began = cycles();
        if (first) {
            touch(index, size);
            exo_ring_send_block(there, owner, 1, pool, index, size);
        }
        while (exo_ring_receive_block(first ? back : there, owner, &from, &index, &got) != 0)
            __builtin_ia32_pause();
        if (!first) {
            touch(index, size);
            exo_ring_send_block(back, owner, 1, pool, index, size);
        } else if (i >= WARM)
            samples[i - WARM] = (double)(cycles() - began) / 2;
    }
}

static void push_and_pop(bool own, const char *data, struct exo_message *message)
{
    struct exo_ring *ring = there;
    while ((own ? exo_ringset_push(rings, 0, 1, data, EXO_RING_PAYLOAD)
                : exo_ring_push(there, 0, 1, data, EXO_RING_PAYLOAD)) != 0)
        __builtin_ia32_pause();
    if (own)
        ring = exo_ringset_ring(rings, exo_ringset_here(rings));
    while (exo_ring_pop(ring, 0, message) != 0)
        __builtin_ia32_pause();
}

static void at_once(bool own)
{
    char data[EXO_RING_PAYLOAD] = {0};
    struct exo_message message;
    exo_ring_push(back, 0, 1, data, 1);
    while (exo_ring_count(back) < 2) /* both are there */
        __builtin_ia32_pause();
    for (int i = 0; i < WARM + ROUNDS; i++) {
        uint64_t began = cycles();
        for (int j = 0; j < BATCH; j++)
            push_and_pop(own, data, &message);
        if (i >= WARM)
            samples[i - WARM] = (double)(cycles() - began) / BATCH;
    }
}

int main(int argc, char **argv)
{
    const char *what = argc > 1 ? argv[1] : "ping";
    uint64_t size = argc > 2 ? strtoull(argv[2], NULL, 0) : 4096;
    int count = ROUNDS;
    there = shared(exo_ring_size(EXO_RING_ORDER));
    back = shared(exo_ring_size(EXO_RING_ORDER));
    pool = shared(exo_pool_size(1 << 20, 4));
    uint32_t kind = argc > 3 ? (uint32_t)atoi(argv[3]) : EXO_RING_MPMC;
    uint32_t flags = argc > 4 ? (uint32_t)atoi(argv[4]) : 0;
    rings = shared(exo_ringset_size(2, EXO_RING_ORDER));
    if (there == NULL || back == NULL || pool == NULL || rings == NULL ||
        exo_ringset_init(rings, 2, EXO_RING_ORDER, EXO_RING_MPMC, flags) != 0 ||
        exo_ring_init(there, EXO_RING_ORDER, kind, flags) != 0 ||
        exo_ring_init(back, EXO_RING_ORDER, kind, flags) != 0 ||
        exo_pool_init(pool, 1 << 20, 4) != 0)
        return 1;
    pid_t child = fork();
    bool first = child != 0;
    if (!first)
        prctl(PR_SET_PDEATHSIG, SIGKILL);
    pin(first ? 0 : 1);
    if (strcmp(what, "ping") == 0)
        ping(first);
    else if (strcmp(what, "batch") == 0)
        count = batches(first);
    else if (what[0] == 'o')
        at_once(strcmp(what, "own") == 0);
    else
        blocks(first, size);
    if (!first)
        _exit(0);
    waitpid(child, NULL, 0);
    for (int i = 0; i < count; i++)
        printf("%.1f\n", samples[i]);
    return 0;
}
