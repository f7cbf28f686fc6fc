/* What the files that take events out of the rings share. */
#ifndef EXO_HOST_DRAIN_H
#define EXO_HOST_DRAIN_H

#include <exo/core.h>
#include <exo/ringset.h>

#include "host.h"

static inline struct exo_ringset *exo_drain_rings(struct exo_kr *kr)
{
    return (struct exo_ringset *)(((uintptr_t)kr->recording.rings + 127) & ~127UL);
}

/* draintext.c: texts of events, by what is in them. */
struct exo_texts;
struct exo_texts *exo_texts_create(void);
void exo_texts_destroy(struct exo_texts *texts);
void exo_texts_clear(struct exo_texts *texts);
/* Its size, and *text; 0 if it is not known. */
uint32_t exo_texts_find(struct exo_texts *texts, const struct exo_drained *event,
                        const uint8_t **text);
void exo_texts_add(struct exo_texts *texts, const struct exo_drained *event, const uint8_t *text,
                   uint32_t size);

#endif
