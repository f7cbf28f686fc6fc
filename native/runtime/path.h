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
    uint32_t pipe;                 /* an end of this pipe of exo's, 0: none */
    bool exe;                      /* /proc/PID/exe itself */
    bool directory;                /* the guest's path can only mean a directory: it ends in / */
    bool by_self;                  /* it went through a link: self, thread-self or /dev/fd */
    char text[EXO_PATH_SIZE];      /* ... where it had to be made */
};

/* False: the path is certainly EXO_PATH_PLAIN. Callers ask first, before they enter a function with a
 * struct exo_path, which takes pages of stack that few processes ever need. */
bool exo_path_may_be_special(int dirfd, uint64_t path);
#define WITH_PATH __attribute__((noinline))
/* Looks at a guest's path argument. enum exo_path_kind, or -errno. PLAIN leaves *path alone. */
long exo_path_resolve(struct exo_path *path, int dirfd, uint64_t guest_path);
/* The host's name of an absolute or relative path in runtime memory (execve's interpreters). */
const char *exo_host_name(struct exo_path *found, const char *path);
/* path becomes /dev/fd/N or /dev/fd/N/path, as execveat names its program. */
void exo_name_by_fd(char *path, int fd);
/* The guest's name of what a host link says: /proc/PID/... with exo's pids, or a directory that the
 * kernel process made. False if it is neither. to has EXO_PATH_SIZE bytes. */
bool exo_path_of_link(char *to, const char *host_link);
/* Where the host has the directory below /proc that a host fd stands for; as exo_path_resolve(). */
long exo_path_of_fd(struct exo_path *path, int host);
/* The working directory's name if that is below /proc. */
bool exo_path_of_cwd(char *to);

#endif
