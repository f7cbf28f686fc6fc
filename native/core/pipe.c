/* What is in a pipe: slots of a page that are filled and emptied as Linux's pipe(7) does it, so that it
 * is full, writable and atomic at the same moments. lane.c says where the pages are.
 *
 * Rules: writers hold the input lock, readers the output lock, so both copy at once. What is written is
 * copied first and counted then, what is read the other way round: whoever is killed has done a
 * page's work or none. Only the last slot may be added to, and only until a reader, who has read all of
 * it, closes it: both change its `end` by compare and exchange.
 */
#include <asm-generic/errno.h>

#include "atomic.h"
#include "lane.h"

static inline uint8_t *room(struct exo_kr *kr, struct exo_pipe *pipe, struct exo_pipe_page *page)
{
    uint32_t head = pipe->head, tail = load_acquire(&pipe->tail);
    if (head - tail >= exo_pipe_slots(pipe))
        return NULL;
    if (head - tail > EXO_PIPE_SLOT_COUNT) /* a guest has scribbled here */
        tail = head;
    return exo_lane_choose_locked(kr, pipe, tail, page) ? exo_page_of(kr, pipe, page) : NULL;
}

uint8_t *exo_pipe_room_locked(struct exo_kr *kr, struct exo_pipe *pipe, struct exo_pipe_page *page)
{
    return room(kr, pipe, page);
}

static inline void count(struct exo_kr *kr, struct exo_pipe *pipe, const struct exo_pipe_page *page)
{
    uint32_t head = pipe->head;
    uint64_t whole;
    if (page->flags & EXO_PAGE_IN_LANE
            ? page->place / EXO_LANE_PAGE_COUNT == pipe->lane
            : page->end == EXO_PIPE_PAGE && head != load_acquire(&pipe->tail))
        pipe->turn++;
    __builtin_memcpy(&whole, page, sizeof(whole));
    store_relaxed((uint64_t *)exo_slot_at(kr, pipe, head), whole);
    store_release(&pipe->head, head + 1);
}

void exo_pipe_count_locked(struct exo_kr *kr, struct exo_pipe *pipe,
                           const struct exo_pipe_page *page)
{
    count(kr, pipe, page);
}

static inline long put(struct exo_kr *kr, struct exo_pipe *pipe, struct exo_span *span,
                       uint32_t size, uint16_t flags)
{
    struct exo_pipe_page page = {.end = (uint16_t)size, .flags = flags};
    uint8_t *to = room(kr, pipe, &page);
    if (to == NULL)
        return 0;
    long error = page.flags & EXO_PAGE_IN_LANE ? exo_span_copy_past(to, span, size)
                                               : exo_span_copy(to, span, size, true);
    if (error != 0)
        return error;
    count(kr, pipe, &page);
    return size;
}

long exo_pipe_put_locked(struct exo_kr *kr, struct exo_pipe *pipe, struct exo_span *span,
                         uint32_t size, uint16_t flags)
{
    return put(kr, pipe, span, size, flags);
}

/* The next page, of memory that is a page read from another pipe still: without a copy. */
static bool hand_on(struct exo_kr *kr, struct exo_pipe *pipe, struct exo_span *span, uint16_t flags)
{
    struct exo_pipe_page page = {.end = EXO_PIPE_PAGE, .flags = flags};
    uint64_t at = exo_span_next(span, EXO_PIPE_PAGE);
    if (at == 0 || !(flags & EXO_PAGE_GROWS) ||
        pipe->head - load_acquire(&pipe->tail) >= exo_pipe_slots(pipe) ||
        !exo_lane_lend_locked(kr, pipe, span->seen, at, &page))
        return false;
    count(kr, pipe, &page);
    span->at += EXO_PIPE_PAGE;
    span->left -= EXO_PIPE_PAGE;
    return true;
}

/* To the last slot, if all of what is over whole pages fits there: 0, its size, or -EFAULT. */
static long push_to_last(struct exo_kr *kr, struct exo_pipe *pipe, struct exo_span *span)
{
    uint32_t over = span->left % EXO_PIPE_PAGE;
    if (over == 0 || load_acquire(&pipe->tail) == pipe->head)
        return 0;
    struct exo_pipe_page *page = exo_slot_at(kr, pipe, pipe->head - 1);
    uint16_t end = load_acquire(&page->end);
    if (!(load_relaxed(&page->flags) & EXO_PAGE_GROWS) || end + over > EXO_PIPE_PAGE)
        return 0;
    struct exo_span before = *span;
    if (exo_span_copy(exo_page_of(kr, pipe, page) + end, span, over, true) != 0)
        return -EFAULT;
    if (compare_exchange(&page->end, &end, (uint16_t)(end + over)))
        return over;
    *span = before; /* closed meanwhile */
    return 0;
}

long exo_pipe_push_locked(struct exo_kr *kr, struct exo_pipe *pipe, struct exo_span *span,
                          uint16_t flags)
{
    long done = flags & EXO_PAGE_GROWS ? push_to_last(kr, pipe, span) : 0;
    while (done >= 0 && span->left > 0) {
        uint32_t size = span->left < EXO_PIPE_PAGE ? (uint32_t)span->left : EXO_PIPE_PAGE;
        if (span->seen != NULL && hand_on(kr, pipe, span, flags)) {
            done += size;
            continue;
        }
        long part = put(kr, pipe, span, size, flags);
        if (part <= 0)
            return done > 0 || part == 0 ? done : part;
        done += part;
    }
    return done;
}

static inline bool get_piece(struct exo_kr *kr, struct exo_pipe *pipe, uint32_t ahead,
                             struct exo_piece *piece)
{
    uint32_t head = load_acquire(&pipe->head);
    if (head - pipe->tail > EXO_PIPE_SLOT_COUNT) /* a guest has scribbled here */
        store_release(&pipe->tail, head);
    const struct exo_pipe_page *page = exo_slot_at(kr, pipe, pipe->tail);
    if (head != pipe->tail && load_acquire(&page->end) == EXO_PAGE_CLOSED) /* by a killed reader */
        store_release(&pipe->tail, pipe->tail + 1);
    if (head - pipe->tail <= ahead)
        return false;
    page = exo_slot_at(kr, pipe, pipe->tail + ahead);
    uint32_t end = load_acquire(&page->end), start = load_relaxed(&page->start);
    if (end > EXO_PIPE_PAGE || start > end)
        start = end = 0; /* the same */
    *piece = (struct exo_piece){.bytes = exo_page_of(kr, pipe, page) + start,
                                .size = end - start,
                                .flags = load_relaxed(&page->flags)};
    return true;
}

bool exo_pipe_piece_locked(struct exo_kr *kr, struct exo_pipe *pipe, uint32_t ahead,
                           struct exo_piece *piece)
{
    return get_piece(kr, pipe, ahead, piece);
}

static inline void drop(struct exo_kr *kr, struct exo_pipe *pipe, uint32_t size, bool all)
{
    struct exo_pipe_page *page = exo_slot_at(kr, pipe, pipe->tail);
    uint16_t gone = (uint16_t)(load_relaxed(&page->start) + size), end = gone;
    if (!all) {
        store_release(&page->start, gone);
        return;
    }
    if (gone < EXO_PIPE_PAGE && !compare_exchange(&page->end, &end, (uint16_t)EXO_PAGE_CLOSED) &&
        end > gone && end <= EXO_PIPE_PAGE) {
        store_release(&page->start, gone); /* more has come meanwhile */
        return;
    }
    store_release(&pipe->tail, pipe->tail + 1);
}

void exo_pipe_drop_locked(struct exo_kr *kr, struct exo_pipe *pipe, uint32_t size, bool all)
{
    drop(kr, pipe, size, all);
}

long exo_pipe_pull_locked(struct exo_kr *kr, struct exo_pipe *pipe, struct exo_span *span)
{
    long done = 0;
    struct exo_piece piece;
    while (span->left > 0 && get_piece(kr, pipe, 0, &piece)) {
        uint32_t part = span->left < piece.size ? (uint32_t)span->left : piece.size;
        uint64_t at = span->seen != NULL ? exo_span_next(span, EXO_PIPE_PAGE) : 0;
        if (exo_span_copy((uint8_t *)piece.bytes, span, part, false) != 0)
            return done > 0 ? done : -EFAULT;
        if (at != 0 && part == EXO_PIPE_PAGE && (piece.flags & EXO_PAGE_IN_LANE))
            exo_seen_note(kr, span->seen, exo_slot_at(kr, pipe, pipe->tail)->place, at);
        bool packet = piece.flags & EXO_PAGE_PACKET;
        drop(kr, pipe, packet ? piece.size : part, packet || part == piece.size);
        done += part;
        if (packet)
            break;
    }
    return done;
}

uint64_t exo_pipe_size_locked(struct exo_kr *kr, const struct exo_pipe *pipe)
{
    uint64_t size = 0;
    uint32_t head = load_acquire(&pipe->head), slot = pipe->tail;
    for (uint32_t i = 0; slot != head && i < EXO_PIPE_SLOT_COUNT; i++, slot++) {
        const struct exo_pipe_page *page = exo_slot_at(kr, pipe, slot);
        uint32_t end = load_acquire(&page->end), start = load_relaxed(&page->start);
        size += end <= EXO_PIPE_PAGE && start <= end ? end - start : 0;
    }
    return size;
}

bool exo_pipe_holds_little(struct exo_kr *kr, const struct exo_pipe *pipe, uint32_t size)
{
    uint32_t tail = load_acquire(&pipe->tail);
    const struct exo_pipe_page *page = exo_slot_at(kr, pipe, tail);
    return load_acquire(&pipe->head) - tail <= 1 &&
           load_relaxed(&page->end) - load_relaxed(&page->start) < (int)size;
}

long exo_pipe_resize_locked(struct exo_pipe *pipe, uint32_t slots)
{
    if (load_acquire(&pipe->head) - load_acquire(&pipe->tail) > slots)
        return -EBUSY;
    store_release(&pipe->slots, slots);
    return 0;
}
