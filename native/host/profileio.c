/* Data that a program reads into a buffer and writes from the same one, and small writes in a row. */
#include <string.h>

#include "profiling.h"

#define VECTORS 16
#define SIZE_MASK 0x7fff
#define ADDRESS_MASK ((1UL << 48) - 1)

/* What the call's pieces of memory have from an address on, read after the call or before it; bytes. */
static uint64_t peek(const struct profiled_call *call, uint64_t at, bool after, void *to,
                     uint64_t size)
{
    uint64_t head;
    for (const uint8_t *place = call->pieces; call->end - place >= 8;) {
        memcpy(&head, place, 8);
        uint64_t got = head >> 48 & SIZE_MASK, padded = (got + 7) & ~7UL;
        if (head == 0 || padded > (uint64_t)(call->end - place) - 8)
            break;
        if ((head & ADDRESS_MASK) == at && head >> 63 == after) {
            got = got < size ? got : size;
            memcpy(to, place + 8, got);
            return got;
        }
        place += 8 + padded;
    }
    return 0;
}

static struct filled *filled_at(struct profiling *state, uint32_t space, uint64_t start)
{
    uint64_t hash = profile_mix(profile_mix(2, start), space);
    return &state->filled[(hash >> 17) % EXO_PROFILE_BUFFERS];
}

static void note_read(struct profiling *state, const struct profiled_call *call, uint64_t start,
                      uint64_t size, bool first)
{
    struct filled *it = filled_at(state, call->space, start);
    *it = (struct filled){.start = start,
                          .left = size,
                          .at = call->origin.rip,
                          .caller = call->caller,
                          .cycles = first ? call->cycles : 0,
                          .space = call->space,
                          .fd = (int32_t)call->args[0],
                          .nr = call->head.nr};
    it->size = (uint8_t)peek(call, start, true, it->data, sizeof(it->data));
}

static struct exo_profile_copy *pattern_of(struct exo_profile *profile, const struct filled *from,
                                           const struct profiled_call *call, int *code)
{
    for (uint32_t i = 0; i < profile->copy_count; i++) {
        struct exo_profile_copy *it = &profile->copies[i];
        if (it->read_at == from->at && it->write_at == call->origin.rip &&
            it->read_caller == from->caller && it->write_caller == call->caller &&
            it->space == call->space && it->read_nr == from->nr && it->write_nr == call->head.nr)
            return it;
    }
    if (profile->copy_count == EXO_PROFILE_COPIES)
        return NULL;
    struct exo_profile_copy *new = &profile->copies[profile->copy_count];
    *new = (struct exo_profile_copy){.read_at = from->at,
                                     .read_caller = from->caller,
                                     .write_at = call->origin.rip,
                                     .write_caller = call->caller,
                                     .space = call->space,
                                     .read_nr = from->nr,
                                     .write_nr = call->head.nr,
                                     .from = from->fd,
                                     .to = (int32_t)call->args[0]};
    profile->latest = profile->copy_count++;
    *code = EXO_PROFILE_COPY;
    return new;
}

/* done: bytes of it that were written. */
static void note_write(struct exo_profile *profile, const struct profiled_call *call,
                       uint64_t start, uint64_t size, uint64_t done, bool first, int *code)
{
    struct filled *from = filled_at(profile->state, call->space, start);
    uint8_t data[EXO_PROFILE_DATA];
    if (from->start != start || from->space != call->space || size == 0 || size > from->left)
        return;
    struct exo_profile_copy *it = pattern_of(profile, from, call, code);
    if (it == NULL)
        return;
    uint64_t got = peek(call, start, false, data, sizeof(data));
    if (from->size != 0 && got != 0) {
        bool same = memcmp(data, from->data, got < from->size ? got : from->size) == 0;
        it->same += same;
        it->changed += !same;
    }
    it->reads += !from->counted;
    it->read_cycles += from->counted ? 0 : from->cycles;
    it->largest = from->left > it->largest ? from->left : it->largest;
    it->writes++;
    it->write_cycles += first ? call->cycles : 0;
    it->bytes += done;
    if (done >= from->left) {
        from->start = from->left = 0;
        return;
    }
    struct filled rest = *from; /* goes on behind it */
    from->start = from->left = 0;
    rest.start += done;
    rest.left -= done;
    rest.counted = 1;
    rest.size = 0; /* no more is known of its bytes */
    *filled_at(profile->state, rest.space, rest.start) = rest;
}

static bool is_write(uint8_t io)
{
    return io != 0 && io % 2 == 0; /* enum exo_profile_io */
}

/* Every buffer of a call that has moved `left` bytes. */
static int each_buffer(struct exo_profile *profile, const struct profiled_call *call, uint8_t io)
{
    uint64_t items[VECTORS][2] = {{call->args[1], call->args[2]}}, header[4] = {0};
    uint64_t count = 1, left = (uint64_t)call->head.result, list = call->args[1];
    bool writes = is_write(io);
    int code = 0;
    if (io >= EXO_PROFILE_READ_MESSAGE) { /* struct msghdr: a name, its length, then the list */
        peek(call, list, !writes, header, sizeof(header));
        list = header[2];
    }
    if (io >= EXO_PROFILE_READ_VECTOR)
        count = peek(call, list, !writes, items, sizeof(items)) / sizeof(items[0]);
    for (uint64_t i = 0; i < count && left > 0; i++) {
        uint64_t here = items[i][1] < left ? items[i][1] : left;
        if (writes)
            note_write(profile, call, items[i][0], items[i][1], here, i == 0, &code);
        else
            note_read(profile->state, call, items[i][0], here, i == 0);
        left -= here;
    }
    return code;
}

static int run_of(struct exo_profile *profile, struct profiled_task *task,
                  const struct profiled_call *call)
{
    for (uint32_t i = 0; i < profile->run_count; i++) {
        const struct exo_profile_run *it = &profile->runs[i];
        if (it->at == call->origin.rip && it->caller == call->caller && it->space == call->space &&
            it->nr == call->head.nr) {
            task->run = i;
            return 0;
        }
    }
    task->run = profile->run_count++;
    profile->runs[task->run] = (struct exo_profile_run){.at = call->origin.rip,
                                                        .caller = call->caller,
                                                        .space = call->space,
                                                        .nr = call->head.nr,
                                                        .fd = task->fd};
    profile->latest = task->run;
    return EXO_PROFILE_RUN;
}

static int note_small(struct exo_profile *profile, struct profiled_task *task,
                      const struct profiled_call *call)
{
    bool asked = call->head.flags & EXO_CALLED_HOST;
    uint64_t bytes = (uint64_t)call->head.result;
    int code = 0;
    if (task->length == 0 || task->fd != (int32_t)call->args[0]) {
        task->fd = (int32_t)call->args[0];
        task->length = 1;
        task->cycles = call->cycles;
        task->bytes = bytes;
        task->asked = asked;
        return 0;
    }
    if (task->length++ == 1) {
        code = run_of(profile, task, call);
        struct exo_profile_run *it = &profile->runs[task->run];
        it->runs++;
        it->writes++;
        it->cycles += task->cycles;
        it->bytes += task->bytes;
        it->asked += task->asked;
    }
    struct exo_profile_run *run = &profile->runs[task->run];
    run->writes++;
    run->cycles += call->cycles;
    run->bytes += bytes;
    run->asked += asked;
    run->longest = task->length > run->longest ? task->length : run->longest;
    return code;
}

int exo_profile_move(struct exo_profile *profile, struct profiled_task *task,
                     const struct profiled_call *call)
{
    uint8_t io = profile->io[call->head.nr];
    bool small = is_write(io) && !call->failed && (uint64_t)call->head.result < EXO_PROFILE_SMALL &&
                 (io != EXO_PROFILE_WRITE || call->args[2] < EXO_PROFILE_SMALL);
    int code = 0;
    if (io != 0 && call->head.result > 0)
        code = each_buffer(profile, call, io);
    if (!small) {
        if (!profile_has(profile->neutral, call->head.nr))
            task->length = 0;
        return code;
    }
    if (profile->run_count == EXO_PROFILE_RUNS)
        return code;
    int run = note_small(profile, task, call);
    return code != 0 ? code : run; /* both new: the run's fd is not named */
}
