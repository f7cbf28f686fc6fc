/* Stubs, in arenas of 64 KiB within reach of the code they serve, and the table of known sites.
 *
 * Rules: changed under exo_mm.lock only. Signal handlers read arenas and sites without it, so a
 * record is complete before the jump to it is written, and arenas are unmapped only by a lone thread.
 */
#include "stub.h"

#define ARENA_SIZE 0x10000UL
#define ARENA_COUNT 24
#define SLOT_COUNT (ARENA_SIZE / STUB_SIZE)
#define SITE_COUNT 6144
#define INDEX_SIZE 8192 /* a power of two */
#define REACH 0x7fe00000UL
/* Second byte of a jump's displacement over a moved instruction's start: hlt faults there. */
#define FAULTING_BYTE 0xf4

struct arena {
    uint64_t base;
    uint64_t sites[SLOT_COUNT]; /* site whose stub the slot is, 0 free */
    bool open;                  /* writable, until exo_stub_close() */
};

static struct arena arenas[ARENA_COUNT];
HOT static uint32_t arena_count;
static struct exo_site sites[SITE_COUNT]; /* dense: only pages in use are touched */
static uint16_t site_index[INDEX_SIZE];   /* by hash: place in sites + 1, 0 free */
HOT static uint32_t site_count;
HOT static bool seen_outside; /* a guest has an address in a stub: arenas stay */

static uint64_t distance(uint64_t a, uint64_t b)
{
    return a > b ? a - b : b - a;
}

static bool try_map(uint64_t address)
{
    if (address < 0x10000 || in_window(address, ARENA_SIZE))
        return false;
    long got = HOST_6(__NR_mmap, address, ARENA_SIZE, PROT_READ_ | PROT_EXEC_,
                      MAP_PRIVATE_ | MAP_ANONYMOUS_ | MAP_FIXED_NOREPLACE_, -1, 0);
    if (got >= 0 && (uint64_t)got != address) /* a host older than 4.17 takes it for a hint */
        HOST_2(__NR_munmap, got, ARENA_SIZE);
    return (uint64_t)got == address;
}

/* Finds free room near site: below first, where neither brk nor new libraries grow to. */
static uint64_t map_near(uint64_t site)
{
    uint64_t middle = site & ~(ARENA_SIZE - 1);
    for (uint64_t step = 0x100000; step < REACH - 0x1000000;
         step += step < 0x4000000 ? step : 0x4000000) {
        if (step < middle && try_map(middle - step))
            return middle - step;
        if (try_map(middle + step))
            return middle + step;
    }
    return 0;
}

static struct arena *arena_create(uint64_t site)
{
    if (arena_count == ARENA_COUNT)
        return NULL;
    uint64_t base = map_near(site);
    if (base == 0)
        return NULL;
    struct arena *new = &arenas[arena_count];
    new->base = base;
    store_release(&arena_count, arena_count + 1);
    return new;
}

uint64_t exo_stub_slot(const uint64_t *taken, uint64_t count, uint64_t base, uint64_t site,
                       bool after)
{
    for (uint64_t i = 0; i < count; i++) {
        uint64_t stub = base + i * STUB_SIZE;
        if (taken[i] == 0 && (!after || ((stub - (site + 5)) >> 8 & 0xff) == FAULTING_BYTE))
            return i;
    }
    return count;
}

static uint64_t take_slot(struct arena *in, uint64_t site, bool after)
{
    if (distance(in->base, site) > REACH)
        return 0;
    uint64_t i = exo_stub_slot(in->sites, SLOT_COUNT, in->base, site, after);
    if (i == SLOT_COUNT)
        return 0;
    in->sites[i] = site;
    return in->base + i * STUB_SIZE;
}

/* Room for a stub; for EXO_PATCH_AFTER such that running into the jump's middle faults. */
uint64_t exo_stub_allocate(uint64_t site, bool after)
{
    uint64_t stub = 0;
    for (uint32_t i = 0; i < arena_count && stub == 0; i++)
        stub = take_slot(&arenas[i], site, after);
    if (stub != 0)
        return stub;
    struct arena *new = arena_create(site);
    return new == NULL ? 0 : take_slot(new, site, after);
}

static uint32_t hash(uint64_t address)
{
    return (uint32_t)((address * 0x9e3779b97f4a7c15UL) >> 40) & (INDEX_SIZE - 1);
}

struct exo_site *exo_site_find(uint64_t address)
{
    if (load_relaxed(&site_count) == 0)
        return NULL;
    for (uint32_t i = hash(address);; i = (i + 1) & (INDEX_SIZE - 1)) {
        uint16_t at = load_acquire(&site_index[i]);
        if (at == 0)
            return NULL;
        if (sites[at - 1].address == address)
            return &sites[at - 1];
    }
}

bool exo_site_get(uint64_t address, struct exo_site *site)
{
    const struct exo_site *own = exo_site_find(address);
    if (own == NULL)
        return exo_copy_site(address, site);
    *site = *own;
    return true;
}

/* Sites are found by the number in site_index, which is stored last. */
static void index_site(uint32_t at)
{
    uint32_t i = hash(sites[at].address);
    while (site_index[i] != 0)
        i = (i + 1) & (INDEX_SIZE - 1);
    store_release(&site_index[i], (uint16_t)(at + 1));
}

/* False when the table is full. */
bool exo_stub_record(const struct exo_site *site)
{
    struct exo_site *old = exo_site_find(site->address);
    if (old != NULL) { /* was postponed */
        *old = *site;
        return true;
    }
    if (site_count == SITE_COUNT)
        return false;
    sites[site_count] = *site;
    index_site(site_count++);
    return true;
}

static struct arena *arena_of(uint64_t address)
{
    uint32_t count = load_acquire(&arena_count);
    for (uint32_t i = 0; i < count; i++)
        if (address - arenas[i].base < ARENA_SIZE)
            return &arenas[i];
    return NULL;
}

/* Makes the stub's arena writable, for as many stubs as are to be written now. */
long exo_stub_open(uint64_t stub)
{
    struct arena *in = arena_of(stub);
    long error = in->open ? 0
                          : HOST_3(__NR_mprotect, in->base, ARENA_SIZE,
                                   PROT_READ_ | PROT_WRITE_ | PROT_EXEC_);
    in->open = error == 0;
    return error;
}

void exo_stub_close(void)
{
    for (uint32_t i = 0; i < arena_count; i++) {
        if (arenas[i].open)
            HOST_3(__NR_mprotect, arenas[i].base, ARENA_SIZE, PROT_READ_ | PROT_EXEC_);
        arenas[i].open = false;
    }
}

bool exo_site_overlaps(uint64_t start, uint64_t end)
{
    for (uint32_t i = 0; i < site_count; i++)
        if (sites[i].address >= start && sites[i].address < end)
            return true;
    return false;
}

void exo_site_restore(uint8_t *copy, uint64_t start, uint64_t end)
{
    for (uint32_t i = 0; i < site_count; i++) {
        const struct exo_site *site = &sites[i];
        if (site->address >= start && site->address < end && exo_is_patched(site->kind))
            memcpy(copy + (exo_patch_start(site) - start), site->original, 5);
    }
}

/* The guest unmapped or replaced [start, end): its sites are gone, their stubs are free. */
void exo_site_forget(uint64_t start, uint64_t end)
{
    if (!exo_site_overlaps(start, end))
        return;
    uint32_t count = site_count;
    memset(site_index, 0, sizeof(site_index));
    site_count = 0;
    for (uint32_t i = 0; i < count; i++) {
        struct exo_site site = sites[i];
        struct arena *in = site.stub == 0 ? NULL : arena_of(site.stub);
        if (site.address < start || site.address >= end)
            exo_stub_record(&site);
        else if (in != NULL)
            in->sites[(site.stub - in->base) / STUB_SIZE] = 0;
    }
}

/* With the last site gone: no arena is needed, and forked children need not copy these tables. */
void exo_stub_release(void)
{
    if (site_count != 0 || arena_count == 0 || seen_outside)
        return;
    uint32_t count = exchange(&arena_count, 0);
    for (uint32_t i = 0; i < count; i++)
        HOST_2(__NR_munmap, arenas[i].base, ARENA_SIZE);
    memset(site_index, 0, sizeof(site_index)); /* what is not whole pages */
    memset(arenas, 0, count * sizeof(arenas[0]));
    exo_forget_pages(sites, sizeof(sites));
    exo_forget_pages(site_index, sizeof(site_index));
    exo_forget_pages(arenas, sizeof(arenas));
}

void exo_site_undo(void)
{
    for (uint32_t i = 0; i < SITE_COUNT; i++)
        if (sites[i].address != 0 && sites[i].kind != EXO_PATCH_NONE)
            exo_patch_put_back(exo_patch_start(&sites[i]), sites[i].original);
}

bool exo_stub_site(uint64_t rip, struct exo_site *site)
{
    struct arena *in = arena_of(rip);
    if (in == NULL)
        return exo_copy_stub(rip, site);
    uint64_t address = in->sites[(rip - in->base) / STUB_SIZE];
    return address != 0 && exo_site_get(address, site);
}

void exo_stub_hide(struct exo_regs *regs)
{
    struct exo_site site;
    if (!exo_stub_site(regs->rip, &site))
        return;
    uint64_t at = regs->rip - site.stub;
    switch (site.kind) {
    case EXO_PATCH_MOV:
        regs->rip = at == 0 ? site.address - 5 : site.address;
        break;
    case EXO_PATCH_CPUID: /* begun, it may be done again */
        regs->rip = at == 5 ? site.address : site.address - 5;
        break;
    case EXO_PATCH_BEFORE:
        regs->rip = at == 0 ? site.address - site.moved : site.address;
        break;
    case EXO_PATCH_AROUND:
        regs->rip = at == 0          ? site.address - site.moved
                    : at < site.tail ? site.address
                                     : site.address + 2;
        break;
    default:
        if (at < site.tail)
            regs->rip = site.address;
        else if (at == site.tail)
            regs->rip = site.address + 2;
        else if (!exo_stub_is_between(&site, at))
            regs->rip = site.address + 2 + site.moved;
        else /* a fault of the second: that place in the guest's code is inside the jump, stay here */
            seen_outside = true;
    }
}

bool exo_stub_steps_over(uint64_t rip)
{
    struct exo_site site;
    if (!exo_stub_site(rip, &site))
        return false;
    uint64_t at = rip - site.stub;
    if (site.kind == EXO_PATCH_AFTER)
        return at < site.tail || exo_stub_is_between(&site, at);
    bool after_mov = site.kind == EXO_PATCH_MOV || site.kind == EXO_PATCH_CPUID;
    return at != (after_mov ? 5 : (uint64_t)site.moved);
}

/* Whether rip is where a jump was just being written over what comes before a system call. */
static bool met_first_byte(uint64_t rip)
{
    for (uint64_t before = 2; before <= 7; before++) {
        struct exo_site site;
        if (exo_site_get(rip + before, &site) && site.kind != EXO_PATCH_AFTER &&
            exo_is_patched(site.kind) && exo_patch_start(&site) == rip)
            return true;
    }
    return false;
}

/* A thread that met a patch while it was taken back tries again, once. */
static uint64_t met_undone(uint64_t rip)
{
    struct exo_site site;
    bool known = (exo_site_get(rip - 2, &site) && site.kind != EXO_PATCH_NONE) ||
                 (exo_site_get(rip, &site) && site.kind != EXO_PATCH_NONE) || met_first_byte(rip);
    bool again = area()->retried == rip;
    area()->retried = again ? 0 : rip;
    return known && !again ? rip : 0;
}

uint64_t exo_stub_fault(uint64_t rip)
{
    while (load_acquire(&exo_patch_in_progress) != 0 &&
           rip - (load_relaxed(&exo_patch_in_progress) - 8) < 16)
        spin_pause();
    struct exo_site site;
    uint8_t undone = load_acquire(&exo_patch_undone);
    if (undone != EXO_UNDO_DONE && exo_site_get(rip - 2, &site) && site.kind == EXO_PATCH_AFTER)
        return site.stub + site.tail;
    if (undone != EXO_UNDO_NOT)
        return met_undone(rip);
    return met_first_byte(rip) && *(volatile uint8_t *)rip == 0xe9 ? rip : 0;
}
