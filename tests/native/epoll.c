/* Epoll sets in the region: what is told is what there is, whatever is added and removed meanwhile;
 * nothing that is told gets lost between threads, and all memory comes back.
 */
#include "core/epoll.h"
#include "core/pipe.h"
#include "host/collectobjects.c"
#include "setup.h"

#define PIPES 300
#define STEPS 20000

static uint32_t seed = 4711;

static uint32_t random_next(void)
{
    seed ^= seed << 13;
    seed ^= seed >> 17;
    return seed ^= seed << 5;
}

static uint32_t make_set(struct exo_kr *kr)
{
    uint32_t set = exo_object_create(kr, EXO_KIND_EPOLL, EXO_SET_OWN, 1);
    exo_object_hold(kr, 0);
    CHECK(set != 0);
    return set;
}

static struct exo_fd entry_of(uint32_t number, uint16_t flags)
{
    return (struct exo_fd){.host = 5, .flags = EXO_FD_OPEN | flags, .stamp = (uint16_t)number};
}

static void push(struct exo_kr *kr, struct exo_pipe *pipe)
{
    const uint64_t vector[1][2] = {{(uint64_t)(uintptr_t) "x", 1}};
    struct exo_span span = {.vector = vector, .left = 1};
    exo_lock_acquire(&pipe->lock);
    CHECK(exo_pipe_push_locked(kr, pipe, &span, EXO_PAGE_GROWS) == 1);
    exo_lock_release(&pipe->lock);
    if (exo_watched(&pipe->watch[EXO_PIPE_READS]))
        exo_watch_tell(kr, &pipe->watch[EXO_PIPE_READS], EXO_POLL_INS);
}

static bool pull(struct exo_kr *kr, struct exo_pipe *pipe)
{
    uint8_t byte;
    const uint64_t vector[1][2] = {{(uint64_t)(uintptr_t)&byte, 1}};
    struct exo_span span = {.vector = vector, .left = 1};
    exo_lock_acquire(&pipe->lock);
    long done = exo_pipe_pull_locked(kr, pipe, &span);
    exo_lock_release(&pipe->lock);
    return done == 1;
}

/* All that is told now, by data, of at most max. */
static uint32_t look(struct exo_kr *kr, uint32_t set, uint32_t max, uint32_t *told)
{
    static struct exo_look found;
    uint32_t sum = 0;
    int more;
    found.max = max;
    found.begun = false;
    do {
        more = exo_epoll_look(kr, set, &found);
        CHECK(more >= 0 && found.stray == 0);
        for (uint32_t i = 0; i < found.count; i++)
            told[found.found[i].data]++;
        sum += found.count;
    } while (more > 0);
    return sum;
}

struct model {
    bool watched[PIPES];
    uint32_t events[PIPES], bytes[PIPES];
    bool news[PIPES]; /* edge-triggered: something has come since */
};

/* Level-triggered and edge-triggered watches of pipes, beside a model of them. */
static void test_model(void)
{
    begin_phase("model");
    static struct model model;
    struct exo_kr *kr = region_create();
    uint32_t set = make_set(kr), pipes[PIPES], number;
    for (uint32_t i = 0; i < PIPES; i++)
        pipes[i] = exo_pipe_create(kr);
    for (uint32_t step = 0; step < STEPS; step++) {
        uint32_t i = random_next() % PIPES, told[PIPES] = {0}, expected = 0;
        struct exo_pipe *pipe = exo_pipe_at(kr, pipes[i]);
        struct exo_watch what = {.events = EXO_POLLIN | EXO_POLL_GONE |
                                           (random_next() % 2 ? EXO_EPOLLET : 0),
                                 .data = i,
                                 .object = pipes[i],
                                 .fd = (int)i};
        switch (random_next() % 6) {
        case 0:
            int added = exo_epoll_add(kr, set, &what, &number);
            CHECK(model.watched[i] ? added == -EEXIST : added == 0 || added == 1);
            if (!model.watched[i])
                model.events[i] = what.events;
            model.news[i] |= !model.watched[i];
            model.watched[i] = true;
            break;
        case 1:
            CHECK(exo_epoll_remove(kr, set, &what) == (model.watched[i] ? 1 : -ENOENT));
            model.watched[i] = false;
            break;
        case 2:
            CHECK(exo_epoll_modify(kr, set, &what, &number) == (model.watched[i] ? 0 : -ENOENT));
            model.events[i] = what.events;
            model.news[i] = true;
            break;
        case 3:
            CHECK(pull(kr, pipe) == (model.bytes[i] != 0));
            model.bytes[i] -= model.bytes[i] != 0;
            break;
        default:
            push(kr, pipe);
            model.bytes[i]++;
            model.news[i] = true;
        }
        if (step % 16 != 0)
            continue;
        for (uint32_t k = 0; k < PIPES; k++) {
            bool edge = model.events[k] & EXO_EPOLLET;
            expected += model.watched[k] && model.bytes[k] != 0 && (!edge || model.news[k]);
        }
        CHECK(look(kr, set, PIPES, told) == expected);
        for (uint32_t k = 0; k < PIPES; k++) {
            bool edge = model.events[k] & EXO_EPOLLET;
            CHECK(told[k] == (model.watched[k] && model.bytes[k] != 0 && (!edge || model.news[k])));
            model.news[k] = false;
        }
    }
    region_destroy(kr);
}

/* However few are taken at once, all get their turn. */
static void test_turns(void)
{
    begin_phase("turns");
    struct exo_kr *kr = region_create();
    uint32_t set = make_set(kr), number, told[PIPES] = {0};
    for (uint32_t i = 0; i < PIPES; i++) {
        struct exo_watch what = {
            .events = EXO_POLLIN, .data = i, .object = exo_pipe_create(kr), .fd = (int)i};
        CHECK(exo_epoll_add(kr, set, &what, &number) == 0);
        push(kr, exo_pipe_at(kr, what.object));
    }
    for (uint32_t i = 0; i < PIPES; i++)
        CHECK(look(kr, set, 7, told) == 7);
    for (uint32_t i = 0; i < PIPES; i++)
        CHECK(told[i] == 7);
    region_destroy(kr);
}

/* --- threads --- */

#define TELLERS 3
#define ROUNDS 3000

struct scene {
    struct exo_kr *kr;
    uint32_t set, other, pipes[TELLERS];
    uint32_t taken[TELLERS], done;
};

static void tell_all(struct scene *scene, uint32_t index)
{
    struct exo_pipe *pipe = exo_pipe_at(scene->kr, scene->pipes[index]);
    for (uint32_t i = 0; i < ROUNDS; i++) {
        push(scene->kr, pipe);
        while (__atomic_load_n(&scene->taken[index], __ATOMIC_ACQUIRE) <= i)
            sched_yield();
    }
    __atomic_fetch_add(&scene->done, 1, __ATOMIC_SEQ_CST);
}

/* Others come to the same lists and leave them. */
static void come_and_go(struct scene *scene)
{
    uint32_t number;
    for (uint32_t i = 0; __atomic_load_n(&scene->done, __ATOMIC_ACQUIRE) < TELLERS; i++) {
        struct exo_watch what = {
            .events = EXO_POLLIN, .object = scene->pipes[i % TELLERS], .fd = (int)(i % 100)};
        if (exo_epoll_add(scene->kr, scene->other, &what, &number) == 0 && i % 3 == 0)
            exo_epoll_modify(scene->kr, scene->other, &what, &number);
        what.fd = (int)(i / 2 % 100);
        what.object = scene->pipes[i / 2 % TELLERS];
        exo_epoll_remove(scene->kr, scene->other, &what);
        sched_yield();
    }
}

static void take_all(struct scene *scene)
{
    while (__atomic_load_n(&scene->done, __ATOMIC_ACQUIRE) < TELLERS) {
        uint32_t told[TELLERS] = {0};
        if (look(scene->kr, scene->set, TELLERS, told) == 0)
            sched_yield();
        for (uint32_t i = 0; i < TELLERS; i++)
            if (told[i] != 0 && pull(scene->kr, exo_pipe_at(scene->kr, scene->pipes[i])))
                __atomic_fetch_add(&scene->taken[i], 1, __ATOMIC_SEQ_CST);
    }
}

static void act(struct worker *worker)
{
    struct scene *scene = worker->shared;
    if (worker->index < TELLERS)
        tell_all(scene, worker->index);
    else if (worker->index == TELLERS)
        come_and_go(scene);
    else
        take_all(scene);
}

static void test_threads(void)
{
    begin_phase("threads");
    struct scene scene = {.kr = region_create()};
    uint32_t number;
    scene.set = make_set(scene.kr);
    scene.other = make_set(scene.kr);
    for (uint32_t i = 0; i < TELLERS; i++) {
        scene.pipes[i] = exo_pipe_create(scene.kr);
        struct exo_watch what = {
            .events = EXO_POLLIN | EXO_EPOLLET, .data = i, .object = scene.pipes[i], .fd = (int)i};
        CHECK(exo_epoll_add(scene.kr, scene.set, &what, &number) == 0);
    }
    run_threads(TELLERS + 2, act, &scene);
    region_destroy(scene.kr);
}

/* --- ends --- */

static uint32_t used_watches(struct exo_kr *kr)
{
    uint32_t count = 0;
    for (uint32_t i = 1; i <= kr->group_high; i++)
        count += (uint32_t)__builtin_popcountll(kr->watch_groups[i].used);
    return count;
}

/* Objects and sets that go take with them who watches, in any order; killed ones are collected. */
static void test_ends(void)
{
    begin_phase("ends");
    struct exo_kr *kr = region_create();
    uint32_t number;
    for (uint32_t round = 0; round < 500; round++) {
        uint32_t set = make_set(kr), pipes[100];
        for (uint32_t i = 0; i < 100; i++) {
            pipes[i] = exo_pipe_create(kr);
            struct exo_watch what = {.events = EXO_POLLIN, .object = pipes[i], .fd = (int)i};
            CHECK(exo_epoll_add(kr, set, &what, &number) == 0);
        }
        exo_object_hold(kr, 0);
        for (uint32_t i = 0; i < 100 && round % 3 != 1; i++) {
            exo_object_unref(kr, entry_of(pipes[i], EXO_FD_PIPE));
            exo_object_unref(kr, entry_of(pipes[i], EXO_FD_PIPE | EXO_FD_PIPE_WRITES));
        }
        if (round % 3 != 1)
            CHECK(used_watches(kr) == 0);
        if (round % 3 != 2)
            exo_object_unref(kr, entry_of(set, EXO_FD_EPOLL));
        exo_host_collect_objects(kr); /* what nobody has an entry of, as if it had been killed */
        CHECK(used_watches(kr) == 0);
        for (uint32_t i = 1; i <= kr->group_high; i++)
            CHECK(kr->watch_groups[i].set == 0);
    }
    CHECK(kr->group_high <= 4 && kr->object_high[EXO_KIND_EPOLL] <= 2);
    region_destroy(kr);
}

int main(void)
{
    begin(60);
    test_model();
    test_turns();
    test_threads();
    test_ends();
    return 0;
}
