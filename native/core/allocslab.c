/* The allocator's second level: slabs, whose free objects are bits. Everything is done under a
 * slab's claim, which names its owner, so that the claim of a dead one can be told and ended.
 */
#include <asm/unistd.h>

#include "alloc.h"

#define SPINS 100
#define REFILL_BYTES 4096
#define REFILL_MOST 64
#define REFILL_SLABS 8  /* looked for in one refill */
#define BORROWS_MOST 64 /* refills in a row from a larger class */

#if defined(__x86_64__)
static uint32_t cpu_number(void)
{
    uint32_t low, high, aux;
    __asm__ volatile("rdtscp" : "=a"(low), "=d"(high), "=c"(aux));
    return (aux & 0xfff) % EXO_HEAP_CPUS; /* Linux: the node above these bits */
}
#else
static uint32_t cpu_number(void)
{
    uint32_t cpu = 0;
    exo_host_call(__NR_getcpu, (long)&cpu, 0, 0, 0, 0, 0);
    return cpu % EXO_HEAP_CPUS;
}
#endif

static uint32_t *current_of(struct exo_heap_user *user, uint32_t cpu, uint32_t class_)
{
    return (uint32_t *)(user->base + user->current_at) + cpu * EXO_CLASS_ROOM + class_;
}

/* Says which slab is going to be claimed before it is, so that one's death can be repaired. */
bool exo_slab_try(struct exo_heap_user *user, uint32_t chunk)
{
    struct exo_slab *slab = slab_at(user, chunk);
    uint32_t holder = 0;
    if (user->owner != 0)
        store_release(&cache_at(user, user->owner)->claimed, chunk);
    return load_relaxed(&slab->claim) == 0 &&
           compare_exchange(&slab->claim, &holder, user->owner + 1);
}

/* Ends the claim of somebody dead, if it is one. */
static bool repair_claim(struct exo_heap_user *user, uint32_t chunk)
{
    uint32_t holder = load_acquire(&slab_at(user, chunk)->claim);
    if (holder == 0 || !exo_owner_is_dead(&heap_of(user)->owners, holder - 1))
        return false;
    exo_heap_repair(user);
    return true;
}

void exo_slab_claim(struct exo_heap_user *user, uint32_t chunk)
{
    for (uint32_t tries = 0; !exo_slab_try(user, chunk); tries++) {
        if (repair_claim(user, chunk))
            continue;
        if (tries < SPINS)
            spin_pause();
        else
            exo_host_call(__NR_sched_yield, 0, 0, 0, 0, 0, 0);
    }
}

void exo_slab_unclaim(struct exo_heap_user *user, uint32_t chunk)
{
    store_release(&slab_at(user, chunk)->claim, 0);
}

/* --- taking objects ---------------------------------------------------------------------------- */

/* Somebody may have an old idea of what the chunk is, and claim it to have a look. */
static void claim_unused(struct exo_heap_user *user, uint32_t chunk)
{
    struct exo_slab *slab = slab_at(user, chunk);
    while (!exo_slab_try(user, chunk)) {
        uint32_t holder = load_acquire(&slab->claim);
        if (holder != 0 && exo_owner_is_dead(&heap_of(user)->owners, holder - 1))
            compare_exchange(&slab->claim, &holder, 0); /* of no slab: nothing to repair */
        else
            spin_pause();
    }
}

static void slab_init(struct exo_slab *slab, uint32_t class_, uint32_t cpu, bool clean)
{
    uint32_t size = (uint32_t)class_size(class_), count = (uint32_t)(CHUNK_SIZE / size);
    store_relaxed(&slab->cpu, cpu + 1);
    slab->class_ = class_;
    slab->count = slab->free = count;
    slab->size = size;
    slab->reciprocal = (uint32_t)((0x100000000UL + size - 1) / size);
    store_relaxed(&slab->returned, clean ? (1U << EXO_CHUNK_PAGES) - 1 : 0);
    slab->nonzero = 0;
    memset(slab->bits, 0, sizeof(slab->bits));
    for (uint32_t i = 0; i < (count + 63) / 64; i++) {
        slab->bits[i] = count - i * 64 >= 64 ? ~0UL : (1UL << count % 64) - 1;
        slab->nonzero |= 1UL << i;
    }
}

/* A new slab for a CPU; its chunk, 0: no memory. It is one when the chunk's class says so. */
static uint32_t slab_create(struct exo_heap_user *user, uint32_t class_, uint32_t cpu)
{
    bool clean;
    exo_heap_lock(user);
    uint64_t page =
        exo_run_create_locked(user, EXO_CHUNK_PAGES, EXO_CHUNK_PAGES, EXO_RUN_SLAB, &clean);
    uint32_t chunk = (uint32_t)(page / EXO_CHUNK_PAGES);
    if (chunk != 0) {
        claim_unused(user, chunk);
        slab_init(slab_at(user, chunk), class_, cpu, clean);
        heap_of(user)->slab_count++;
        heap_of(user)->slabs_of[class_]++;
        store_release(class_at(user, chunk), (uint8_t)class_);
        exo_partial_set(user, class_, chunk);
        exo_slab_unclaim(user, chunk);
    }
    exo_heap_unlock(user);
    return chunk;
}

/* Claims a chunk's slab if it is one of the class with free objects, and of no other CPU. */
static bool claim_for(struct exo_heap_user *user, uint32_t chunk, uint32_t class_, uint32_t cpu,
                      bool any_cpu)
{
    struct exo_slab *slab = slab_at(user, chunk);
    uint32_t its = load_relaxed(&slab->cpu);
    if (its != 0 && its != cpu + 1 && !any_cpu)
        return false;
    if (!exo_slab_try(user, chunk)) {
        repair_claim(user, chunk);
        return false;
    }
    if (class_in(user, chunk) == class_ && slab->free != 0)
        return true;
    exo_slab_unclaim(user, chunk);
    return false;
}

static uint32_t find_partial(struct exo_heap_user *user, uint32_t class_, uint32_t cpu,
                             bool any_cpu)
{
    for (uint32_t chunk = 0; (chunk = exo_partial_find(user, class_, chunk + 1)) != 0;)
        if (claim_for(user, chunk, class_, cpu, any_cpu))
            return chunk;
    return 0;
}

/* Makes a slab, which this CPU has claimed, the one that it takes from, and no longer another. */
static void note_current(struct exo_heap_user *user, uint32_t *current, uint32_t chunk,
                         uint32_t cpu)
{
    uint32_t before = load_relaxed(current);
    if (before != chunk && before != 0 && before < user->chunks) {
        uint32_t its = cpu + 1;
        compare_exchange(&slab_at(user, before)->cpu, &its, 0);
    }
    store_relaxed(&slab_at(user, chunk)->cpu, cpu + 1);
    store_relaxed(current, chunk);
}

/* Likewise of a class of less than twice the size, if that has a slab with free objects.
 * What numbers of objects fluctuate by is shared by many classes so. */
static uint32_t borrow(struct exo_heap_user *user, uint32_t class_, uint32_t cpu)
{
    for (uint32_t up = class_ + 1; class_serves(up, class_); up++) {
        uint32_t chunk = find_partial(user, up, cpu, false);
        if (chunk != 0)
            return chunk;
    }
    return 0;
}

/* What is borrowed comes back to another list than it was taken from, so a class that allocates and frees
 * all the time is to have a slab of its own. */
static bool may_borrow(struct exo_heap_user *user, uint32_t class_)
{
    return user->own == NULL || user->own->borrows[class_ % EXO_BORROW_COUNT]++ < BORROWS_MOST;
}

/* A claimed slab, with free objects, of the class: a new one, or anybody's; its chunk, 0: no memory. */
static uint32_t create_or_share(struct exo_heap_user *user, uint32_t class_, uint32_t cpu)
{
    for (uint32_t tries = 0; tries < 4; tries++) {
        uint32_t made = slab_create(user, class_, cpu);
        if (user->own != NULL)
            user->own->fresh++;
        if (made == 0)
            break;
        if (claim_for(user, made, class_, cpu, true))
            return made;
    }
    return find_partial(user, class_, cpu, true);
}

/* A claimed slab with free objects: the lowest of the class that no other CPU takes from, so that
 * those that lie high become empty, or as above; its chunk, 0: no memory. */
static uint32_t choose(struct exo_heap_user *user, uint32_t class_, bool borrows)
{
    uint32_t cpu = cpu_number(), *current = current_of(user, cpu, class_);
    uint32_t chunk = find_partial(user, class_, cpu, false);
    if (chunk == 0 && borrows && may_borrow(user, class_) &&
        (chunk = borrow(user, class_, cpu)) != 0)
        return chunk;
    if (user->own != NULL)
        user->own->borrows[class_ % EXO_BORROW_COUNT] = 0;
    if (chunk == 0)
        chunk = create_or_share(user, class_, cpu);
    if (chunk != 0)
        note_current(user, current, chunk, cpu);
    return chunk;
}

/* The pages on which bits of a word lie are the host's no longer. */
static void note_touched(struct exo_slab *slab, uint32_t word, uint64_t taken)
{
    if (slab->returned == 0 || taken == 0)
        return;
    uint64_t first = word * 64 + (uint64_t)__builtin_ctzll(taken);
    uint64_t last = word * 64 + 63 - (uint64_t)__builtin_clzll(taken);
    uint64_t from = first * slab->size / PAGE_SIZE % EXO_CHUNK_PAGES;
    uint64_t to = ((last + 1) * slab->size - 1) / PAGE_SIZE % EXO_CHUNK_PAGES;
    store_relaxed(&slab->returned, slab->returned & ~((2U << to) - (1U << from)));
}

/* For who has just taken from a claimed slab: clears bits of one word. */
static void clear_bits(struct exo_heap_user *user, struct exo_slab *slab, uint32_t chunk,
                       uint32_t word, uint64_t taken)
{
    note_touched(slab, word, taken);
    slab->bits[word] &= ~taken;
    if (slab->bits[word] == 0)
        slab->nonzero &= ~(1UL << word);
    slab->free -= (uint32_t)__builtin_popcountll(taken);
    if (slab->free != 0)
        return;
    store_relaxed(&slab->cpu, 0);
    exo_partial_clear(user, slab->class_, chunk);
}

/* The lowest bits of a word, as many as wanted. */
static uint64_t lowest(uint64_t word, uint32_t wanted)
{
    uint64_t rest = word;
    if ((uint32_t)__builtin_popcountll(word) <= wanted)
        return word;
    while (wanted-- > 0)
        rest &= rest - 1;
    return word ^ rest;
}

static uint64_t offset_of(const struct exo_slab *slab, uint32_t chunk, uint32_t index)
{
    return chunk * CHUNK_SIZE + (uint64_t)index * slab->size % CHUNK_SIZE;
}

/* Links objects in front of a list, the lowest one first, then takes their bits away. */
static void move_word(struct exo_heap_user *user, struct exo_slab *slab, uint32_t chunk,
                      uint64_t *list, uint32_t word, uint64_t moved)
{
    uint64_t head = *list;
    uint32_t depth = head == 0 ? 0 : object_at(user, head)->depth;
    for (uint64_t rest = moved; rest != 0;) {
        uint32_t bit = 63 - (uint32_t)__builtin_clzll(rest);
        uint64_t offset = offset_of(slab, chunk, word * 64 + bit);
        struct exo_free_object *object = object_at(user, offset);
        object->next = head;
        object->depth = ++depth;
        head = offset;
        rest ^= 1UL << bit;
    }
    store_release(list, head);
    clear_bits(user, slab, chunk, word, moved);
}

static uint32_t refill_count(uint32_t class_)
{
    uint64_t fits = REFILL_BYTES / class_size(class_);
    return fits > REFILL_MOST ? REFILL_MOST : fits == 0 ? 1 : (uint32_t)fits;
}

/* Moves objects of a claimed slab into the list; how many. */
static uint32_t move_from(struct exo_heap_user *user, uint32_t chunk, uint32_t class_,
                          uint32_t wanted)
{
    struct exo_slab *slab = slab_at(user, chunk);
    uint32_t count = 0;
    while (count < wanted && slab->nonzero != 0) {
        uint32_t word = (uint32_t)__builtin_ctzll(slab->nonzero) % EXO_SLAB_WORDS;
        uint64_t moved = lowest(slab->bits[word], wanted - count);
        if (moved == 0)
            break;
        move_word(user, slab, chunk, &user->own->list[class_], word, moved);
        count += (uint32_t)__builtin_popcountll(moved);
    }
    exo_slab_unclaim(user, chunk);
    return count;
}

bool exo_slab_refill(struct exo_heap_user *user, uint32_t class_)
{
    uint32_t wanted = refill_count(class_), chunk = choose(user, class_, true);
    for (uint32_t slabs = 1; chunk != 0; slabs++) {
        uint32_t count = move_from(user, chunk, class_, wanted);
        wanted -= count;
        if (wanted == 0 || count == 0 || slabs == REFILL_SLABS)
            break;
        chunk = find_partial(user, class_, EXO_HEAP_CPUS, false);
    }
    return user->own->list[class_] != 0;
}

uint64_t exo_slab_take(struct exo_heap_user *user, uint32_t class_)
{
    uint32_t chunk = choose(user, class_, false);
    if (chunk == 0)
        return 0;
    struct exo_slab *slab = slab_at(user, chunk);
    uint32_t word = (uint32_t)__builtin_ctzll(slab->nonzero | 1UL << 63) % EXO_SLAB_WORDS;
    uint64_t taken = lowest(slab->bits[word], 1);
    uint32_t index = word * 64 + (uint32_t)__builtin_ctzll(taken | 1UL << 63);
    uint64_t offset = offset_of(slab, chunk, index);
    clear_bits(user, slab, chunk, word, taken);
    exo_slab_unclaim(user, chunk);
    return taken != 0 ? offset : 0;
}
