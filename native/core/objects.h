/* What fds lead to and lives in the kernel region, whatever its kind: numbers, and who has it. */
#ifndef EXO_CORE_OBJECTS_H
#define EXO_CORE_OBJECTS_H

#include <stddef.h>

#include <exo/core.h>

/* An entry with one of these has an object's number as its stamp. */
#define EXO_FD_OBJECT (EXO_FD_PIPE | EXO_FD_SOCKET | EXO_FD_EVENT | EXO_FD_EPOLL)
#define EXO_FD_STREAM (EXO_FD_PIPE | EXO_FD_SOCKET) /* bytes are read and written */

struct exo_kind_row {
    uint32_t first, count; /* numbers; the very first is none */
    uint64_t at, stride;   /* bytes: the array in struct exo_kr */
};

extern const struct exo_kind_row exo_kinds[EXO_KIND_COUNT];

#define EXO_OBJECT_COUNT 65536 /* numbers of all kinds are below */

struct exo_object *exo_object_at(struct exo_kr *kr, uint32_t number);
enum exo_kind exo_object_kind(uint32_t number);

/* Whether two readings of an entry lead to the same end of the same object. */
static inline bool exo_fd_same(struct exo_fd a, struct exo_fd b)
{
    return a.host == b.host && a.stamp == b.stamp &&
           !((a.flags ^ b.flags) & (EXO_FD_OBJECT | EXO_FD_PIPE_WRITES));
}

/* Entries of fd tables count as users. A new object has mode, and ends' entries to come; 0: no room. */
uint32_t exo_object_create(struct exo_kr *kr, enum exo_kind kind, uint32_t mode, uint64_t ends);
/* Says so (two of them: the other in the high half) while an object is made, or an end copied or taken
 * away: from before an entry or a count changes until both have; 0: no more. exo_object_create() does
 * so itself, and leaves the high half as it is. Else the kernel process, which counts entries, takes it for what a killed task left. */
void exo_object_hold(struct exo_kr *kr, uint32_t number);
/* One more entry like *entry, which may be going away: false if it has. */
bool exo_object_ref(struct exo_kr *kr, const struct exo_fd *entry, struct exo_fd as);
/* An entry is gone, and its host fd about to be closed. */
void exo_object_unref(struct exo_kr *kr, struct exo_fd gone);
/* The same for who holds a lock: should it be the last, the kernel process frees the object. */
void exo_object_uncount(struct exo_kr *kr, struct exo_fd gone);
/* Nobody has it: object_lock is held. */
void exo_object_free(struct exo_kr *kr, uint32_t number); /* if nobody has it */
void exo_object_free_locked(struct exo_kr *kr, uint32_t number);

#endif
