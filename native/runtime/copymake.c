/* Makes a patched copy of an image's code in the region's memfd (copy.c maps it): the code as the
 * file has it, a jump at each known site, the stubs, and the table that describes them.
 *
 * Rules: under exo_mm.lock. Other processes see the copy when it is published, whole.
 */
#include "stub.h"

#define RLIMIT_FSIZE_ 1
#define FIXED_END 0x40000000UL

struct build {
    struct exo_copy copy;
    uint64_t extra, text;        /* where both will be, as the process that makes it has them */
    uint8_t *extra_at, *text_at; /* where they can be written */
    uint64_t taken[EXO_COPY_STUB_SIZE / STUB_SIZE];
};

static bool try_room(struct build *new, const struct exo_map *map, uint64_t extra)
{
    if (!exo_copy_map_extra(extra, new->copy.at))
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
        (struct exo_copy_site *)(new->extra_at + EXO_COPY_TABLE_AT) + new->copy.site_count++;
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
    struct exo_copy_site *table = (struct exo_copy_site *)(new->extra_at + EXO_COPY_TABLE_AT);
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

/* Not beyond the guest's limit for files, which would be a SIGXFSZ. */
static bool may_write(uint64_t end)
{
    uint64_t limit[2];
    return HOST_4(__NR_prlimit64, 0, RLIMIT_FSIZE_, 0, limit) == 0 && limit[0] >= end;
}

static void make(struct build *new, const struct exo_map *map)
{
    uint64_t size = EXO_COPY_EXTRA_SIZE + new->copy.text_size;
    new->copy.at = exo_copy_reserve(KR, size);
    if (new->copy.at == 0 || !may_write(new->copy.at + size) || !find_room(new, map))
        return;
    long got =
        HOST_6(__NR_mmap, 0, size, PROT_READ_ | PROT_WRITE_, MAP_PRIVATE_ | MAP_ANONYMOUS_, -1, 0);
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
        /* At once: the host then takes large folios for it, which it maps four times as fast. */
        if (new->copy.site_count > 0 &&
            HOST_4(__NR_pwrite64, EXO_FD_COPIES, got, size, new->copy.at) == (long)size)
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
