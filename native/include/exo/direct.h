/* How a program that exo-cc has linked finds the runtime: native/direct/start.S reads it, before any
 * other instruction of the program. A new layout needs a new magic. For C and assembly. */
#ifndef EXO_DIRECT_H
#define EXO_DIRECT_H

/* GS base of every thread lies within the runtime's window; natively it is 0 at a program's start. */
#define EXO_DIRECT_WINDOW 0x7e9 /* the window's address, less its low bits */
#define EXO_DIRECT_WINDOW_SHIFT 36
#define EXO_DIRECT_AT 0x38 /* bytes from GS base: where struct exo_direct is, 0 nowhere */
#define EXO_DIRECT_MAGIC 0x3154435249444f58

/* What stands before the room for stubs, for exo_um/cli/direct.py. */
#define EXO_DIRECT_STUBS "exo-cc stubs 1\n"

#ifndef __ASSEMBLER__
#include <stdint.h>

struct exo_direct {
    uint64_t magic;
    uint64_t entry; /* to be entered as by a stub: rcx the address to go back to, r11 free */
};
#endif

#endif
