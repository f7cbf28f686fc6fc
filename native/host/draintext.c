/* Texts that events were given before: a program that makes a million calls makes few different ones,
 * and whoever decodes them is asked about each once. The newer one takes an older one's place. */
#include <stdlib.h>
#include <string.h>

#include "drain.h"

#define TEXTS 4096
#define KEY_SIZE 232
#define TEXT_SIZE 480
#define TIMES 4 /* of struct exo_called, what differs each time: from spent on, */
#define TIMES_SIZE 12

struct text {
    uint32_t tid, key_size, size;
    uint8_t key[KEY_SIZE], text[TEXT_SIZE];
};

struct exo_texts {
    struct text texts[TEXTS];
};

struct exo_texts *exo_texts_create(void)
{
    return calloc(1, sizeof(struct exo_texts));
}

void exo_texts_destroy(struct exo_texts *texts)
{
    free(texts);
}

void exo_texts_clear(struct exo_texts *texts)
{
    for (uint32_t i = 0; i < TEXTS; i++)
        texts->texts[i].size = 0;
}

/* The event without its times, a multiple of 8 bytes; 0: too long to be remembered. */
static uint32_t key_of(const struct exo_drained *event, uint8_t *key)
{
    if (event->size < TIMES + TIMES_SIZE || event->size > KEY_SIZE)
        return 0;
    memcpy(key, event->data, TIMES);
    key[3] &= (uint8_t)~EXO_CALLED_LONG;
    memset(key + TIMES, 0, 4);
    memcpy(key + 8, event->data + TIMES + TIMES_SIZE, event->size - TIMES - TIMES_SIZE);
    return event->size - 8;
}

static struct text *place_of(struct exo_texts *texts, uint32_t tid, const uint8_t *key,
                             uint32_t size)
{
    uint64_t hash = tid, word;
    for (uint32_t i = 0; i + 8 <= size; i += 8) {
        memcpy(&word, key + i, 8);
        hash = (hash ^ word) * 0x9e3779b97f4a7c15;
        hash ^= hash >> 29;
    }
    return &texts->texts[hash >> 13 & (TEXTS - 1)];
}

uint32_t exo_texts_find(struct exo_texts *texts, const struct exo_drained *event,
                        const uint8_t **text)
{
    uint8_t key[KEY_SIZE];
    uint32_t size = key_of(event, key);
    if (size == 0)
        return 0;
    const struct text *found = place_of(texts, event->tid, key, size);
    if (found->size == 0 || found->tid != event->tid || found->key_size != size ||
        memcmp(found->key, key, size) != 0)
        return 0;
    *text = found->text;
    return found->size;
}

void exo_texts_add(struct exo_texts *texts, const struct exo_drained *event, const uint8_t *text,
                   uint32_t size)
{
    uint8_t key[KEY_SIZE];
    uint32_t key_size = key_of(event, key);
    if (key_size == 0 || size > TEXT_SIZE)
        return;
    struct text *place = place_of(texts, event->tid, key, key_size);
    place->tid = event->tid;
    place->key_size = key_size;
    place->size = size;
    memcpy(place->key, key, key_size);
    memcpy(place->text, text, size);
}
