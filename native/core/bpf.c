/* Classic BPF as seccomp(2) has it: 32-bit accumulator and index register, 16 words of memory, and
 * loads from the description of one system call. Jumps lead forward only, so a program ends.
 *
 * Sources: the kernel's bpf_check_classic(), check_load_and_stores() and seccomp_check_filter() for
 * what is refused; bpf_convert_filter() for the weight.
 */
#include <asm-generic/errno.h>
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>

#include <exo/core.h>

#include "mem.h"

#define ALL_CELLS 0xffff
#define ARCH_AT 4 /* in struct exo_bpf_data; before it only the call's number */

_Static_assert(sizeof(struct exo_bpf) == sizeof(struct sock_filter), "struct sock_filter");
_Static_assert(sizeof(struct exo_bpf_data) == 64, "struct seccomp_data");

static bool is_conditional(uint16_t code)
{
    switch (code) {
    case BPF_JMP | BPF_JEQ | BPF_K:
    case BPF_JMP | BPF_JEQ | BPF_X:
    case BPF_JMP | BPF_JGE | BPF_K:
    case BPF_JMP | BPF_JGE | BPF_X:
    case BPF_JMP | BPF_JGT | BPF_K:
    case BPF_JMP | BPF_JGT | BPF_X:
    case BPF_JMP | BPF_JSET | BPF_K:
    case BPF_JMP | BPF_JSET | BPF_X:
        return true;
    default:
        return false;
    }
}

/* The other instructions that need no look at their operand. */
static bool is_plain(uint16_t code)
{
    switch (code) {
    case BPF_RET | BPF_K:
    case BPF_RET | BPF_A:
    case BPF_ALU | BPF_ADD | BPF_K:
    case BPF_ALU | BPF_ADD | BPF_X:
    case BPF_ALU | BPF_SUB | BPF_K:
    case BPF_ALU | BPF_SUB | BPF_X:
    case BPF_ALU | BPF_MUL | BPF_K:
    case BPF_ALU | BPF_MUL | BPF_X:
    case BPF_ALU | BPF_DIV | BPF_X:
    case BPF_ALU | BPF_AND | BPF_K:
    case BPF_ALU | BPF_AND | BPF_X:
    case BPF_ALU | BPF_OR | BPF_K:
    case BPF_ALU | BPF_OR | BPF_X:
    case BPF_ALU | BPF_XOR | BPF_K:
    case BPF_ALU | BPF_XOR | BPF_X:
    case BPF_ALU | BPF_LSH | BPF_X:
    case BPF_ALU | BPF_RSH | BPF_X:
    case BPF_ALU | BPF_NEG:
    case BPF_LD | BPF_IMM:
    case BPF_LDX | BPF_IMM:
    case BPF_LD | BPF_W | BPF_LEN:
    case BPF_LDX | BPF_W | BPF_LEN:
    case BPF_MISC | BPF_TAX:
    case BPF_MISC | BPF_TXA:
        return true;
    default:
        return false;
    }
}

/* Whether insn, with left instructions behind it, is one that Linux takes. */
static bool is_good(const struct exo_bpf *insn, uint32_t left)
{
    switch (insn->code) {
    case BPF_LD | BPF_W | BPF_ABS:
        return insn->value < sizeof(struct exo_bpf_data) && (insn->value & 3) == 0;
    case BPF_LD | BPF_MEM:
    case BPF_LDX | BPF_MEM:
    case BPF_ST:
    case BPF_STX:
        return insn->value < BPF_MEMWORDS;
    case BPF_ALU | BPF_DIV | BPF_K:
        return insn->value != 0;
    case BPF_ALU | BPF_LSH | BPF_K:
    case BPF_ALU | BPF_RSH | BPF_K:
        return insn->value < 32;
    case BPF_JMP | BPF_JA:
        return insn->value < left;
    default:
        if (is_conditional(insn->code))
            return insn->if_true < left && insn->if_false < left;
        return is_plain(insn->code);
    }
}

/* Whether every cell is written before it is read, on every way. cells[i] are those that are
 * written when i is reached, by all jumps to it. */
static bool reads_only_written(const struct exo_bpf *code, uint32_t count, uint16_t *cells)
{
    uint16_t written = 0;
    for (uint32_t i = 0; i < count; i++)
        cells[i] = ALL_CELLS;
    for (uint32_t i = 0; i < count; i++) {
        const struct exo_bpf *insn = &code[i];
        written &= cells[i];
        if (insn->code == BPF_ST || insn->code == BPF_STX) {
            written |= (uint16_t)(1U << insn->value);
        } else if (insn->code == (BPF_LD | BPF_MEM) || insn->code == (BPF_LDX | BPF_MEM)) {
            if (!(written & 1U << insn->value))
                return false;
        } else if (insn->code == (BPF_JMP | BPF_JA)) {
            cells[i + 1 + insn->value] &= written;
            written = ALL_CELLS;
        } else if (is_conditional(insn->code)) {
            cells[i + 1 + insn->if_true] &= written;
            cells[i + 1 + insn->if_false] &= written;
            written = ALL_CELLS;
        }
    }
    return true;
}

int exo_bpf_check(const struct exo_bpf *code, uint32_t count, uint16_t *scratch)
{
    if (count == 0 || count > EXO_FILTER_LENGTH_LIMIT)
        return -EINVAL;
    for (uint32_t i = 0; i < count; i++)
        if (!is_good(&code[i], count - i - 1))
            return -EINVAL;
    uint16_t last = code[count - 1].code;
    if (last != (BPF_RET | BPF_K) && last != (BPF_RET | BPF_A))
        return -EINVAL;
    return reads_only_written(code, count, scratch) ? 0 : -EINVAL;
}

/* The accumulator after an arithmetic instruction; a division by zero is the caller's affair. */
static uint32_t calculate(uint16_t code, uint32_t a, uint32_t operand)
{
    switch (BPF_OP(code)) {
    case BPF_ADD:
        return a + operand;
    case BPF_SUB:
        return a - operand;
    case BPF_MUL:
        return a * operand;
    case BPF_DIV:
        return a / operand;
    case BPF_AND:
        return a & operand;
    case BPF_OR:
        return a | operand;
    case BPF_XOR:
        return a ^ operand;
    case BPF_LSH:
        return a << (operand & 31);
    case BPF_RSH:
        return a >> (operand & 31);
    default:
        return -a;
    }
}

static bool compare(uint16_t code, uint32_t a, uint32_t operand)
{
    switch (BPF_OP(code)) {
    case BPF_JEQ:
        return a == operand;
    case BPF_JGT:
        return a > operand;
    case BPF_JGE:
        return a >= operand;
    default:
        return (a & operand) != 0;
    }
}

/* What LD and LDX load. */
static uint32_t load(const struct exo_bpf *insn, const struct exo_bpf_data *data,
                     const uint32_t *cells)
{
    uint32_t word;
    switch (BPF_MODE(insn->code)) {
    case BPF_ABS:
        memcpy(&word, (const char *)data + (insn->value & 60), sizeof(word));
        return word;
    case BPF_MEM:
        return cells[insn->value % BPF_MEMWORDS];
    case BPF_LEN:
        return sizeof(*data);
    default:
        return insn->value;
    }
}

uint32_t exo_bpf_run(const struct exo_bpf *code, uint32_t count, const struct exo_bpf_data *data)
{
    uint32_t a = 0, x = 0, cells[BPF_MEMWORDS] = {0};
    for (uint32_t i = 0; i < count; i++) {
        const struct exo_bpf *insn = &code[i];
        uint32_t operand = BPF_SRC(insn->code) == BPF_X ? x : insn->value;
        switch (BPF_CLASS(insn->code)) {
        case BPF_LD:
            a = load(insn, data, cells);
            break;
        case BPF_LDX:
            x = load(insn, data, cells);
            break;
        case BPF_ST:
            cells[insn->value % BPF_MEMWORDS] = a;
            break;
        case BPF_STX:
            cells[insn->value % BPF_MEMWORDS] = x;
            break;
        case BPF_ALU:
            if (BPF_OP(insn->code) == BPF_DIV && operand == 0)
                return 0; /* the strictest thing to say of a thread: kill it */
            a = calculate(insn->code, a, operand);
            break;
        case BPF_JMP:
            if (BPF_OP(insn->code) == BPF_JA)
                i += insn->value;
            else
                i += compare(insn->code, a, operand) ? insn->if_true : insn->if_false;
            break;
        case BPF_RET:
            return BPF_RVAL(insn->code) == BPF_A ? a : insn->value;
        default: /* BPF_MISC */
            if (BPF_MISCOP(insn->code) == BPF_TAX)
                x = a;
            else
                a = x;
        }
    }
    return 0;
}

bool exo_bpf_always_allows(const struct exo_bpf *code, uint32_t count, uint32_t nr)
{
    uint32_t a = 0;
    for (uint32_t i = 0; i < count; i++) {
        const struct exo_bpf *insn = &code[i];
        if (insn->code == (BPF_LD | BPF_W | BPF_ABS) && insn->value <= ARCH_AT)
            a = insn->value == ARCH_AT ? AUDIT_ARCH_X86_64 : nr;
        else if (insn->code == (BPF_ALU | BPF_AND | BPF_K))
            a &= insn->value;
        else if (insn->code == (BPF_JMP | BPF_JA))
            i += insn->value;
        else if (is_conditional(insn->code) && BPF_SRC(insn->code) == BPF_K)
            i += compare(insn->code, a, insn->value) ? insn->if_true : insn->if_false;
        else
            return insn->code == (BPF_RET | BPF_K) && insn->value == SECCOMP_RET_ALLOW;
    }
    return false;
}

/* A comparison whose two ways both jump takes one more, but for a few that can be turned round; a
 * constant with the highest bit set takes a register. */
static uint32_t weight_of_jump(const struct exo_bpf *insn)
{
    uint32_t constant = BPF_SRC(insn->code) == BPF_K && (int32_t)insn->value < 0;
    bool turns = insn->if_true == 0 && BPF_OP(insn->code) != BPF_JSET;
    return constant + (insn->if_false == 0 || turns ? 1 : 2);
}

uint32_t exo_bpf_weight(const struct exo_bpf *code, uint32_t count)
{
    uint32_t weight = 3; /* clears both registers, keeps the address of the data */
    for (uint32_t i = 0; i < count; i++) {
        uint16_t insn = code[i].code;
        if (is_conditional(insn))
            weight += weight_of_jump(&code[i]);
        else if (insn == (BPF_ALU | BPF_DIV | BPF_X))
            weight += 5;
        else
            weight += insn == (BPF_RET | BPF_K) ? 2 : 1;
    }
    return weight;
}
