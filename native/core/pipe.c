/* What is in a pipe: pages that are filled and emptied as Linux's pipe(7) does it, so that it is full,
 * writable and atomic at the same moments.
 *
 * Rules: all under the pipe's lock. What is written is copied first and counted then, what is read
 * the other way round, so whoever is killed has done a byte's work or none.
 */
#include <asm-generic/errno.h>

#include "atomic.h"
#include "pipe.h"

static uint8_t *page_at(struct exo_kr *kr, const struct exo_pipe *pipe, uint32_t slot)
{
    uint64_t index = exo_pipe_index(kr, pipe);
    uint8_t *pages = (uint8_t *)(((uintptr_t)kr->pipe_pages + 4095) & ~(uintptr_t)4095);
    return pages + index * EXO_PIPE_SIZE + slot % EXO_PIPE_SLOT_COUNT * EXO_PIPE_PAGE;
}

/* To the last page, if all of what is over whole pages fits there: 0, its size, or -EFAULT. */
static long push_to_last(struct exo_kr *kr, struct exo_pipe *pipe, struct exo_span *span)
{
    uint32_t over = span->left % EXO_PIPE_PAGE, last = pipe->head - 1;
    uint32_t at = last % EXO_PIPE_SLOT_COUNT;
    uint32_t end = (uint32_t)pipe->pages[at].offset + pipe->pages[at].size;
    if (over == 0 || exo_pipe_is_empty(pipe) || end + over > EXO_PIPE_PAGE)
        return 0;
    if (exo_span_copy(page_at(kr, pipe, last) + end, span, over, true) != 0)
        return -EFAULT;
    store_release(&pipe->pages[at].size, (uint16_t)(pipe->pages[at].size + over));
    return over;
}

static long push_page(struct exo_kr *kr, struct exo_pipe *pipe, struct exo_span *span)
{
    uint32_t head = pipe->head;
    uint32_t part = span->left < EXO_PIPE_PAGE ? (uint32_t)span->left : EXO_PIPE_PAGE;
    if (exo_span_copy(page_at(kr, pipe, head), span, part, true) != 0)
        return -EFAULT;
    pipe->pages[head % EXO_PIPE_SLOT_COUNT].offset = 0;
    pipe->pages[head % EXO_PIPE_SLOT_COUNT].size = (uint16_t)part;
    store_release(&pipe->head, head + 1);
    return part;
}

long exo_pipe_push_locked(struct exo_kr *kr, struct exo_pipe *pipe, struct exo_span *span)
{
    long done = push_to_last(kr, pipe, span);
    while (done >= 0 && span->left > 0 && !exo_pipe_is_full(pipe)) {
        long part = push_page(kr, pipe, span);
        if (part < 0)
            return done > 0 ? done : part;
        done += part;
    }
    return done;
}

void exo_pipe_drop_locked(struct exo_pipe *pipe, uint32_t size)
{
    uint32_t at = pipe->tail % EXO_PIPE_SLOT_COUNT;
    if (size < pipe->pages[at].size) {
        pipe->pages[at].offset = (uint16_t)(pipe->pages[at].offset + size);
        pipe->pages[at].size = (uint16_t)(pipe->pages[at].size - size);
        return;
    }
    if (pipe->head - pipe->tail == 1) { /* begin anew at the first page, which is in the cache */
        uint32_t first = (pipe->head | (EXO_PIPE_SLOT_COUNT - 1)) + 1;
        store_release(&pipe->tail, pipe->head);
        store_release(&pipe->head, first);
        store_release(&pipe->tail, first);
        return;
    }
    store_release(&pipe->tail, pipe->tail + 1);
}

const uint8_t *exo_pipe_first_locked(struct exo_kr *kr, const struct exo_pipe *pipe, uint32_t *size)
{
    uint32_t at = pipe->tail % EXO_PIPE_SLOT_COUNT;
    if (exo_pipe_is_empty(pipe))
        return NULL;
    uint32_t offset = pipe->pages[at].offset;
    *size = pipe->pages[at].size;
    if (offset >= EXO_PIPE_PAGE || *size > EXO_PIPE_PAGE - offset) /* a guest has scribbled here */
        offset = *size = 0;
    return page_at(kr, pipe, pipe->tail) + offset;
}

long exo_pipe_pull_locked(struct exo_kr *kr, struct exo_pipe *pipe, struct exo_span *span)
{
    long done = 0;
    uint32_t there;
    const uint8_t *from;
    while (span->left > 0 && (from = exo_pipe_first_locked(kr, pipe, &there)) != NULL) {
        uint32_t part = span->left < there ? (uint32_t)span->left : there;
        if (exo_span_copy((uint8_t *)from, span, part, false) != 0)
            return done > 0 ? done : -EFAULT;
        exo_pipe_drop_locked(pipe, part == there ? EXO_PIPE_PAGE : part);
        done += part;
    }
    return done;
}

uint64_t exo_pipe_size(const struct exo_pipe *pipe)
{
    uint64_t size = 0;
    for (uint32_t i = pipe->tail; i != pipe->head; i++)
        size += pipe->pages[i % EXO_PIPE_SLOT_COUNT].size;
    return size;
}
