/* Takes events out of the rings of watched tasks: of several rings the oldest first, a task's always in
 * the order of their sequence numbers. What is found in shared memory is checked before it is used.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "../core/atomic.h"
#include "drain.h"

#define BATCH 64
#define TASKS 16384 /* known at a time, a power of two */
#define HELD 16384  /* records that came before others of their task */

struct known {
    uint32_t tid, expected, size, kind, first;
    uint32_t begun; /* sequence number of the call that was told while it was in progress */
    bool apart;     /* memory of its call has been told before it */
    uint8_t *data;  /* of the event that is being put together; EXO_DRAIN_EVENT bytes */
};

struct queue {
    struct exo_message messages[BATCH];
    uint32_t next, count;
};

struct held {
    struct exo_told record;
    uint32_t kind;
};

struct state {
    struct exo_texts *texts;
    struct exo_lines *lines;
    struct known known[TASKS];
    struct queue queues[EXO_RECORD_RING_COUNT];
    struct held held[HELD];
    uint32_t held_count, waiting; /* an event is ready, and was not handed over for want of room */
    uint32_t closed;
    bool apart; /* memory of what is ready has been told before it */
    struct exo_drained ready;
};

int exo_drain_init(struct exo_drain *drain, struct exo_kr *kr)
{
    struct state *state = calloc(1, sizeof(*state));
    memset(drain, 0, sizeof(*drain));
    drain->kr = kr;
    drain->state = state;
    if (state == NULL || (state->texts = exo_texts_create()) == NULL ||
        (state->lines = exo_lines_create()) == NULL)
        return -ENOMEM;
    return 0;
}

void exo_drain_deinit(struct exo_drain *drain)
{
    struct state *state = drain->state;
    for (uint32_t i = 0; i < TASKS; i++)
        free(state->known[i].data);
    exo_texts_destroy(state->texts);
    exo_lines_destroy(state->lines);
    free(state);
    drain->state = NULL;
}

/* NULL: there are too many. */
static struct known *make_known(struct known *it, uint32_t tid)
{
    uint8_t *data = it == NULL ? NULL : malloc(EXO_DRAIN_EVENT);
    if (data == NULL)
        return NULL;
    *it = (struct known){.tid = tid, .expected = 1, .data = data};
    return it;
}

/* Of a task that has ended the place stays, for who looks for others behind it, until it is needed. */
static struct known *known_of(struct state *state, uint32_t tid)
{
    struct known *left = NULL;
    for (uint32_t i = 0; i < TASKS && tid != 0; i++) {
        struct known *it = &state->known[(tid + i) % TASKS];
        if (it->tid == tid && it->data != NULL)
            return it;
        if (it->data == NULL && left == NULL)
            left = it;
        if (it->tid == 0)
            break;
    }
    return tid == 0 ? NULL : make_known(left, tid);
}

void exo_drain_ended(struct exo_drain *drain, uint32_t tid)
{
    struct known *known = known_of(drain->state, tid);
    if (known == NULL)
        return;
    free(known->data);
    known->data = NULL;
}

static bool refill(struct exo_drain *drain, struct queue *queue, uint32_t ring)
{
    struct state *state = drain->state;
    if (queue->next < queue->count)
        return true;
    long got = exo_ring_pop_many(exo_ringset_ring(exo_drain_rings(drain->kr), ring), 0,
                                 queue->messages, BATCH);
    queue->next = 0;
    queue->count = got > 0 ? (uint32_t)got : 0;
    if (got == -EPIPE)
        state->closed |= 1U << ring;
    return got > 0;
}

static uint64_t time_of(struct state *state, const struct exo_message *message)
{
    struct exo_told record;
    struct exo_called called;
    uint64_t tsc;
    memcpy(&record, message->payload, sizeof(record));
    const struct known *known = known_of(state, record.tid);
    memcpy(&tsc, record.data, sizeof(tsc));
    if (known == NULL)
        return 0;
    if (message->type == EXO_RECORD_BORN && record.sequence == 1)
        return tsc; /* whoever had the number before */
    if ((record.sequence & ~EXO_RECORD_MORE) != known->expected)
        return UINT64_MAX; /* another ring has what comes before */
    if (known->size != 0)
        return 0; /* the rest of an event */
    if (message->type != EXO_RECORD_CALL)
        return tsc;
    memcpy(&called, record.data, sizeof(called));
    return called.began + ((uint64_t)called.spent << (called.flags & EXO_CALLED_LONG ? 20 : 0));
}

static const struct exo_message *oldest(struct exo_drain *drain)
{
    struct state *state = drain->state;
    uint32_t rings = exo_drain_rings(drain->kr)->count;
    struct queue *best = NULL;
    uint64_t best_time = UINT64_MAX;
    for (uint32_t i = 0; i < rings && i < EXO_RECORD_RING_COUNT; i++) {
        struct queue *queue = &state->queues[i];
        if (!refill(drain, queue, i))
            continue;
        uint64_t time = rings == 1 ? 0 : time_of(state, &queue->messages[queue->next]);
        if (best == NULL || time < best_time)
            best = queue, best_time = time;
    }
    return best == NULL ? NULL : &best->messages[best->next++];
}

/* True: an event is whole. */
static bool take(struct exo_drain *drain, const struct exo_told *record, uint32_t kind)
{
    struct state *state = drain->state;
    struct known *known = known_of(state, record->tid);
    uint32_t sequence = record->sequence & ~EXO_RECORD_MORE;
    if (known == NULL) {
        drain->lost++;
        return false;
    }
    if (kind == EXO_RECORD_BORN && sequence == 1) /* of a number that was another's before */
        known->expected = 1, known->size = 0;
    if (sequence != known->expected) {
        drain->misplaced++;
        if (state->held_count < HELD)
            state->held[state->held_count++] = (struct held){*record, kind};
        else
            drain->lost++;
        return false;
    }
    drain->records++;
    known->expected = (sequence + 1) & ~EXO_RECORD_MORE;
    if (known->size == 0)
        known->kind = kind, known->first = sequence;
    if (known->size + EXO_RECORD_DATA <= EXO_DRAIN_EVENT) {
        memcpy(known->data + known->size, record->data, EXO_RECORD_DATA);
        known->size += EXO_RECORD_DATA;
    }
    if (record->sequence & EXO_RECORD_MORE)
        return false;
    state->ready.tid = known->tid;
    state->ready.kind = known->kind;
    state->ready.sequence = known->first;
    state->ready.size = known->size;
    memcpy(state->ready.data, known->data, known->size);
    known->size = 0;
    if (known->kind == EXO_RECORD_MEMORY && known->begun == known->first)
        known->begun = known->expected; /* it comes next */
    state->apart = known->apart;
    if (known->kind == EXO_RECORD_MEMORY || known->kind == EXO_RECORD_CALL)
        known->apart = known->kind == EXO_RECORD_MEMORY;
    return true;
}

static bool take_held(struct exo_drain *drain)
{
    struct state *state = drain->state;
    for (uint32_t i = 0; i < state->held_count; i++) {
        struct held it = state->held[i];
        const struct known *known = known_of(state, it.record.tid);
        if (known == NULL || (it.record.sequence & ~EXO_RECORD_MORE) != known->expected)
            continue;
        memmove(&state->held[i], &state->held[i + 1],
                (--state->held_count - i) * sizeof(struct held));
        return take(drain, &it.record, it.kind) || take_held(drain);
    }
    return false;
}

/* All rings are empty, and still records wait for others that are not to come: their task was killed
 * while it wrote. */
static bool skip_gap(struct exo_drain *drain)
{
    struct state *state = drain->state;
    for (uint32_t i = 0; i < state->held_count; i++) {
        uint32_t tid = state->held[i].record.tid, slot = exo_task_find(drain->kr, tid);
        struct known *known = known_of(state, tid);
        if (known == NULL || (slot != 0 && exo_alive_test(&drain->kr->tasks[slot])))
            continue;
        known->expected = state->held[i].record.sequence & ~EXO_RECORD_MORE;
        known->size = 0;
        drain->lost++;
        return true;
    }
    return false;
}

static bool was_begun(struct state *state)
{
    const struct known *known = known_of(state, state->ready.tid);
    return known != NULL && known->begun == state->ready.sequence;
}

/* True: it was put into out. */
static bool answered(struct exo_drain *drain, int *result)
{
    struct state *state = drain->state;
    const uint8_t *text;
    bool plain =
        drain->plain && state->ready.kind == EXO_RECORD_CALL && !was_begun(state) && !state->apart;
    uint32_t size = 0;
    if (plain) {
        size = exo_lines_write(state->lines, drain, &state->ready, drain->out + drain->used,
                               EXO_DRAIN_OUT - drain->used);
        if (size != 0) {
            drain->used += size;
            return true;
        }
        size = exo_texts_find(state->texts, &state->ready, &text);
    }
    if (size == 0) {
        drain->event = state->ready;
        *result = 1;
        return false;
    }
    if (size > EXO_DRAIN_OUT - drain->used) {
        state->waiting = 1;
        *result = 2;
        return false;
    }
    memcpy(drain->out + drain->used, text, size);
    drain->used += size;
    return true;
}

int exo_drain_next(struct exo_drain *drain)
{
    struct state *state = drain->state;
    struct exo_told record;
    int result = 0;
    for (;;) {
        bool whole = state->waiting || (state->held_count != 0 && take_held(drain));
        if (!whole) {
            const struct exo_message *message = oldest(drain);
            if (message == NULL) {
                if (state->held_count != 0 && skip_gap(drain))
                    continue;
                uint32_t all = (1U << exo_drain_rings(drain->kr)->count) - 1;
                return state->closed == all ? -EPIPE : 0;
            }
            memcpy(&record, message->payload, sizeof(record));
            whole = take(drain, &record, message->type);
        }
        if (!whole)
            continue;
        drain->events += !state->waiting;
        state->waiting = 0;
        if (!answered(drain, &result))
            return result;
    }
}

void exo_drain_remember(struct exo_drain *drain, const uint8_t *text, uint32_t size)
{
    struct state *state = drain->state;
    exo_texts_add(state->texts, &drain->event, text, size);
}

void exo_drain_define(struct exo_drain *drain, uint32_t nr, const struct exo_template *form)
{
    exo_lines_define(((struct state *)drain->state)->lines, nr, form);
}

void exo_drain_teach(struct exo_drain *drain, uint32_t set, uint64_t value, const uint8_t *text,
                     uint32_t size)
{
    exo_lines_teach(((struct state *)drain->state)->lines, (uint16_t)set, value, text, size);
}

void exo_drain_begun(struct exo_drain *drain, uint32_t tid, uint32_t sequence)
{
    struct known *known = known_of(drain->state, tid);
    if (known != NULL)
        known->begun = sequence;
}

void exo_drain_forget(struct exo_drain *drain)
{
    exo_texts_clear(((struct state *)drain->state)->texts);
}

int exo_drain_wait(struct exo_drain *drain, uint64_t timeout_ns)
{
    struct state *state = drain->state;
    struct queue *queue = &state->queues[0];
    const struct exo_wait_policy policy = {
        .spins = drain->kr->cpu_count > 1 ? 2000 : 0, .sleeps = 1, .timeout_ns = timeout_ns};
    if (queue->next < queue->count)
        return 0;
    int error = exo_ringset_pop_wait(exo_drain_rings(drain->kr), 0, &queue->messages[0], &policy);
    queue->next = 0;
    queue->count = error == 0;
    return error;
}

int exo_drain_progress(struct exo_drain *drain, uint32_t slot, uint32_t tid)
{
    struct exo_drained *event = &drain->event;
    if (slot == 0 || slot >= EXO_TASK_COUNT || drain->kr->tasks[slot].tid != tid)
        return 0;
    const struct exo_stage *stage = &drain->kr->stages[slot];
    uint32_t call = load_acquire(&stage->call), size = load_relaxed(&stage->size);
    const struct known *known = known_of(drain->state, tid);
    if (call == 0 || size > EXO_STAGE_DATA || known == NULL || call != known->expected)
        return 0; /* none, or its end is already in the ring */
    memcpy(event->data, stage->data, size);
    full_fence();
    if (load_relaxed(&stage->call) != call)
        return 0;
    event->tid = tid;
    event->kind = EXO_RECORD_CALL;
    event->sequence = call;
    event->size = size;
    return 1;
}
