/* The clock is the host's, never ahead of it; timers in sets, and in sets in them, are told when they have expired, and none is
 * lost between who sets them and who looks.
 */
#include "core/deadline.h"
#include "core/epoll.h"
#include "core/now.h"
#include "setup.h"

#define TIMERS 150 /* in three groups */
#define ROUNDS 20000
#define CLOCK_READS 300000

static uint64_t host_ns(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000000 + (uint64_t)now.tv_nsec;
}

static bool clock_is_tsc(void)
{
    char name[16] = {0};
    FILE *file = fopen("/sys/devices/system/clocksource/clocksource0/current_clocksource", "r");
    bool is = file != NULL && fgets(name, sizeof(name), file) != NULL && strcmp(name, "tsc\n") == 0;
    if (file != NULL)
        fclose(file);
    return is;
}

static void test_clock(uint32_t tsc)
{
    begin_phase("clock");
    struct exo_kr *kr = region_create();
    uint64_t last = 0;
    kr->tsc = tsc;
    for (int i = 0; i < CLOCK_READS; i++) {
        uint64_t before = host_ns(), now = exo_now_ns(kr), after = host_ns();
        CHECK(now <= after && now + EXO_NOW_LATE >= before && now >= last);
        last = now;
    }
    region_destroy(kr);
}

struct shared {
    struct exo_kr *kr;
    uint32_t inner, outer;
    uint32_t timers[TIMERS];
    bool nested;
    uint32_t set, taken; /* times */
};

static uint32_t make(struct exo_kr *kr, enum exo_kind kind)
{
    uint32_t number = exo_object_create(kr, kind, 1, 1);
    exo_object_hold(kr, 0);
    CHECK(number != 0);
    return number;
}

static void add(struct exo_kr *kr, uint32_t set, uint32_t object, int fd)
{
    const struct exo_watch what = {
        .object = object, .events = EXO_POLLIN | EXO_EPOLLET, .data = (uint64_t)fd, .fd = fd};
    uint32_t number;
    CHECK(exo_epoll_add(kr, set, &what, &number) == 0);
}

static void take(struct shared *shared, uint32_t i)
{
    struct exo_event *event = exo_event_at(shared->kr, shared->timers[i % TIMERS]);
    exo_lock_acquire(&event->lock);
    uint64_t count = exo_timer_take_locked(shared->kr, event);
    exo_lock_release(&event->lock);
    if (count != 0)
        __atomic_add_fetch(&shared->taken, (uint32_t)count, __ATOMIC_SEQ_CST);
}

/* Sets timers that nobody has set, to some moment that is soon. */
static void set_some(struct shared *shared, uint32_t seed)
{
    struct exo_kr *kr = shared->kr;
    while (shared->set < ROUNDS) {
        struct exo_event *event = exo_event_at(kr, shared->timers[seed % TIMERS]);
        seed = seed * 1103515245 + 12345;
        exo_lock_acquire(&event->lock);
        uint64_t ns = event->expiry_ns == 0 ? exo_now_ns(kr) + (seed >> 8) % 100000 : 0;
        if (ns != 0)
            __atomic_store_n(&event->expiry_ns, ns, __ATOMIC_RELEASE);
        exo_lock_release(&event->lock);
        shared->set += ns != 0;
        if (ns != 0)
            exo_deadline_note(kr, &event->watch, ns);
    }
    __atomic_store_n(&shared->set, ROUNDS, __ATOMIC_SEQ_CST);
}

static void look(struct shared *shared)
{
    struct exo_look look = {.max = EXO_LOOK_COUNT};
    if (shared->nested) {
        exo_epoll_look(shared->kr, shared->outer, &look);
        if (look.count == 0)
            return;
    }
    look = (struct exo_look){.max = EXO_LOOK_COUNT};
    exo_epoll_look(shared->kr, shared->inner, &look);
    for (uint32_t i = 0; i < look.count; i++)
        take(shared, (uint32_t)look.found[i].data);
}

static void set_and_look(struct worker *worker)
{
    struct shared *shared = worker->shared;
    if (worker->index == 0)
        set_some(shared, 1);
    else
        while (__atomic_load_n(&shared->taken, __ATOMIC_SEQ_CST) < ROUNDS)
            look(shared);
}

static void test_told(bool nested)
{
    begin_phase(nested ? "told of a set in a set" : "told");
    struct shared shared = {.kr = region_create(), .nested = nested};
    shared.kr->tsc = clock_is_tsc() ? EXO_TSC_IS_CLOCK : EXO_TSC_IS_NONE;
    shared.inner = make(shared.kr, EXO_KIND_EPOLL);
    shared.outer = make(shared.kr, EXO_KIND_EPOLL);
    add(shared.kr, shared.outer, shared.inner, TIMERS);
    for (int i = 0; i < TIMERS; i++) {
        shared.timers[i] = make(shared.kr, EXO_KIND_EVENT);
        exo_event_at(shared.kr, shared.timers[i])->clock = 2;
        add(shared.kr, shared.inner, shared.timers[i], i);
    }
    run_threads(2, set_and_look, &shared);
    CHECK(shared.taken == ROUNDS && !exo_epoll_is_ready(shared.kr, shared.inner));
    region_destroy(shared.kr);
}

int main(void)
{
    begin(20);
    self_init();
    test_clock(EXO_TSC_IS_NONE);
    if (clock_is_tsc())
        test_clock(EXO_TSC_IS_CLOCK);
    test_told(false);
    test_told(true);
    return 0;
}
