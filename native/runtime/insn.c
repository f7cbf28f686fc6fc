/* How long an x86-64 instruction is, if it may be executed at another address.
 *
 * Not a disassembler: knows the encodings compilers put after a system call, and says 0 for
 * everything else, for branches and for rip-relative operands. Source: AMD64 manual, volume 3,
 * appendix A.
 */
#include "stub.h"

enum shape {
    BAD,   /* unknown, or bound to its address */
    PLAIN, /* opcode alone */
    IMM8,
    IMM32, /* 16 bits under an operand-size prefix */
    MODRM,
    MODRM_IMM8,
    MODRM_IMM32,
    MOV_IMM,  /* b8+r: imm32, imm64 under REX.W */
    GROUP3_8, /* f6: imm8 for /0 and /1 */
    GROUP3,   /* f7: imm32 for /0 and /1 */
    GROUP5,   /* ff: calls and jumps are bound */
};

static enum shape shape_of(uint8_t op)
{
    if (op < 0x40)
        return (op & 7) < 4 ? MODRM : (op & 7) == 4 ? IMM8 : (op & 7) == 5 ? IMM32 : BAD;
    if (op >= 0x50 && op < 0x60)
        return PLAIN;
    if ((op >= 0x84 && op <= 0x8e) || op == 0x63 || (op >= 0xd0 && op <= 0xd3) || op == 0xfe)
        return MODRM;
    if ((op >= 0x90 && op <= 0x99) || (op >= 0x9c && op <= 0x9f) || op == 0xc3 || op == 0xc9 ||
        (op >= 0xa4 && op <= 0xa7) || (op >= 0xaa && op <= 0xaf) || op == 0xfc)
        return PLAIN;
    if (op >= 0xb8 && op <= 0xbf)
        return MOV_IMM;
    if (op == 0x6a || op == 0xa8 || (op >= 0xb0 && op <= 0xb7))
        return IMM8;
    if (op == 0x68 || op == 0xa9)
        return IMM32;
    if (op == 0x6b || op == 0x80 || op == 0x83 || op == 0xc0 || op == 0xc1 || op == 0xc6)
        return MODRM_IMM8;
    if (op == 0x69 || op == 0x81 || op == 0xc7)
        return MODRM_IMM32;
    return op == 0xf6 ? GROUP3_8 : op == 0xf7 ? GROUP3 : op == 0xff ? GROUP5 : BAD;
}

static enum shape shape_of_0f(uint8_t op)
{
    if ((op >= 0x10 && op <= 0x1f) || (op >= 0x28 && op <= 0x2f) || (op >= 0x40 && op <= 0x6f) ||
        (op >= 0x90 && op <= 0x9f))
        return MODRM;
    if (op == 0xa3 || op == 0xab || op == 0xaf || op == 0xb3 || op == 0xb6 || op == 0xb7 ||
        op == 0xbb || op == 0xbe || op == 0xbf || op == 0xc0 || op == 0xc1 || op == 0xb0 ||
        op == 0xb1 || op == 0xd6 || op == 0x7e || op == 0x7f)
        return MODRM;
    if (op == 0x70 || op == 0xa4 || op == 0xac || op == 0xba)
        return MODRM_IMM8;
    return op >= 0xc8 && op <= 0xcf ? PLAIN : BAD;
}

/* Bytes of modrm, SIB and displacement; 0 if rip-relative. */
static unsigned modrm_size(const uint8_t *at)
{
    unsigned mod = at[0] >> 6, rm = at[0] & 7, size = 1;
    if (mod == 3)
        return size;
    if (mod == 0 && rm == 5)
        return 0;
    if (rm == 4) {
        size++;
        if (mod == 0 && (at[1] & 7) == 5)
            return size + 4;
    }
    return size + (mod == 1 ? 1 : mod == 2 ? 4 : 0);
}

static unsigned immediate_size(enum shape shape, bool word, bool wide, unsigned reg)
{
    unsigned full = word ? 2 : 4;
    switch (shape) {
    case IMM8:
    case MODRM_IMM8:
        return 1;
    case IMM32:
    case MODRM_IMM32:
        return full;
    case MOV_IMM:
        return wide ? 8 : full;
    case GROUP3_8:
        return reg < 2 ? 1 : 0;
    case GROUP3:
        return reg < 2 ? full : 0;
    default:
        return 0;
    }
}

unsigned exo_insn_movable(const uint8_t *code)
{
    unsigned at = 0;
    bool word = false, wide = false;
    while (code[at] == 0x66 || code[at] == 0xf2 || code[at] == 0xf3 || code[at] == 0x2e ||
           code[at] == 0x3e || code[at] == 0x64) {
        word |= code[at] == 0x66;
        if (++at > 4)
            return 0;
    }
    if ((code[at] & 0xf0) == 0x40) {
        wide = code[at] & 8;
        at++;
    }
    uint8_t op = code[at++];
    enum shape shape = op == 0x0f ? shape_of_0f(code[at++]) : shape_of(op);
    if (shape == BAD)
        return 0;
    unsigned reg = (code[at] >> 3) & 7;
    if (op == 0xc7 && reg == 7) /* xbegin */
        return 0;
    if (shape == GROUP5 && reg >= 2 && reg <= 5)
        return 0;
    bool has_modrm = shape >= MODRM && shape != MOV_IMM;
    unsigned operands = has_modrm ? modrm_size(code + at) : 0;
    if (has_modrm && operands == 0)
        return 0;
    return at + operands + immediate_size(shape, word && !wide, wide, reg);
}

unsigned exo_insn_short_branch(const uint8_t *code)
{
    return code[0] == 0xeb || (code[0] & 0xf0) == 0x70 ? 2 : 0;
}

/* Takes every byte for the start of an instruction: finds too many branches, never too few. */
bool exo_insn_leads_to(const uint8_t *code, int size, int target)
{
    for (int at = 0; at + 6 <= size; at++) {
        int32_t near;
        memcpy(&near, code + at + 1, 4);
        bool counted = (code[at] & 0xfc) == 0xe0; /* loop, jrcxz */
        bool xbegin = code[at] == 0xc7 && code[at + 1] == 0xf8;
        if ((counted || exo_insn_short_branch(code + at)) &&
            at + 2 + (int8_t)code[at + 1] == target)
            return true;
        if ((code[at] == 0xe9 || code[at] == 0xe8) && near == target - (at + 5))
            return true;
        memcpy(&near, code + at + 2, 4);
        if ((xbegin || (code[at] == 0x0f && (code[at + 1] & 0xf0) == 0x80)) &&
            near == target - (at + 6))
            return true;
    }
    return false;
}
