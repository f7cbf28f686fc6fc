/* exo_bpf_*: compared with the host's kernel, which takes the same programs as seccomp filters.
 *
 * Which programs it refuses, what they return for a call, and how many fit in a row. A program's
 * result is seen as the errno of a call that does not exist.
 */
#include <errno.h>
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sys/prctl.h>
#include <sys/syscall.h>

#include "setup.h"

#define PROBE 4321 /* no such call */
#define REFUSED 0x10000

static uint16_t scratch[EXO_FILTER_LENGTH_LIMIT];
static struct exo_bpf code[EXO_FILTER_LENGTH_LIMIT + 1];

static int host_check(const struct exo_bpf *from, uint32_t count)
{
    struct sock_fprog program = {(uint16_t)count, (struct sock_filter *)(uintptr_t)from};
    return syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0, &program) == 0 ? 0 : -errno;
}

static void in_child(void (*run)(void))
{
    pid_t pid = fork_child();
    if (pid == 0) {
        prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
        run();
        _exit(0);
    }
    CHECK_SAME(reap(pid), 0);
}

/* Every instruction there may be, before a return. */
static void check_codes(void)
{
    uint32_t accepted = 0;
    for (uint32_t i = 0; i < 0x10000; i++) {
        struct exo_bpf two[] = {{(uint16_t)i, 0, 0, 0}, {BPF_RET | BPF_K, 0, 0, 0x7fff0000}};
        if (BPF_CLASS(i) == BPF_RET && i < 0x20)
            two[0].value = 0x7fff0000;
        if (i == (BPF_RET | BPF_A))
            continue; /* would kill us */
        int ours = exo_bpf_check(two, 2, scratch);
        if (i == (BPF_ALU | BPF_DIV | BPF_X)) {
            CHECK_SAME(ours, 0); /* likewise */
            continue;
        }
        CHECK_SAME(ours, host_check(two, 2));
        accepted += ours == 0;
    }
    CHECK(accepted > 30);
}

/* Operands at their limits. */
static void check_operands(void)
{
    static const struct exo_bpf ret = {BPF_RET | BPF_K, 0, 0, 0x7fff0000};
    static const uint16_t codes[] = {BPF_LD | BPF_W | BPF_ABS,
                                     BPF_LD | BPF_MEM,
                                     BPF_LDX | BPF_MEM,
                                     BPF_ST,
                                     BPF_STX,
                                     BPF_ALU | BPF_DIV | BPF_K,
                                     BPF_ALU | BPF_LSH | BPF_K,
                                     BPF_ALU | BPF_RSH | BPF_K,
                                     BPF_JMP | BPF_JA,
                                     BPF_ALU | BPF_MOD | BPF_K};
    static const uint32_t values[] = {0, 1, 2, 3, 4, 15, 16, 31, 32, 56, 60, 61, 64, 0xffffffff};
    for (size_t i = 0; i < COUNT(codes); i++)
        for (size_t j = 0; j < COUNT(values); j++) {
            struct exo_bpf three[] = {{codes[i], 0, 0, values[j]}, ret, ret};
            CHECK_SAME(exo_bpf_check(three, 3, scratch), host_check(three, 3));
        }
    for (uint8_t yes = 0; yes < 4; yes++)
        for (uint8_t no = 0; no < 4; no++) {
            struct exo_bpf four[] = {{BPF_JMP | BPF_JEQ | BPF_K, yes, no, 5}, ret, ret};
            CHECK_SAME(exo_bpf_check(four, 3, scratch), host_check(four, 3));
        }
    struct exo_bpf last[] = {ret, {BPF_LD | BPF_IMM, 0, 0, 0}};
    CHECK_SAME(exo_bpf_check(last, 2, scratch), host_check(last, 2));
    CHECK_SAME(exo_bpf_check(last, 0, scratch), -EINVAL);
    for (uint32_t i = 0; i <= EXO_FILTER_LENGTH_LIMIT; i++)
        code[i] = ret;
    CHECK_SAME(exo_bpf_check(code, EXO_FILTER_LENGTH_LIMIT, scratch), 0);
    CHECK_SAME(host_check(code, EXO_FILTER_LENGTH_LIMIT), 0);
    CHECK_SAME(exo_bpf_check(code, EXO_FILTER_LENGTH_LIMIT + 1, scratch), -EINVAL);
}

/* Cells read that only some of the ways there have written. */
static void check_cells(void)
{
    uint64_t seed = 5;
    for (int round = 0; round < 3000; round++) {
        uint32_t count = 4 + random_below(&seed, 8);
        for (uint32_t i = 0; i + 1 < count; i++) {
            uint32_t kind = random_below(&seed, 4), left = count - i - 1;
            code[i] = (struct exo_bpf){BPF_ST, 0, 0, random_below(&seed, 2)};
            if (kind == 1)
                code[i].code = BPF_LD | BPF_MEM;
            if (kind == 2)
                code[i] = (struct exo_bpf){BPF_JMP | BPF_JA, 0, 0, random_below(&seed, left)};
            if (kind == 3)
                code[i] =
                    (struct exo_bpf){BPF_JMP | BPF_JGT | BPF_X, (uint8_t)random_below(&seed, left),
                                     (uint8_t)random_below(&seed, left), 0};
        }
        code[count - 1] = (struct exo_bpf){BPF_RET | BPF_K, 0, 0, 0x7fff0000};
        int ours = exo_bpf_check(code, count, scratch);
        if (ours == 0 && round > 1000)
            continue; /* the host takes only so many */
        CHECK_SAME(ours, host_check(code, count));
    }
}

/* A random program that lets everything but PROBE pass, and ends with an errno below 256. */
static uint32_t generate(uint64_t *seed)
{
    static const uint16_t alu[] = {BPF_ADD, BPF_SUB, BPF_MUL, BPF_DIV, BPF_AND,
                                   BPF_OR,  BPF_XOR, BPF_LSH, BPF_RSH, BPF_NEG};
    static const uint16_t jumps[] = {BPF_JEQ, BPF_JGT, BPF_JGE, BPF_JSET};
    static const uint16_t others[] = {BPF_LD | BPF_W | BPF_ABS,
                                      BPF_LD | BPF_IMM,
                                      BPF_LDX | BPF_IMM,
                                      BPF_LD | BPF_W | BPF_LEN,
                                      BPF_LDX | BPF_W | BPF_LEN,
                                      BPF_MISC | BPF_TAX,
                                      BPF_MISC | BPF_TXA,
                                      BPF_LD | BPF_MEM,
                                      BPF_LDX | BPF_MEM,
                                      BPF_ST,
                                      BPF_STX};
    uint32_t count = 0, length = 5 + random_below(seed, 40);
    code[count++] = (struct exo_bpf){BPF_LD | BPF_W | BPF_ABS, 0, 0, 0};
    code[count++] = (struct exo_bpf){BPF_JMP | BPF_JEQ | BPF_K, 1, 0, PROBE};
    code[count++] = (struct exo_bpf){BPF_RET | BPF_K, 0, 0, SECCOMP_RET_ALLOW};
    code[count++] = (struct exo_bpf){BPF_ST, 0, 0, 0};
    code[count++] = (struct exo_bpf){BPF_STX, 0, 0, 1};
    for (uint32_t end = count + length; count < end;) {
        uint32_t kind = random_below(seed, 3), left = end - count;
        uint16_t source = random_below(seed, 2) ? BPF_X : BPF_K;
        struct exo_bpf *insn = &code[count++];
        insn->value =
            random_below(seed, 2) ? random_below(seed, 300) : random_below(seed, 0xffffffff) << 1;
        insn->if_true = insn->if_false = 0;
        if (kind == 0) {
            insn->code = BPF_ALU | source | alu[random_below(seed, COUNT(alu))];
            if (BPF_OP(insn->code) == BPF_NEG)
                insn->code = BPF_ALU | BPF_NEG;
            if (source == BPF_K && (BPF_OP(insn->code) == BPF_LSH || BPF_OP(insn->code) == BPF_RSH))
                insn->value &= 31;
            if (insn->code == (BPF_ALU | BPF_DIV | BPF_K))
                insn->value |= 1;
            if (insn->code == (BPF_ALU | BPF_DIV | BPF_X))
                insn->code = BPF_ALU | BPF_XOR | BPF_X; /* by zero it would kill */
        } else if (kind == 1) {
            insn->code = BPF_JMP | source | jumps[random_below(seed, COUNT(jumps))];
            insn->if_true = (uint8_t)random_below(seed, left < 5 ? left : 5);
            insn->if_false = (uint8_t)random_below(seed, left < 5 ? left : 5);
        } else {
            insn->code = others[random_below(seed, COUNT(others))];
            if (insn->code == (BPF_LD | BPF_W | BPF_ABS))
                insn->value = random_below(seed, 16) * 4;
            if (BPF_MODE(insn->code) == BPF_MEM || BPF_CLASS(insn->code) == BPF_ST ||
                BPF_CLASS(insn->code) == BPF_STX)
                insn->value = random_below(seed, 2);
        }
        if (insn->code == (BPF_LD | BPF_W | BPF_ABS) && (insn->value == 8 || insn->value == 12))
            insn->value = 16; /* not the instruction pointer */
    }
    code[count++] = (struct exo_bpf){BPF_ALU | BPF_AND | BPF_K, 0, 0, 255};
    code[count++] = (struct exo_bpf){BPF_ALU | BPF_OR | BPF_K, 0, 0, SECCOMP_RET_ERRNO};
    code[count++] = (struct exo_bpf){BPF_RET | BPF_A, 0, 0, 0};
    return count;
}

static uint64_t seed_of_run;

static void run_one(void)
{
    uint64_t seed = seed_of_run;
    uint32_t count = generate(&seed);
    struct exo_bpf_data data = {.nr = PROBE, .arch = AUDIT_ARCH_X86_64};
    CHECK_SAME(exo_bpf_check(code, count, scratch), 0);
    CHECK_SAME(host_check(code, count), 0);
    CHECK(!exo_bpf_always_allows(code, count, PROBE));
    CHECK(exo_bpf_always_allows(code, count, PROBE + 1));
    for (int round = 0; round < 20; round++) {
        uint64_t *args = data.args;
        for (int i = 0; i < 6; i++)
            args[i] = (uint64_t)random_below(&seed, 0xffffffff) << 32 | random_below(&seed, 300);
        uint32_t ours = exo_bpf_run(code, count, &data);
        errno = 0;
        CHECK(syscall(PROBE, args[0], args[1], args[2], args[3], args[4], args[5]) <= 0);
        CHECK_SAME(ours, SECCOMP_RET_ERRNO | (uint32_t)errno);
    }
}

/* Divisions, and how far they get. */
static void test_division(void)
{
    struct exo_bpf_data data = {.nr = 100, .args = {7, 0}};
    struct exo_bpf by_argument[] = {{BPF_LD | BPF_W | BPF_ABS, 0, 0, 16},
                                    {BPF_MISC | BPF_TAX, 0, 0, 0},
                                    {BPF_LD | BPF_W | BPF_ABS, 0, 0, 0},
                                    {BPF_ALU | BPF_DIV | BPF_X, 0, 0, 0},
                                    {BPF_RET | BPF_A, 0, 0, 0}};
    CHECK_SAME(exo_bpf_check(by_argument, 5, scratch), 0);
    CHECK_SAME(exo_bpf_run(by_argument, 5, &data), 14);
    data.args[0] = 0;
    CHECK_SAME(exo_bpf_run(by_argument, 5, &data), SECCOMP_RET_KILL_THREAD);
}

static bool allows(uint16_t opcode, uint32_t value, uint32_t nr)
{
    struct exo_bpf four[] = {{BPF_LD | BPF_W | BPF_ABS, 0, 0, 0},
                             {opcode, 0, 1, value},
                             {BPF_RET | BPF_K, 0, 0, SECCOMP_RET_ALLOW},
                             {BPF_RET | BPF_K, 0, 0, SECCOMP_RET_LOG}};
    CHECK_SAME(exo_bpf_check(four, 4, scratch), 0);
    return exo_bpf_always_allows(four, 4, nr);
}

/* Only what depends on nothing but number and architecture. */
static void test_always(void)
{
    CHECK(allows(BPF_JMP | BPF_JEQ | BPF_K, 5, 5) && !allows(BPF_JMP | BPF_JEQ | BPF_K, 5, 6));
    CHECK(allows(BPF_JMP | BPF_JGT | BPF_K, 5, 6) && !allows(BPF_JMP | BPF_JGT | BPF_K, 5, 5));
    CHECK(allows(BPF_JMP | BPF_JGE | BPF_K, 5, 5) && !allows(BPF_JMP | BPF_JGE | BPF_K, 5, 4));
    CHECK(allows(BPF_JMP | BPF_JSET | BPF_K, 4, 5) && !allows(BPF_JMP | BPF_JSET | BPF_K, 2, 5));
    CHECK(!allows(BPF_JMP | BPF_JEQ | BPF_X, 5, 5) && !allows(BPF_LD | BPF_IMM, 5, 5));
    CHECK(allows(BPF_LD | BPF_W | BPF_ABS, 4, 5) && !allows(BPF_LD | BPF_W | BPF_ABS, 8, 5));
    CHECK(allows(BPF_JMP | BPF_JA, 0, 5) && !allows(BPF_JMP | BPF_JA, 1, 5));
}

/* How many of one program the host takes in a row is how many its weight allows. */
static void count_weight(void)
{
    uint32_t ours = 0, host = 0, count = 0;
    uint64_t seed = seed_of_run;
    static const struct exo_bpf some[] = {{BPF_JMP | BPF_JEQ | BPF_K, 0, 0, 1},
                                          {BPF_JMP | BPF_JEQ | BPF_K, 1, 0, 1},
                                          {BPF_JMP | BPF_JEQ | BPF_K, 0, 1, 1},
                                          {BPF_JMP | BPF_JGT | BPF_K, 0, 1, 1},
                                          {BPF_JMP | BPF_JGE | BPF_X, 0, 1, 1},
                                          {BPF_JMP | BPF_JSET | BPF_K, 0, 1, 1},
                                          {BPF_JMP | BPF_JSET | BPF_X, 1, 0, 1},
                                          {BPF_JMP | BPF_JEQ | BPF_K, 1, 1, 1},
                                          {BPF_JMP | BPF_JEQ | BPF_K, 1, 1, ~0U},
                                          {BPF_JMP | BPF_JEQ | BPF_X, 1, 1, ~0U},
                                          {BPF_JMP | BPF_JA, 0, 0, 0},
                                          {BPF_ALU | BPF_DIV | BPF_K, 0, 0, 9},
                                          {BPF_ALU | BPF_NEG, 0, 0, 0},
                                          {BPF_LD | BPF_W | BPF_LEN, 0, 0, 0},
                                          {BPF_MISC | BPF_TXA, 0, 0, 0},
                                          {BPF_ST, 0, 0, 3},
                                          {BPF_RET | BPF_K, 0, 0, 0x7fff0000},
                                          {BPF_LD | BPF_IMM, 0, 0, 1}};
    code[count++] = (struct exo_bpf){BPF_JMP | BPF_JA, 0, 0, 1};
    code[count++] = (struct exo_bpf){BPF_ALU | BPF_DIV | BPF_X, 0, 0, 0};
    for (int i = 0; i < 800; i++)
        code[count++] = some[random_below(&seed, COUNT(some))];
    code[count++] = (struct exo_bpf){BPF_RET | BPF_K, 0, 0, 0x7fff0000};
    code[count++] = (struct exo_bpf){BPF_RET | BPF_K, 0, 0, 0x7fff0000};
    CHECK_SAME(exo_bpf_check(code, count, scratch), 0);
    uint32_t weight = exo_bpf_weight(code, count), sum = weight;
    for (; sum <= 32768; sum += weight + 4)
        ours++;
    while (host_check(code, count) == 0)
        host++;
    CHECK_SAME(errno, ENOMEM);
    CHECK_SAME(ours, host);
}

/* Many short ones, where a mistake of one instruction shows. */
static void count_short(void)
{
    struct exo_bpf three[] = {{BPF_JMP | BPF_JSET | BPF_K, 0, 0, ~0U},
                              {BPF_JMP | BPF_JGE | BPF_K, 0, 0, 3},
                              {BPF_RET | BPF_K, 0, 0, 0x7fff0000}};
    uint32_t weight = exo_bpf_weight(three, 3), host = 0;
    while (host_check(three, 3) == 0)
        host++;
    CHECK_SAME(host, (32768 + 4) / (weight + 4));
}

int main(void)
{
    begin(100);
    self_init();
    in_child(check_codes);
    in_child(check_operands);
    in_child(check_cells);
    test_division();
    test_always();
    for (seed_of_run = 1; seed_of_run <= 300; seed_of_run++)
        in_child(run_one);
    for (seed_of_run = 1; seed_of_run <= 20; seed_of_run++)
        in_child(count_weight);
    in_child(count_short);
    return 0;
}
