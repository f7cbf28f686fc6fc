/* Copying between the region and a guest's memory, which may not be there. */
#include "span.h"

#include <asm-generic/errno.h>

long exo_span_copy(uint8_t *at, struct exo_span *span, uint64_t size, bool to_region)
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
        if (exo_guest_copy(to_region ? at : guest, to_region ? guest : at, part) != 0)
            return -EFAULT;
        at += part;
        size -= part;
        span->at += part;
        span->left -= part;
    }
    return 0;
}
