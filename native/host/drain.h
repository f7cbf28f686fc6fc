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

/* drainline.c: lines by templates and words. */
struct exo_lines;
struct exo_lines *exo_lines_create(void);
void exo_lines_destroy(struct exo_lines *lines);
void exo_lines_define(struct exo_lines *lines, uint32_t nr, const struct exo_template *form);
void exo_lines_teach(struct exo_lines *lines, uint16_t set, uint64_t value, const uint8_t *text,
                     uint32_t size);
/* Its size, in room bytes; 0: that cannot be written here, or not now. */
uint32_t exo_lines_write(const struct exo_lines *lines, const struct exo_drain *drain,
                         const struct exo_drained *event, uint8_t *to, uint32_t room);

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
