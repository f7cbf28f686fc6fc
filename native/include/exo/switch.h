/* Windowed context switch: from one stack to another in user space, within a thread or between two.
 *
 * A context is two words. Everything else that a call must preserve lies on the context's own
 * stack, from sp on: the callee-saved registers and the floating-point control words, which are
 * loaded again only where the other side left others (status flags are not kept). pc says what takes
 * it from there, so whoever adds another way to save a window of registers can be switched to by
 * this one. native/arch/<machine>/switch.S.
 *
 * Not switched: signal mask, thread-local storage, and shadow stacks: switch.S is not marked for
 * those (CET), so that the host's loader does not turn them on.
 */
#ifndef EXO_SWITCH_H
#define EXO_SWITCH_H

#include <stdint.h>

struct exo_context {
    uint64_t sp, pc;
};

/* Saves the caller's context in from and goes on with to, which was saved by this or made by
 * exo_context_init(). Returns when somebody switches to from. A context is good for one switch. */
void exo_switch(struct exo_context *from, const struct exo_context *to);

/* A context whose first switch calls entry(argument) on the stack below top (aligned down to 16
 * bytes), with the control words that a program starts with. entry must not return: it traps. */
void exo_context_init(struct exo_context *context, void *top, void (*entry)(void *),
                      void *argument);

#endif
