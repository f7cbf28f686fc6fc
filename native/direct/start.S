/* What exo-cc links into programs: their first instructions, and room for the stubs of their
 * system-call sites, which exo_um/cli/direct.py fills in once the rest is linked.
 *
 * exo_start notes where the runtime is to be entered, if there is one, and goes on to _start.
 * Nothing but what the host gives every program is read, so on plain Linux it does nothing else:
 * there, stubs make the host's calls. Assembled by exo-cc with -DEXO_STUB_SPACE=BYTES.
 */
#include <exo/direct.h>

#define AT_HWCAP2 26
#define HWCAP2_FSGSBASE 2

    .text
    .globl exo_start
    .type exo_start, @function
    .hidden _start
exo_start:                          /* rdx is the loader's, and rsp _start's */
    mov (%rsp), %rax
    lea 16(%rsp, %rax, 8), %rsi     /* the environment */
1:  mov (%rsi), %rax
    add $8, %rsi
    test %rax, %rax
    jnz 1b
2:  mov (%rsi), %rax                /* the auxiliary vector */
    test %rax, %rax
    jz 4f
    cmp $AT_HWCAP2, %rax
    je 3f
    add $16, %rsi
    jmp 2b
3:  testb $HWCAP2_FSGSBASE, 8(%rsi)
    jz 4f
    rdgsbase %rax
    shr $EXO_DIRECT_WINDOW_SHIFT, %rax
    cmp $EXO_DIRECT_WINDOW, %rax
    jne 4f
    mov %gs:EXO_DIRECT_AT, %rax
    test %rax, %rax
    jz 4f
    movabs $EXO_DIRECT_MAGIC, %rcx
    cmp %rcx, (%rax)
    jne 4f
    mov 8(%rax), %rax
    mov %rax, exo_direct_entry(%rip)
4:  xor %eax, %eax
    jmp _start
    .size exo_start, . - exo_start

    .data
    .p2align 3
    .hidden exo_direct_entry
    .globl exo_direct_entry
exo_direct_entry:
    .quad 0

    .section .exo_stubs, "axR", @progbits
    .p2align 4
    .ascii EXO_DIRECT_STUBS
    .byte 0
    .long exo_direct_entry - .
    .long EXO_STUB_SPACE
    .fill EXO_STUB_SPACE, 1, 0xcc

    .section .note.GNU-stack, "", @progbits
