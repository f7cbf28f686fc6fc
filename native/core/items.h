/* What rosters and the kernel region share: registered rings and pools. */
#ifndef EXO_CORE_ITEMS_H
#define EXO_CORE_ITEMS_H

#include <exo/roster.h>

/* -EBADF: neither ring, set of rings nor pool, or not within what is mapped; -ENOSPC. first: number 0's word. */
int exo_items_add(struct exo_items *items, const struct exo_mapped *mapped, void *item,
                  const struct exo_owners *owners);
void exo_items_remove(struct exo_items *items, const void *item);
/* gone: an owner that has left whatever its word says, 0 nobody. */
uint32_t exo_items_repair(struct exo_items *items, const struct exo_mapped *mapped, uint32_t gone);

#endif
