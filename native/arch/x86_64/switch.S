/* The windowed context switch (exo/switch.h). What a suspended context has at sp, from below:
 * MXCSR and the x87 control word (4 bytes each), r15 to r12, rbx, rbp, where to return to.
 * A context that has not begun looks the same, so that debuggers unwind both.
 */
#define WINDOW 64
#define AT_MXCSR 0
#define AT_CONTROL 4
#define AT_ARGUMENT 32 /* r12's place */
#define AT_ENTRY 40    /* rbx's */
#define AT_RETURN 56

#define MXCSR_START 0x1f80
#define CONTROL_START 0x37f
#define MXCSR_CONTROL 0xffffffc0 /* the rest is status, which a call need not preserve */

#if EXO_FREESTANDING /* nobody unwinds there at run time */
    .cfi_sections .debug_frame
#endif

    .macro save register
    push %\register
    .cfi_adjust_cfa_offset 8
    .cfi_rel_offset \register, 0
    .endm

    .macro restore register
    pop %\register
    .cfi_adjust_cfa_offset -8
    .cfi_restore \register
    .endm

    .section .text.exo_switch, "ax", @progbits

/* void exo_switch(from, to). Jumps in place of returns: the processor predicts where a `ret` leads
 * by the last call, which was another context's. */
    .globl exo_switch
    .type exo_switch, @function
    .p2align 6
exo_switch:
    .cfi_startproc
    save rbp
    save rbx
    save r12
    save r13
    save r14
    save r15
    sub $8, %rsp
    .cfi_adjust_cfa_offset 8
    stmxcsr AT_MXCSR(%rsp)
    fnstcw AT_CONTROL(%rsp)
    mov AT_MXCSR(%rsp), %ecx
    movzwl AT_CONTROL(%rsp), %edx
    lea .Lresume(%rip), %rax
    mov %rsp, (%rdi)
    mov %rax, 8(%rdi)
    mov (%rsi), %rsp
    jmp *8(%rsi)

.Lresume: /* ecx, edx: the control words in force */
    xor AT_MXCSR(%rsp), %ecx
    test $MXCSR_CONTROL, %ecx
    jne .Lload
    cmp %dx, AT_CONTROL(%rsp)
    jne .Lload
.Lloaded:
    .cfi_remember_state
    add $8, %rsp
    .cfi_adjust_cfa_offset -8
    restore r15
    restore r14
    restore r13
    restore r12
    restore rbx
    restore rbp
    pop %rcx
    .cfi_adjust_cfa_offset -8
    .cfi_register rip, rcx
    jmp *%rcx

.Lload:
    .cfi_restore_state
    ldmxcsr AT_MXCSR(%rsp)
    fldcw AT_CONTROL(%rsp)
    jmp .Lloaded
    .cfi_endproc
    .size exo_switch, . - exo_switch

/* Where a context begins; nothing called it. */
    .type exo_switch_begin, @function
    .p2align 4
exo_switch_begin:
    .cfi_startproc
    .cfi_undefined rip
    nop /* debuggers look up the instruction before a return address */
.Lbegin:
    mov %r12, %rdi
    call *%rbx
    ud2
    .cfi_endproc
    .size exo_switch_begin, . - exo_switch_begin

/* void exo_context_init(context, top, entry, argument) */
    .globl exo_context_init
    .type exo_context_init, @function
    .p2align 4
exo_context_init:
    .cfi_startproc
    and $-16, %rsi
    sub $WINDOW, %rsi
    xor %eax, %eax
    movl $MXCSR_START, AT_MXCSR(%rsi)
    movl $CONTROL_START, AT_CONTROL(%rsi)
    mov %rax, 8(%rsi)
    mov %rax, 16(%rsi)
    mov %rax, 24(%rsi)
    mov %rcx, AT_ARGUMENT(%rsi)
    mov %rdx, AT_ENTRY(%rsi)
    mov %rax, 48(%rsi) /* rbp: the last of the frame pointers */
    lea .Lbegin(%rip), %rax
    mov %rax, AT_RETURN(%rsi)
    lea .Lresume(%rip), %rax
    mov %rsi, (%rdi)
    mov %rax, 8(%rdi)
    ret
    .cfi_endproc
    .size exo_context_init, . - exo_context_init

    .section .note.GNU-stack, "", @progbits
