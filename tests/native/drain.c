/* Events that guests tell, as they reach who watches: whole, in their order through several rings, as
 * lines; of many tasks, one after the other; and whatever hostile guests put into rings and stages.
 */
#include "host/drain.c"
#include "host/drainline.c"
#include "host/drainpen.c"
#include "host/draintext.c"
#include "host/drainwords.c"
#include "setup.h"

#define TID 9
#define EVENTS 3000
#define GARBAGE 200000

static struct exo_drain drain;

static void watch(struct exo_kr *kr, uint32_t rings)
{
    struct exo_ringset *set = exo_drain_rings(kr);
    CHECK(exo_ringset_init(set, rings, EXO_RECORD_ORDER, EXO_RING_MPSC, 0) == 0);
    CHECK(exo_drain_init(&drain, kr) == 0);
    drain.plain = 1;
    drain.column = 20;
    drain.string_limit = 8;
}

static void push(struct exo_kr *kr, uint32_t ring, uint32_t kind, const struct exo_told *record)
{
    struct exo_ring *to = exo_ringset_ring(exo_drain_rings(kr), ring);
    CHECK(exo_ring_push(to, 0, kind, record, sizeof(*record)) == 0);
}

/* An event of a task, each of its records through another ring. */
static void tell(struct exo_kr *kr, uint32_t tid, uint32_t *sequence, uint32_t kind,
                 const void *data, uint32_t size)
{
    for (uint32_t done = 0; done < size; done += EXO_RECORD_DATA) {
        bool more = size - done > EXO_RECORD_DATA;
        struct exo_told record = {tid, ++*sequence | (more ? EXO_RECORD_MORE : 0), {0}};
        memcpy(record.data, (const uint8_t *)data + done, more ? EXO_RECORD_DATA : size - done);
        push(kr, *sequence % exo_drain_rings(kr)->count, kind, &record);
    }
}

/* open(path, flags) of nr 2, path at address 0x1000. */
static uint32_t call(uint8_t *data, const char *path, uint64_t flags, int64_t result)
{
    struct exo_called called = {.nr = 2, .argc = 2, .result = result};
    const uint64_t args[] = {0x1000, flags}, head = 0x1000 | (strlen(path) + 1) << 48;
    memset(data, 0, 200);
    memcpy(data, &called, sizeof(called));
    memcpy(data + sizeof(called), args, sizeof(args));
    memcpy(data + sizeof(called) + 16, &head, 8);
    memcpy(data + sizeof(called) + 24, path, strlen(path) + 1);
    return (uint32_t)(sizeof(called) + 24 + ((strlen(path) + 8) & ~7UL));
}

static void define(void)
{
    const struct exo_template form = {
        .count = 2,
        .result = EXO_ITEM_SIGNED,
        .result_size = 8,
        .name_size = 4,
        .name = "open",
        .items = {{.op = EXO_ITEM_PATH, .arg = 0, .size = 8},
                  {.op = EXO_ITEM_WORD, .arg = 1, .size = 4, .set = EXO_WORDS_OTHER}}};
    exo_drain_define(&drain, 2, &form);
    exo_drain_teach(&drain, EXO_WORDS_OTHER, 0, (const uint8_t *)"O_RDONLY", 8);
    exo_drain_teach(&drain, EXO_WORDS_ERROR, 2, (const uint8_t *)"-1 ENOENT", 9);
}

static void expect(const char *text)
{
    CHECK(exo_drain_next(&drain) == 0);
    CHECK(drain.used == strlen(text) && memcmp(drain.out, text, drain.used) == 0);
    drain.used = 0;
}

static void lines(struct exo_kr *kr)
{
    uint8_t data[256];
    uint32_t sequence = 0;
    watch(kr, 3);
    define();
    tell(kr, TID, &sequence, EXO_RECORD_CALL, data, call(data, "/a\"\n\0010", 0, 3));
    expect("open(\"/a\\\"\\n\\0010\", O_RDONLY) = 3\n");
    tell(kr, TID, &sequence, EXO_RECORD_CALL, data, call(data, "", 0, -2));
    expect("open(\"\", O_RDONLY)  = -1 ENOENT\n");
    drain.prefix = EXO_PREFIX_NUMBER;
    tell(kr, TID, &sequence, EXO_RECORD_CALL, data, call(data, "x", 0, 4));
    expect("9     open(\"x\", O_RDONLY) = 4\n");
    tell(kr, TID, &sequence, EXO_RECORD_CALL, data, call(data, "x", 7, 4));
    CHECK(exo_drain_next(&drain) == 1 && drain.used == 0); /* no word for 7 */
    exo_drain_remember(&drain, (const uint8_t *)"seen\n", 5);
    tell(kr, TID, &sequence, EXO_RECORD_CALL, data, call(data, "x", 7, 4));
    expect("seen\n");
    /* Not if some of its memory was told before it, after which its number is another, too. */
    exo_drain_begun(&drain, TID, sequence + 1);
    tell(kr, TID, &sequence, EXO_RECORD_MEMORY, data, 100);
    CHECK(exo_drain_next(&drain) == 1 && drain.event.kind == EXO_RECORD_MEMORY);
    tell(kr, TID, &sequence, EXO_RECORD_CALL, data, call(data, "x", 0, 4));
    CHECK(exo_drain_next(&drain) == 1 && drain.used == 0);
    tell(kr, TID, &sequence, EXO_RECORD_CALL, data, call(data, "x", 7, 4));
    expect("seen\n");
    exo_drain_begun(&drain, TID, sequence + 1);
    tell(kr, TID, &sequence, EXO_RECORD_CALL, data, call(data, "x", 0, 4));
    CHECK(exo_drain_next(&drain) == 1 && drain.misplaced == 0 && drain.lost == 0);
    exo_drain_deinit(&drain);
}

/* More tasks than are known at a time. */
static void tasks(struct exo_kr *kr)
{
    uint8_t data[256];
    watch(kr, 1);
    define();
    for (uint32_t tid = 1; tid <= TASKS * 2 + 5; tid++) {
        uint32_t sequence = 0;
        tell(kr, tid, &sequence, EXO_RECORD_CALL, data, call(data, "x", 0, 4));
        CHECK(exo_drain_next(&drain) == 0 && drain.used != 0);
        drain.used = 0;
        exo_drain_ended(&drain, tid);
    }
    CHECK(drain.lost == 0 && drain.events == TASKS * 2 + 5);
    exo_drain_deinit(&drain);
}

static uint64_t random_next(uint64_t *state)
{
    *state = *state * 6364136223846793005 + 1442695040888963407;
    return *state >> 24;
}

static void any_template(uint64_t *seed, uint32_t nr)
{
    struct exo_template form = {.count = (uint8_t)(random_next(seed) % 8), .name_size = 3};
    form.result = (uint8_t)(random_next(seed) % 17);
    for (uint32_t i = 0; i < EXO_TEMPLATE_ITEMS; i++)
        for (uint32_t j = 0; j < sizeof(form.items[i]); j++)
            ((uint8_t *)&form.items[i])[j] = (uint8_t)(random_next(seed) % 18);
    exo_drain_define(&drain, nr, &form);
}

/* Nothing that stands in a ring or a stage leads out of either. */
static void garbage(struct exo_kr *kr)
{
    uint64_t seed = 5;
    watch(kr, 2);
    for (uint32_t i = 0; i < GARBAGE; i++) {
        struct exo_told record = {(uint32_t)random_next(&seed) % 7, (uint32_t)(i / 7 + 1), {0}};
        uint64_t *words = (uint64_t *)(void *)record.data;
        for (uint32_t j = 0; j < EXO_RECORD_DATA / 8; j++)
            words[j] = random_next(&seed) >> random_next(&seed) % 64;
        record.data[2] %= 9;
        record.data[3] &= (uint8_t)random_next(&seed);
        record.data[1] &= 1;
        record.sequence |= random_next(&seed) % 3 == 0 ? EXO_RECORD_MORE : 0;
        record.sequence ^= random_next(&seed) % 50 == 0 ? (uint32_t)random_next(&seed) : 0;
        any_template(&seed, (uint32_t)random_next(&seed) % 512);
        push(kr, i % 2, 1 + (uint32_t)(random_next(&seed) % 5), &record);
        int code;
        while ((code = exo_drain_next(&drain)) == 1 || code == 2) {
            drain.used = code == 2 ? 0 : drain.used;
            exo_drain_remember(&drain, record.data, sizeof(record.data));
        }
        kr->stages[3].size = (uint32_t)random_next(&seed);
        kr->stages[3].call = (uint32_t)random_next(&seed) % 4;
        kr->tasks[3].tid = record.tid;
        exo_drain_progress(&drain, (uint32_t)random_next(&seed) % 5, record.tid);
    }
    CHECK(drain.events > 1000);
    exo_drain_deinit(&drain);
}

int main(void)
{
    begin(60);
    struct exo_kr *kr = region_create();
    lines(kr);
    tasks(kr);
    garbage(kr);
    region_destroy(kr);
    return 0;
}
