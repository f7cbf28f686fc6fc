/* Code patched once and mapped by every process of the instance.
 *
 * A copy of an image's code with its known sites patched, and their stubs, stands in the region's
 * memfd (struct exo_copy). A process that maps the file's code gets the copy instead: no traps, no
 * private pages. The stubs go to a fixed distance from it; where that place is taken, the process
 * patches its own pages as if there were no copy.
 *
 * Rules: under exo_mm.lock, but for exo_copy_site() and exo_copy_stub(), which signal handlers call:
 * an entry is complete before its end is stored, and invalid from then on when its end becomes 0.
 */
#include "stub.h"

#define ENTRY_COUNT EXO_ENTRY_COUNT
#define LOWEST 0x10000UL
#define HIGHEST 0x7ffffffff000UL /* TASK_SIZE */

#define entries exo_warm.entries
HOT static uint32_t entry_high;

static const struct exo_copy_site *table_of(const struct exo_copy_entry *in)
{
    return (const struct exo_copy_site *)(in->extra + EXO_COPY_TABLE_AT);
}

static void describe(const struct exo_copy_entry *in, const struct exo_copy_site *from,
                     struct exo_site *site)
{
    *site = (struct exo_site){.address = in->text + from->offset,
                              .stub = in->extra + from->slot * STUB_SIZE,
                              .kind = from->kind,
                              .moved = from->moved,
                              .first = from->first,
                              .tail = from->tail};
}

bool exo_copy_site(uint64_t address, struct exo_site *site)
{
    for (uint32_t i = 0; i < load_acquire(&entry_high); i++) {
        const struct exo_copy_entry *in = &entries[i];
        if (address >= load_acquire(&in->end) || address < in->start)
            continue;
        const struct exo_copy_site *table = table_of(in);
        uint32_t low = 0, high = exo_copy_at(KR, in->copy)->site_count,
                 offset = (uint32_t)(address - in->text);
        while (low < high) {
            uint32_t middle = (low + high) / 2;
            if (table[middle].offset < offset)
                low = middle + 1;
            else
                high = middle;
        }
        if (low == exo_copy_at(KR, in->copy)->site_count || table[low].offset != offset)
            return false;
        describe(in, &table[low], site);
        return true;
    }
    return false;
}

bool exo_copy_stub(uint64_t rip, struct exo_site *site)
{
    for (uint32_t i = 0; i < load_acquire(&entry_high); i++) {
        const struct exo_copy_entry *in = &entries[i];
        if (load_acquire(&in->end) == 0 || rip - in->extra >= EXO_COPY_STUB_SIZE)
            continue;
        const struct exo_copy_site *table = table_of(in);
        for (uint32_t j = 0; j < exo_copy_at(KR, in->copy)->site_count; j++)
            if (table[j].slot == (rip - in->extra) / STUB_SIZE) {
                describe(in, &table[j], site);
                return true;
            }
    }
    return false;
}

static bool touches(const struct exo_copy_entry *in, uint64_t start, uint64_t end)
{
    return in->end != 0 && ((in->start < end && in->end > start) ||
                            (in->extra < end && in->extra + EXO_COPY_EXTRA_SIZE > start));
}

bool exo_copy_overlaps(uint64_t start, uint64_t end)
{
    for (uint32_t i = 0; i < entry_high; i++)
        if (touches(&entries[i], start, end))
            return true;
    return false;
}

static struct exo_copy_entry *new_entry(void)
{
    for (uint32_t i = 0; i < ENTRY_COUNT; i++) {
        if (entries[i].end != 0)
            continue;
        if (i >= entry_high)
            store_release(&entry_high, i + 1);
        return &entries[i];
    }
    return NULL;
}

static bool extra_in_use(uint64_t extra)
{
    for (uint32_t i = 0; i < entry_high; i++)
        if (entries[i].end != 0 && entries[i].extra == extra)
            return true;
    return false;
}

/* Where the jump of the entry's site i stands, 0 if that part of the code is no longer ours. */
static uint64_t jump_at(const struct exo_copy_entry *in, uint32_t i)
{
    struct exo_site site;
    describe(in, &table_of(in)[i], &site);
    uint64_t at = exo_patch_start(&site);
    return at >= in->start && at + 5 <= in->end ? at : 0;
}

/* Puts the file's own bytes back: the stubs are about to go. */
static void restore(const struct exo_copy_entry *in)
{
    if (HOST_3(__NR_mprotect, in->start, in->end - in->start,
               PROT_READ_ | PROT_WRITE_ | PROT_EXEC_) != 0)
        return;
    for (uint32_t i = 0; i < exo_copy_at(KR, in->copy)->site_count; i++) {
        uint64_t at = jump_at(in, i);
        if (at != 0)
            memcpy((void *)at, table_of(in)[i].original, 5);
    }
    HOST_3(__NR_mprotect, in->start, in->end - in->start, PROT_READ_ | PROT_EXEC_);
}

void exo_copy_undo(void)
{
    for (uint32_t k = 0; k < entry_high; k++) {
        const struct exo_copy_entry *in = &entries[k];
        for (uint32_t i = 0; in->end != 0 && i < exo_copy_at(KR, in->copy)->site_count; i++) {
            uint64_t at = jump_at(in, i);
            if (at != 0)
                exo_patch_put_back(at, table_of(in)[i].original);
        }
    }
}

/* What is left of the entry without [start, end); its stubs go with the last of it. */
static void cut(struct exo_copy_entry *in, uint64_t start, uint64_t end)
{
    struct exo_copy_entry old = *in;
    store_release(&in->end, 0UL);
    uint64_t sides[2][2] = {{old.start, start}, {end, old.end}};
    for (int i = 0; i < 2; i++) {
        struct exo_copy_entry *rest = sides[i][0] < sides[i][1] ? new_entry() : NULL;
        if (rest == NULL)
            continue;
        rest->start = sides[i][0];
        rest->text = old.text;
        rest->extra = old.extra;
        rest->copy = old.copy;
        store_release(&rest->end, sides[i][1]);
    }
    if (!extra_in_use(old.extra))
        HOST_2(__NR_munmap, old.extra, EXO_COPY_EXTRA_SIZE);
}

/* The guest unmapped [start, end) or put something else there. */
void exo_copy_forget(uint64_t start, uint64_t end)
{
    for (uint32_t i = 0; i < entry_high; i++) {
        struct exo_copy_entry *in = &entries[i];
        if (in->start < end && in->end > start)
            cut(in, start, end);
    }
}

/* The guest is about to map or unmap [start, end): stubs there give way. */
void exo_copy_vacate(uint64_t start, uint64_t end)
{
    for (uint32_t i = 0; i < entry_high; i++) {
        struct exo_copy_entry *in = &entries[i];
        if (in->end == 0 || in->extra >= end || in->extra + EXO_COPY_EXTRA_SIZE <= start)
            continue;
        restore(in);
        cut(in, in->start, in->end);
    }
}

bool exo_copy_map_extra(uint64_t at, uint64_t offset)
{
    if (at < LOWEST || at > HIGHEST - EXO_COPY_EXTRA_SIZE || in_window(at, EXO_COPY_EXTRA_SIZE))
        return false;
    long got = HOST_6(__NR_mmap, at, EXO_COPY_EXTRA_SIZE, PROT_READ_ | PROT_EXEC_,
                      MAP_PRIVATE_ | MAP_FIXED_NOREPLACE_, EXO_FD_COPIES, offset);
    if (got >= 0 && (uint64_t)got != at) /* a host older than 4.17 takes it for a hint */
        HOST_2(__NR_munmap, got, EXO_COPY_EXTRA_SIZE);
    return (uint64_t)got == at;
}

bool exo_copy_map(struct exo_map *map, int fixed)
{
    uint32_t newest = load_acquire(&map->image->copy);
    if (newest == 0 || newest > EXO_COPY_COUNT)
        return false;
    const struct exo_copy *copy = exo_copy_at(KR, newest - 1);
    uint64_t extra = map->start + (uint64_t)copy->away, size = map->end - map->start;
    if (copy->text_offset != map->offset || copy->text_size != size)
        return false;
    struct exo_copy_entry *new = new_entry();
    if (new == NULL || !exo_copy_map_extra(extra, copy->at))
        return false;
    long got = HOST_6(__NR_mmap, map->start, size, PROT_READ_ | PROT_EXEC_, MAP_PRIVATE_ | fixed,
                      EXO_FD_COPIES, copy->at + EXO_COPY_EXTRA_SIZE);
    if (got < 0) {
        HOST_2(__NR_munmap, extra, EXO_COPY_EXTRA_SIZE);
        return false;
    }
    new->start = new->text = map->start;
    new->extra = extra;
    new->copy = newest - 1;
    store_release(&new->end, map->end);
    map->seen = copy->seen;
    if (extra == exo_mm.image_end)
        exo_mm.image_end += EXO_COPY_EXTRA_SIZE;
    fetch_add(&KR->stats.sites_remembered, copy->site_count);
    return true;
}

/* The first copy is made for an image's second mapping, a newer one, if more sites are known, each
 * time the number of mappings has doubled. */
bool exo_copy_wanted(const struct exo_image *image, uint32_t times)
{
    uint32_t copy = load_acquire(&image->copy);
    return copy == 0 ? times >= 2
                     : (times & (times - 1)) == 0 &&
                           exo_copy_at(KR, copy - 1)->seen < load_acquire(&image->site_count);
}

static bool has_entry(const struct exo_map *map)
{
    for (uint32_t i = 0; i < entry_high; i++)
        if (entries[i].end > map->start && entries[i].start < map->end)
            return true;
    return false;
}

bool exo_copy_adopt(struct exo_map *map)
{
    if (map->image == NULL || (exo_mm.flags & EXO_KR_NO_PATCH) || has_entry(map))
        return false;
    uint32_t copy = load_acquire(&map->image->copy), known = load_acquire(&map->image->site_count);
    if (copy == 0 || exo_copy_at(KR, copy - 1)->seen < known)
        exo_copy_make(map);
    if (!exo_copy_map(map, MAP_FIXED_))
        return false;
    exo_site_forget(map->start, map->end);
    return true;
}
