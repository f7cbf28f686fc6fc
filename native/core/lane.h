/* The pages that a pipe's slots name: its own, and those of lanes (lane.c). */
#ifndef EXO_CORE_LANE_H
#define EXO_CORE_LANE_H

#include "pipe.h"

static inline struct exo_pipe_page *exo_slot_at(struct exo_kr *kr, const struct exo_pipe *pipe,
                                                uint32_t slot)
{
    return &kr->pipe_slots[exo_pipe_index(kr, pipe)][slot % EXO_PIPE_SLOT_COUNT];
}

static inline uint8_t *exo_page_aligned(uint8_t *pages)
{
    return (uint8_t *)(((uintptr_t)pages + 4095) & ~(uintptr_t)4095);
}

static inline uint8_t *exo_lane_page(struct exo_kr *kr, uint32_t place)
{
    return exo_page_aligned(kr->lane_pages) +
           (uint64_t)place % (EXO_LANE_COUNT * EXO_LANE_PAGE_COUNT) * EXO_PIPE_PAGE;
}

static inline uint8_t *exo_page_of(struct exo_kr *kr, const struct exo_pipe *pipe,
                                   const struct exo_pipe_page *page)
{
    uint32_t place = __atomic_load_n(&page->place, __ATOMIC_RELAXED);
    if (__atomic_load_n(&page->flags, __ATOMIC_RELAXED) & EXO_PAGE_IN_LANE)
        return exo_lane_page(kr, place);
    uint64_t index = exo_pipe_index(kr, pipe);
    return exo_page_aligned(kr->pipe_pages) + index * EXO_PIPE_SIZE +
           place % EXO_PIPE_PAGE_COUNT * EXO_PIPE_PAGE;
}

static inline uint64_t *exo_lane_word(struct exo_kr *kr, uint32_t place)
{
    place %= EXO_LANE_COUNT * EXO_LANE_PAGE_COUNT;
    return &kr->lane_words[place / EXO_LANE_PAGE_COUNT][place % EXO_LANE_PAGE_COUNT];
}

/* Where page->end bytes of the pipe's next slot come to stand; false: nowhere, for now. Input is held, tail is
 * what has been read. */
bool exo_lane_choose_locked(struct exo_kr *kr, struct exo_pipe *pipe, uint32_t tail,
                            struct exo_pipe_page *page);
/* Notes that the whole page of a slot, not yet dropped, has been copied to that address. Output is held. */
void exo_seen_note(struct exo_kr *kr, struct exo_seen *seen, uint32_t place, uint64_t at);
/* Whether the page that was seen at that address, and is what stands there still, is now the pipe's by itself: to
 * be counted as what *page says. Input is held, and there is a slot free. */
bool exo_lane_lend_locked(struct exo_kr *kr, struct exo_pipe *pipe, struct exo_seen *seen,
                          uint64_t at, struct exo_pipe_page *page);

#endif
