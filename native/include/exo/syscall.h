/* What the generated tables say about each system call (posix_x/table/generate.py fills them).
 *
 * Used by runtime/dispatch.c (tier, handler), runtime/pass.c (fd, pid and path translation) and
 * runtime/legacy.c (staging of buffers for the kernel process).
 */
#ifndef EXO_SYSCALL_H
#define EXO_SYSCALL_H

#include <stdint.h>

enum exo_tier {
    EXO_TIER_NONE = 0,   /* not supported: fails with the row's errno */
    EXO_TIER_FAST = 1,   /* sys_<name> in C, answered from task or region, never blocks */
    EXO_TIER_HYBRID = 2, /* sys_<name> in C, may block, may make host calls */
    EXO_TIER_PASS = 3,   /* exo_pass(): the host's, with fds, pids and paths translated */
    EXO_TIER_LEGACY = 4, /* exo_legacy(): sys_<name> in Python, in the kernel process */
};

enum exo_arg_kind {
    EXO_ARG_NONE = 0,
    EXO_ARG_RAW = 1,   /* a number, flags, or an address that exo does not look at */
    EXO_ARG_FD = 2,    /* translated; bad numbers give EBADF */
    EXO_ARG_DIRFD = 3, /* the same, AT_FDCWD and other negative numbers let through */
    EXO_ARG_PID = 4,   /* pid, tid or, negative, pgid; 0 let through */
    EXO_ARG_PATH = 5,  /* NUL-terminated; the argument before it may be its DIRFD */
    EXO_ARG_STR = 6,   /* NUL-terminated, not a path */
    EXO_ARG_IN = 7,    /* memory read by the call */
    EXO_ARG_OUT = 8,   /* memory written by the call */
    EXO_ARG_INOUT = 9,
};

enum exo_ret_kind {
    EXO_RET_RAW = 0,
    EXO_RET_FD = 1,  /* a new host fd: install it, close-on-exec by call->cloexec */
    EXO_RET_PID = 2, /* a host pid */
};

#define EXO_LENGTH_FIXED 7
#define EXO_LENGTH_INT 0x80 /* or'ed in: that argument is an int, the upper half says nothing */

/* Bytes of an IN/OUT argument: size if length_arg is EXO_LENGTH_FIXED, else size times the value
 * of argument length_arg. */
struct exo_arg {
    uint8_t kind;
    uint8_t length_arg;
    uint16_t size;
};

struct exo_call {
    uint8_t tier;
    uint8_t ret;
    uint8_t argc;
    int8_t
        cloexec_arg; /* argument that may hold close-on-exec for EXO_RET_FD; -1 none; -2 always */
    uint32_t cloexec_flag; /* ... and the bit in it */
    int32_t error;         /* for EXO_TIER_NONE: the errno, positive */
    struct exo_arg args[6];
};

/* Arguments in the registers of the System V ABI; a result or -errno. */
typedef long (*exo_handler)(long, long, long, long, long, long);

extern const struct exo_call exo_calls[]; /* indexed by call number */
extern const exo_handler exo_handlers[];  /* sys_<name>, exo_pass, exo_legacy, exo_none */
extern const uint32_t exo_call_limit;     /* rows in both */

#endif
