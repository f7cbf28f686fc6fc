/* A guest's memory that something is copied to or from, piece by piece. */
#ifndef EXO_CORE_SPAN_H
#define EXO_CORE_SPAN_H

#include <exo/core.h>

/* Pages of lanes that have been read, whole, to memory from `at` on, one after the other: lane.c. Who reads, then
 * writes, has it for himself. */
#define EXO_SEEN_COUNT 32
struct exo_seen_page {
    uint64_t word; /* the page's, when it was read */
    uint16_t place;
};
struct exo_seen {
    uint64_t at;
    uint32_t count;
    uint32_t handed, differed, late; /* pages lent; that were others; that had been written again */
    struct exo_seen_page pages[EXO_SEEN_COUNT];
};

/* A guest's memory, as readv(2) and writev(2) name it, and how far it has been used. */
struct exo_span {
    const uint64_t (*vector)[2]; /* address, size */
    uint64_t at;                 /* within the first of the vector */
    uint64_t left;               /* bytes, all of it */
    struct exo_seen *seen;       /* what is noted of pages, or NULL */
};

/* The address of the next size bytes, 0 if they are not in one piece. */
static inline uint64_t exo_span_next(const struct exo_span *span, uint64_t size)
{
    return (*span->vector)[1] - span->at >= size && span->left >= size
               ? (*span->vector)[0] + span->at
               : 0;
}

/* size bytes, no more than are left, between the region and the span, which moves on; -EFAULT, and then it
 * may have moved. */
long exo_span_copy(uint8_t *at, struct exo_span *span, uint64_t size, bool to_region);
/* To the region, for another CPU. */
long exo_span_copy_past(uint8_t *at, struct exo_span *span, uint64_t size);

#endif
