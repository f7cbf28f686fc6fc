/* The sums of posix-x profile: places and who calls them, data that is read and written again, small
 * writes in a row, tables that are full, and events that make no sense. */
#include "setup.h"

#include "host/profile.c"
#include "host/profileio.c"
#include "host/profileunwind.c"

#define NR_READ 0
#define NR_WRITE 1
#define NR_READV 19
#define NR_WRITEV 20
#define NR_GETPID 39

static struct exo_drained next_events[4];
static uint32_t event_count;

int exo_drain_next(struct exo_drain *drain)
{
    if (event_count == 0)
        return 0;
    drain->event = next_events[--event_count];
    return 1;
}

struct piece {
    uint64_t at;
    const void *data;
    uint64_t size;
    bool after;
};

static uint8_t *append(uint8_t *to, const void *data, uint64_t size)
{
    if (size != 0)
        memcpy(to, data, size);
    return to + size;
}

static uint8_t *append_piece(uint8_t *to, const struct piece *piece)
{
    uint64_t head = piece->at | piece->size << 48 | (uint64_t)piece->after << 63;
    to = append(append(to, &head, 8), piece->data, piece->size);
    for (uint64_t i = piece->size; i % 8 != 0; i++)
        *to++ = 0;
    return to;
}

/* A call of task 7 from rip with some words of stack. */
static struct exo_drained call(uint16_t nr, const uint64_t args[3], int64_t result, uint64_t rip,
                               const uint64_t *stack, uint64_t words, const struct piece *piece)
{
    struct exo_drained event = {.tid = 7, .kind = EXO_RECORD_CALL, .sequence = 1};
    struct exo_called head = {.nr = nr,
                              .argc = 3,
                              .flags = EXO_CALLED_ORIGIN,
                              .spent = 100,
                              .began = 1000,
                              .result = result};
    struct exo_origin origin = {.rip = rip, .rsp = 0x7000, .rbp = 0x7020, .size = words * 8};
    uint8_t *to = append(append(event.data, &head, sizeof(head)), args, 24);
    to = append(append(to, &origin, sizeof(origin)), stack, words * 8);
    for (; piece != NULL && piece->at != 0; piece++)
        to = append_piece(to, piece);
    event.size = (uint32_t)(to - event.data);
    return event;
}

static struct exo_drained move(uint16_t nr, uint64_t at, uint64_t size, const char *data,
                               uint64_t rip)
{
    const uint64_t args[3] = {nr == NR_READ ? 3 : 4, at, size};
    const struct piece pieces[2] = {{at, data, data ? strlen(data) : 0, nr == NR_READ}, {0}};
    return call(nr, args, (int64_t)size, rip, NULL, 0, data ? pieces : NULL);
}

static void own(struct exo_profile *profile, uint64_t pc)
{
    const struct exo_profile_rule rule = {.pc = pc, .space = 5, .own = 1};
    exo_profile_add(profile, &rule);
}

static void start(struct exo_profile *profile)
{
    CHECK_SAME(exo_profile_init(profile), 0);
    exo_profile_enter(profile, 7, 5);
    profile->io[NR_READ] = EXO_PROFILE_READ;
    profile->io[NR_WRITE] = EXO_PROFILE_WRITE;
    profile->io[NR_READV] = EXO_PROFILE_READ_VECTOR;
    profile->io[NR_WRITEV] = EXO_PROFILE_WRITE_VECTOR;
    for (uint64_t pc = 0x100; pc < 0x110; pc++)
        own(profile, pc);
}

static void test_buckets(void)
{
    for (uint32_t i = 0; i + 1 < EXO_PROFILE_BUCKETS; i++) {
        CHECK(exo_profile_bound(i) < exo_profile_bound(i + 1));
        CHECK_SAME(bucket_of(exo_profile_bound(i)), i);
        CHECK_SAME(bucket_of(exo_profile_bound(i + 1) - 1), i);
    }
    CHECK_SAME(bucket_of(UINT64_MAX), EXO_PROFILE_BUCKETS - 1);
}

/* libc's place has its caller's address on the stack, that one's frame is found by rbp. */
static void test_callers(void)
{
    static struct exo_recording recording;
    const uint64_t stack[8] = {0x200, 0, 0, 0, 0x9999, 0x100, 0, 0}, none[3] = {0};
    struct exo_profile profile;
    struct exo_drained event = call(NR_GETPID, none, 1, 0x300, stack, 8, NULL);
    start(&profile);
    recording.stack_limit = 64;
    profile.recording = &recording;
    CHECK_SAME(exo_profile_take(&profile, &event), EXO_PROFILE_RULE);
    CHECK_SAME(profile.asked_pc, 0x300);
    CHECK_SAME(profile.asked_space, 5);
    exo_profile_add(&profile,
                    &(struct exo_profile_rule){.pc = 0x300, .space = 5, .base = 1, .cfa = 8});
    CHECK_SAME(exo_profile_take(&profile, &event), EXO_PROFILE_RULE);
    CHECK_SAME(profile.asked_pc, 0x200);
    exo_profile_add(&profile, &(struct exo_profile_rule){
                                  .pc = 0x200, .space = 5, .base = 2, .cfa = 16, .rbp_at = -16});
    CHECK_SAME(exo_profile_take(&profile, &event), 0);
    CHECK_SAME(profile.site_count, 1);
    CHECK_SAME(profile.sites[0].at, 0x300);
    CHECK_SAME(profile.sites[0].caller, 0x100);
    uint64_t key = exo_depth_key(0x300, 0x200);
    CHECK_SAME(*exo_depth_at(&recording, key) & EXO_DEPTH_MASK, 6 + 1);
    event = call(NR_GETPID, none, 1, 0x300, stack, 2, NULL); /* too little: more is asked for */
    CHECK_SAME(exo_profile_take(&profile, &event), 0);
    CHECK_SAME(profile.sites[1].caller, 0);
    CHECK_SAME(*exo_depth_at(&recording, key) & EXO_DEPTH_MASK, 8 + 1);
    exo_profile_deinit(&profile);
}

static void test_copies(void)
{
    struct exo_profile profile;
    start(&profile);
    struct exo_drained event = move(NR_READ, 0x5000, 100, "abcdefgh", 0x100);
    CHECK_SAME(exo_profile_take(&profile, &event), 0);
    event = move(NR_WRITE, 0x5000, 60, "abcdefgh", 0x101);
    CHECK_SAME(exo_profile_take(&profile, &event), EXO_PROFILE_COPY);
    event = move(NR_WRITE, 0x5000 + 60, 40, "other", 0x101); /* the rest of it */
    exo_profile_take(&profile, &event);
    const struct exo_profile_copy *it = &profile.copies[0];
    CHECK_SAME(it->reads, 1);
    CHECK_SAME(it->writes, 2);
    CHECK_SAME(it->bytes, 100);
    CHECK_SAME(it->same, 1);
    CHECK_SAME(it->changed, 0);
    CHECK_SAME(it->from, 3);
    CHECK_SAME(it->to, 4);
    event = move(NR_WRITE, 0x5000, 100, "abcdefgh", 0x101); /* what was written already */
    exo_profile_take(&profile, &event);
    CHECK_SAME(it->writes, 2);
    event = move(NR_READ, 0x5000, 100, "abcdefgh", 0x100);
    exo_profile_take(&profile, &event);
    event = move(NR_WRITE, 0x5000, 200, "abcdefgh", 0x101); /* more than was read */
    exo_profile_take(&profile, &event);
    CHECK_SAME(it->writes, 2);
    event = move(NR_WRITE, 0x5000, 100, "changed!", 0x101);
    exo_profile_take(&profile, &event);
    CHECK_SAME(it->changed, 1);
    CHECK_SAME(profile.copy_count, 1);
    exo_profile_deinit(&profile);
}

static void test_vectors(void)
{
    const uint64_t items[4] = {0x5000, 8, 0x6000, 100}, args[3] = {3, 0x4000, 2};
    const struct piece reads[] = {{0x4000, items, 32, true}, {0x5000, "abcdefgh", 8, true}, {0}};
    const struct piece writes[] = {{0x4000, items, 32, false}, {0x5000, "abcdefgh", 8, false}, {0}};
    struct exo_profile profile;
    start(&profile);
    struct exo_drained event = call(NR_READV, args, 58, 0x100, NULL, 0, reads);
    CHECK_SAME(exo_profile_take(&profile, &event), 0);
    const uint64_t shorter[4] = {0x5000, 8, 0x6000, 50};
    struct piece copy[3] = {writes[0], writes[1], {0}};
    copy[0].data = shorter;
    event = call(NR_WRITEV, args, 58, 0x101, NULL, 0, copy);
    CHECK_SAME(exo_profile_take(&profile, &event), EXO_PROFILE_COPY);
    CHECK_SAME(profile.copies[0].bytes, 58);
    CHECK_SAME(profile.copies[0].same, 1);
    CHECK_SAME(profile.copies[0].read_cycles, 100); /* of one call */
    exo_profile_deinit(&profile);
}

static void test_runs(void)
{
    struct exo_profile profile;
    start(&profile);
    profile.neutral[NR_GETPID / 64] |= 1UL << NR_GETPID % 64;
    struct exo_drained event;
    const uint64_t none[3] = {0};
    int codes[5];
    for (uint32_t i = 0; i < 5; i++) {
        event = move(NR_WRITE, 0x9000 + i, 10, NULL, 0x102);
        codes[i] = exo_profile_take(&profile, &event);
        event = call(NR_GETPID, none, 1, 0x103, NULL, 0, NULL);
        exo_profile_take(&profile, &event);
    }
    CHECK(codes[0] == 0 && codes[1] == EXO_PROFILE_RUN && codes[2] == 0);
    event = move(NR_READ, 0xa000, 10, NULL, 0x100); /* ends it */
    exo_profile_take(&profile, &event);
    event = move(NR_WRITE, 0x9000, 10, NULL, 0x102);
    exo_profile_take(&profile, &event);
    event = move(NR_WRITE, 0x9000, EXO_PROFILE_SMALL, NULL, 0x102); /* not small */
    exo_profile_take(&profile, &event);
    const struct exo_profile_run *it = &profile.runs[0];
    CHECK_SAME(profile.run_count, 1);
    CHECK_SAME(it->runs, 1);
    CHECK_SAME(it->writes, 5);
    CHECK_SAME(it->bytes, 50);
    CHECK_SAME(it->cycles, 500);
    CHECK_SAME(it->longest, 5);
    exo_profile_deinit(&profile);
}

static void test_full_tables(void)
{
    struct exo_profile profile;
    static struct exo_drain drain;
    const uint64_t none[3] = {0};
    start(&profile);
    for (uint32_t i = 0; i < EXO_PROFILE_SITES; i++) {
        own(&profile, 0x10000 + i);
        struct exo_drained event = call(NR_GETPID, none, 1, 0x10000 + i, NULL, 0, NULL);
        CHECK_SAME(exo_profile_take(&profile, &event), 0);
    }
    next_events[0] = call(NR_GETPID, none, 1, 0x100, NULL, 0, NULL);
    event_count = 1;
    profile.wanted[0] = 1UL << NR_GETPID;
    CHECK_SAME(exo_profile_next(&profile, &drain), EXO_PROFILE_FULL);
    exo_profile_empty(&profile);
    CHECK_SAME(exo_profile_next(&profile, &drain), EXO_PROFILE_EVENT);
    CHECK_SAME(profile.site_count, 1);
    CHECK_SAME(profile.calls, EXO_PROFILE_SITES + 1);
    CHECK_SAME(drain.event.size, sizeof(struct exo_called) + 24); /* without its origin */
    CHECK_SAME(exo_profile_next(&profile, &drain), 0);
    exo_profile_deinit(&profile);
}

static void test_garbage(void)
{
    struct exo_profile profile;
    uint64_t random = 1;
    const uint64_t items[4] = {0x5000, 8, 0x6000, 100}, args[3] = {3, 0x4000, 2};
    const struct piece pieces[] = {{0x4000, items, 32, true}, {0x5000, "abcdefgh", 8, true}, {0}};
    const uint64_t stack[4] = {0x100, 0x200, 0x300, 0x400};
    start(&profile);
    for (uint32_t i = 0; i < 30000; i++) {
        uint16_t nr = (uint16_t)(random_below(&random, 2) ? NR_READV : NR_WRITE);
        struct exo_drained event = call(nr, args, 58, 0x100, stack, 4, pieces);
        for (uint32_t j = random_below(&random, 6); j > 0; j--)
            event.data[random_below(&random, event.size)] = (uint8_t)random_below(&random, 256);
        event.size = random_below(&random, 3) ? event.size : random_below(&random, event.size + 1);
        if (exo_profile_take(&profile, &event) == EXO_PROFILE_RULE) {
            own(&profile, profile.asked_pc);
            exo_profile_take(&profile, &event);
        }
        if (profile.site_count > EXO_PROFILE_SITES - 2 ||
            profile.run_count > EXO_PROFILE_RUNS - 2 || profile.copy_count > EXO_PROFILE_COPIES - 2)
            exo_profile_empty(&profile);
    }
    exo_profile_deinit(&profile);
}

int main(void)
{
    begin(60);
    test_buckets();
    test_callers();
    test_copies();
    test_vectors();
    test_runs();
    test_full_tables();
    test_garbage();
    return 0;
}
