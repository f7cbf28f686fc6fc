/* What the kernel process needs in C: the region, the first guest's start, waiting, replying.
 *
 * The Python side sees this very file through cffi (build_cffi.py), so plain declarations only.
 * Functions give a result or -errno. All are called from the kernel process's one serving thread.
 */
#ifndef EXO_HOST_H
#define EXO_HOST_H

#include <stdint.h>

#include <exo/abi.h>

/* region.c: bytes that are mapped of a region created now. */
uint64_t exo_host_region_size(void);
/* Creates the memfd and maps it; returns its fd. */
int exo_host_region_create(struct exo_kr **kr);
/* Maps the region of another process's instance, to be read only. */
int exo_host_region_view(int fd, const struct exo_kr **kr);
/* Maps it for use: in the tracer. */
int exo_host_region_open(int fd, struct exo_kr **kr);

/* region.c: a file without a name in the directory, for copies of code. -ENOTSUP: not on a file system
 * whose page cache has large folios, or code may not be mapped from there. */
int exo_host_copies_create(const char *directory);
/* Its device and inode as /proc/PID/maps has them. */
int exo_host_file_id(int fd, uint32_t *major, uint32_t *minor, uint64_t *inode);

/* shared.c: memory of its own, which nobody can shrink; an fd. */
int exo_host_shared_create(uint64_t size);
/* Its size in bytes. -EPERM: not one of those. */
int64_t exo_host_shared_map(int fd, void **at);
int exo_host_shared_unmap(void *at, uint64_t size);

/* atomic.c: words of 16, 32 or 64 bits at addresses, sequentially consistent; the value before. */
uint64_t exo_host_atomic_add(uint64_t at, uint32_t bits, uint64_t value);
uint64_t exo_host_atomic_or(uint64_t at, uint32_t bits, uint64_t value);
uint64_t exo_host_atomic_exchange(uint64_t at, uint32_t bits, uint64_t value);
/* Whether it was as expected, and is now as desired. */
int exo_host_atomic_replace(uint64_t at, uint32_t bits, uint64_t expected, uint64_t desired);
void exo_host_atomic_fence(void);

/* beneath.c: openat2(2) that never leaves a directory. */
int exo_host_open_beneath(int directory, const char *path, int flags, uint32_t mode);

/* keeper.c: a number of a roster for this process, until it leaves or dies. Errors: -EAGAIN all are
 * taken, -EMFILE too many for one process; -ENOENT not ours. Leave before the roster is unmapped. */
struct exo_roster;
struct exo_mapped;
int exo_host_join(struct exo_roster *roster, const struct exo_mapped *mapped);
int exo_host_leave(struct exo_roster *roster, const struct exo_mapped *mapped, uint32_t number);

/* signals.c */
struct exo_signals {
    uint64_t ignored; /* bit n - 1: our caller ignored signal n, so the guest starts with that */
    uint64_t mask;    /* our caller's blocked signals, likewise */
    int32_t fd;       /* signalfd of those that the kernel process serves */
};

struct exo_signal {
    int32_t number;
    int32_t code; /* si_code: SI_KERNEL when the terminal sent it */
    uint32_t host_pid;
};

int exo_host_signals_open(struct exo_signals *signals);
/* Blocks the signals of a mask; returns a signalfd of them. */
int exo_host_signals_watch(uint64_t mask);
/* Back to the default disposition. */
void exo_host_signal_default(int number);
/* The next pending signal: 1, or 0 if there is none. */
int exo_host_signal_next(int fd, struct exo_signal *signal);
/* Queues a signal with siginfo: to a thread, or with host_tid 0 to the process. */
struct exo_queued {
    int32_t number, code;
    int32_t pid;
    uint32_t uid;
    int32_t status;
};
int exo_host_signal_queue(int host_tgid, int host_tid, const struct exo_queued *what);
/* Stops the kernel process by signal number, as if it had the default disposition. */
int exo_host_stop_self(int number);

/* spawn.c */
/* Where a program begins that joins a running instance: in a session of its own. */
struct exo_place {
    int32_t stdio[3];  /* its standard streams, -1: closed */
    int32_t terminal;  /* 1: stdio[0] becomes its controlling terminal */
    int32_t directory; /* fd of its working directory */
    uint32_t umask;
};

struct exo_spawn {
    int32_t tracer;                /* host pid of a process that may trace the guest, 0: nobody */
    const struct exo_place *place; /* NULL: the kernel process's, as the first guest has it */
    const struct exo_signals *signals;
    char *const *argv;
    char *const *envp;
    int32_t fds[5]; /* for EXO_FD_KR, _DOORBELL, _CHANNEL, _LOADER, _COPIES */
};

/* Starts the loader as a child; returns its host pid. */
int exo_host_spawn(const struct exo_spawn *spawn);

/* watch.c: starts the program at path with the region's fd; returns its host pid. */
int exo_host_watch(const char *path, int region);

/* trace.c: the ptrace platform's tracer. */
enum exo_trace_event {
    EXO_TRACE_STOP = 1,    /* a stop that is not a system call's, or an end */
    EXO_TRACE_CONTROL = 2, /* control is readable */
};

struct exo_tracing {
    const struct exo_kr *kr;
    int32_t signals; /* signalfd of SIGCHLD */
    int32_t control;
    uint8_t fast[EXO_CALL_COUNT]; /* calls for which the runtime makes no host call */
};

struct exo_stop {
    int32_t tid;
    int32_t status; /* as waitpid has it */
};

/* Serves the system-call stops of all tracees until something else happens: enum exo_trace_event. */
int exo_host_trace(const struct exo_tracing *tracing, struct exo_stop *stop);
/* Lets a task go on that waits to be traced. */
void exo_host_traced(struct exo_kr *kr, uint32_t slot);

/* process.c */
int exo_host_subreaper_set(void);
/* RLIMIT_NOFILE of this process: soft, hard. */
int exo_host_nofile_get(uint64_t limits[2]);
/* Kills the process of a task that is alive, and never one that merely got its number. */
int exo_host_task_kill(struct exo_kr *kr, uint32_t slot);
/* Sends a signal to the process of the task that has a slot and number; 0 only looks. */
int exo_host_task_signal(const struct exo_kr *kr, uint32_t slot, uint32_t tid, int number);

/* collect.c: frees what killed tasks held of the region's heap; how many bytes. -EINVAL when the
 * region is not as it should be, and nothing was freed. */
int64_t exo_host_collect(struct exo_kr *kr);
void exo_host_collect_objects(struct exo_kr *kr);

/* dead.c: finds slots of tasks whose host thread is gone, or not there yet; how many. */
struct exo_dead {
    uint32_t slot, tid;
    uint32_t host_tid; /* 0: the task was never born, or is about to be */
};
int64_t exo_host_find_dead(struct exo_kr *kr, struct exo_dead *found, uint32_t limit);

/* jobs.c: work for threads, pinned to a CPU each, that the predictive scheduler gives it to
 * (exo/fiber.h). They are told apart by what they do: it learns how long each kind takes. A job may
 * neither make nor free tasks or fd tables: that takes slot 0's hand, which the serving thread has. */
enum exo_job_kind {
    EXO_JOB_COLLECT,   /* exo_host_collect() */
    EXO_JOB_FIND_DEAD, /* exo_host_find_dead() */
    EXO_JOB_MAPS,      /* exo_host_copy_maps() */
    EXO_JOB_CMDLINE,   /* exo_host_copy_cmdline() */
    EXO_JOB_LIST,      /* exo_host_list() */
    EXO_JOB_KINDS,
};

/* A list of numbers, with the names in a directory of the host's. */
enum exo_list_kind {
    EXO_LIST_PIDS, /* of all processes */
    EXO_LIST_TIDS, /* of the process in slot */
    EXO_LIST_FDS,  /* likewise */
};

struct exo_job {
    struct exo_job *next; /* of those that have ended */
    struct exo_jobs *jobs;
    struct exo_kr *kr;
    int64_t result;  /* or -errno */
    uint64_t number; /* by which its giver knows it */
    uint32_t kind;
    uint32_t limit;                      /* how many fit into found */
    struct exo_dead *found;              /* EXO_JOB_FIND_DEAD */
    const char *path;                    /* of what is read on the host */
    const char *name;                    /* of the memfd that is made; its fd is the result */
    uint32_t copies_major, copies_minor; /* EXO_JOB_MAPS: the file of copies of code */
    uint64_t copies_inode;
    uint32_t list, slot;  /* EXO_JOB_LIST: enum exo_list_kind, of whom */
    int64_t one_more;     /* a number that is to be in the list, too; -1 */
    uint32_t d_type;      /* of the numbers */
    uint32_t first_inode; /* of number 0 */
};

struct exo_jobs {
    struct exo_workers *workers;
    struct exo_job *ended;
    uint32_t awaited; /* the serving thread sleeps, or is about to */
    int32_t fd;       /* eventfd that wakes it */
};

/* Starts the workers. Errors: as exo_workers_create(), and eventfd(2). */
int exo_host_jobs_open(struct exo_jobs *jobs);
/* Waits for the jobs to end, then ends the workers. */
void exo_host_jobs_close(struct exo_jobs *jobs);
/* Has a worker do it; it and what it points to stay where they are until it is taken back. -ENOMEM;
 * -EINVAL: no such kind. */
int exo_host_job_start(struct exo_jobs *jobs, struct exo_job *job);
/* Does it here. */
int64_t exo_host_job_do(struct exo_job *job);
/* Takes back all that have ended: a list by next. */
struct exo_job *exo_host_jobs_take(struct exo_jobs *jobs);

/* textjob.c, listjob.c: make the memfd. -ENOENT: the process is gone. */
int64_t exo_host_copy_maps(const struct exo_job *job);
int64_t exo_host_copy_cmdline(const struct exo_job *job);
int64_t exo_host_list(const struct exo_job *job);

/* wait.c */
enum exo_wake {
    EXO_WAKE_CALLS = 1,   /* look at the posted calls */
    EXO_WAKE_SIGNALS = 2, /* the signalfd is readable */
    EXO_WAKE_CONTROL = 4, /* control is readable */
    EXO_WAKE_JOBS = 8,    /* workers have ended something */
};

struct exo_wait {
    struct exo_kr *kr;
    int32_t doorbell;
    int32_t signals;
    int32_t control;       /* readable when somebody wants something from the instance; -1: none */
    struct exo_jobs *jobs; /* of the workers; NULL: there are none yet */
    int64_t spin_ns;       /* look at calls_posted for so long before sleeping */
    int64_t timeout_ns;    /* -1: none */
    uint32_t sleep_flags;  /* enum exo_kernel_sleep, beside EXO_KERNEL_SLEEPING */
};

/* Waits for something to do: enum exo_wake bits, 0 after timeout_ns. */
int exo_host_wait(const struct exo_wait *wait);
/* Takes up to limit posted calls: their slots, and how many. */
uint32_t exo_host_calls_take(struct exo_kr *kr, uint32_t *slots, uint32_t limit);

/* reply.c: -ESRCH when the frame belongs to another call by now. */
int exo_host_reply(struct exo_kr *kr, uint32_t slot, uint32_t sequence, int64_t result,
                   uint32_t flags);
/* Publishes the host call that stands in the frame. */
int exo_host_ask(struct exo_kr *kr, uint32_t slot, uint32_t sequence);

/* wait.c: to the guests of an instance that had no kernel process yet. */
void exo_host_kernel_serves(struct exo_kr *kr);

/* channel.c: ends[0] sends (the kernel's), ends[1] receives (every guest's). */
int exo_host_channel_open(int ends[2]);
int exo_host_channel_send(const int ends[2], int fd, uint32_t slot, uint32_t sequence);
/* Whether the receiver of the last message has taken it, or never will: then the fd is closed. */
int exo_host_channel_idle(struct exo_kr *kr, const int ends[2], uint32_t slot, uint32_t tid,
                          uint32_t sequence);

/* control.c: directory is the run directory, name an entry of it: a listening socket. */
int exo_host_control_open(int directory, const char *name);
/* Removes an entry whose listener is dead: 1, or 0 if it lives. */
int exo_host_control_clean(int directory, const char *name);

/* record.c: for who watches an instance's tasks. */
#define EXO_DRAIN_EVENT 4160
#define EXO_DRAIN_OUT 65536

/* An event put together, or a call in progress. */
struct exo_drained {
    uint32_t tid, kind, sequence, size;
    uint8_t data[EXO_DRAIN_EVENT];
};

/* How a line is written: drainline.c. */
enum exo_item_op {
    EXO_ITEM_SIGNED = 1,
    EXO_ITEM_UNSIGNED = 2,
    EXO_ITEM_ADDRESS = 3,   /* NULL, or hexadecimal */
    EXO_ITEM_OCTAL = 4,     /* permissions */
    EXO_ITEM_DIRECTORY = 5, /* a descriptor, or AT_FDCWD */
    EXO_ITEM_ID = 6,        /* a user or group; -1: none */
    EXO_ITEM_WORD = 7,      /* has a name that was taught */
    EXO_ITEM_PATH = 8,
    EXO_ITEM_STRING = 9,
    EXO_ITEM_BYTES_IN = 10,
    EXO_ITEM_POINTER_IN = 11, /* to what is not known here: only NULL can be written */
    EXO_ITEM_FIRST_OUT = 12,  /* from here on: the address alone, if the call has failed */
    EXO_ITEM_BYTES_OUT = 12,
    EXO_ITEM_STAT = 13,
    EXO_ITEM_POINTER_OUT = 14,
    EXO_ITEM_HEX = 15, /* in hexadecimal, but 0 */
};
enum exo_words { EXO_WORDS_ERROR = 1, EXO_WORDS_MODE = 2, EXO_WORDS_OTHER = 3 };
enum exo_prefix { EXO_PREFIX_NONE = 0, EXO_PREFIX_NUMBER = 1, EXO_PREFIX_BRACKETS = 2 };

/* size: bytes of the argument; length: of bytes, the argument that says how many, of length_size bytes. */
struct exo_line_item {
    uint8_t op, arg, size, length, length_size;
    uint8_t by_result; /* no more bytes than the call has returned */
    uint8_t
        if_created; /* this and what follows is there only if flags, argument length, create files */
    uint8_t reserved;
    uint16_t set; /* of a word */
};

#define EXO_TEMPLATE_ITEMS 6
struct exo_template {
    uint8_t count, result, result_size, name_size;
    char name[32];
    struct exo_line_item items[EXO_TEMPLATE_ITEMS];
};

/* What is at hand: plain: calls whose text is known go to out, and are not handed over. used: bytes
 * of out. */
struct exo_drain {
    struct exo_kr *kr;
    void *state;
    uint32_t plain, used;
    uint32_t prefix, column, string_limit; /* enum exo_prefix; where results stand */
    uint64_t events, records, misplaced, lost;
    struct exo_drained event;
    uint8_t out[EXO_DRAIN_OUT];
};

int exo_record_init(struct exo_kr *kr);
void exo_record_close(struct exo_kr *kr);
int exo_record_call_task(struct exo_kr *kr, uint32_t slot);
int exo_drain_init(struct exo_drain *drain, struct exo_kr *kr);
void exo_drain_deinit(struct exo_drain *drain);
/* 1: an event, after what is in out. 0: nothing more at present. 2: out is full. -EPIPE: the end. */
int exo_drain_next(struct exo_drain *drain);
/* Remembers the text of the event that was handed over last: who takes its like next time need not ask. */
void exo_drain_remember(struct exo_drain *drain, const uint8_t *text, uint32_t size);
void exo_drain_forget(struct exo_drain *drain);
/* How calls of a number are written, and words for their values: those need not be handed over. */
void exo_drain_define(struct exo_drain *drain, uint32_t nr, const struct exo_template *form);
void exo_drain_teach(struct exo_drain *drain, uint32_t set, uint64_t value, const uint8_t *text,
                     uint32_t size);
/* A task is no more: its number may be another's. */
void exo_drain_ended(struct exo_drain *drain, uint32_t tid);
/* A task's call has been told while it was in progress: its end is handed over. */
void exo_drain_begun(struct exo_drain *drain, uint32_t tid, uint32_t sequence);
/* Until there may be more, or for that time. */
int exo_drain_wait(struct exo_drain *drain, uint64_t timeout_ns);
/* Whether the task is in a call that was not told yet: it is in event then. */
int exo_drain_progress(struct exo_drain *drain, uint32_t slot, uint32_t tid);
/* The task, which waits for it, goes on: its stack has been looked at. */
void exo_record_walked(struct exo_kr *kr, uint32_t slot, uint32_t tid);
uint64_t exo_host_tsc(void);

#endif
