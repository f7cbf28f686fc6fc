/* Pipes in the region beside a pipe of the host's: the same random pushes and pulls fit in both, give the
 * same bytes, and fill and empty them alike. And who has their ends, by several threads.
 */
#include <fcntl.h>
#include <sys/ioctl.h>

#include "core/pipe.h"
#include "host/collectobjects.c"
#include "setup.h"

#define STEPS 20000
#define LARGEST 70000

static uint8_t from[LARGEST], own[LARGEST], hosts[LARGEST];
static uint32_t seed = 12345;

static uint32_t random_next(void)
{
    seed ^= seed << 13;
    seed ^= seed >> 17;
    return seed ^= seed << 5;
}

static uint32_t random_size(void)
{
    static const uint32_t limits[] = {8, 100, 4096, 4200, 9000, LARGEST};
    return 1 + random_next() % limits[random_next() % 6];
}

/* A guest's memory of size bytes, in up to three pieces. */
static struct exo_span span_of(uint64_t vector[3][2], const void *memory, uint64_t size)
{
    uint64_t first = random_next() % (size + 1), second = random_next() % (size - first + 1);
    const uint64_t sizes[3] = {first, second, size - first - second};
    uint64_t at = (uint64_t)(uintptr_t)memory;
    for (int i = 0; i < 3; at += sizes[i++]) {
        vector[i][0] = at;
        vector[i][1] = sizes[i];
    }
    return (struct exo_span){.vector = (const uint64_t(*)[2])vector, .left = size};
}

static void push_both(struct exo_kr *kr, struct exo_pipe *pipe, int host, uint32_t size)
{
    uint64_t vector[3][2];
    uint32_t start = random_next() % (LARGEST - size + 1);
    struct exo_span span = span_of(vector, from + start, size);
    long done = exo_pipe_push_locked(kr, pipe, &span, EXO_PAGE_GROWS);
    ssize_t there = write(host, from + start, size);
    CHECK(done == (there < 0 ? 0 : there));
    CHECK(span.left == size - (uint64_t)done);
}

static void pull_both(struct exo_kr *kr, struct exo_pipe *pipe, int host, uint32_t size)
{
    uint64_t vector[3][2];
    struct exo_span span = span_of(vector, own, size);
    long done = exo_pipe_pull_locked(kr, pipe, &span);
    ssize_t there = read(host, hosts, size);
    CHECK(done == (there < 0 ? 0 : there));
    CHECK(memcmp(own, hosts, (size_t)done) == 0);
}

static void test_beside_the_host(void)
{
    begin_phase("beside the host");
    struct exo_kr *kr = region_create();
    struct exo_pipe *pipe = exo_pipe_at(kr, exo_pipe_create(kr));
    int fds[2], waiting;
    CHECK(pipe2(fds, O_NONBLOCK) == 0);
    for (uint32_t i = 0; i < LARGEST; i++)
        from[i] = (uint8_t)random_next();
    for (int i = 0; i < STEPS; i++) {
        if (random_next() % 1000 < 500 + 300 * (uint32_t)(i / 500 % 2))
            push_both(kr, pipe, fds[1], random_size());
        else
            pull_both(kr, pipe, fds[0], random_size());
        CHECK(ioctl(fds[0], FIONREAD, &waiting) == 0);
        CHECK((uint64_t)waiting == exo_pipe_size_locked(kr, pipe));
    }
    close(fds[0]);
    close(fds[1]);
    region_destroy(kr);
}

/* --- ends --- */

#define THREADS 4
#define ROUNDS 20000

static struct exo_kr *region;
static struct exo_fd shared_entry;

/* Copies an entry that another thread takes away at any moment. */
static void *copy_ends(void *unused)
{
    for (int i = 0; i < ROUNDS; i++) {
        struct exo_fd copy;
        uint64_t whole = __atomic_load_n((uint64_t *)&shared_entry, __ATOMIC_ACQUIRE);
        memcpy(&copy, &whole, sizeof(copy));
        if ((copy.flags & EXO_FD_PIPE) && exo_object_ref(region, &shared_entry, copy))
            exo_object_unref(region, copy);
    }
    return unused;
}

static void publish(struct exo_fd entry)
{
    uint64_t whole;
    memcpy(&whole, &entry, sizeof(whole));
    __atomic_store_n((uint64_t *)&shared_entry, whole, __ATOMIC_RELEASE);
}

static void *make_ends(void *unused)
{
    for (int i = 0; i < ROUNDS / 4; i++) {
        uint32_t index = exo_pipe_create(region);
        struct exo_fd entry = {
            .host = 5, .flags = EXO_FD_OPEN | EXO_FD_PIPE, .stamp = (uint16_t)index};
        struct exo_fd writes = entry;
        writes.flags |= EXO_FD_PIPE_WRITES;
        CHECK(index != 0 && exo_pipe_at(region, index)->mode == EXO_PIPE_OWN);
        publish(entry);
        exo_object_unref(region, writes);
        publish((struct exo_fd){.host = EXO_FD_HOST_FREE});
        exo_object_unref(region, entry);
    }
    return unused;
}

static void test_ends(void)
{
    begin_phase("ends");
    pthread_t threads[THREADS];
    region = region_create();
    publish((struct exo_fd){.host = EXO_FD_HOST_FREE});
    for (int i = 0; i < THREADS; i++)
        CHECK(pthread_create(&threads[i], NULL, i == 0 ? make_ends : copy_ends, NULL) == 0);
    for (int i = 0; i < THREADS; i++)
        CHECK(pthread_join(threads[i], NULL) == 0);
    exo_host_collect_objects(region); /* what a copier was the last to let go of */
    for (uint32_t i = 1; i <= region->object_high[EXO_KIND_PIPE]; i++)
        CHECK(region->pipes[i].mode == EXO_PIPE_FREE);
    region_destroy(region);
}

static void test_no_room(void)
{
    begin_phase("no room");
    region = region_create();
    uint32_t count = 0;
    while (exo_pipe_create(region) != 0)
        count++;
    CHECK(count == EXO_PIPE_COUNT - 1 && region->left_behind == 1);
    exo_host_collect_objects(region); /* none has an entry */
    CHECK(exo_pipe_create(region) != 0);
    region_destroy(region);
}

int main(void)
{
    begin(60);
    test_beside_the_host();
    test_ends();
    test_no_room();
    return 0;
}
