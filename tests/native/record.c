/* What the runtime tells of a call's memory (runtime/record*.c), through the rings to who watches: long
 * strings and lists whole and in order, and whatever hostile arguments lead to, bytes as they are there
 * and nowhere else.
 */
#include <asm/unistd.h>
#include <sys/syscall.h>

#include "host/drain.c"
#include "host/drainline.c"
#include "host/drainpen.c"
#include "host/draintext.c"
#include "host/drainwords.c"
#include "setup.h"
#undef UNUSED
#include "runtime/area.h"
#undef KR
#define KR region
static struct exo_kr *region;
#include "runtime/recordcount.c"
#undef SHARED
#include "runtime/recorddeep.c"
#undef PAGE
#include "runtime/recordmem.c"
#undef BATCH
#undef LOOKS_NS
#include "runtime/recordpush.c"
#include "runtime/recordtamper.c"
#include "runtime/recordunion.c"

#define SLOT 5
#define TID 77
#define ARENA (64UL << 10)
#define CALLS 500
#define LONG_SIZE 50000
#define ARCH_SET_GS 0x1001

const struct exo_call exo_calls[EXO_CALL_COUNT] = {
    [__NR_write] = {.argc = 3, .args = {{1, 7, 0}, {EXO_ARG_IN, 2, 1}, {1, 7, 0}}},
    [__NR_read] = {.argc = 3, .args = {{1, 7, 0}, {EXO_ARG_OUT, 2, 1}, {1, 7, 0}}},
    [__NR_open] = {.argc = 1, .args = {{EXO_ARG_PATH, 7, 0}}},
    [__NR_request_key] = {.argc = 2, .args = {{EXO_ARG_STR, 7, 0}, {EXO_ARG_INOUT, 2, 8}}},
    [__NR_poll] = {.argc = 2, .args = {{EXO_ARG_INOUT, 1 | EXO_LENGTH_INT, 8}, {1, 7, 0}}},
};
const uint32_t exo_call_limit = EXO_CALL_COUNT;

static struct exo_area mine;
static struct exo_task own_task;
static uint8_t *arena;
static struct exo_drain drain;
static uint8_t *seen; /* what has been told of the arena since the last call */
static uint64_t seen_bytes, calls_seen;
static uint32_t done;

long host_call(long nr, long a, long b, long c, long d, long e, long f)
{
    long result = syscall(nr, a, b, c, d, e, f);
    return result < 0 ? -errno : result;
}

long guest_read(void *to, uint64_t from, uint64_t size)
{
    uint64_t start = (uint64_t)(uintptr_t)arena;
    if (from < start || from > start + ARENA || size > start + ARENA - from)
        return -EFAULT;
    memcpy(to, (const void *)(uintptr_t)from, size);
    return 0;
}

void exo_record_fds(struct exo_stage *stage, const struct exo_regs *regs, bool after)
{
    (void)stage, (void)regs, (void)after;
}

long exo_observe_unrecorded(long a, long b, long c, long d, long e, long f)
{
    return a + b + c + d + e + f;
}

/* Each piece is what stands there. */
static void look(const struct exo_drained *event, uint32_t place)
{
    uint64_t head, start = (uint64_t)(uintptr_t)arena;
    CHECK(event->size <= EXO_DRAIN_EVENT);
    for (; place + 8 <= event->size; place += 8 + (((uint32_t)(head >> 48 & 0x7fff) + 7) & ~7U)) {
        memcpy(&head, event->data + place, 8);
        uint64_t size = head >> 48 & 0x7fff, at = head & ((1UL << 48) - 1);
        if (head == 0)
            break;
        CHECK(size != 0 && size <= event->size - place - 8);
        CHECK(at >= start && at + size <= start + ARENA);
        CHECK(memcmp(event->data + place + 8, (const void *)(uintptr_t)at, size) == 0);
        memset(seen + (at - start), 1, size);
        seen_bytes += size;
    }
}

static void take_events(void)
{
    int code;
    while ((code = exo_drain_next(&drain)) == 1) {
        const struct exo_drained *event = &drain.event;
        struct exo_called called;
        CHECK(event->tid == TID);
        memcpy(&called, event->data, sizeof(called));
        if (event->kind == EXO_RECORD_MEMORY)
            look(event, 8);
        else
            look(event, (uint32_t)sizeof(called) + called.argc * 8U);
        calls_seen += event->kind == EXO_RECORD_CALL;
    }
    CHECK(code == 0);
}

static void *watcher(void *nothing)
{
    while (!load_acquire(&done)) {
        take_events();
        exo_drain_wait(&drain, 1000000);
    }
    take_events();
    return nothing;
}

/* As runtime/record.c does it, but for the call itself. */
static void call(uint32_t nr, const uint64_t *args, long result)
{
    struct exo_stage *stage = exo_stage_of(&mine);
    struct exo_called *called = exo_called_of(stage);
    mine.regs = (struct exo_regs){.rdi = args[0],
                                  .rsi = args[1],
                                  .rdx = args[2],
                                  .r10 = args[3],
                                  .r8 = args[4],
                                  .r9 = args[5]};
    *called = (struct exo_called){.nr = (uint16_t)nr, .argc = exo_calls[nr].argc};
    memcpy(called + 1, args, exo_calls[nr].argc * 8UL);
    stage->size = stage->pieces = (uint32_t)sizeof(*called) + exo_calls[nr].argc * 8U;
    exo_record_memory(stage, &mine.regs, false);
    called->result = result;
    exo_record_memory(stage, &mine.regs, true);
    CHECK(stage->size <= EXO_STAGE_DATA);
    exo_record_push(&mine, EXO_RECORD_CALL, stage->data, stage->size);
}

static void begin_watch(uint32_t limit, uint32_t flags)
{
    region = region_create();
    region->cpu_count = 2;
    region->recording.on = 1;
    region->recording.string_limit = limit;
    region->recording.flags = EXO_RECORDING_EVENTS | flags;
    CHECK(exo_ringset_init(exo_drain_rings(region), 2, EXO_RECORD_ORDER, EXO_RING_MPSC, 0) == 0);
    CHECK(exo_drain_init(&drain, region) == 0);
    memset(seen, 0, ARENA);
    seen_bytes = calls_seen = 0;
}

/* Nothing has been written beside the one stage. */
static void end_watch(void)
{
    static const struct exo_stage untouched;
    CHECK(memcmp(&region->stages[SLOT - 1], &untouched, sizeof(untouched)) == 0);
    CHECK(memcmp(&region->stages[SLOT + 1], &untouched, sizeof(untouched)) == 0);
    CHECK(drain.lost == 0);
    exo_drain_deinit(&drain);
    region_destroy(region);
}

static void long_memory(void)
{
    const uint64_t start = (uint64_t)(uintptr_t)arena;
    begin_phase("long memory");
    memset(arena, 'x', ARENA);
    arena[LONG_SIZE] = 0;
    begin_watch(1 << 20, 0);
    call(__NR_request_key, (uint64_t[6]){start + 3}, 0);
    take_events();
    CHECK(calls_seen == 1 && seen_bytes == LONG_SIZE - 2);
    for (uint32_t i = 0; i < ARENA; i++)
        CHECK(seen[i] == (i >= 3 && i <= LONG_SIZE));
    call(__NR_write, (uint64_t[6]){1, start, ARENA}, (long)ARENA); /* all of it */
    take_events();
    CHECK(seen_bytes == LONG_SIZE - 2 + ARENA);
    call(__NR_write, (uint64_t[6]){1, start + 5, ARENA * 3}, -EFAULT); /* what there is, by pages */
    call(__NR_open, (uint64_t[6]){start + ARENA - 9}, -EFAULT);        /* not to be read whole */
    call(__NR_read, (uint64_t[6]){0, start, ARENA}, 7);
    take_events();
    CHECK(calls_seen == 5);
    end_watch();
}

static uint64_t random_next(uint64_t *state)
{
    *state = *state * 6364136223846793005 + 1442695040888963407;
    return *state >> 24;
}

/* An address in the arena, mostly near an end of it; a small number; or any. */
static uint64_t any_argument(uint64_t *seed)
{
    uint64_t start = (uint64_t)(uintptr_t)arena, which = random_next(seed) % 8;
    if (which < 4)
        return start + random_next(seed) % ARENA / 8 * 8;
    if (which < 6)
        return random_next(seed) % 70;
    return which == 6 ? start + ARENA - random_next(seed) % 64 : random_next(seed) << 24;
}

static void hostile(uint32_t limit, uint32_t flags)
{
    static const uint16_t numbers[] = {__NR_write,
                                       __NR_read,
                                       __NR_open,
                                       __NR_request_key,
                                       __NR_poll,
                                       __NR_readv,
                                       __NR_writev,
                                       __NR_ioctl,
                                       __NR_fcntl,
                                       __NR_openat2,
                                       __NR_execve,
                                       __NR_execveat,
                                       __NR_sendmsg,
                                       __NR_recvmsg,
                                       __NR_sendmmsg,
                                       __NR_recvmmsg,
                                       __NR_connect,
                                       __NR_accept,
                                       __NR_recvfrom,
                                       __NR_getsockopt,
                                       __NR_clone3,
                                       __NR_select,
                                       __NR_pselect6,
                                       __NR_msgsnd,
                                       __NR_semctl,
                                       __NR_mincore,
                                       __NR_prctl,
                                       __NR_getdents64,
                                       __NR_process_vm_writev,
                                       __NR_keyctl,
                                       __NR_ptrace,
                                       __NR_io_submit,
                                       __NR_bpf};
    uint64_t seed = limit + flags + 1, *words = (uint64_t *)(void *)arena;
    pthread_t thread;
    begin_phase("hostile arguments");
    for (uint32_t i = 0; i < ARENA / 8; i++)
        words[i] = any_argument(&seed);
    begin_watch(limit, flags);
    done = 0;
    CHECK(pthread_create(&thread, NULL, watcher, NULL) == 0);
    for (uint32_t i = 0; i < CALLS; i++) {
        uint64_t args[6];
        for (uint32_t j = 0; j < 6; j++)
            args[j] = any_argument(&seed);
        uint32_t nr = numbers[random_next(&seed) % (sizeof(numbers) / sizeof(numbers[0]))];
        call(nr, args, random_next(&seed) % 4 ? (long)(random_next(&seed) % 4096) : -EINTR);
    }
    store_release(&done, 1);
    pthread_join(thread, NULL);
    CHECK(calls_seen == CALLS);
    end_watch();
}

/* Who watches has gone: the task goes on, unwatched. */
static void nobody(void)
{
    begin_phase("nobody takes it");
    begin_watch(1 << 20, 0);
    region->recording.on = 0;
    own_task.flags = EXO_TASK_RECORDED;
    call(__NR_write, (uint64_t[6]){1, (uint64_t)(uintptr_t)arena, ARENA}, 0);
    CHECK(!(mine.observe & EXO_OBSERVE_RECORD) && !(own_task.flags & EXO_TASK_RECORDED));
    mine.observe = EXO_OBSERVE_RECORD;
    end_watch();
}

static void tampering(void)
{
    begin_phase("tampering");
    begin_watch(32, 0);
    struct exo_tamper *first = &region->recording.tampers[0];
    *first = (struct exo_tamper){.first = 2, .last = 6, .step = 2, .flags = EXO_TAMPER_RESULT};
    first->calls[0] = 1UL << __NR_write;
    region->recording.tamper_count = UINT32_MAX; /* more than there is room for */
    struct exo_stage *stage = exo_stage_of(&mine);
    for (uint32_t i = 1; i <= 9; i++) {
        bool meant = exo_record_tamper(stage, __NR_write) != NULL;
        CHECK(meant == (i == 2 || i == 4 || i == 6));
        CHECK(exo_record_tamper(stage, __NR_read) == NULL);
    }
    memset(stage, 0, sizeof(*stage));
    end_watch();
}

/* Counters of the dead are taken over, those of the living are not; who finds none shares. */
static void counting(void)
{
    begin_phase("counting");
    begin_watch(32, 0);
    struct exo_recording *recording = &region->recording;
    for (uint32_t i = 0; i < EXO_TALLY_SETS; i++)
        recording->tally_owners[i] = UINT64_MAX - i; /* whatever stands there: nobody */
    exo_tally_add(&mine, __NR_write, -1, 5);
    CHECK(exo_stage_of(&mine)->tally == 1 && recording->tallies[0][__NR_write].errors == 1);
    exo_tally_leave(&mine);
    exo_tally_add(&mine, __NR_write, 0, 7);
    CHECK(recording->tallies[EXO_TALLY_SETS - 1][__NR_write].cycles == 7);
    memset(exo_stage_of(&mine), 0, sizeof(struct exo_stage));
    end_watch();
}

int main(void)
{
    begin(100);
    mine.self = &mine;
    mine.slot = SLOT;
    mine.tid = TID;
    mine.task = mine.leader = &own_task;
    mine.observe = EXO_OBSERVE_RECORD;
    CHECK(syscall(SYS_arch_prctl, ARCH_SET_GS, &mine) == 0);
    arena = map_shared(ARENA);
    seen = map_shared(ARENA);
    long_memory();
    hostile(32, 0);
    hostile(9, EXO_RECORDING_WHOLE);
    hostile(5000, 0);
    nobody();
    tampering();
    counting();
    return 0;
}
