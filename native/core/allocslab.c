/* The allocator's second level: slabs, whose free objects are bits. Everything is done under a
 * slab's claim, which names its owner, so that the claim of a dead one can be told and ended.
 */
#include <asm/unistd.h>

#include "alloc.h"

#define SPINS 100
#define REFILL_BYTES 8192
#define REFILL_MOST 64

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

/* --- which chunks have free objects: a bit each, and a bit for each word of those ------------- */

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
    uint32_t words = (user->chunks + 63) / 64, word = from / 64, bit = from % 64;
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

static void slab_init(struct exo_slab *slab, uint32_t class_, uint32_t cpu)
{
    uint32_t size = (uint32_t)class_size(class_), count = (uint32_t)(CHUNK_SIZE / size);
    store_relaxed(&slab->cpu, cpu + 1);
    slab->class_ = class_;
    slab->count = slab->free = count;
    slab->size = size;
    slab->reciprocal = (uint32_t)((0x100000000UL + size - 1) / size);
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
        slab_init(slab_at(user, chunk), class_, cpu);
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

/* A claimed slab of the class with free objects: this CPU's, the one that nobody takes from and
 * that lies lowest, a new one, anybody's; its chunk, 0: no memory. */
static uint32_t choose(struct exo_heap_user *user, uint32_t class_)
{
    uint32_t cpu = cpu_number(), *current = current_of(user, cpu, class_);
    uint32_t chunk = load_relaxed(current);
    if (chunk != 0 && chunk < user->chunks && claim_for(user, chunk, class_, cpu, false))
        return chunk;
    chunk = find_partial(user, class_, cpu, false);
    for (uint32_t tries = 0; chunk == 0 && tries < 4; tries++) {
        uint32_t made = slab_create(user, class_, cpu);
        if (user->own != NULL)
            user->own->fresh++;
        if (made == 0)
            break;
        chunk = claim_for(user, made, class_, cpu, true) ? made : 0;
    }
    if (chunk == 0)
        chunk = find_partial(user, class_, cpu, true);
    if (chunk != 0) {
        store_relaxed(&slab_at(user, chunk)->cpu, cpu + 1);
        store_relaxed(current, chunk);
    }
    return chunk;
}

/* For who has just taken from a claimed slab: clears bits of one word. */
static void clear_bits(struct exo_heap_user *user, struct exo_slab *slab, uint32_t chunk,
                       uint32_t word, uint64_t taken)
{
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
    return fits > REFILL_MOST ? REFILL_MOST : (uint32_t)fits;
}

bool exo_slab_refill(struct exo_heap_user *user, uint32_t class_)
{
    uint32_t chunk = choose(user, class_), wanted = refill_count(class_);
    if (chunk == 0)
        return false;
    struct exo_slab *slab = slab_at(user, chunk);
    while (wanted != 0 && slab->nonzero != 0) {
        uint32_t word = (uint32_t)__builtin_ctzll(slab->nonzero);
        uint64_t moved = lowest(slab->bits[word], wanted);
        if (moved == 0)
            break;
        move_word(user, slab, chunk, &user->own->list[class_], word, moved);
        wanted -= (uint32_t)__builtin_popcountll(moved);
    }
    exo_slab_unclaim(user, chunk);
    return user->own->list[class_] != 0;
}

uint64_t exo_slab_take(struct exo_heap_user *user, uint32_t class_)
{
    uint32_t chunk = choose(user, class_);
    if (chunk == 0)
        return 0;
    struct exo_slab *slab = slab_at(user, chunk);
    uint32_t word = (uint32_t)__builtin_ctzll(slab->nonzero | 1UL << 63);
    uint64_t taken = lowest(slab->bits[word], 1);
    uint32_t index = word * 64 + (uint32_t)__builtin_ctzll(taken | 1UL << 63);
    uint64_t offset = offset_of(slab, chunk, index);
    clear_bits(user, slab, chunk, word, taken);
    exo_slab_unclaim(user, chunk);
    return taken != 0 ? offset : 0;
}
