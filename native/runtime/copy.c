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
#define TABLE_AT EXO_COPY_STUB_SIZE
#define FIXED_END 0x40000000UL

#define entries exo_warm.entries
HOT static uint32_t entry_high;

static const struct exo_copy_site *table_of(const struct exo_copy_entry *in)
{
    return (const struct exo_copy_site *)(in->extra + TABLE_AT);
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

static bool map_extra(uint64_t at, uint64_t offset)
{
    if (at < 0x10000 || at > EXO_WINDOW_END + 0x600000000000 || in_window(at, EXO_COPY_EXTRA_SIZE))
        return false;
    long got = HOST_6(__NR_mmap, at, EXO_COPY_EXTRA_SIZE, PROT_READ_ | PROT_EXEC_,
                      MAP_PRIVATE_ | MAP_FIXED_NOREPLACE_, EXO_FD_KR, offset);
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
    if (new == NULL || !map_extra(extra, copy->at))
        return false;
    long got = HOST_6(__NR_mmap, map->start, size, PROT_READ_ | PROT_EXEC_, MAP_PRIVATE_ | fixed,
                      EXO_FD_KR, copy->at + EXO_COPY_EXTRA_SIZE);
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

/* --- Making a copy. */

struct build {
    struct exo_copy copy;
    uint64_t extra, text;        /* where both will be, as the process that makes it has them */
    uint8_t *extra_at, *text_at; /* where they can be written */
    uint64_t taken[EXO_COPY_STUB_SIZE / STUB_SIZE];
};

static bool try_room(struct build *new, const struct exo_map *map, uint64_t extra)
{
    if (!map_extra(extra, new->copy.at))
        return false;
    HOST_2(__NR_munmap, extra, EXO_COPY_EXTRA_SIZE);
    new->copy.away = (int64_t)(extra - map->start);
    new->extra = extra;
    return true;
}

/* Where the stubs go: behind a program of fixed address, between it and its break, in reach of the
 * same page table; else below the image, if that begins at the file's start. */
static bool find_room(struct build *new, const struct exo_map *map)
{
    uint64_t end = exo_mm.image_end;
    if (map->start < FIXED_END && end > map->start && end - map->start < FIXED_END &&
        try_room(new, map, end))
        return true;
    for (uint64_t more = 0; more <= 0x1000000; more = more == 0 ? 0x10000 : more * 2)
        if (map->offset + more + EXO_COPY_EXTRA_SIZE < map->start &&
            try_room(new, map, map->start - (map->offset + more + EXO_COPY_EXTRA_SIZE)))
            return true;
    return false;
}

static void put_site(struct build *new, uint32_t offset, bool cpuid)
{
    struct exo_site site = {.address = new->text + offset, .kind = EXO_PATCH_CPUID};
    const uint8_t *window = new->text_at + offset - EXO_WINDOW_BEFORE;
    if (offset < EXO_WINDOW_BEFORE ||
        offset - EXO_WINDOW_BEFORE + EXO_WINDOW_SIZE > new->copy.text_size ||
        (!cpuid && !exo_patch_plan(&site, window, ~0UL)))
        return;
    uint64_t count = EXO_COPY_STUB_SIZE / STUB_SIZE;
    uint64_t slot =
        exo_stub_slot(new->taken, count, new->extra, site.address, site.kind == EXO_PATCH_AFTER);
    if (slot == count)
        return;
    new->taken[slot] = 1;
    site.stub = new->extra + slot *STUB_SIZE;
    exo_patch_build(new->extra_at + slot *STUB_SIZE, &site, window);
    uint8_t *at = new->text_at + (exo_patch_start(&site) - new->text);
    struct exo_copy_site *to =
        (struct exo_copy_site *)(new->extra_at + TABLE_AT) + new->copy.site_count++;
    *to = (struct exo_copy_site){.offset = offset,
                                 .slot = (uint16_t)slot,
                                 .kind = site.kind,
                                 .moved = site.moved,
                                 .first = site.first,
                                 .tail = site.tail};
    memcpy(to->original, at, 5);
    exo_patch_jump(at, &site);
}

/* In ascending order, as the table is searched by halves. */
static void put_sites(struct build *new, const struct exo_map *map)
{
    const uint32_t *offsets = exo_image_sites(KR, map->image);
    uint64_t after = 0;
    for (uint32_t round = 0; round < new->copy.seen; round++) {
        uint64_t next = ~0UL;
        for (uint32_t i = 0; i < new->copy.seen; i++)
            if (offsets[i] >= after && offsets[i] < next)
                next = offsets[i];
        if (next == ~0UL)
            return;
        if (next >= map->offset && next - map->offset < new->copy.text_size)
            put_site(new, (uint32_t)(next - map->offset), false);
        after = next + 1;
    }
}

/* Moves the last entry of the table to its place by offset. */
static void sort_in_last(struct build *new)
{
    struct exo_copy_site *table = (struct exo_copy_site *)(new->extra_at + TABLE_AT);
    uint32_t i = new->copy.site_count - 1;
    struct exo_copy_site last = table[i];
    for (; i > 0 && table[i - 1].offset > last.offset; i--)
        table[i] = table[i - 1];
    table[i] = last;
}

static void put_cpuids(struct build *new)
{
    uint64_t at = 0, size = new->copy.text_size;
    uint32_t count = new->copy.site_count;
    while ((at = exo_cpuid_next(new->text_at, at, size)) < size) {
        put_site(new, (uint32_t)at++, true);
        if (new->copy.site_count > count) {
            sort_in_last(new);
            count = new->copy.site_count;
        }
    }
}

static void make(struct build *new, const struct exo_map *map)
{
    uint64_t size = EXO_COPY_EXTRA_SIZE + new->copy.text_size;
    new->copy.at = exo_copy_reserve(KR, size);
    if (new->copy.at == 0 || !find_room(new, map))
        return;
    long got =
        HOST_6(__NR_mmap, 0, size, PROT_READ_ | PROT_WRITE_, MAP_SHARED_, EXO_FD_KR, new->copy.at);
    if (got < 0)
        return;
    new->text = map->start;
    new->extra_at = (uint8_t *)got;
    new->text_at = new->extra_at + EXO_COPY_EXTRA_SIZE;
    if (guest_read(new->text_at, map->start, new->copy.text_size) == 0) {
        exo_site_restore(new->text_at, map->start, map->end);
        put_sites(new, map);
        if (exo_cpuid_usable())
            put_cpuids(new);
        if (new->copy.site_count > 0)
            exo_copy_publish(KR, map->image, &new->copy);
    }
    HOST_2(__NR_munmap, got, size);
}

/* One process at a time makes a copy; one that died over it is succeeded. */
static bool begin(struct exo_image *image)
{
    uint32_t other = load_relaxed(&image->builder);
    if (other != 0 && exo_task_find_host(KR, other) != 0)
        return false;
    return compare_exchange(&image->builder, &other, area()->core.host_tid);
}

void exo_copy_make(const struct exo_map *map)
{
    uint64_t size = map->end - map->start;
    uint32_t known = load_acquire(&map->image->site_count);
    if (known == 0 || size > EXO_COPY_TEXT_LIMIT)
        return;
    long scratch = HOST_6(__NR_mmap, 0, sizeof(struct build), PROT_READ_ | PROT_WRITE_,
                          MAP_PRIVATE_ | MAP_ANONYMOUS_, -1, 0);
    if (scratch < 0)
        return;
    if (begin(map->image)) {
        struct build *new = (struct build *)scratch;
        new->copy = (struct exo_copy){.text_offset = map->offset,
                                      .text_size = size,
                                      .seen = known,
                                      .image = map->image->index};
        make(new, map);
        store_release(&map->image->builder, 0);
    }
    HOST_2(__NR_munmap, scratch, sizeof(struct build));
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
