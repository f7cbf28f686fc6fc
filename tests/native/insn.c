/* exo_insn_*: compared with objdump on the real code of this machine.
 *
 * At every instruction exo_insn_movable() must say 0 or objdump's length, and 0 for what is bound
 * to its address; exo_insn_short_branch() and exo_insn_leads_to() must know every direct branch.
 */
#include <ctype.h>

#include "check.h"
#include "runtime/insn.c"

#define WINDOW 288
#define MIDDLE 128

/* One line of objdump -d -w: "  address:\tbytes \tmnemonic operands". */
struct line {
    uint64_t address;
    uint8_t bytes[16];
    unsigned size;
    const char *text; /* mnemonic, prefixes before it skipped */
};

struct count {
    unsigned long insns, movable, branches;
};

static const char *skip_prefixes(const char *text)
{
    static const char *const prefixes[] = {"bnd ",  "notrack ", "data16 ", "rex.W ", "rep ",
                                           "repz ", "repnz ",   "cs ",     "ds ",    "lock "};
    for (size_t i = 0; i < COUNT(prefixes); i++)
        if (strncmp(text, prefixes[i], strlen(prefixes[i])) == 0)
            return skip_prefixes(text + strlen(prefixes[i]));
    return text;
}

static bool parse(char *from, struct line *line)
{
    char *at;
    line->address = strtoull(from, &at, 16);
    if (at == from || at[0] != ':' || at[1] != '\t')
        return false;
    at += 2;
    for (line->size = 0; isxdigit((unsigned char)at[0]) && line->size < 16; at += 3)
        line->bytes[line->size++] = (uint8_t)strtoul((char[]){at[0], at[1], 0}, NULL, 16);
    at = strchr(at, '\t');
    if (at == NULL) /* data, or zeros left out */
        return false;
    line->text = skip_prefixes(at + 1);
    return true;
}

static bool is_branch(const char *text)
{
    return text[0] == 'j' || strncmp(text, "call", 4) == 0 || strncmp(text, "loop", 4) == 0 ||
           strncmp(text, "xbegin", 6) == 0;
}

/* objdump takes some bytes one by one: bad ones, and prefixes that belong to nothing. */
static bool is_oddity(const struct line *line)
{
    static const char *const alone[] = {"rex", "data16", "cs", "ds", "es", "ss", "fs", "gs", "rep"};
    for (size_t i = 0; i < COUNT(alone) && line->size == 1; i++)
        if (strncmp(line->text, alone[i], strlen(alone[i])) == 0)
            return true;
    return strstr(line->text, "(bad)") != NULL;
}

static void fail(const struct line *line, const char *what, unsigned got)
{
    fprintf(stderr, "%s: %u for %u bytes at %llx:", what, got, line->size,
            (unsigned long long)line->address);
    for (unsigned i = 0; i < line->size; i++)
        fprintf(stderr, " %02x", line->bytes[i]);
    fprintf(stderr, "  %s", line->text);
    _exit(1);
}

/* Whatever follows the instruction must not count. */
static unsigned movable(const struct line *line)
{
    uint8_t code[48];
    memset(code, 0, sizeof(code));
    memcpy(code, line->bytes, line->size);
    unsigned size = exo_insn_movable(code);
    memset(code + line->size, 0xff, sizeof(code) - line->size);
    if (exo_insn_movable(code) != size)
        fail(line, "depends on the bytes behind", size);
    return size;
}

static void check_branch(const struct line *line)
{
    const char *operand = line->text + strcspn(line->text, " \t");
    char *end;
    int64_t distance = (int64_t)(strtoull(operand, &end, 16) - line->address);
    if (end == operand || strchr(operand, '*') != NULL)
        return;
    uint8_t window[WINDOW];
    memset(window, 0x90, sizeof(window));
    memcpy(window + MIDDLE, line->bytes, line->size);
    if (line->size == 2 && line->text[0] == 'j' && line->bytes[0] != 0xe3 &&
        exo_insn_short_branch(line->bytes) != 2)
        fail(line, "short branch", 0);
    int64_t target = MIDDLE + distance;
    if (target >= 0 && target < WINDOW && !exo_insn_leads_to(window, WINDOW, (int)target))
        fail(line, "branch not seen", 0);
}

static void check_line(const struct line *line, struct count *count)
{
    if (is_oddity(line))
        return;
    unsigned size = movable(line);
    count->insns++;
    count->movable += size != 0;
    if (size != 0 && size != line->size)
        fail(line, "wrong length", size);
    if (size != 0 && strstr(line->text, "(%rip)") != NULL)
        fail(line, "rip-relative", size);
    if (is_branch(line->text)) {
        count->branches++;
        if (size != 0)
            fail(line, "branch", size);
        check_branch(line);
    } else if (exo_insn_short_branch(line->bytes) != 0) {
        fail(line, "no short branch", line->size);
    }
}

static void check_file(const char *path)
{
    char command[256], text[1024];
    struct count count = {0};
    struct line line;
    if (access(path, R_OK) != 0) {
        printf("%s: not there\n", path);
        return;
    }
    snprintf(command, sizeof(command), "LC_ALL=C objdump -d -w %s", path);
    FILE *from = popen(command, "r");
    CHECK(from != NULL);
    while (fgets(text, sizeof(text), from) != NULL)
        if (parse(text, &line))
            check_line(&line, &count);
    CHECK(pclose(from) == 0);
    CHECK(count.insns > 0);
    printf("%s: %lu instructions, %.1f %% movable, %lu branches\n", path, count.insns,
           100.0 * (double)count.movable / (double)count.insns, count.branches);
}

/* Encodings that are rare in real code, or were once wrong. */
static void test_rare(void)
{
    static const struct {
        uint8_t bytes[16];
        unsigned size; /* expected */
    } rare[] = {
        {{0xc7, 0xf8, 0, 1, 0, 0}, 0},                    /* xbegin: a branch */
        {{0xe2, 0xfe}, 0},                                /* loop */
        {{0xe3, 0xfe}, 0},                                /* jrcxz */
        {{0x67, 0x8b, 0x00}, 0},                          /* 32-bit address: not known */
        {{0x48, 0x8b, 0x05, 1, 2, 3, 4}, 0},              /* mov disp(%rip),%rax */
        {{0x48, 0x8b, 0x04, 0x25, 1, 2, 3, 4}, 8},        /* mov disp32,%rax */
        {{0x49, 0x8b, 0x45, 0x00}, 4},                    /* mov 0(%r13),%rax */
        {{0x41, 0x8b, 0x05, 1, 2, 3, 4}, 0},              /* REX.B does not change rip-relative */
        {{0x4a, 0x8b, 0x04, 0x25, 1, 2, 3, 4}, 8},        /* with index r12 */
        {{0x48, 0xb8, 1, 2, 3, 4, 5, 6, 7, 8}, 10},       /* movabs */
        {{0x66, 0xb8, 1, 2}, 4},                          /* mov $imm16,%ax */
        {{0x66, 0x48, 0xb8, 1, 2, 3, 4, 5, 6, 7, 8}, 11}, /* REX.W wins */
        {{0x66, 0x81, 0xc0, 1, 2}, 5},                    /* add $imm16,%ax */
        {{0x66, 0x48, 0x81, 0xc0, 1, 2, 3, 4}, 8},
        {{0x66, 0x68, 1, 2}, 4},       /* push $imm16 */
        {{0xf6, 0xc0, 1}, 3},          /* test $1,%al */
        {{0xf6, 0xd0}, 2},             /* not %al */
        {{0xf7, 0xc0, 1, 0, 0, 0}, 6}, /* test $1,%eax */
        {{0x66, 0xf7, 0xc0, 1, 0}, 5}, /* test $1,%ax */
        {{0xf7, 0xd8}, 2},             /* neg %eax */
        {{0xff, 0xd0}, 0},             /* call *%rax */
        {{0xff, 0xe0}, 0},             /* jmp *%rax */
        {{0xff, 0x30}, 2},             /* push (%rax) */
        {{0x3e, 0xff, 0xe0}, 0},       /* notrack jmp *%rax */
        {{0x0f, 0x05}, 0},             /* syscall */
        {{0x0f, 0x84, 0, 0, 0, 0}, 0}, /* je */
        {{0xeb, 0xfe}, 0},
        {{0xcd, 0x80}, 0}, /* int $0x80 */
        {{0xcc}, 0},
        {{0xc5, 0xf8, 0x77}, 0},                         /* vzeroupper */
        {{0x64, 0x48, 0x8b, 0x04, 0x25, 0, 0, 0, 0}, 9}, /* mov %fs:0,%rax */
        {{0x66, 0x66, 0x66, 0x66, 0x66, 0x90}, 0},       /* more prefixes than we look at */
    };
    for (size_t i = 0; i < COUNT(rare); i++) {
        struct line line = {.size = 15, .text = "rare\n"};
        memcpy(line.bytes, rare[i].bytes, 15);
        unsigned size = exo_insn_movable(line.bytes);
        if (size != rare[i].size)
            fail(&line, "rare", size);
    }
}

/* Branches to the same place of every kind. */
static void test_leads_to(void)
{
    static const struct {
        uint8_t bytes[6];
        int size;
    } branches[] = {
        {{0xeb, 20}, 2}, {{0x74, 20}, 2}, {{0xe9, 20}, 5}, {{0xe8, 20}, 5}, {{0x0f, 0x84, 20}, 6},
        {{0xe0, 20}, 2}, {{0xe1, 20}, 2}, {{0xe2, 20}, 2}, {{0xe3, 20}, 2}, {{0xc7, 0xf8, 20}, 6},
    };
    for (size_t i = 0; i < COUNT(branches); i++) {
        struct line line = {.size = (unsigned)branches[i].size, .text = "leads to\n"};
        memcpy(line.bytes, branches[i].bytes, 6);
        uint8_t window[WINDOW];
        memset(window, 0x90, sizeof(window));
        memcpy(window + MIDDLE, line.bytes, line.size);
        int target = MIDDLE + branches[i].size + 20;
        if (!exo_insn_leads_to(window, WINDOW, target))
            fail(&line, "branch not seen", 0);
        if (exo_insn_leads_to(window, WINDOW, target + 1))
            fail(&line, "branch seen", 0);
    }
}

int main(void)
{
    setvbuf(stdout, NULL, _IONBF, 0);
    check_file("/lib/x86_64-linux-gnu/libc.so.6");
    check_file("/bin/busybox");
    check_file("/lib64/ld-linux-x86-64.so.2");
    check_file("/usr/bin/objdump");
    test_rare();
    test_leads_to();
    return 0;
}
