/* The platform preload: a program that is running already gets the runtime. */
#ifndef EXO_RUNTIME_PRELOAD_H
#define EXO_RUNTIME_PRELOAD_H

#include <exo/preload.h>

#include "area.h"

/* preload.c: from the loader, entered by libexo_preload.so. */
noreturn void exo_preload(struct exo_preload *with);

/* preloadregion.c: the region, a slot and its fd table for the caller, whose area is not attached yet.
 * A step that fails says so in with: false. */
bool exo_preload_region(struct exo_preload *with);
bool exo_preload_limits(struct exo_preload *with, uint32_t slot);
bool exo_preload_fails(struct exo_preload *with, const char *what, long error);

/* preloadfds.c: the process's open files into the table; the runtime's own into their places. */
bool exo_preload_fds(struct exo_preload *with, uint64_t table);
extern int exo_preload_region_fd; /* where it is until then */

/* preloadmaps.c: the code that is mapped, so that its sites can be patched. */
void exo_preload_maps(void);

#endif
