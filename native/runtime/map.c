/* Executable mappings of files: the places where sites may be patched.
 *
 * Rules: under exo_mm.lock. A mapping that becomes writable, or is replaced or unmapped, leaves the
 * list, and its patched sites are forgotten with it.
 */
#include "stub.h"

#define MAP_COUNT EXO_MAP_COUNT

#define maps exo_warm.maps
HOT static uint32_t map_count;
HOT static uint32_t fork_count;

struct exo_map *exo_map_find(uint64_t address)
{
    for (uint32_t i = 0; i < map_count; i++)
        if (address >= maps[i].start && address < maps[i].end)
            return &maps[i];
    return NULL;
}

static void insert(uint64_t start, uint64_t end, uint64_t offset, struct exo_image *image)
{
    if (map_count < MAP_COUNT)
        maps[map_count++] =
            (struct exo_map){.start = start, .end = end, .offset = offset, .image = image};
}

/* The range's code is as it was but may be written to from now on: nothing more is patched there. */
void exo_map_freeze(uint64_t start, uint64_t size)
{
    uint64_t end = start + size;
    for (uint32_t i = 0; i < map_count;) {
        struct exo_map old = maps[i];
        if (old.end <= start || old.start >= end) {
            i++;
            continue;
        }
        maps[i] = maps[--map_count];
        if (old.start < start)
            insert(old.start, start, old.offset, old.image);
        if (old.end > end)
            insert(end, old.end, old.offset + (end - old.start), old.image);
    }
}

/* The range's code is gone. */
void exo_map_remove(uint64_t start, uint64_t size)
{
    exo_map_freeze(start, size);
    exo_site_forget(start, start + size);
    exo_copy_forget(start, start + size);
}

/* Whether anything the runtime knows of code is there. */
bool exo_map_overlaps(uint64_t start, uint64_t size)
{
    for (uint32_t i = 0; i < map_count; i++)
        if (maps[i].start < start + size && maps[i].end > start)
            return true;
    return exo_site_overlaps(start, start + size) || exo_copy_overlaps(start, start + size);
}

static struct exo_image *image_of(int host_fd)
{
    struct k_stat stat;
    if (HOST_2(__NR_fstat, host_fd, &stat) != 0 || (stat.mode & S_IFMT_) != S_IFREG_)
        return NULL;
    return exo_image_find(KR, stat.dev, stat.ino, stat.mtime * 1000000000 + stat.mtime_ns,
                          (uint64_t)stat.size, true);
}

bool exo_map_copied(uint64_t start, uint64_t size, uint64_t offset, int host_fd, int fixed)
{
    if ((exo_mm.flags & EXO_KR_NO_PATCH) || map_count == MAP_COUNT)
        return false;
    struct exo_image *image = image_of(host_fd);
    if (image == NULL || exo_copy_wanted(image, load_relaxed(&image->mapped) + 1))
        return false;
    struct exo_map map = {.start = start, .end = start + size, .offset = offset, .image = image};
    if (!exo_copy_map(&map, fixed))
        return false;
    fetch_add(&image->mapped, 1);
    maps[map_count] = map;
    exo_patch_remembered(&maps[map_count++], true);
    return true;
}

void exo_map_add(uint64_t start, uint64_t size, uint64_t offset, int host_fd)
{
    exo_map_remove(start, size);
    struct exo_image *image = map_count == MAP_COUNT ? NULL : image_of(host_fd);
    if (image == NULL)
        return;
    insert(start, start + ((size + 4095) & ~4095UL), offset, image);
    if (!(exo_mm.flags & EXO_KR_NO_PATCH)) {
        if (exo_copy_wanted(image, fetch_add(&image->mapped, 1) + 1))
            exo_copy_make(&maps[map_count - 1]);
        exo_copy_map(&maps[map_count - 1], MAP_FIXED_);
    }
    exo_patch_remembered(&maps[map_count - 1], true); /* new: its code has not run */
}

/* What lies below our own frame, and the signal stack: nothing is on them. */
static void forget_stacks(void)
{
    char *low = (char *)area() - AREA_STRUCT + AREA_ALTSTACK_START;
    char *high = (char *)__builtin_frame_address(0) - 4096;
    if (high > low)
        exo_forget_pages(low, (uint64_t)(high - low));
}

/* The code that this process has patched is exchanged for copies; we may return to one of its stubs. */
static void adopt_copies(void)
{
    struct exo_regs *regs = &area()->regs;
    exo_stub_hide(regs);
    for (uint32_t i = 0; i < map_count; i++)
        exo_copy_adopt(&maps[i]);
    regs->rip = exo_return_address(regs->rip);
    exo_stub_release();
    forget_stacks();
}

void exo_map_alone(void)
{
    for (uint32_t i = 0; i < map_count; i++)
        exo_patch_remembered(&maps[i], true);
}

/* A program that forks again and again gets rid of its private pages, which each fork copies. */
void exo_map_catch_up(void)
{
    bool alone = exo_alone();
    if (exo_mm.flags & EXO_KR_NO_PATCH)
        return;
    uint32_t times = ++fork_count;
    if (alone && times >= 2 && (times & (times - 1)) == 0)
        adopt_copies();
    for (uint32_t i = 0; i < map_count; i++)
        exo_patch_remembered(&maps[i], alone);
}
