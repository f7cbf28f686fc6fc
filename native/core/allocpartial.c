/* Which chunks have slabs of a class with free objects: a bit each, and a bit for each word of those.
 *
 * Bits are hints: who sets one has made an object free, or a slab, before; who finds one claims the
 * slab and looks.
 */
#include "alloc.h"

static uint64_t *partial_word(struct exo_heap_user *user, uint32_t class_, uint32_t level,
                              uint32_t word)
{
    uint64_t words = level == 0 ? 0 : (user->chunks + 63) / 64;
    return (uint64_t *)(user->base + user->partial_at) + (words + word) * EXO_CLASS_ROOM + class_;
}

void exo_partial_set(struct exo_heap_user *user, uint32_t class_, uint32_t chunk)
{
    fetch_or(partial_word(user, class_, 0, chunk / 64), 1UL << chunk % 64);
    fetch_or(partial_word(user, class_, 1, chunk / 4096), 1UL << chunk / 64 % 64);
}

void exo_partial_clear(struct exo_heap_user *user, uint32_t class_, uint32_t chunk)
{
    uint64_t *word = partial_word(user, class_, 0, chunk / 64), bit = 1UL << chunk % 64;
    uint64_t *above = partial_word(user, class_, 1, chunk / 4096), its = 1UL << chunk / 64 % 64;
    if (fetch_and(word, ~bit) & ~bit)
        return;
    fetch_and(above, ~its);
    if (load_acquire(word) != 0) /* set meanwhile */
        fetch_or(above, its);
}

static uint32_t first_in(uint64_t word, uint32_t from)
{
    return from >= 64 || word >> from == 0 ? 64 : from + (uint32_t)__builtin_ctzll(word >> from);
}

uint32_t exo_partial_find(struct exo_heap_user *user, uint32_t class_, uint32_t from)
{
    uint32_t top = load_relaxed(&heap_of(user)->page_top) / EXO_CHUNK_PAGES; /* none behind */
    uint32_t words = (top < user->chunks ? top : user->chunks - 1) / 64 + 1;
    from = from > first_chunk(user) ? from : first_chunk(user);
    uint32_t word = from / 64, bit = from % 64;
    while (word < words) {
        uint64_t chunks = load_acquire(partial_word(user, class_, 0, word));
        uint32_t found = first_in(chunks, bit);
        if (found < 64)
            return word * 64 + found < user->chunks ? word * 64 + found : 0;
        bit = 0;
        word++;
        while (word < words) {
            found = first_in(load_acquire(partial_word(user, class_, 1, word / 64)), word % 64);
            word = word / 64 * 64 + found;
            if (found < 64)
                break;
        }
    }
    return 0;
}
