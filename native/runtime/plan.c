/* How a site can be patched: which of three patterns (stub.h) fits, and the code of its stub.
 *
 * Pure functions of the bytes around the site; addresses are those at which the code will run.
 */
#include "stub.h"

#define WINDOW_BEFORE EXO_WINDOW_BEFORE
#define ENTRY_SIZE 20 /* bytes of emit_entry */

extern const char exo_entry[];

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

static uint8_t size_of_before(const uint8_t *code, bool loads_nr)
{
    for (size_t i = 0; i < sizeof(before) / sizeof(before[0]); i++) {
        const uint8_t *at = code - before[i].size;
        if (memcmp(at, before[i].bytes, before[i].known) == 0 &&
            (!before[i].loads_nr || loads_nr) && (before[i].known > 1 || !exo_could_prefix(at[-1])))
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
           !exo_insn_leads_to(window, EXO_WINDOW_SIZE, (int)(next + 2 - window));
}

/* How a thread ends in glibc: a loop around exit(2), of three instructions of two bytes each. */
static bool is_loop(const uint8_t *window, const uint8_t *code)
{
    int at = (int)(code - window);
    return code[-2] == 0x89 && (code[-1] & 0xc7) == 0xc0 && code[2] == 0xeb &&
           !exo_insn_leads_to(window, EXO_WINDOW_SIZE, at) &&
           !exo_insn_leads_to(window, EXO_WINDOW_SIZE, at + 2);
}

static bool choose(struct exo_site *site, const uint8_t *window, uint64_t nr)
{
    const uint8_t *code = window + WINDOW_BEFORE; /* the syscall instruction */
    uint32_t number;
    memcpy(&number, code - 4, 4);
    bool loads_nr = nr == ~0UL ? number < EXO_CALL_COUNT : number == (uint32_t)nr;
    if (code[-5] == 0xb8 && loads_nr && !exo_could_prefix(code[-6])) {
        site->kind = EXO_PATCH_MOV;
        return true;
    }
    site->moved = size_of_before(code, loads_nr);
    site->kind = site->moved > 0 ? EXO_PATCH_BEFORE : EXO_PATCH_AFTER;
    if (site->moved > 0 || choose_after(site, window, code))
        return true;
    site->kind = EXO_PATCH_AROUND;
    site->moved = 2;
    return is_loop(window, code);
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
    case EXO_PATCH_CPUID:
        code->size = exo_cpuid_emit(code->bytes, syscall - 5);
        emit_byte(code, 0xe9);
        emit_relative(code, site->stub, after);
        break;
    case EXO_PATCH_AROUND:
        emit(code, syscall - 2, 2);
        emit_entry(code, site->stub, site->stub + code->size + ENTRY_SIZE);
        site->tail = (uint8_t)code->size;
        emit_byte(code, 0xe9);
        emit_relative(code, site->stub, after + 2 + (uint64_t)(int64_t)(int8_t)syscall[3]);
        break;
    default:
        emit_entry(code, site->stub, site->stub + code->size + ENTRY_SIZE);
        site->tail = (uint8_t)code->size;
        emit_moved(code, site->stub, syscall + 2, after, site);
        emit_byte(code, 0xe9);
        emit_relative(code, site->stub, after + site->moved);
        emit(code, syscall + 2 + site->first, site->moved - site->first); /* between.c */
        emit_byte(code, 0xf4);
    }
}

bool exo_patch_plan(struct exo_site *site, const uint8_t *window, uint64_t nr)
{
    const uint8_t *code = window + WINDOW_BEFORE;
    return code[0] == 0x0f && code[1] == 0x05 && choose(site, window, nr);
}

uint64_t exo_patch_start(const struct exo_site *site)
{
    bool moves = site->kind == EXO_PATCH_BEFORE || site->kind == EXO_PATCH_AROUND;
    bool after_mov = site->kind == EXO_PATCH_MOV || site->kind == EXO_PATCH_CPUID;
    return after_mov ? site->address - 5 : moves ? site->address - site->moved : site->address;
}

void exo_patch_build(uint8_t *stub, struct exo_site *site, const uint8_t *window)
{
    struct code code = {.size = 0};
    build(&code, site, window + WINDOW_BEFORE);
    memcpy(stub, code.bytes, code.size);
}

void exo_patch_jump(uint8_t jump[5], const struct exo_site *site)
{
    int32_t relative = (int32_t)(site->stub - (exo_patch_start(site) + 5));
    jump[0] = 0xe9;
    memcpy(jump + 1, &relative, 4);
}
