/* Offsets into struct exo_area (runtime/area.h) for assembly; area.c asserts that they hold. */
#ifndef EXO_OFFSETS_H
#define EXO_OFFSETS_H

#define AREA_PENDING 0x08
#define AREA_OBSERVE 0x0c
#define AREA_STACK 0x10
#define AREA_FLAGS 0x18
#define AREA_HOST_CALLS 0x20
#define AREA_REGS 0x40

/* struct exo_regs */
#define REGS_R8 0x00
#define REGS_R9 0x08
#define REGS_R10 0x10
#define REGS_R11 0x18
#define REGS_R12 0x20
#define REGS_R13 0x28
#define REGS_R14 0x30
#define REGS_R15 0x38
#define REGS_RDI 0x40
#define REGS_RSI 0x48
#define REGS_RBP 0x50
#define REGS_RBX 0x58
#define REGS_RDX 0x60
#define REGS_RAX 0x68
#define REGS_RCX 0x70
#define REGS_RSP 0x78
#define REGS_RIP 0x80
#define REGS_NR 0x88

#define EXO_ERESTART 512       /* not begun, or to be redone whatever happens */
#define EXO_ERESTARTNOHAND 514 /* EINTR if a handler runs, else redone: in traced tasks */

#endif
