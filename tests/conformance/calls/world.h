/* The world in which a case makes its calls: known files, an open file of every kind, and memory
 * with edges. world.c builds it, memory.c hands out arguments in it, caller.c runs the cases.
 *
 * The numbers of fds and variables are known to cases.py by these names.
 */
#ifndef WORLD_H
#define WORLD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum world_fd {
    FD_REG = 10, /* file, read-write, at offset 3 */
    FD_RDONLY,
    FD_WRONLY,
    FD_APPEND,
    FD_DIR,
    FD_PIPE_R, /* "hello" stands in it */
    FD_PIPE_W,
    FD_SOCK_A, /* "hi" waits on either side */
    FD_SOCK_B,
    FD_DGRAM_A,
    FD_DGRAM_B,
    FD_TCP,
    FD_UDP,
    FD_EVENT, /* counts 1 */
    FD_EPOLL, /* holds FD_PIPE_R */
    FD_MEMFD, /* 4096 bytes */
    FD_OPATH,
    FD_OPATHDIR,
    FD_NULL,
    FD_ZERO,
    FD_PTM,
    FD_PTS,
    FD_TIMER,
    FD_SIGNAL,
    FD_INOTIFY,
    FD_PIDFD, /* the runner's own */
    FD_EMPTY_R, /* an empty pipe that does not block */
    FD_EMPTY_W,
    FD_PROC, /* /proc/self */
    FD_END,
    FD_HERE = 98, /* the directory of the files */
    FD_OUT = 99,  /* where lines go */
};

/* Numbers that differ from run to run: arguments by their name, results shown as their name. */
#define SMALL_NUMBERS 200
enum variable { VAR_SELF, VAR_CHILD, VAR_PARENT, VAR_GROUP, VAR_SESSION, VAR_COUNT };
extern int64_t variables[VAR_COUNT + 32]; /* then the results of the case's steps */
extern const char *const variable_names[VAR_COUNT];

enum change { CHANGED_NOTHING, CHANGED_FDS, CHANGED_FILES };

void world_enter(void); /* makes and enters the directory of the files */
void world_build(bool files_too);
enum change world_report(char *to, size_t size); /* what has changed since */

/* memory.c */
struct buffer {
    uint8_t *at;
    uint32_t size;
    char format; /* how show_buffers() prints it */
};
void memory_reset(void);
int64_t read_argument(const char **text);
void memory_mark(void);
void memory_show(int64_t result);

/* caller.c: appends to the line of the running case. */
void say(const char *format, ...) __attribute__((format(printf, 1, 2)));
long raw_call(long nr, const int64_t *args);

#endif
