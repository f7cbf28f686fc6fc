/* What `posix-x profile` makes of events as they come: tallies of the places that calls are made from,
 * data that is read and then written, small writes in a row. The Python side sees this file, too. */
#ifndef EXO_HOST_PROFILE_H
#define EXO_HOST_PROFILE_H

#include "host.h"

#define EXO_PROFILE_BUCKETS 320 /* of a histogram: 8 for each doubling, from 8 cycles on */
#define EXO_PROFILE_SITES 8192
#define EXO_PROFILE_COPIES 512
#define EXO_PROFILE_RUNS 512
#define EXO_PROFILE_RULES 32768
#define EXO_PROFILE_TASKS 65536 /* pids that are that far apart are not alive at a time */
#define EXO_PROFILE_BUFFERS 1024
#define EXO_PROFILE_DATA 32   /* bytes of a buffer that are compared */
#define EXO_PROFILE_SMALL 512 /* a write of fewer bytes is small */

/* How a call moves data. */
enum exo_profile_io {
    EXO_PROFILE_READ = 1, /* fd, buffer, size */
    EXO_PROFILE_WRITE = 2,
    EXO_PROFILE_READ_VECTOR = 3, /* fd, struct iovec[], count */
    EXO_PROFILE_WRITE_VECTOR = 4,
    EXO_PROFILE_READ_MESSAGE = 5, /* fd, struct msghdr */
    EXO_PROFILE_WRITE_MESSAGE = 6,
};

/* Calls of one kind from one place. Times are TSC cycles. */
struct exo_profile_site {
    uint64_t at; /* behind the instruction */
    uint64_t
        caller; /* where the nearest frame of the program's own goes on; 0 unknown, or at is its own */
    uint32_t space; /* number of the address space */
    uint16_t nr;
    uint8_t way; /* EXO_CALLED_HOST, EXO_CALLED_LEGACY */
    uint8_t reserved;
    uint64_t calls, errors, cycles, bytes, most;
    uint32_t buckets[EXO_PROFILE_BUCKETS];
};

/* What was read at one place and written at another from the same buffer. */
struct exo_profile_copy {
    uint64_t read_at, read_caller, write_at, write_caller;
    uint32_t space;
    uint16_t read_nr, write_nr;
    int32_t from, to; /* fds, the first time */
    uint64_t reads, writes, bytes, read_cycles, write_cycles;
    uint64_t same, changed; /* writes that began with the bytes read; that did not */
    uint64_t largest;       /* read, bytes */
};

/* Small writes to one fd with nothing in between, of two or more. */
struct exo_profile_run {
    uint64_t at, caller;
    uint32_t space;
    uint16_t nr, reserved;
    int32_t fd, reserved2; /* the first time */
    uint64_t runs, writes, bytes, cycles, longest;
    uint64_t
        asked; /* writes for which the host was called: to wake somebody, where the fd is exo's */
};

/* Where a place's caller is: CFA = base + cfa, return address below it. base: 0 not known, 1 rsp, 2 rbp. */
struct exo_profile_rule {
    uint64_t pc;
    uint32_t space;
    int32_t cfa;
    int32_t rbp_at; /* from the CFA, where the caller's rbp is; 0: still in rbp */
    uint8_t base, own, used, reserved;
};

enum exo_profile_code {
    EXO_PROFILE_IDLE = 0,
    EXO_PROFILE_EVENT = 1, /* drain's event is to be looked at: no call, or a wanted one */
    EXO_PROFILE_RULE = 2,  /* exo_profile_add(asked_space, asked_pc) is wanted, then go on */
    EXO_PROFILE_FULL = 3,  /* tables are to be read and emptied: exo_profile_empty() */
    EXO_PROFILE_COPY = 4,  /* copies[latest] is new: its fds can be looked up now */
    EXO_PROFILE_RUN = 5,   /* runs[latest] is new */
};

struct exo_profile {
    void *state;
    struct exo_recording *recording; /* NULL: nobody is told how much stack to send */
    struct exo_profile_site *sites;
    struct exo_profile_copy *copies;
    struct exo_profile_run *runs;
    uint32_t site_count, copy_count, run_count, latest;
    uint64_t asked_pc;
    uint32_t asked_space, has_event;
    uint64_t calls, began, ended; /* TSC of the first call's beginning and the last one's end */
    uint64_t wanted[EXO_CALL_COUNT / 64];  /* calls that Python looks at, too */
    uint64_t neutral[EXO_CALL_COUNT / 64]; /* ... that do not end a row of small writes */
    uint8_t io[EXO_CALL_COUNT];            /* enum exo_profile_io */
};

int exo_profile_init(struct exo_profile *profile);
void exo_profile_deinit(struct exo_profile *profile);
/* enum exo_profile_code, or -EPIPE: the end. */
int exo_profile_next(struct exo_profile *profile, struct exo_drain *drain);
/* The same of one event, which loses its origin. */
int exo_profile_take(struct exo_profile *profile, struct exo_drained *event);
/* A task runs in an address space from now on. */
void exo_profile_enter(struct exo_profile *profile, uint32_t tid, uint32_t space);
void exo_profile_add(struct exo_profile *profile, const struct exo_profile_rule *rule);
void exo_profile_empty(struct exo_profile *profile);
/* The lowest number of cycles in a bucket. */
uint64_t exo_profile_bound(uint32_t bucket);

#endif
