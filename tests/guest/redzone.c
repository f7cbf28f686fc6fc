/*
 * A system call keeps the red zone, all registers but rax, rcx and r11, the flags and the vector
 * registers, however its instruction is encoded and whatever surrounds it. Each probe runs
 * several times: an interceptor may treat the first time differently.
 */
#include "check.h"
#include <stddef.h>

/* Offsets are known to the assembly below. */
struct state {
    uint64_t registers[16]; /* rax rbx rcx rdx rsi rdi rbp (rsp) r8 .. r15 */
    uint64_t flags;
    uint64_t zone[16]; /* the 128 bytes below rsp, downwards */
    uint8_t vectors[16][32];
} __attribute__((aligned(64)));

struct state probe_in __attribute__((used)), probe_out __attribute__((used));
uint64_t probe_sp __attribute__((used));
uint8_t probe_avx __attribute__((used));

__asm__(".macro vectors op, base, reverse\n"
        ".altmacro\n.set n, 0\n.rept 16\nvector \\op, \\base, \\reverse, %n\n.set n, n + 1\n.endr\n"
        ".noaltmacro\n.endm\n"
        ".macro vector op, base, reverse, n\n"
        ".if \\reverse\n\\op %ymm\\n, \\base+264+32*\\n(%rip)\n"
        ".else\n\\op \\base+264+32*\\n(%rip), %ymm\\n\n.endif\n.endm\n"
        ".macro xvector base, reverse, n\n"
        ".if \\reverse\nmovdqu %xmm\\n, \\base+264+32*\\n(%rip)\n"
        ".else\nmovdqu \\base+264+32*\\n(%rip), %xmm\\n\n.endif\n.endm\n"
        ".macro xvectors base, reverse\n"
        ".altmacro\n.set n, 0\n.rept 16\nxvector \\base, \\reverse, %n\n.set n, n + 1\n.endr\n"
        ".noaltmacro\n.endm\n"
        ".macro registers base, reverse\n"
        ".set at, 0\n"
        ".irp r, rax,rbx,rcx,rdx,rsi,rdi,rbp,rsp,r8,r9,r10,r11,r12,r13,r14,r15\n"
        ".ifnc \\r,rsp\n"
        ".if \\reverse\nmov %\\r, \\base+at(%rip)\n.else\nmov \\base+at(%rip), %\\r\n.endif\n"
        ".endif\n.set at, at + 8\n.endr\n.endm\n"
        ".macro begin name\n.text\n.globl \\name\n.type \\name, @function\n\\name:\n"
        ".irp r, rbx,rbp,r12,r13,r14,r15\npush %\\r\n.endr\n"
        "mov %rsp, probe_sp(%rip)\n"
        "cmpb $0, probe_avx(%rip)\nje 1f\nvectors vmovdqu, probe_in, 0\njmp 2f\n"
        "1: xvectors probe_in, 0\n2: pushq probe_in+128(%rip)\npopfq\n"
        ".set i, 0\n.rept 16\nmov probe_in+136+8*i(%rip), %rax\nmov %rax, -8-8*i(%rsp)\n"
        ".set i, i + 1\n.endr\n"
        "registers probe_in, 0\n.endm\n"
        /* Nothing here changes flags before they are saved, nor the zone before it is read. */
        ".macro finish name\nregisters probe_out, 1\nmov %rsp, probe_out+56(%rip)\n"
        ".set i, 0\n.rept 16\nmov -8-8*i(%rsp), %rax\nmov %rax, probe_out+136+8*i(%rip)\n"
        ".set i, i + 1\n.endr\n"
        "pushfq\npopq probe_out+128(%rip)\ncld\n"
        "cmpb $0, probe_avx(%rip)\nje 1f\nvectors vmovdqu, probe_out, 1\nvzeroupper\njmp 2f\n"
        "1: xvectors probe_out, 1\n2: mov probe_sp(%rip), %rsp\n"
        ".irp r, r15,r14,r13,r12,rbp,rbx\npop %\\r\n.endr\nret\n.size \\name, . - \\name\n.endm\n");

/* 39 is getpid: it has no arguments, so every register may hold anything. */
#define PROBE(name, code)                                                                          \
    void name(void);                                                                               \
    __asm__("begin " #name "\n" code "\nfinish " #name "\n")

PROBE(mov_eax, "mov $39, %eax; syscall");
PROBE(mov_rax, ".byte 0x48, 0xc7, 0xc0, 39, 0, 0, 0; syscall");
PROBE(movabs, "movabs $39, %rax; syscall");
PROBE(lea_rax, "lea 39, %rax; syscall");
PROBE(mov_then_gap, "mov $39, %eax; nop; nop; nop; syscall; nop; nop; nop");
PROBE(from_register, "mov %r15, %rax; syscall");
PROBE(neighbour_after, "mov %r15, %rax; syscall; mov %rax, %rcx; mov %rcx, %rax");
PROBE(relative_after, "mov %r15, %rax; syscall; lea probe_in(%rip), %rcx");
PROBE(jump_after, "mov $39, %eax; syscall; jmp 7f; ud2; 7:");
PROBE(jump_over_mov, "mov %r15, %rax; jmp 7f; mov $1, %eax; 7: syscall");
PROBE(jump_to_after, "mov $39, %eax; jmp 7f; 8: nop; jmp 9f; 7: syscall; jmp 8b; 9:");
PROBE(twice, "mov $39, %eax; syscall; mov $39, %eax; syscall; mov $39, %eax; syscall");
PROBE(back_to_back, "mov %r15, %rax; syscall; syscall; mov %r15, %rax; syscall");
PROBE(prefixed, "mov $39, %eax; .byte 0x48, 0x0f, 0x05");
PROBE(misaligned, ".p2align 6; .skip 60, 0x90; mov $39, %eax; syscall; .skip 61, 0x90");
PROBE(page_end, ".p2align 12; .skip 4090, 0x90; mov $39, %eax; syscall");
PROBE(cache_line, ".p2align 6; .skip 56, 0x90; mov $39, %eax; syscall");

#define FLAGS 0xcd5u /* CF PF AF ZF SF DF OF */

static uint64_t seed = 88172645463325252u;

static uint64_t next(void)
{
    seed ^= seed << 13;
    seed ^= seed >> 7;
    return seed ^= seed << 17;
}

static void probe(const char *name, void (*call)(void))
{
    int bad[6] = {0};
    long wrong = 0;
    for (int round = 0; round < 8; round++) {
        uint64_t *words = (uint64_t *)&probe_in;
        for (size_t i = 0; i < sizeof probe_in / 8; i++)
            words[i] = next();
        probe_in.flags = (probe_in.flags & FLAGS) | 0x202;
        probe_in.registers[15] = SYS_getpid;
        memset(&probe_out, 0xee, sizeof probe_out);
        call();
        wrong += (long)probe_out.registers[0] != getpid();
        for (int i = 0; i < 16; i++) {
            bool free = i == 0 || i == 2 || i == 7 || i == 11;
            bad[0] += !free && probe_out.registers[i] != probe_in.registers[i];
            bad[1] += probe_out.zone[i] != probe_in.zone[i];
            bad[2] += memcmp(probe_out.vectors[i], probe_in.vectors[i], 16) != 0;
            bad[3] += probe_avx && memcmp(probe_out.vectors[i], probe_in.vectors[i], 32) != 0;
        }
        bad[4] += (probe_out.flags & FLAGS) != (probe_in.flags & FLAGS);
        bad[5] += probe_out.registers[7] != probe_sp;
    }
    printf("%s: wrong results %ld, registers %d, red zone %d, xmm %d, ymm %d, flags %d, rsp %d\n",
           name, wrong, bad[0], bad[1], bad[2], bad[3], bad[4], bad[5]);
    for (int i = 0; i < 6; i++)
        failures += bad[i] != 0;
    failures += wrong != 0;
}

#define RUN(name) probe(#name, name)

int main(void)
{
    _Static_assert(sizeof(struct state) >= 264 + 512 && offsetof(struct state, vectors) == 264, "");
    probe_avx = __builtin_cpu_supports("avx") != 0;
    RUN(mov_eax);
    RUN(mov_rax);
    RUN(movabs);
    RUN(lea_rax);
    RUN(mov_then_gap);
    RUN(from_register);
    RUN(neighbour_after);
    RUN(relative_after);
    RUN(jump_after);
    RUN(jump_over_mov);
    RUN(jump_to_after);
    RUN(twice);
    RUN(back_to_back);
    RUN(prefixed);
    RUN(misaligned);
    RUN(page_end);
    RUN(cache_line);
    return finish();
}
