/* Paths below /proc and /dev/fd, whose names hold pids and fd numbers. */
#ifndef EXO_RUNTIME_PATH_H
#define EXO_RUNTIME_PATH_H

#include "area.h"

#define EXO_HOST_PATH_SIZE (EXO_PATH_SIZE + 64)

enum exo_path_kind {
    EXO_PATH_PLAIN = 0, /* the host's, as the guest wrote it */
    EXO_PATH_PROC = 1,  /* use host, with AT_FDCWD */
    EXO_PATH_OWNED = 2, /* the same, but opening it is the kernel process's affair */
};

struct exo_path {
    char guest[EXO_PATH_SIZE];     /* absolute, normalised, `self` replaced by the pid */
    char host[EXO_HOST_PATH_SIZE]; /* what the host calls it */
    const char *link;              /* what readlink gives, NULL: ask the host */
};

/* Looks at a guest's path argument. enum exo_path_kind, or -errno. PLAIN leaves *path alone. */
long exo_path_resolve(struct exo_path *path, int dirfd, uint64_t guest_path);
/* The host's name of an absolute or relative path in runtime memory (execve's interpreters). */
const char *exo_host_name(struct exo_path *found, const char *path);
/* path becomes /dev/fd/N or /dev/fd/N/path, as execveat names its program. */
void exo_name_by_fd(char *path, int fd);
/* Notes that the working directory is, or is no longer, below /proc. */
void exo_path_set_cwd(const struct exo_path *path);

#endif
