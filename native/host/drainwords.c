/* What is known of how calls are written: templates by number, and words, the names of values. Words
 * are kept by their hash; a newer one takes an older one's place where there is no room. */
#include <stdlib.h>
#include <string.h>

#include "drainpen.h"

#define WORDS 8192 /* a power of two */
#define PROBES 8
#define WORD_SIZE 108

struct exo_word {
    uint64_t value;
    uint16_t set; /* 0: free */
    uint16_t size;
    char text[WORD_SIZE];
};

struct exo_lines {
    struct exo_template templates[EXO_CALL_COUNT];
    struct exo_word words[WORDS];
};

struct exo_lines *exo_lines_create(void)
{
    return calloc(1, sizeof(struct exo_lines));
}

void exo_lines_destroy(struct exo_lines *lines)
{
    free(lines);
}

void exo_lines_define(struct exo_lines *lines, uint32_t nr, const struct exo_template *form)
{
    if (nr < EXO_CALL_COUNT && form->count <= EXO_TEMPLATE_ITEMS)
        lines->templates[nr] = *form;
}

static uint32_t word_place(uint16_t set, uint64_t value)
{
    return (uint32_t)(((value ^ (uint64_t)set << 40) * 0x9e3779b97f4a7c15) >> 40) & (WORDS - 1);
}

const struct exo_word *exo_lines_find(const struct exo_lines *lines, uint16_t set, uint64_t value)
{
    uint32_t at = word_place(set, value);
    for (uint32_t i = 0; i < PROBES; i++) {
        const struct exo_word *it = &lines->words[(at + i) & (WORDS - 1)];
        if (it->set == set && it->value == value)
            return it;
    }
    return NULL;
}

void exo_lines_teach(struct exo_lines *lines, uint16_t set, uint64_t value, const uint8_t *text,
                     uint32_t size)
{
    uint32_t at = word_place(set, value), i = 0;
    if (size > WORD_SIZE || set == 0 || exo_lines_find(lines, set, value) != NULL)
        return;
    while (i + 1 < PROBES && lines->words[(at + i) & (WORDS - 1)].set != 0)
        i++;
    struct exo_word *it = &lines->words[(at + i) & (WORDS - 1)];
    it->set = set;
    it->value = value;
    it->size = (uint16_t)size;
    memcpy(it->text, text, size);
}

bool exo_pen_word(struct exo_pen *pen, uint16_t set, uint64_t value)
{
    const struct exo_word *it = exo_lines_find(pen->lines, set, value);
    if (it != NULL)
        exo_pen_put(pen, it->text, it->size);
    return it != NULL;
}

const struct exo_template *exo_lines_template(const struct exo_lines *lines, uint32_t nr)
{
    const struct exo_template *form = &lines->templates[nr % EXO_CALL_COUNT];
    return nr < EXO_CALL_COUNT && form->name_size != 0 ? form : NULL;
}
