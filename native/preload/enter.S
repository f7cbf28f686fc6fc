/* void enter(struct exo_preload *with, uint64_t entry): to exo-guest, as the host starts a program. It goes
 * on at the label, with the stack pointer as here and no other register.
 */
    .text
    .globl enter
    .hidden enter
    .type enter, @function
enter:
    push %rbx
    push %rbp
    push %r12
    push %r13
    push %r14
    push %r15
    mov %rsp, 8(%rdi)
    lea 1f(%rip), %rax
    mov %rax, (%rdi)
    and $-16, %rsp
    pushq $0                    /* no auxiliary vector, no environment */
    pushq $0
    pushq $0
    pushq $0
    pushq %rdi
    lea word(%rip), %rax
    pushq %rax
    pushq $2                    /* argc */
    jmp *%rsi
1:  pop %r15
    pop %r14
    pop %r13
    pop %r12
    pop %rbp
    pop %rbx
    ret
    .size enter, . - enter

    .section .rodata
word:
    .asciz "exo2:"

    .section .note.GNU-stack, "", @progbits
