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
#define WINDOW_BEFORE 8
#define WINDOW_SIZE 32

extern const char exo_entry[];

/* Address near which bytes are being replaced, 0 for none; read by faulting threads. */
volatile uint64_t exo_patch_in_progress;

/* A stub being put together. */
struct code {
    uint8_t bytes[STUB_SIZE];
    unsigned size;
};

static void emit(struct code *code, const void *bytes, unsigned size)
{
    memcpy(code->bytes + code->size, bytes, size);
    code->size += size;
}

static void emit_byte(struct code *code, uint8_t byte)
{
    emit(code, &byte, 1);
}

static void emit_relative(struct code *code, uint64_t stub, uint64_t target)
{
    int32_t relative = (int32_t)(target - (stub + code->size + 4));
    emit(code, &relative, 4);
}

/* lea back(%rip),%rcx; movabs $exo_entry,%r11; jmp *%r11 */
static void emit_entry(struct code *code, uint64_t stub, uint64_t back)
{
    uint64_t entry = (uint64_t)exo_entry;
    emit(code, "\x48\x8d\x0d", 3);
    emit_relative(code, stub, back);
    emit(code, "\x49\xbb", 2);
    emit(code, &entry, 8);
    emit(code, "\x41\xff\xe3", 3);
}

static void barrier(void)
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
static void write_jump(uint64_t at, uint64_t target, bool alone, unsigned stop)
{
    volatile uint8_t *code = (volatile uint8_t *)at;
    uint8_t jump[5] = {0xe9};
    int32_t relative = (int32_t)(target - (at + 5));
    memcpy(jump + 1, &relative, 4);
    if (alone) {
        memcpy((void *)at, jump, 5);
        return;
    }
    code[stop] = HLT;
    barrier();
    for (unsigned i = 2; i < 5; i++)
        code[i] = jump[i];
    if (stop == 0)
        code[1] = jump[1];
    barrier();
    if (stop == 0)
        code[0] = jump[0];
    else
        *(volatile uint16_t *)at = (uint16_t)(jump[0] | jump[1] << 8);
    barrier();
}

/* Fills in how site can be patched, given the bytes around it; false if not at all. */
static bool choose(struct exo_site *site, const uint8_t *window, uint64_t nr)
{
    const uint8_t *code = window + WINDOW_BEFORE; /* the syscall instruction */
    uint32_t number;
    memcpy(&number, code - 4, 4);
    bool loads_nr = nr == ~0UL ? number < EXO_CALL_COUNT : number == (uint32_t)nr;
    bool prefixed = (code[-6] & 0xf0) == 0x40 || code[-6] == 0x0f;
    site->moved = 0;
    if (code[-5] == 0xb8 && loads_nr && !prefixed) {
        site->kind = EXO_PATCH_MOV;
        return true;
    }
    if (code[-7] == 0x48 && code[-6] == 0xc7 && code[-5] == 0xc0 && loads_nr) {
        site->kind = EXO_PATCH_BEFORE;
        site->moved = 7;
        return true;
    }
    unsigned moved = exo_insn_movable(code + 2);
    bool padded_ret = code[2] == 0xc3 && ((code[3] == 0xcc && code[4] == 0xcc) ||
                                          (code[3] == 0x90 && code[4] == 0x90) ||
                                          (code[3] == 0x0f && code[4] == 0x1f) ||
                                          (code[3] == 0x66 && (code[4] == 0x90 || code[4] == 0x2e ||
                                                               code[4] == 0x66 || code[4] == 0x0f)));
    if ((moved >= 3 && moved <= 12) || padded_ret) {
        site->kind = EXO_PATCH_AFTER;
        site->moved = (uint8_t)moved;
        return true;
    }
    return false;
}

static void build(struct code *code, struct exo_site *site, const uint8_t *syscall)
{
    uint64_t after = site->address + 2;
    switch (site->kind) {
    case EXO_PATCH_MOV:
        emit(code, syscall - 5, 5);
        emit_entry(code, site->stub, after);
        break;
    case EXO_PATCH_BEFORE:
        emit(code, syscall - site->moved, site->moved);
        emit_entry(code, site->stub, after);
        break;
    default:
        site->tail = 20;
        emit_entry(code, site->stub, site->stub + site->tail);
        emit(code, syscall + 2, site->moved);
        emit_byte(code, 0xe9);
        emit_relative(code, site->stub, after + site->moved);
    }
}

static void decline(uint64_t address)
{
    struct exo_site site = {.address = address, .kind = EXO_PATCH_NONE};
    exo_stub_record(&site);
    fetch_add(&KR->stats.sites_trapping, 1);
}

/* The site's page is writable. */
static bool patch_locked(uint64_t address, uint64_t nr)
{
    uint8_t window[WINDOW_SIZE];
    struct code code = {.size = 0};
    struct exo_site site = {.address = address};
    if (guest_read(window, address - WINDOW_BEFORE, sizeof(window)) != 0 ||
        window[WINDOW_BEFORE] != 0x0f || window[WINDOW_BEFORE + 1] != 0x05 ||
        !choose(&site, window, nr))
        return false;
    bool alone = load_relaxed(&exo_mm.tasks) <= 1;
    unsigned before = site.kind == EXO_PATCH_MOV ? 5 : site.moved;
    uint64_t at = site.kind == EXO_PATCH_AFTER ? address : address - before;
    /* Two bytes that change together must share a cache line. */
    if (!alone && site.kind == EXO_PATCH_AFTER && (at & 63) == 63)
        return false;
    site.stub = exo_stub_allocate(address, site.kind == EXO_PATCH_AFTER);
    if (site.stub == 0 || set_writable(site.stub, site.stub + STUB_SIZE, true) != 0)
        return false;
    build(&code, &site, window + WINDOW_BEFORE);
    memcpy((void *)site.stub, code.bytes, code.size);
    set_writable(site.stub, site.stub + STUB_SIZE, false);
    exo_stub_record(&site);
    store_release(&exo_patch_in_progress, at);
    write_jump(at, site.stub, alone, site.kind == EXO_PATCH_AFTER ? 2 : 0);
    store_release(&exo_patch_in_progress, 0UL);
    return true;
}

void exo_patch_trapped(uint64_t address, uint64_t nr)
{
    if (KR->flags & EXO_KR_NO_PATCH)
        return;
    exo_mm_lock();
    struct exo_map *map = exo_map_find(address);
    uint64_t start = address - WINDOW_BEFORE, end = address + 8;
    if (exo_site_find(address) == NULL) {
        bool done = false;
        if (map != NULL && start >= map->start && end <= map->end &&
            set_writable(start, end, true) == 0) {
            done = patch_locked(address, nr);
            set_writable(start, end, false);
        }
        if (!done)
            decline(address);
        else
            fetch_add(&KR->stats.sites_patched, 1);
        if (done && map->image != NULL)
            exo_image_add(KR, map->image, (uint32_t)(address - map->start + map->offset));
    }
    exo_mm_unlock();
}

/* Patches what earlier processes found in the same file. Called with the map new, code not yet run. */
void exo_patch_remembered(struct exo_map *map)
{
    struct exo_image *image = map->image;
    uint32_t count = image == NULL ? 0 : load_acquire(&image->site_count);
    if (count == 0 || (KR->flags & EXO_KR_NO_PATCH) || set_writable(map->start, map->end, true) != 0)
        return;
    for (uint32_t i = 0; i < count; i++) {
        uint64_t address = map->start + image->sites[i] - map->offset;
        if (image->sites[i] < map->offset || address - 8 < map->start || address + 8 > map->end)
            continue;
        if (exo_site_find(address) == NULL && patch_locked(address, ~0UL))
            fetch_add(&KR->stats.sites_remembered, 1);
    }
    set_writable(map->start, map->end, false);
}

/* Back to the guest at rip, unless that is now the inside of a jump. */
uint64_t exo_return_address(uint64_t rip)
{
    struct exo_site *site = exo_site_find(rip - 2);
    if (site != NULL && site->kind == EXO_PATCH_AFTER)
        return site->stub + site->tail;
    return rip;
}
