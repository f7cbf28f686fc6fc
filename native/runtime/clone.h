/* Birth of a CLONE_VM child, seen from its first instruction (arch/x86_64/host.S). */
#ifndef EXO_RUNTIME_CLONE_H
#define EXO_RUNTIME_CLONE_H

void exo_child_begin(void);

#endif
