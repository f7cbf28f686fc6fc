/* What of a call's arguments is in memory, by the table of calls: strings and in-arguments before the
 * call, out-arguments after it. */
#include <asm-generic/errno-base.h>

#include "record.h"

#define PAGE 4096UL
#define PIECE_MAX (64UL << 10)
#define PATH_LIMIT 4095
#define AFTER (1UL << 63)
#define SIZE_SHIFT 48
#define ADDRESS_MASK ((1UL << SIZE_SHIFT) - 1)

bool exo_record_flush(struct exo_stage *stage)
{
    uint8_t kept[8], *start = stage->data + stage->pieces - sizeof(kept);
    uint64_t now = exo_tsc();
    memcpy(kept, start, sizeof(kept));
    memcpy(start, &now, sizeof(now));
    exo_record_push(area(), EXO_RECORD_MEMORY, start,
                    stage->size - stage->pieces + (uint32_t)sizeof(now));
    memcpy(start, kept, sizeof(kept));
    stage->size = stage->pieces;
    return area()->observe & EXO_OBSERVE_RECORD;
}

/* Where the bytes of a piece go, and how many of them; NULL: nobody wants them any more. */
static uint8_t *room(struct exo_stage *stage, uint64_t *size)
{
    uint64_t left = EXO_STAGE_DATA - 16 - stage->size;
    if ((stage->size + 24 > EXO_STAGE_DATA || *size > left) && stage->size > stage->pieces) {
        if (!exo_record_flush(stage))
            return NULL;
        left = EXO_STAGE_DATA - 16 - stage->size;
    }
    *size = *size < (left & ~7UL) ? *size : left & ~7UL;
    return stage->data + stage->size + 8;
}

static void close_piece(struct exo_stage *stage, uint64_t at, uint64_t size, bool after)
{
    uint64_t head = (at & ADDRESS_MASK) | size << SIZE_SHIFT | (after ? AFTER : 0);
    memcpy(stage->data + stage->size, &head, 8);
    stage->size += 8 + (uint32_t)((size + 7) & ~7UL);
}

/* What is too long for one piece takes several, each where the one before it ends. */
void exo_record_piece(struct exo_stage *stage, uint64_t at, uint64_t size, bool after)
{
    while (size != 0 && at != 0 && at <= ADDRESS_MASK) {
        uint64_t part = size, page = PAGE - at % PAGE;
        uint8_t *to = room(stage, &part);
        if (to == NULL)
            return;
        if (guest_read(to, at, part) != 0) { /* what is on its first page */
            part = part > page ? page : 0;
            if (part == 0 || guest_read(to, at, part) != 0)
                return;
        }
        close_piece(stage, at, part, after);
        at += part, size -= part;
    }
}

void exo_record_own(struct exo_stage *stage, uint64_t at, const void *data, uint64_t size,
                    bool after)
{
    uint64_t part = size;
    uint8_t *to = room(stage, &part);
    if (to == NULL || part < size)
        return;
    memcpy(to, data, size);
    close_piece(stage, at, size, after);
}

/* Up to size bytes of a string, with its NUL; returns how many, and whether that was all of it. */
static uint64_t read_string(uint8_t *to, uint64_t at, uint64_t size, bool *ended)
{
    uint64_t done = 0;
    while (done < size && !*ended) {
        uint64_t part = PAGE - (at + done) % PAGE;
        part = part < 64 ? part : 64;
        part = part < size - done ? part : size - done;
        if (guest_read(to + done, at + done, part) != 0) {
            *ended = true;
            break;
        }
        for (uint64_t end = done + part; done < end && !*ended; done++)
            *ended = to[done] == 0;
    }
    return done;
}

/* With its NUL, if there is one within limit. */
void exo_record_string(struct exo_stage *stage, uint64_t at, uint64_t limit)
{
    bool ended = false;
    uint64_t size = limit + 1;
    while (size != 0 && !ended && at != 0 && at <= ADDRESS_MASK) {
        uint64_t part = size;
        uint8_t *to = room(stage, &part);
        if (to == NULL)
            return;
        uint64_t done = read_string(to, at, part, &ended);
        if (done != 0)
            close_piece(stage, at, done, false);
        at += done, size -= done;
    }
}

static uint64_t value_of(const struct exo_regs *regs, uint32_t i)
{
    switch (i) {
    case 0:
        return regs->rdi;
    case 1:
        return regs->rsi;
    case 2:
        return regs->rdx;
    case 3:
        return regs->r10;
    case 4:
        return regs->r8;
    default:
        return regs->r9;
    }
}

/* How much of it there is to show. */
static uint64_t size_of(const struct exo_arg *arg, const struct exo_regs *regs)
{
    uint64_t limit = KR->recording.string_limit, size = arg->size;
    uint32_t length = arg->length_arg & ~EXO_LENGTH_INT;
    if (length != EXO_LENGTH_FIXED) {
        uint64_t count = value_of(regs, length);
        count = arg->length_arg & EXO_LENGTH_INT ? (uint32_t)count : count;
        if (arg->size == 1)
            return count < limit + 1 ? count : limit + 1;
        size = count < PIECE_MAX ? size * count : PIECE_MAX;
    }
    return size < PIECE_MAX ? size : PIECE_MAX;
}

static void before_call(struct exo_stage *stage, const struct exo_arg *arg,
                        const struct exo_regs *regs, uint64_t value)
{
    switch (arg->kind) {
    case EXO_ARG_PATH:
        exo_record_string(stage, value, PATH_LIMIT);
        break;
    case EXO_ARG_STR:
        exo_record_string(stage, value, KR->recording.string_limit);
        break;
    case EXO_ARG_IN:
    case EXO_ARG_INOUT:
        exo_record_piece(stage, value, size_of(arg, regs), false);
        break;
    default:
        break;
    }
}

static void after_call(struct exo_stage *stage, const struct exo_arg *arg,
                       const struct exo_regs *regs, uint64_t value)
{
    long result = exo_called_of(stage)->result;
    if (arg->kind != EXO_ARG_OUT && arg->kind != EXO_ARG_INOUT)
        return;
    uint64_t size = size_of(arg, regs);
    bool counted = arg->size == 1 && (arg->length_arg & ~EXO_LENGTH_INT) != EXO_LENGTH_FIXED;
    if (counted && result < (long)size && exo_called_of(stage)->nr != __NR_sched_getattr)
        size = (uint64_t)result;
    exo_record_piece(stage, value, size, true);
}

void exo_record_memory(struct exo_stage *stage, const struct exo_regs *regs, bool after)
{
    const struct exo_call *row = &exo_calls[exo_called_of(stage)->nr];
    long result = exo_called_of(stage)->result;
    bool cut_short = exo_record_is_cut(result);
    if (after && result < 0 && !cut_short)
        return;
    for (uint32_t i = 0; i < row->argc; i++) {
        const struct exo_arg *arg = &row->args[i];
        if (arg->kind < EXO_ARG_PATH)
            continue;
        if (after && (!cut_short || arg->size > 1))
            after_call(stage, arg, regs, value_of(regs, i));
        else if (!after)
            before_call(stage, arg, regs, value_of(regs, i));
    }
    exo_record_deep(stage, regs, after);
    if (KR->recording.flags & EXO_RECORDING_FDS)
        exo_record_fds(stage, regs, after);
}
