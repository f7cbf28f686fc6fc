/* A line that is being written, and the event it is of: drainline.c, drainpen.c. */
#ifndef EXO_HOST_DRAINPEN_H
#define EXO_HOST_DRAINPEN_H

#include "drain.h"

#define EXO_LINE_SIZE 24576 /* PATH_MAX escaped, and more */

struct exo_pen {
    const struct exo_lines *lines;
    const struct exo_drain *drain;
    const struct exo_drained *event;
    const uint64_t *args;
    int64_t result;
    uint32_t pieces; /* where they begin in the event's data */
    uint32_t size;
    bool full;
    char text[EXO_LINE_SIZE];
};

#define PUT(pen, text) exo_pen_put(pen, text, sizeof(text) - 1)

void exo_pen_put(struct exo_pen *pen, const char *text, uint32_t size);
void exo_pen_number(struct exo_pen *pen, uint64_t value, uint32_t base);
void exo_pen_signed(struct exo_pen *pen, int64_t value);
void exo_pen_address(struct exo_pen *pen, uint64_t value);
void exo_pen_quoted(struct exo_pen *pen, const uint8_t *data, uint64_t size);

/* drainwords.c: names of constants, as they were taught, and templates. */
struct exo_word;
const struct exo_word *exo_lines_find(const struct exo_lines *lines, uint16_t set, uint64_t value);
/* False: it has none. */
bool exo_pen_word(struct exo_pen *pen, uint16_t set, uint64_t value);
const struct exo_template *exo_lines_template(const struct exo_lines *lines, uint32_t nr);

#endif
