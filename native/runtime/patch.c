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
#define WINDOW_BEFORE 128 /* looked at for branches into the jump, as far as short ones reach */
#define WINDOW_SIZE 288
#define ENTRY_SIZE 20 /* bytes of emit_entry */

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

/* Instructions that compilers put right before a system call, of five bytes or more. */
static const struct {
    uint8_t size, known; /* bytes of the whole, and how many of them are given */
    uint8_t bytes[4];
    bool loads_nr; /* its last four bytes must be the call's number */
} before[] = {
    {7, 3, {0x48, 0xc7, 0xc0}, true},        /* mov $nr,%rax */
    {7, 3, {0x0f, 0x11, 0x83}, false},       /* movups %xmm0,disp32(%rbx) */
    {5, 4, {0x48, 0x8b, 0x44, 0x24}, false}, /* mov disp8(%rsp),%rax */
    {6, 2, {0x41, 0xb8}, false},             /* mov $imm,%r8d */
    {6, 2, {0x41, 0xb9}, false},             /* mov $imm,%r9d */
    {6, 2, {0x41, 0xba}, false},             /* mov $imm,%r10d */
    {5, 1, {0xba}, false},                   /* mov $imm,%edx */
    {5, 1, {0xbe}, false},                   /* mov $imm,%esi */
    {5, 1, {0xbf}, false},                   /* mov $imm,%edi */
};

/* The byte before could make a longer instruction of what follows it. */
static bool could_prefix(uint8_t byte)
{
    return (byte & 0xf0) == 0x40 || byte == 0x0f;
}

static uint8_t size_of_before(const uint8_t *code, bool loads_nr)
{
    for (size_t i = 0; i < sizeof(before) / sizeof(before[0]); i++) {
        const uint8_t *at = code - before[i].size;
        if (memcmp(at, before[i].bytes, before[i].known) == 0 &&
            (!before[i].loads_nr || loads_nr) && (before[i].known > 1 || !could_prefix(at[-1])))
            return before[i].size;
    }
    return 0;
}

/* A return with nothing but padding behind it, so that the jump may overwrite that. */
static bool is_padded_return(const uint8_t *code)
{
    static const uint8_t padding[][2] = {{0xcc, 0xcc}, {0x90, 0x90}, {0x0f, 0x1f}, {0x66, 0x90},
                                         {0x66, 0x2e}, {0x66, 0x66}, {0x66, 0x0f}};
    for (size_t i = 0; code[0] == 0xc3 && i < sizeof(padding) / sizeof(padding[0]); i++)
        if (memcmp(code + 1, padding[i], 2) == 0)
            return true;
    return false;
}

/* Measures the one or two instructions after the call that would make room for a jump. */
static bool choose_after(struct exo_site *site, const uint8_t *window, const uint8_t *code)
{
    const uint8_t *next = code + 2;
    unsigned first = exo_insn_movable(next);
    site->first = site->moved = (uint8_t)first;
    if ((first >= 3 && first <= 12) || is_padded_return(next))
        return true;
    if (first != 2)
        return false;
    unsigned second = exo_insn_movable(next + 2) + exo_insn_short_branch(next + 2);
    site->moved = (uint8_t)(first + second);
    return second > 0 && second <= 8 &&
           !exo_insn_leads_to(window, WINDOW_SIZE, (int)(next + 2 - window));
}

/* Fills in how site can be patched, given the bytes around it; false if not at all. */
static bool choose(struct exo_site *site, const uint8_t *window, uint64_t nr)
{
    const uint8_t *code = window + WINDOW_BEFORE; /* the syscall instruction */
    uint32_t number;
    memcpy(&number, code - 4, 4);
    bool loads_nr = nr == ~0UL ? number < EXO_CALL_COUNT : number == (uint32_t)nr;
    if (code[-5] == 0xb8 && loads_nr && !could_prefix(code[-6])) {
        site->kind = EXO_PATCH_MOV;
        return true;
    }
    site->moved = size_of_before(code, loads_nr);
    site->kind = site->moved > 0 ? EXO_PATCH_BEFORE : EXO_PATCH_AFTER;
    return site->moved > 0 || choose_after(site, window, code);
}

/* The moved instructions, at their new address; a short branch becomes a near one. */
static void emit_moved(struct code *code, uint64_t stub, const uint8_t *from, uint64_t address,
                       const struct exo_site *site)
{
    const uint8_t *last = from + site->first;
    bool branch = site->first < site->moved && exo_insn_short_branch(last);
    emit(code, from, branch ? site->first : site->moved);
    if (!branch)
        return;
    if (last[0] != 0xeb)
        emit_byte(code, 0x0f);
    emit_byte(code, last[0] == 0xeb ? 0xe9 : (uint8_t)(last[0] + 0x10));
    emit_relative(code, stub, address + site->moved + (uint64_t)(int64_t)(int8_t)last[1]);
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
        emit_entry(code, site->stub, site->stub + code->size + ENTRY_SIZE);
        site->tail = (uint8_t)code->size;
        emit_moved(code, site->stub, syscall + 2, after, site);
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

/* Two bytes that must change together are in different cache lines, or two instructions move. */
static bool needs_solitude(const struct exo_site *site)
{
    return site->kind == EXO_PATCH_AFTER &&
           ((site->address & 63) == 63 || site->first != site->moved);
}

enum outcome { DECLINED, POSTPONED, PATCHED };

/* The site's page is writable. Not alone: other threads may be executing this very code. */
static enum outcome patch_locked(uint64_t address, uint64_t nr, bool alone)
{
    uint8_t window[WINDOW_SIZE];
    struct code code = {.size = 0};
    struct exo_site site = {.address = address};
    if (guest_read(window, address - WINDOW_BEFORE, sizeof(window)) != 0 ||
        window[WINDOW_BEFORE] != 0x0f || window[WINDOW_BEFORE + 1] != 0x05 ||
        !choose(&site, window, nr))
        return DECLINED;
    if (!alone && needs_solitude(&site))
        return POSTPONED;
    bool after = site.kind == EXO_PATCH_AFTER;
    uint64_t at = after ? address : address - (site.kind == EXO_PATCH_MOV ? 5 : site.moved);
    site.stub = exo_stub_allocate(address, after);
    if (site.stub == 0 || exo_stub_open(site.stub) != 0)
        return DECLINED;
    build(&code, &site, window + WINDOW_BEFORE);
    memcpy((void *)site.stub, code.bytes, code.size);
    if (!exo_stub_record(&site))
        return DECLINED;
    store_release(&exo_patch_in_progress, at);
    write_jump(at, site.stub, alone, after ? 2 : 0);
    store_release(&exo_patch_in_progress, 0UL);
    return PATCHED;
}

static enum outcome patch_in(const struct exo_map *map, uint64_t address, uint64_t nr)
{
    uint64_t start = address - WINDOW_BEFORE, end = start + WINDOW_SIZE;
    if (map == NULL || start < map->start || end > map->end || set_writable(start, end, true) != 0)
        return DECLINED;
    enum outcome outcome = patch_locked(address, nr, load_relaxed(&exo_mm.tasks) <= 1);
    set_writable(start, end, false);
    exo_stub_close();
    return outcome;
}

void exo_patch_trapped(uint64_t address, uint64_t nr)
{
    if (KR->flags & EXO_KR_NO_PATCH)
        return;
    exo_mm_lock();
    if (exo_site_find(address) == NULL) {
        struct exo_map *map = exo_map_find(address);
        enum outcome outcome = patch_in(map, address, nr);
        if (outcome == PATCHED)
            fetch_add(&KR->stats.sites_patched, 1);
        else
            decline(address);
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
    if (count == seen || (KR->flags & EXO_KR_NO_PATCH) ||
        set_writable(map->start, map->end, true) != 0)
        return;
    map->seen = count;
    for (uint32_t i = seen; i < count; i++) {
        uint64_t address = map->start + image->sites[i] - map->offset;
        if (image->sites[i] < map->offset || address - WINDOW_BEFORE < map->start ||
            address - WINDOW_BEFORE + WINDOW_SIZE > map->end)
            continue;
        if (exo_site_find(address) == NULL && patch_locked(address, ~0UL, alone) == PATCHED)
            fetch_add(&KR->stats.sites_remembered, 1);
    }
    set_writable(map->start, map->end, false);
    exo_stub_close();
}

/* The site whose jump begins at `at`. */
static struct exo_site *site_of_jump(uint64_t at)
{
    for (uint64_t size = 0; size <= 7; size++) {
        struct exo_site *site = exo_site_find(at + size);
        uint64_t wanted = site == NULL                     ? ~0UL
                          : site->kind == EXO_PATCH_MOV    ? 5
                          : site->kind == EXO_PATCH_BEFORE ? site->moved
                          : site->kind == EXO_PATCH_AFTER  ? 0
                                                           : ~0UL;
        if (size == wanted)
            return site;
    }
    return NULL;
}

/* A CLONE_VM child was killed while it patched: finishes the jump. Under exo_mm.lock, its own. */
void exo_patch_repair(void)
{
    uint64_t at = exo_patch_in_progress;
    struct exo_site *site = at == 0 ? NULL : site_of_jump(at);
    if (site != NULL && set_writable(at, at + 5, true) == 0) {
        write_jump(at, site->stub, true, 0);
        set_writable(at, at + 5, false);
    }
    store_release(&exo_patch_in_progress, 0UL);
    exo_stub_close();
}

/* Back to the guest at rip, unless that is now the inside of a jump. */
uint64_t exo_return_address(uint64_t rip)
{
    struct exo_site *site = exo_site_find(rip - 2);
    if (site != NULL && site->kind == EXO_PATCH_AFTER)
        return site->stub + site->tail;
    return rip;
}
