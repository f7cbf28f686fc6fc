/* A guest's memory that something is copied to or from, piece by piece. */
#ifndef EXO_CORE_SPAN_H
#define EXO_CORE_SPAN_H

#include <exo/core.h>

/* A guest's memory, as readv(2) and writev(2) name it, and how far it has been used. */
struct exo_span {
    const uint64_t (*vector)[2]; /* address, size */
    uint64_t at;                 /* within the first of the vector */
    uint64_t left;               /* bytes, all of it */
};

/* size bytes, no more than are left, between the region and the span, which moves on; -EFAULT, and then it
 * may have moved. */
long exo_span_copy(uint8_t *at, struct exo_span *span, uint64_t size, bool to_region);
/* To the region, for another CPU. */
long exo_span_copy_past(uint8_t *at, struct exo_span *span, uint64_t size);

#endif
