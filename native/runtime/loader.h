/* What a process's first thread needs before it is a guest's. */
#ifndef EXO_RUNTIME_LOADER_H
#define EXO_RUNTIME_LOADER_H

#include "area.h"

extern const struct exo_direct exo_direct; /* how programs linked by exo-cc enter */

/* GS base; NULL: as the host has it. exo_has_fsgsbase is known. */
void exo_set_gs(struct exo_area *mine);
/* When the first guest got so far, for --stats. */
void exo_note_phase(enum exo_boot_phase phase);
/* entry.S: the first instruction, with no register set but the stack's. */
noreturn void exo_start(uint64_t entry, uint64_t stack);

#endif
