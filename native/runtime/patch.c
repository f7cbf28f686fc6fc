/* Replacing a system-call site by a jump to its stub.
 *
 * Three patterns (stub.h), tried in that order; what fits none keeps trapping. The byte that a
 * thread could still meet inside the old code is kept a syscall (EXO_PATCH_MOV, _BEFORE) or made a
 * hlt whose fault exo_stub_fault() redirects (EXO_PATCH_AFTER). With other threads about, the jump
 * is written in steps, each behind a barrier that serialises every CPU running this process.
 *
 * Rules: under exo_mm.lock. Only private file mappings (map.c): JIT code is never patched.
 */
#include "stub.h"

#define MEMBARRIER_SYNC_CORE 32
#define MEMBARRIER_REGISTER_SYNC_CORE 64
#define HLT 0xf4
#define WHOLE_SIZE 0x400000 /* up to here all of a mapping is made writable, so that it stays one */
#define WINDOW_BEFORE EXO_WINDOW_BEFORE
#define WINDOW_SIZE EXO_WINDOW_SIZE

/* Address near which bytes are being replaced, 0 for none; read by faulting threads. */
HOT volatile uint64_t exo_patch_in_progress;

void exo_patch_barrier(void)
{
    static uint8_t registered;
    if (!registered) {
        HOST_3(__NR_membarrier, MEMBARRIER_REGISTER_SYNC_CORE, 0, 0);
        registered = 1;
    }
    HOST_3(__NR_membarrier, MEMBARRIER_SYNC_CORE, 0, 0);
}

static long set_writable(uint64_t start, uint64_t end, bool writable)
{
    uint64_t page = start & ~4095UL;
    return HOST_3(__NR_mprotect, page, ((end + 4095) & ~4095UL) - page,
                  PROT_READ_ | PROT_EXEC_ | (writable ? PROT_WRITE_ : 0));
}

/* Writes jmp rel32 at `at`. stop is the offset of the byte at which others must not go on. */
static void write_jump(uint64_t at, const uint8_t jump[5], bool alone, unsigned stop)
{
    volatile uint8_t *code = (volatile uint8_t *)at;
    if (alone) {
        memcpy((void *)at, jump, 5);
        return;
    }
    code[stop] = HLT;
    exo_patch_barrier();
    for (unsigned i = 2; i < 5; i++)
        code[i] = jump[i];
    if (stop == 0)
        code[1] = jump[1];
    exo_patch_barrier();
    if (stop == 0)
        code[0] = jump[0];
    else
        *(volatile uint16_t *)at = (uint16_t)(jump[0] | jump[1] << 8);
    exo_patch_barrier();
}

static void decline(uint64_t address, uint8_t kind)
{
    struct exo_site site = {.address = address, .kind = kind};
    exo_stub_record(&site);
    if (kind == EXO_PATCH_NONE)
        fetch_add(&KR->stats.sites_trapping, 1);
}

/* Two bytes that must change together are in different cache lines, or two instructions move. */
static bool needs_solitude(const struct exo_site *site)
{
    return site->kind == EXO_PATCH_AROUND ||
           (site->kind == EXO_PATCH_AFTER &&
            ((site->address & 63) == 63 || site->first != site->moved));
}

enum outcome { DECLINED, POSTPONED, PATCHED };

/* The site's page is writable. Not alone: other threads may be executing this very code. */
static enum outcome patch_locked(uint64_t address, uint64_t nr, bool alone)
{
    uint8_t window[WINDOW_SIZE], jump[5];
    struct exo_site site = {.address = address};
    if (guest_read(window, address - WINDOW_BEFORE, sizeof(window)) != 0 ||
        !exo_patch_plan(&site, window, nr))
        return DECLINED;
    if (!alone && needs_solitude(&site))
        return POSTPONED;
    bool after = site.kind == EXO_PATCH_AFTER;
    uint64_t at = exo_patch_start(&site);
    site.stub = exo_stub_allocate(address, after);
    if (site.stub == 0 || exo_stub_open(site.stub) != 0)
        return DECLINED;
    exo_patch_build((uint8_t *)site.stub, &site, window);
    exo_patch_jump(jump, &site);
    memcpy(site.original, window + (at - address + WINDOW_BEFORE), 5);
    if (!exo_stub_record(&site))
        return DECLINED;
    store_release(&exo_patch_in_progress, at);
    write_jump(at, jump, alone, after ? 2 : 0);
    store_release(&exo_patch_in_progress, 0UL);
    return PATCHED;
}

static enum outcome patch_in(const struct exo_map *map, uint64_t address, uint64_t nr)
{
    uint64_t start = address - WINDOW_BEFORE, end = start + WINDOW_SIZE;
    if (map == NULL || start < map->start || end > map->end)
        return DECLINED;
    if (map->end - map->start <= WHOLE_SIZE) {
        start = map->start;
        end = map->end;
    }
    if (set_writable(start, end, true) != 0)
        return DECLINED;
    enum outcome outcome = patch_locked(address, nr, exo_alone());
    set_writable(start, end, false);
    exo_stub_close();
    return outcome;
}

void exo_patch_trapped(uint64_t address, uint64_t nr)
{
    if (exo_mm.flags & EXO_KR_NO_PATCH)
        return;
    exo_mm_lock();
    struct exo_site known;
    if (!exo_site_get(address, &known)) {
        struct exo_map *map = exo_map_find(address);
        enum outcome outcome = patch_in(map, address, nr);
        if (outcome == PATCHED)
            fetch_add(&KR->stats.sites_patched, 1);
        else
            decline(address, outcome == POSTPONED ? EXO_PATCH_LATER : EXO_PATCH_NONE);
        if (outcome != DECLINED && map->image != NULL)
            exo_image_add(KR, map->image, (uint32_t)(address - map->start + map->offset));
    }
    exo_mm_unlock();
}

/* Patches what other processes found in the same file. Alone: nobody else is executing its code. */
void exo_patch_remembered(struct exo_map *map, bool alone)
{
    struct exo_image *image = map->image;
    uint32_t seen = map->seen, count = image == NULL ? 0 : load_acquire(&image->site_count);
    if (count == seen || (exo_mm.flags & EXO_KR_NO_PATCH) ||
        set_writable(map->start, map->end, true) != 0)
        return;
    const uint32_t *offsets = exo_image_sites(KR, image);
    map->seen = count;
    for (uint32_t i = seen; i < count; i++) {
        uint64_t address = map->start + offsets[i] - map->offset;
        struct exo_site known;
        if (offsets[i] < map->offset || address - WINDOW_BEFORE < map->start ||
            address - WINDOW_BEFORE + WINDOW_SIZE > map->end)
            continue;
        bool open = !exo_site_get(address, &known) || (known.kind == EXO_PATCH_LATER && alone);
        if (open && patch_locked(address, ~0UL, alone) == PATCHED)
            fetch_add(&KR->stats.sites_remembered, 1);
    }
    set_writable(map->start, map->end, false);
    exo_stub_close();
}

/* The site whose jump begins at `at`. */
static const struct exo_site *site_of_jump(uint64_t at)
{
    for (uint64_t size = 0; size <= 7; size++) {
        const struct exo_site *site = exo_site_find(at + size);
        if (site != NULL && exo_is_patched(site->kind) && exo_patch_start(site) == at)
            return site;
    }
    return NULL;
}

/* A CLONE_VM child was killed while it patched: finishes the jump. Under exo_mm.lock, its own. */
void exo_patch_repair(void)
{
    uint64_t at = exo_patch_in_progress;
    const struct exo_site *site = at == 0 ? NULL : site_of_jump(at);
    if (site != NULL && set_writable(at, at + 5, true) == 0) {
        uint8_t jump[5];
        exo_patch_jump(jump, site);
        write_jump(at, jump, true, 0);
        set_writable(at, at + 5, false);
    }
    store_release(&exo_patch_in_progress, 0UL);
    exo_stub_close();
}

/* Back to the guest at rip, unless that is now the inside of a jump. */
uint64_t exo_return_address(uint64_t rip)
{
    struct exo_site site;
    bool inside = load_acquire(&exo_patch_undone) != EXO_UNDO_DONE &&
                  exo_site_get(rip - 2, &site) &&
                  (site.kind == EXO_PATCH_AFTER || site.kind == EXO_PATCH_AROUND);
    return inside ? site.stub + site.tail : rip;
}
