/* The windowed context switch (exo/switch.h), for the ABI lp64d. What a suspended context has at sp,
 * from below: the rounding mode, ra, s0 to s11, fs0 to fs11. A context that has not begun looks the
 * same.
 */
#define WINDOW 208
#define AT_ROUNDING 0
#define AT_RA 8
#define AT_S0 16
#define AT_FS0 112

    .section .text.exo_switch, "ax", @progbits

/* Loads or stores s0 to s11, fs0 to fs11 of the window at sp. */
    .macro registers integer, float
    .irp number, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11
    \integer s\number, (AT_S0 + 8 * \number)(sp)
    \float fs\number, (AT_FS0 + 8 * \number)(sp)
    .endr
    .endm

/* void exo_switch(from, to) */
    .globl exo_switch
    .type exo_switch, @function
    .p2align 6
exo_switch:
    .cfi_startproc
    addi sp, sp, -WINDOW
    .cfi_adjust_cfa_offset WINDOW
    frrm t0
    sd t0, AT_ROUNDING(sp)
    sd ra, AT_RA(sp)
    registers sd, fsd
    .cfi_rel_offset ra, AT_RA
    .irp number, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11
    .cfi_rel_offset s\number, (AT_S0 + 8 * \number)
    .cfi_rel_offset fs\number, (AT_FS0 + 8 * \number)
    .endr
    lla t1, .Lresume
    sd sp, 0(a0)
    sd t1, 8(a0)
    ld t1, 8(a1)
    ld sp, 0(a1)
    jr t1

.Lresume: /* t0: the rounding mode in force */
    ld t1, AT_ROUNDING(sp)
    beq t0, t1, 1f
    fsrm t1
1:
    ld ra, AT_RA(sp)
    registers ld, fld
    addi sp, sp, WINDOW
    .cfi_def_cfa_offset 0
    .cfi_restore ra
    .irp number, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11
    .cfi_restore s\number
    .cfi_restore fs\number
    .endr
    ret
    .cfi_endproc
    .size exo_switch, . - exo_switch

/* Where a context begins; nothing called it. */
    .type exo_switch_begin, @function
    .p2align 4
exo_switch_begin:
    .cfi_startproc
    .cfi_undefined ra
    nop /* debuggers look up the instruction before a return address */
.Lbegin:
    mv a0, s1
    jalr s2
    ebreak
    .cfi_endproc
    .size exo_switch_begin, . - exo_switch_begin

/* void exo_context_init(context, top, entry, argument) */
    .globl exo_context_init
    .type exo_context_init, @function
    .p2align 4
exo_context_init:
    .cfi_startproc
    andi a1, a1, -16
    addi a1, a1, -WINDOW
    .irp number, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11
    sd zero, (AT_S0 + 8 * \number)(a1) /* s0: the last of the frame pointers */
    sd zero, (AT_FS0 + 8 * \number)(a1)
    .endr
    sd zero, AT_ROUNDING(a1)
    sd a3, (AT_S0 + 8)(a1)
    sd a2, (AT_S0 + 16)(a1)
    lla t0, .Lbegin
    sd t0, AT_RA(a1)
    lla t0, .Lresume
    sd a1, 0(a0)
    sd t0, 8(a0)
    ret
    .cfi_endproc
    .size exo_context_init, . - exo_context_init

    .section .note.GNU-stack, "", @progbits
