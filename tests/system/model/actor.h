/* What the parts of the actor share: see actor.c. */
#ifndef ACTOR_H
#define ACTOR_H

#include <sys/types.h>

#define LAST_FD 63      /* fds of commands are below; the actor's own are far above */
#define CONTROL 900     /* fds to and from children */
#define MAX_DATA 200000 /* bytes of a read or write */
#define TRIED_US 30000  /* how long a call may wait until a signal ends it */

struct command {
    const char *name;
    long (*run)(const long *a); /* the call's result, or -errno */
};

extern const struct command file_commands[], socket_commands[];

/* Adds to the reply. */
__attribute__((format(printf, 1, 2))) void tell(const char *format, ...);
long result(long done);      /* -errno if done is -1 */
char *pattern(size_t count); /* the next bytes to write; written(done) says how many were */
long written(long done);
long tell_data(const char *data, long done); /* of a read: what came */
const char *who(pid_t pid);                  /* a process's name in replies */

extern const char *tag; /* distinguishes this actor's abstract names from others' */

#endif
