/* The legacy tier: calls that the kernel process serves (posix_x/syscalls/). */
#ifndef EXO_RUNTIME_LEGACY_H
#define EXO_RUNTIME_LEGACY_H

#include "area.h"
#include "path.h"

/* Not the kernel process's after all; path->host is where the host has it. */
#define EXO_LEGACY_PASS (-4096L)

/* Wakes the kernel process if it sleeps and its kernel_sleeping has one of these bits. */
void exo_ring(uint32_t bell);
long exo_legacy(long a, long b, long c, long d, long e, long f);
long exo_legacy_open(struct exo_path *path, uint64_t flags, uint64_t mode);
/* The text of such a file anew: a host fd for the runtime itself. */
long exo_legacy_fetch(struct exo_path *path);
void exo_legacy_report(uint32_t status);
void exo_legacy_tell_tracer(int code, uint32_t status, uint32_t uid);

#endif
