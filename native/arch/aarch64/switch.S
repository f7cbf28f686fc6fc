/* The windowed context switch (exo/switch.h). What a suspended context has at sp, from below: FPCR,
 * a spare word, x19 to x28, x29 and x30, d8 to d15. A context that has not begun looks the same.
 */
#define WINDOW 176
#define AT_FPCR 0
#define AT_X19 16
#define AT_X29 96
#define AT_D8 112

    .section .text.exo_switch, "ax", %progbits

/* void exo_switch(from, to) */
    .globl exo_switch
    .type exo_switch, %function
    .p2align 6
exo_switch:
    .cfi_startproc
    sub sp, sp, #WINDOW
    .cfi_adjust_cfa_offset WINDOW
    mrs x9, fpcr
    str x9, [sp, #AT_FPCR]
    stp x19, x20, [sp, #AT_X19]
    stp x21, x22, [sp, #AT_X19 + 16]
    stp x23, x24, [sp, #AT_X19 + 32]
    stp x25, x26, [sp, #AT_X19 + 48]
    stp x27, x28, [sp, #AT_X19 + 64]
    stp x29, x30, [sp, #AT_X29]
    stp d8, d9, [sp, #AT_D8]
    stp d10, d11, [sp, #AT_D8 + 16]
    stp d12, d13, [sp, #AT_D8 + 32]
    stp d14, d15, [sp, #AT_D8 + 48]
    .irp number, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11
    .cfi_rel_offset (19 + \number), (AT_X19 + 8 * \number)
    .endr
    .irp number, 0, 1, 2, 3, 4, 5, 6, 7
    .cfi_rel_offset (72 + \number), (AT_D8 + 8 * \number)
    .endr
    adr x10, .Lresume
    mov x11, sp
    stp x11, x10, [x0]
    ldp x11, x10, [x1]
    mov sp, x11
    br x10

.Lresume: /* x9: the control word in force */
    hint #36 /* bti j */
    ldr x10, [sp, #AT_FPCR]
    cmp x9, x10
    b.eq 1f
    msr fpcr, x10
1:
    ldp x19, x20, [sp, #AT_X19]
    ldp x21, x22, [sp, #AT_X19 + 16]
    ldp x23, x24, [sp, #AT_X19 + 32]
    ldp x25, x26, [sp, #AT_X19 + 48]
    ldp x27, x28, [sp, #AT_X19 + 64]
    ldp x29, x30, [sp, #AT_X29]
    ldp d8, d9, [sp, #AT_D8]
    ldp d10, d11, [sp, #AT_D8 + 16]
    ldp d12, d13, [sp, #AT_D8 + 32]
    ldp d14, d15, [sp, #AT_D8 + 48]
    add sp, sp, #WINDOW
    .cfi_def_cfa sp, 0
    .irp number, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11
    .cfi_restore (19 + \number)
    .endr
    .irp number, 0, 1, 2, 3, 4, 5, 6, 7
    .cfi_restore (72 + \number)
    .endr
    ret /* not br: callers have no landing pad (BTI) after a call */
    .cfi_endproc
    .size exo_switch, . - exo_switch

/* Where a context begins; nothing called it. */
    .type exo_switch_begin, %function
    .p2align 4
exo_switch_begin:
    .cfi_startproc
    .cfi_undefined x30
    nop /* debuggers look up the instruction before a return address */
.Lbegin:
    mov x0, x20
    blr x19
    brk #0
    .cfi_endproc
    .size exo_switch_begin, . - exo_switch_begin

/* void exo_context_init(context, top, entry, argument) */
    .globl exo_context_init
    .type exo_context_init, %function
    .p2align 4
exo_context_init:
    .cfi_startproc
    and x1, x1, #-16
    sub x1, x1, #WINDOW
    str xzr, [x1, #AT_FPCR]
    stp x2, x3, [x1, #AT_X19]
    .irp at, 32, 48, 64, 80, 112, 128, 144, 160
    stp xzr, xzr, [x1, #\at]
    .endr
    adr x9, .Lbegin
    stp xzr, x9, [x1, #AT_X29] /* x29: the last of the frame pointers */
    adr x10, .Lresume
    stp x1, x10, [x0]
    ret
    .cfi_endproc
    .size exo_context_init, . - exo_context_init

    .section .note.GNU-stack, "", %progbits
