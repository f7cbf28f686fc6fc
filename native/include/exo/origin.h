/* How much stack calls of a profiled program come with: as much as telling who made them took the last
 * time, by struct exo_recording's depths. Runtime and watcher find a place's word there alike. */
#ifndef EXO_ORIGIN_H
#define EXO_ORIGIN_H

#include <exo/abi.h>

#define EXO_DEPTH_MASK                                                                             \
    0xffffUL /* of a word of depths: words of stack + 1, 0 unknown; above it the key */

/* first: the word at the stack pointer, often where the caller goes on. */
static inline uint64_t exo_depth_key(uint64_t rip, uint64_t first)
{
    uint64_t hash = (rip ^ first * 0xff51afd7ed558ccd) * 0x9e3779b97f4a7c15;
    return hash ^ hash >> 32;
}

static inline uint64_t *exo_depth_at(struct exo_recording *recording, uint64_t key)
{
    return &recording->depths[key % EXO_DEPTH_COUNT];
}

#endif
