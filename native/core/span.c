/* Copying between the region and a guest's memory, which may not be there. */
#include "span.h"

#include <asm-generic/errno.h>

#define PAST_CACHES 16384 /* what is larger is seldom read by this CPU */

static long copy_in(uint8_t *to, const void *guest, uint64_t size, bool past)
{
    return past ? exo_guest_copy_past(to, guest, size) : exo_guest_copy(to, guest, size);
}

static long copy(uint8_t *at, struct exo_span *span, uint64_t size, bool to_region, bool past)
{
    while (size > 0) {
        uint64_t there = (*span->vector)[1] - span->at;
        if (there == 0) {
            span->vector++;
            span->at = 0;
            continue;
        }
        uint64_t part = size < there ? size : there;
        void *guest = (void *)((*span->vector)[0] + span->at);
        if ((to_region ? copy_in(at, guest, part, past || span->left >= PAST_CACHES)
                       : exo_guest_copy(guest, at, part)) != 0)
            return -EFAULT;
        at += part;
        size -= part;
        span->at += part;
        span->left -= part;
    }
    return 0;
}

long exo_span_copy(uint8_t *at, struct exo_span *span, uint64_t size, bool to_region)
{
    return copy(at, span, size, to_region, false);
}

long exo_span_copy_past(uint8_t *at, struct exo_span *span, uint64_t size)
{
    return copy(at, span, size, true, true);
}
