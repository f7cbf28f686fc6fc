/* Pipes in the region under several threads: writers and readers hold a lock each and copy at once, so what
 * they agree on about the last slot is what is tried here. Whole, with a lane and of another size; by
 * packets; by several writers whose lines may not be torn.
 */
#include "core/pipe.h"
#include "setup.h"

#define BYTES 6000000
#define LINES 20000 /* of each of two writers */
#define LINE 96
#define LARGEST 9000

static struct exo_kr *region;
static struct exo_pipe *pipe_under_test;
static uint16_t how;

static struct exo_span span_of(uint64_t vector[1][2], const void *memory, uint64_t size)
{
    vector[0][0] = (uint64_t)(uintptr_t)memory;
    vector[0][1] = size;
    return (struct exo_span){.vector = (const uint64_t(*)[2])vector, .left = size};
}

static uint8_t byte_at(uint64_t position)
{
    return (uint8_t)(position * 7 + (position >> 8) * 13);
}

/* All of it, in as many pieces as it takes. */
static void push_all(const void *memory, uint64_t size)
{
    uint64_t vector[1][2];
    struct exo_span span = span_of(vector, memory, size);
    while (span.left > 0) {
        exo_lock_acquire(&pipe_under_test->input);
        long done = exo_pipe_push_locked(region, pipe_under_test, &span, how);
        exo_lock_release(&pipe_under_test->input);
        CHECK(done >= 0);
        if (done == 0)
            sched_yield();
    }
}

static long pull_some(void *memory, uint64_t size)
{
    uint64_t vector[1][2];
    for (;;) {
        struct exo_span span = span_of(vector, memory, size);
        exo_lock_acquire(&pipe_under_test->output);
        long done = exo_pipe_pull_locked(region, pipe_under_test, &span);
        exo_lock_release(&pipe_under_test->output);
        CHECK(done >= 0);
        if (done > 0)
            return done;
        sched_yield();
    }
}

/* Sizes that fill pages and sizes that are added to the last one. */
static uint32_t next_size(uint64_t *seed)
{
    static const uint32_t limits[] = {10, 100, 4096, LARGEST};
    uint32_t limit = limits[random_below(seed, COUNT(limits))];
    return random_below(seed, 4) == 0 ? 4096 : 1 + random_below(seed, limit);
}

static void *write_stream(void *unused)
{
    static uint8_t bytes[LARGEST];
    uint64_t seed = 1;
    for (uint64_t at = 0; at < BYTES;) {
        uint32_t size = next_size(&seed);
        size = size < BYTES - at ? size : (uint32_t)(BYTES - at);
        for (uint32_t i = 0; i < size; i++)
            bytes[i] = byte_at(at + i);
        push_all(bytes, size);
        at += size;
    }
    return unused;
}

static void *read_stream(void *unused)
{
    static uint8_t bytes[LARGEST];
    uint64_t seed = 2;
    for (uint64_t at = 0; at < BYTES;) {
        long size = pull_some(bytes, next_size(&seed));
        for (long i = 0; i < size; i++)
            CHECK(bytes[i] == byte_at(at + (uint64_t)i));
        at += (uint64_t)size;
    }
    return unused;
}

static void begin_pipe(uint32_t slots, bool lane, uint16_t flags)
{
    region = region_create();
    pipe_under_test = exo_pipe_at(region, exo_pipe_create(region));
    how = flags;
    CHECK(!lane || exo_pipe_give_lane(region, pipe_under_test));
    CHECK(exo_pipe_resize_locked(pipe_under_test, slots) == 0);
}

static void join_all(void *(*const *works)(void *), int count)
{
    pthread_t threads[4];
    for (int i = 0; i < count; i++)
        CHECK(pthread_create(&threads[i], NULL, works[i], (void *)(uintptr_t)i) == 0);
    for (int i = 0; i < count; i++)
        CHECK(pthread_join(threads[i], NULL) == 0);
    CHECK(exo_pipe_is_empty(pipe_under_test));
    CHECK(exo_pipe_size_locked(region, pipe_under_test) == 0);
    region_destroy(region);
}

static void test_stream(const char *name, uint32_t slots, bool lane)
{
    static void *(*const works[])(void *) = {write_stream, read_stream};
    begin_phase(name);
    begin_pipe(slots, lane, EXO_PAGE_GROWS);
    join_all(works, 2);
}

/* A line is one number, again and again: whole, though others write. */
static void *write_lines(void *which)
{
    uint32_t line[LINE / 4];
    for (uint32_t i = 0; i < LINES; i++) {
        for (size_t j = 0; j < COUNT(line); j++)
            line[j] = i * 2 + (uint32_t)(uintptr_t)which;
        push_all(line, sizeof(line));
    }
    return NULL;
}

static void *read_lines(void *unused)
{
    uint32_t line[LINE / 4], next[2] = {0, 1};
    for (uint32_t i = 0; i < 2 * LINES; i++) {
        for (long got = 0; got < LINE;)
            got += pull_some((char *)line + got, (uint64_t)(LINE - got));
        for (size_t j = 1; j < COUNT(line); j++)
            CHECK_SAME(line[j], line[0]);
        CHECK_SAME(line[0], next[line[0] % 2]);
        next[line[0] % 2] += 2;
    }
    return unused;
}

static void test_lines(void)
{
    static void *(*const works[])(void *) = {write_lines, write_lines, read_lines};
    begin_phase("lines");
    begin_pipe(2, false, EXO_PAGE_GROWS);
    join_all(works, 3);
}

/* Each read takes one packet, and loses what it has no room for. */
static void test_packets(void)
{
    uint8_t bytes[200] = {1, 2, 3}, got[200];
    begin_phase("packets");
    begin_pipe(16, false, EXO_PAGE_PACKET);
    push_all(bytes, 100);
    push_all(bytes, 3);
    CHECK(exo_pipe_size_locked(region, pipe_under_test) == 103);
    CHECK(pull_some(got, 2) == 2 && got[1] == 2);
    CHECK(pull_some(got, sizeof(got)) == 3 && got[2] == 3);
    join_all(NULL, 0);
}

/* Whoever was killed after the last byte of the last slot left it closed; it is passed over. And what a
 * guest has scribbled neither crashes nor hangs. */
static void test_left_by_others(void)
{
    uint8_t byte = 7, got = 0;
    uint64_t vector[1][2];
    begin_phase("left by others");
    begin_pipe(16, false, EXO_PAGE_GROWS);
    struct exo_pipe_page *slots = region->pipe_slots[exo_pipe_index(region, pipe_under_test)];
    push_all(&byte, 1);
    slots[0].start = 1;
    slots[0].end = EXO_PAGE_CLOSED;
    push_all(&byte, 1);
    CHECK(pull_some(&got, 1) == 1 && got == 7);
    push_all(&byte, 1);
    slots[2] = (struct exo_pipe_page){.start = 5000, .end = 4000, .place = 999, .flags = 0xffff};
    struct exo_span span = span_of(vector, &got, 1);
    CHECK(exo_pipe_pull_locked(region, pipe_under_test, &span) == 0);
    pipe_under_test->head += 5000;
    CHECK(exo_pipe_pull_locked(region, pipe_under_test, &span) == 0);
    join_all(NULL, 0);
}

/* What is full cannot become smaller; lanes come back with their pipes. */
static void test_sizes(void)
{
    static const uint8_t page[4096];
    begin_phase("sizes");
    begin_pipe(32, true, EXO_PAGE_GROWS);
    for (int i = 0; i < 20; i++)
        push_all(page, sizeof(page));
    CHECK(exo_pipe_resize_locked(pipe_under_test, 16) == -EBUSY);
    CHECK(exo_pipe_resize_locked(pipe_under_test, 20) == 0);
    CHECK(exo_pipe_is_full(pipe_under_test));
    for (uint32_t i = 2; i < 2 * EXO_LANE_COUNT; i++) {
        struct exo_pipe *other = exo_pipe_at(region, exo_pipe_create(region));
        CHECK(exo_pipe_give_lane(region, other) == (i < EXO_LANE_COUNT));
    }
    uint32_t index = exo_pipe_index(region, pipe_under_test);
    exo_object_free_locked(region, index);
    CHECK(exo_pipe_create(region) == index && pipe_under_test->lane == 0);
    CHECK(exo_pipe_give_lane(region, pipe_under_test));
    region_destroy(region);
}

int main(void)
{
    begin(100);
    test_packets();
    test_left_by_others();
    test_sizes();
    test_stream("one slot", 1, false);
    test_stream("sixteen slots", 16, false);
    test_stream("a lane", 256, true);
    test_lines();
    return 0;
}
