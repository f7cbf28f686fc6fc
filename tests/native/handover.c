/* Pages that go from one pipe into another without a copy (core/lane.c): whole and in order whatever the relay does
 * with its memory, through chains and circles, while lanes run out, and while relays are killed at work.
 */
#include "core/atomic.h"
#include "core/lane.h"
#include "setup.h"

#define PAGE EXO_PIPE_PAGE
#define PAGES 6000      /* through each chain */
#define KILL_PAGES 9000 /* ... whose relays are killed */
#define PIPE_MAX 40

static struct exo_kr *region;
static struct exo_pipe *pipes[PIPE_MAX];

static void begin_pipes(const char *name, int count)
{
    begin_phase(name);
    region = region_create();
    for (int i = 0; i < count; i++)
        pipes[i] = exo_pipe_at(region, exo_pipe_create(region));
}

static struct exo_span span_of(uint64_t vector[1][2], const void *memory, uint64_t size,
                               struct exo_seen *seen)
{
    vector[0][0] = (uint64_t)(uintptr_t)memory;
    vector[0][1] = size;
    return (struct exo_span){.vector = (const uint64_t(*)[2])vector, .left = size, .seen = seen};
}

static long push(struct exo_pipe *pipe, const void *memory, uint64_t size, struct exo_seen *seen)
{
    uint64_t vector[1][2];
    struct exo_span span = span_of(vector, memory, size, seen);
    exo_lock_acquire(&pipe->input);
    long done = exo_pipe_push_locked(region, pipe, &span, EXO_PAGE_GROWS);
    exo_lock_release(&pipe->input);
    CHECK(done >= 0);
    return done;
}

static void push_all(struct exo_pipe *pipe, const void *memory, uint64_t size,
                     struct exo_seen *seen)
{
    for (uint64_t at = 0; at < size;) {
        long done = push(pipe, (const char *)memory + at, size - at, seen);
        at += (uint64_t)done;
        if (done == 0)
            sched_yield();
    }
}

static long pull(struct exo_pipe *pipe, void *memory, uint64_t size, struct exo_seen *seen)
{
    uint64_t vector[1][2];
    struct exo_span span = span_of(vector, memory, size, seen);
    exo_lock_acquire(&pipe->output);
    long done = exo_pipe_pull_locked(region, pipe, &span);
    exo_lock_release(&pipe->output);
    CHECK(done >= 0);
    return done;
}

static long pull_some(struct exo_pipe *pipe, void *memory, uint64_t size, struct exo_seen *seen)
{
    long done;
    while ((done = pull(pipe, memory, size, seen)) == 0)
        sched_yield();
    return done;
}

/* A page is one number, again and again. */
static void fill(uint64_t *page, uint64_t number)
{
    for (size_t i = 0; i < PAGE / 8; i++)
        page[i] = number;
}

static void check_page(const uint64_t *page, uint64_t number)
{
    for (size_t i = 0; i < PAGE / 8; i++)
        CHECK_SAME(page[i], number);
}

static void *write_numbers(void *count)
{
    static uint64_t bytes[8 * PAGE / 8];
    for (uint64_t number = 0; number < (uintptr_t)count; number += 8) {
        for (uint64_t i = 0; i < 8; i++)
            fill(bytes + i * PAGE / 8, number + i);
        push_all(pipes[0], bytes, sizeof(bytes), NULL);
    }
    return NULL;
}

/* From one pipe to the next, by pieces of any size. Now and then the memory is written to in between: first other
 * bytes, then the same ones again. */
static void relay_pages(int from, uint64_t count, struct exo_seen *seen)
{
    static _Thread_local uint64_t bytes[24 * PAGE / 8];
    uint64_t seed = (uint64_t)from + 1;
    for (uint64_t relayed = 0; relayed < count;) {
        long got = pull_some(pipes[from], bytes, (1 + random_below(&seed, 24)) * PAGE, seen);
        CHECK(got % PAGE == 0);
        uint64_t number = bytes[0];
        if (random_below(&seed, 8) == 0)
            memset(bytes, (int)number, (size_t)got);
        for (long i = 0; i < got / PAGE; i++)
            fill(bytes + i * PAGE / 8, number + (uint64_t)i);
        push_all(pipes[from + 1], bytes, (uint64_t)got, seen);
        relayed += (uint64_t)got / PAGE;
    }
}

static struct exo_seen seen_by[3];

static void *relay(void *from)
{
    relay_pages((int)(uintptr_t)from, PAGES, &seen_by[(uintptr_t)from]);
    return NULL;
}

static void *read_numbers(void *which)
{
    static uint64_t bytes[16 * PAGE / 8];
    for (uint64_t number = 0; number < PAGES;) {
        long got = pull_some(pipes[(uintptr_t)which], bytes, sizeof(bytes), NULL);
        for (long i = 0; i < got / PAGE; i++)
            check_page(bytes + i * PAGE / 8, number++);
    }
    return NULL;
}

/* A writer, relays one after the other, and a reader; some pages must have gone without a copy. */
static void test_chain(const char *name, int relays, uint32_t slots)
{
    pthread_t threads[5];
    begin_pipes(name, relays + 1);
    memset(seen_by, 0, sizeof(seen_by));
    CHECK(exo_pipe_give_lane(region, pipes[0]));
    for (int i = 0; i <= relays; i++)
        CHECK(exo_pipe_resize_locked(pipes[i], slots) == 0);
    CHECK(pthread_create(&threads[0], NULL, write_numbers, (void *)(uintptr_t)PAGES) == 0);
    for (int i = 0; i < relays; i++)
        CHECK(pthread_create(&threads[i + 1], NULL, relay, (void *)(uintptr_t)i) == 0);
    CHECK(pthread_create(&threads[relays + 1], NULL, read_numbers, (void *)(uintptr_t)relays) == 0);
    for (int i = 0; i < relays + 2; i++)
        CHECK(pthread_join(threads[i], NULL) == 0);
    for (int i = 0; i < relays; i++)
        CHECK(seen_by[i].handed > 0);
    region_destroy(region);
}

/* What is changed after it was read is written as it is now, byte for byte. */
static void test_changed(void)
{
    static uint64_t page[PAGE / 8], got[PAGE / 8];
    struct exo_seen seen = {0};
    begin_pipes("changed", 2);
    CHECK(exo_pipe_give_lane(region, pipes[0]));
    for (uint64_t i = 0; i < PAGE / 8; i++) {
        fill(page, i);
        push_all(pipes[0], page, PAGE, NULL);
        CHECK(pull(pipes[0], page, PAGE, &seen) == PAGE);
        page[i] ^= 1ULL << i % 64;
        uint64_t differed = seen.differed;
        push_all(pipes[1], page, PAGE, &seen);
        CHECK_SAME(seen.differed, differed + 1);
        CHECK(pull(pipes[1], got, PAGE, NULL) == PAGE);
        CHECK(memcmp(page, got, PAGE) == 0);
    }
    CHECK(seen.handed == 0);
    region_destroy(region);
}

/* One lane's pages in more pipes than it has pages for: its owner goes on with pages of its own, and none is
 * overwritten. Then all are read, and the lane is whole again. */
static void test_lent_out(void)
{
    static uint64_t bytes[16 * PAGE / 8];
    struct exo_seen seen = {0};
    uint64_t number = 0;
    begin_pipes("lent out", PIPE_MAX);
    CHECK(exo_pipe_give_lane(region, pipes[0]));
    for (int to = 1; to < PIPE_MAX; to++) {
        for (int i = 0; i < 16; i++, number++) {
            fill(bytes, number);
            push_all(pipes[0], bytes, PAGE, NULL);
        }
        CHECK(exo_pipe_is_full(pipes[0]));
        CHECK(pull(pipes[0], bytes, sizeof(bytes), &seen) == sizeof(bytes));
        CHECK(push(pipes[to], bytes, sizeof(bytes), &seen) == sizeof(bytes));
    }
    CHECK(seen.handed == EXO_LANE_PAGE_COUNT);
    CHECK(exo_pipe_resize_locked(pipes[0], 64) == 0 && !exo_pipe_has_room_locked(region, pipes[0]));
    CHECK(exo_pipe_resize_locked(pipes[0], 16) == 0);
    number = 0;
    for (int from = 1; from < PIPE_MAX; from++) {
        CHECK(pull(pipes[from], bytes, sizeof(bytes), NULL) == sizeof(bytes));
        for (int i = 0; i < 16; i++)
            check_page(bytes + i * PAGE / 8, number++);
    }
    CHECK(exo_pipe_resize_locked(pipes[0], 256) == 0 && exo_pipe_has_room_locked(region, pipes[0]));
    region_destroy(region);
}

/* A large pipe's pages are not lent; a page written again, or lent to somebody else, is copied. */
static void test_refused(void)
{
    static uint64_t page[PAGE / 8], other[PAGE / 8];
    struct exo_seen seen = {0};
    begin_pipes("refused", 3);
    CHECK(exo_pipe_give_lane(region, pipes[0]));
    push_all(pipes[0], page, PAGE, NULL);
    CHECK(pull(pipes[0], page, PAGE, &seen) == PAGE);
    CHECK(exo_pipe_resize_locked(pipes[0], 64) == 0);
    push_all(pipes[1], page, PAGE, &seen);
    CHECK(seen.handed == 0);
    CHECK(exo_pipe_resize_locked(pipes[0], 16) == 0);
    push_all(pipes[0], page, PAGE, NULL);
    CHECK(pull(pipes[0], page, PAGE, &seen) == PAGE);
    push_all(pipes[1], page, PAGE, &seen);
    push_all(pipes[2], page, PAGE, &seen);
    CHECK(seen.handed == 1 && seen.late == 1);
    push_all(pipes[0], page, PAGE, NULL);
    CHECK(pull(pipes[0], page, PAGE, &seen) == PAGE);
    for (int i = 0; i < EXO_LANE_PAGE_COUNT; i++) {
        push_all(pipes[0], other, PAGE, NULL);
        CHECK(pull(pipes[0], other, PAGE, NULL) == PAGE);
    }
    push_all(pipes[1], page, PAGE, &seen);
    CHECK(seen.handed == 1 && seen.late == 2);
    region_destroy(region);
}

/* A pipe that gets its own pages back, and one that goes with loans in it and is another one then. */
static void test_circle(void)
{
    static uint64_t bytes[16 * PAGE / 8];
    struct exo_seen seen = {0};
    begin_pipes("circle", 2);
    CHECK(exo_pipe_give_lane(region, pipes[0]));
    for (uint64_t i = 0; i < 16; i++)
        fill(bytes + i * PAGE / 8, i);
    push_all(pipes[0], bytes, sizeof(bytes), NULL);
    for (int i = 0; i < 2 * EXO_LANE_PAGE_COUNT; i++) {
        CHECK(pull(pipes[0], bytes, sizeof(bytes), &seen) == sizeof(bytes));
        push_all(pipes[0], bytes, sizeof(bytes), &seen);
    }
    CHECK(seen.handed > EXO_LANE_PAGE_COUNT);
    CHECK(pull(pipes[0], bytes, sizeof(bytes), &seen) == sizeof(bytes));
    for (uint64_t i = 0; i < 16; i++)
        check_page(bytes + i * PAGE / 8, i);
    push_all(pipes[1], bytes, sizeof(bytes), &seen);
    uint32_t index = exo_pipe_index(region, pipes[1]);
    exo_object_free_locked(region, index);
    CHECK(exo_pipe_create(region) == index);
    CHECK(exo_pipe_resize_locked(pipes[0], 256) == 0 && exo_pipe_has_room_locked(region, pipes[0]));
    region_destroy(region);
}

/* Relays are killed again and again: pages are lost, none is torn, and numbers grow. */
static void relay_for_ever(void)
{
    static uint64_t bytes[16 * PAGE / 8];
    struct exo_seen seen = {0};
    for (;;) {
        long got = pull_some(pipes[0], bytes, sizeof(bytes), &seen);
        push_all(pipes[1], bytes, (uint64_t)got, &seen);
        fetch_add(&region->stats.handed_pages, seen.handed);
        seen.handed = 0;
    }
}

static void write_for_ever(void)
{
    static uint64_t page[PAGE / 8];
    for (uint64_t number = 1;; number++) {
        fill(page, number);
        push_all(pipes[0], page, PAGE, NULL);
    }
}

static void test_killed(void)
{
    static uint64_t page[PAGE / 8];
    uint64_t last = 0;
    begin_pipes("killed", 2);
    CHECK(exo_pipe_give_lane(region, pipes[0]));
    pid_t writer = fork_child(), relay = -1;
    if (writer == 0)
        write_for_ever();
    for (uint64_t i = 0; i < KILL_PAGES; i++) {
        if (i % 50 == 0) {
            if (relay > 0) {
                kill(relay, SIGKILL);
                CHECK(waitpid(relay, NULL, 0) == relay);
            }
            if ((relay = fork_child()) == 0)
                relay_for_ever();
        }
        CHECK(pull_some(pipes[1], page, PAGE, NULL) == PAGE);
        check_page(page, page[0]);
        CHECK(page[0] > last);
        last = page[0];
    }
    kill(relay, SIGKILL);
    kill(writer, SIGKILL);
    CHECK(waitpid(relay, NULL, 0) == relay && waitpid(writer, NULL, 0) == writer);
    CHECK(region->stats.handed_pages > KILL_PAGES / 8);
    region_destroy(region);
}

int main(void)
{
    begin(100);
    test_changed();
    test_lent_out();
    test_refused();
    test_circle();
    test_chain("one relay", 1, 16);
    test_chain("three relays", 3, 16);
    test_chain("three relays, small pipes", 3, 3);
    test_killed();
    return 0;
}
