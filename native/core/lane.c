/* Lanes: where the pages of a stream stand, and how a page gets from one pipe into another without a copy.
 *
 * A lane's pages are written in turn, so what a reader has read stays where it was for a good while. If who has read
 * a page then writes the same bytes from the same place (a relay: cat, dd, tee), the page that they came from is put
 * into the other pipe's slot: exo_lane_lend_locked().
 *
 * Rules: each page of a lane has a word. It says by whose turn the page was written, a value that no other writing
 * ever has, or in which slot of which pipe it stands on loan. Who writes a page and who lends it both change the
 * word first, by compare and exchange, the lender from the very value that he has seen while he read: so nothing is
 * overwritten that is lent, nor lent that is overwritten, and bytes are compared only when the word is ours. A loan
 * ends by the pipe's having been read beyond that slot, or being no more: nothing is given back, so nothing is lost by who
 * is killed. The word of a loan that never came into its slot is outdated when that one has been read.
 */
#include "lane.h"
#include "atomic.h"

#define IS_LENT 1U
#define POSITION_BITS 19
#define PIPE_SHIFT (POSITION_BITS + 1)
#define TURN_MASK 0x7fffffffU

_Static_assert(EXO_PIPE_COUNT <= 1U << (32 - PIPE_SHIFT), "word of a lane's page");
_Static_assert(EXO_LANE_COUNT *EXO_LANE_PAGE_COUNT <= 0x10000, "exo_pipe_page.place");

static uint64_t written(uint32_t stamp, uint32_t turn)
{
    return (uint64_t)stamp << 32 | (uint64_t)(turn & TURN_MASK) << 1;
}

static uint64_t lent(struct exo_kr *kr, const struct exo_pipe *to, uint32_t slot)
{
    uint32_t position = slot & ((1U << POSITION_BITS) - 1);
    return (uint64_t)to->generation << 32 | (uint64_t)exo_pipe_index(kr, to) << PIPE_SHIFT |
           position << 1 | IS_LENT;
}

static uint32_t new_generation(struct exo_kr *kr)
{
    uint32_t generation;
    do
        generation = (uint32_t)fetch_add(&kr->next_generation, 1) + 1;
    while (generation == 0);
    return generation;
}

/* Whether a page on loan has not been read yet, nor its loan forgotten. */
static bool is_lent(struct exo_kr *kr, uint64_t word)
{
    if (!(word & IS_LENT))
        return false;
    const struct exo_pipe *to = exo_pipe_at(kr, (uint32_t)word >> PIPE_SHIFT);
    uint32_t mode = load_acquire(&to->mode), position = (uint32_t)word >> 1;
    if ((mode != EXO_PIPE_OWN && mode != EXO_PIPE_LEAVES) ||
        load_acquire(&to->generation) != word >> 32)
        return false;
    return (int32_t)((load_acquire(&to->tail) - position) << (32 - POSITION_BITS)) <= 0;
}

/* Which of the pipe's own pages is free: the first, which is most likely in the cache. */
static uint32_t free_place(struct exo_kr *kr, const struct exo_pipe *pipe, uint32_t tail)
{
    uint32_t used = 0;
    for (uint32_t slot = tail; slot != pipe->head; slot++) {
        const struct exo_pipe_page *page = exo_slot_at(kr, pipe, slot);
        if (!(load_relaxed(&page->flags) & EXO_PAGE_IN_LANE))
            used |= 1U << load_relaxed(&page->place) % EXO_PIPE_PAGE_COUNT;
    }
    uint32_t place = (uint32_t)__builtin_ctz(~used);
    return place < EXO_PIPE_PAGE_COUNT ? place : EXO_PIPE_PAGE_COUNT;
}

/* Whether a page of the lane is in the pipe still: where many are passed over, turns come round sooner. */
static bool is_waiting(struct exo_kr *kr, const struct exo_pipe *pipe, uint32_t tail,
                       uint32_t place)
{
    for (uint32_t slot = tail; slot != pipe->head; slot++) {
        const struct exo_pipe_page *page = exo_slot_at(kr, pipe, slot);
        if ((load_relaxed(&page->flags) & EXO_PAGE_IN_LANE) && load_relaxed(&page->place) == place)
            return true;
    }
    return false;
}

/* The page is the writer's to be written. By a writer that was killed, or had a bad address, it has been already. */
static bool claim(struct exo_kr *kr, struct exo_pipe *pipe, uint32_t tail, uint32_t place)
{
    uint64_t *at = exo_lane_word(kr, place), word = load_acquire(at);
    uint64_t mine = written(pipe->stamp, pipe->turn);
    if (word == mine)
        return true;
    if (is_lent(kr, word)) {
        pipe->lends = 1;
        return false;
    }
    if (pipe->lends && is_waiting(kr, pipe, tail, place))
        return false;
    return compare_exchange(at, &word, mine);
}

static bool take_in_lane(struct exo_kr *kr, struct exo_pipe *pipe, uint32_t tail,
                         struct exo_pipe_page *page)
{
    uint32_t first = load_relaxed(&pipe->lane) % EXO_LANE_COUNT * EXO_LANE_PAGE_COUNT;
    for (uint32_t i = 0; i < EXO_LANE_PAGE_COUNT; i++) {
        if (pipe->stamp == 0 || (pipe->turn & TURN_MASK) == 0)
            pipe->stamp = new_generation(kr);
        uint32_t place = first + pipe->turn % EXO_LANE_PAGE_COUNT;
        if (claim(kr, pipe, tail, place)) {
            page->flags |= EXO_PAGE_IN_LANE;
            page->place = (uint16_t)place;
            return true;
        }
        pipe->turn++;
    }
    return false;
}

/* A stream goes through its lane page by page: what was read a while ago has left both caches, and is written
 * and read the faster for it. Where all of a lane is lent there are the pipe's own pages, as many as slots. */
bool exo_lane_choose_locked(struct exo_kr *kr, struct exo_pipe *pipe, uint32_t tail,
                            struct exo_pipe_page *page)
{
    uint32_t place = EXO_PIPE_PAGE_COUNT;
    if (page->end < EXO_PIPE_PAGE || load_relaxed(&pipe->lane) == 0)
        place = free_place(kr, pipe, tail);
    if (place == EXO_PIPE_PAGE_COUNT) {
        if (load_relaxed(&pipe->lane) != 0 && take_in_lane(kr, pipe, tail, page))
            return true;
        place = free_place(kr, pipe, tail);
    }
    page->place = (uint16_t)place;
    return place < EXO_PIPE_PAGE_COUNT;
}

void exo_seen_note(struct exo_kr *kr, struct exo_seen *seen, uint32_t place, uint64_t at)
{
    if (seen->count == EXO_SEEN_COUNT || at != seen->at + (uint64_t)seen->count * EXO_PIPE_PAGE) {
        seen->at = at;
        seen->count = 0;
    }
    seen->pages[seen->count++] = (struct exo_seen_page){
        .word = load_acquire(exo_lane_word(kr, place)), .place = (uint16_t)place};
}

/* A large pipe needs most of its lane for itself. Asked after the word has been changed, as the pipe looks for
 * loans after it has become large. */
static bool needs_all(struct exo_kr *kr, uint32_t place)
{
    uint32_t owner = load_relaxed(&kr->lane_owners[place / EXO_LANE_PAGE_COUNT % EXO_LANE_COUNT]);
    return exo_pipe_slots(exo_pipe_at(kr, owner)) > EXO_PIPE_PAGE_COUNT;
}

bool exo_lane_lend_locked(struct exo_kr *kr, struct exo_pipe *pipe, struct exo_seen *seen,
                          uint64_t at, struct exo_pipe_page *page)
{
    uint64_t away = at - seen->at, i = away / EXO_PIPE_PAGE;
    if (away % EXO_PIPE_PAGE != 0 || i >= seen->count)
        return false;
    uint32_t place = seen->pages[i].place;
    uint64_t *word = exo_lane_word(kr, place), was = seen->pages[i].word;
    if (pipe->generation == 0)
        store_release(&pipe->generation, new_generation(kr));
    uint64_t mine = lent(kr, pipe, pipe->head);
    if (!compare_exchange(word, &was, mine)) {
        seen->late++;
        return false;
    }
    if (!needs_all(kr, place) &&
        exo_guest_same((const void *)at, exo_lane_page(kr, place), EXO_PIPE_PAGE)) {
        page->place = (uint16_t)place;
        page->flags |= EXO_PAGE_IN_LANE;
        seen->handed++;
        return true;
    }
    compare_exchange(word, &mine, seen->pages[i].word);
    seen->differed++;
    seen->count = 0;
    return false;
}

/* A lane is whose owner has it, so a killed owner's comes back with the pipe. */
bool exo_pipe_give_lane(struct exo_kr *kr, struct exo_pipe *pipe)
{
    exo_lock_acquire(&kr->object_lock);
    for (uint32_t i = 1; i < EXO_LANE_COUNT && pipe->lane == 0; i++) {
        const struct exo_pipe *owner = exo_pipe_at(kr, kr->lane_owners[i]);
        if ((owner->mode == EXO_PIPE_OWN || owner->mode == EXO_PIPE_LEAVES) && owner->lane == i)
            continue;
        kr->lane_owners[i] = (uint16_t)exo_pipe_index(kr, pipe);
        store_release(&pipe->lane, i);
    }
    bool given = pipe->lane != 0;
    exo_lock_release(&kr->object_lock);
    return given;
}

bool exo_pipe_has_room_locked(struct exo_kr *kr, const struct exo_pipe *pipe)
{
    uint32_t lane = load_relaxed(&pipe->lane) % EXO_LANE_COUNT, count = 0;
    full_fence(); /* who lends after this sees how large it is */
    for (uint32_t i = 0; i < EXO_LANE_PAGE_COUNT; i++)
        count += is_lent(kr, load_acquire(&kr->lane_words[lane][i]));
    return exo_pipe_slots(pipe) + count + EXO_PIPE_PAGE_COUNT <= EXO_LANE_PAGE_COUNT;
}

bool exo_pipe_may_see_locked(struct exo_kr *kr, const struct exo_pipe *pipe)
{
    return load_relaxed(&exo_slot_at(kr, pipe, pipe->tail)->flags) & EXO_PAGE_IN_LANE;
}
