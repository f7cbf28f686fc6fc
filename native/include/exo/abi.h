/* The kernel region's layout: what the kernel process and every guest share.
 *
 * The only place where the layout is declared: exo_um/bindings reads this very file through cffi,
 * so keep to fixed-width integers, plain structs, enums and integer #defines. Everything in the
 * region is named by offset or index, never by pointer, except robust-list nodes: the host walks
 * those in the guest's own address space, where the region is mapped at EXO_KR_BASE.
 *
 * Who writes a field stands beside it: K kernel process, T the task itself, P its parent,
 * A anybody under the lock named.
 */
#ifndef EXO_ABI_H
#define EXO_ABI_H

#include <stdint.h>

#define EXO_ABI_MAGIC 0x4d552d4f58450001 /* "EXO-UM" and the byte order */
#define EXO_ABI_VERSION 1

/* One window of the guest's address space belongs to the runtime; the guest may not map there. */
#define EXO_WINDOW_BASE 0x7e9000000000
#define EXO_WINDOW_END 0x7ea000000000
#define EXO_KR_BASE 0x7e90001a0000   /* the kernel region */
#define EXO_AREA_BASE 0x7e9400000000 /* thread areas, EXO_AREA_SIZE each */
#define EXO_AREA_SIZE 0x20000
#define EXO_AREA_COUNT 32768

/* Host fds the runtime keeps for itself; below 64 the host's fd table stays inline. */
#define EXO_FD_KERNEL_END 57 /* in a companion only: its end of the channel */
#define EXO_FD_COPIES 58     /* where patched copies of code are: a file, or the region's memfd */
#define EXO_FD_EXE 59        /* the program, what /proc/PID/exe leads to */
#define EXO_FD_KR 60         /* the kernel region's memfd */
#define EXO_FD_DOORBELL 61   /* eventfd that wakes the kernel process */
#define EXO_FD_CHANNEL 62    /* datagram socket on which the kernel hands over fds */
#define EXO_FD_LOADER 63     /* O_PATH fd of the loader, for execveat */

#define EXO_KR_HEAP_SIZE 0x10000000 /* where it goes on */
#define EXO_NEAR_HEAP_SIZE 0x40800  /* the ids of the first slots then share pages with the rest */
#define EXO_TASK_COUNT 16384   /* slots, threads included; slot 0 is pid 1, the kernel process */
#define EXO_DEPARTED_COUNT 128 /* numbers of tasks that are gone, for signals they have sent */
#define EXO_CALL_COUNT 512     /* rows that the per-call counters have room for */
#define EXO_PATH_SIZE 4096
#define EXO_FRAME_DATA_SIZE 16128
#define EXO_IMAGE_COUNT 1024
#define EXO_NEAR_COUNT                                                                             \
    192 /* of images and copies: those that share pages with what is always used */
#define EXO_IMAGE_SITE_COUNT 1024
#define EXO_FD_BASE_COUNT 256    /* entries of a new fd table */
#define EXO_FD_MAX_COUNT 1048576 /* the largest table, as Linux's fs.nr_open */
#define EXO_TABLE_CLASS_COUNT 13 /* table sizes 256 << class entries */
#define EXO_FILTER_COUNT 16384   /* seccomp filters that guests have installed */
#define EXO_FILTER_UNIT 8        /* instructions per unit of the pool */
#define EXO_FILTER_UNIT_COUNT 262144
#define EXO_PIPE_COUNT 4096    /* 0 is none; further pipes are the host's */
#define EXO_PIPE_PAGE_COUNT 16 /* pages of a pipe, as Linux's default */
#define EXO_PIPE_SIZE 65536
#define EXO_PIPE_SLOT_COUNT 256 /* the most that F_SETPIPE_SZ gives: 1 MiB, as Linux's limit */
#define EXO_FIFO_COUNT 256      /* FIFOs that guests have made; further ones are the host's */
#define EXO_LANE_COUNT 32       /* of pipes through which much flows, or that are large */
#define EXO_LANE_PAGE_COUNT 384 /* more than are in a pipe, and than a CPU's own cache holds */
#define EXO_SOCK_COUNT                                                                             \
    53248 /* sides of connections, listeners; further ones are the host's, or ENFILE */
#define EXO_SOCK_LIMITED_COUNT 8192 /* ... of an instance that is started with RLIMIT_AS */
#define EXO_SOCK_SIZE 262144        /* bytes on their way to a socket */
#define EXO_EVENT_COUNT 4096        /* eventfds; further ones are the host's */
#define EXO_EVENT_FIRST 57344       /* their numbers: this one is none */
#define EXO_EPOLL_COUNT 4096        /* sets */
#define EXO_EPOLL_FIRST 61440
#define EXO_WATCH_GROUP_SIZE 64    /* files of a set that share a word of bits */
#define EXO_WATCH_GROUP_COUNT 2048 /* of all sets; 0 is none */
#define EXO_SET_GROUP_COUNT 1024   /* of one set */
#define EXO_WATCH_LOCK_COUNT 64
#define EXO_FILTER_LENGTH_LIMIT 4096 /* instructions of one filter, as BPF_MAXINSNS */

/* A robust lock: the host marks it (FUTEX_OWNER_DIED) when its owner dies holding it, because the
 * owner's host robust list points at node while it is held. word holds the owner's host tid. */
struct exo_lock {
    uint64_t node;       /* struct robust_list of the owner, in the owner's addresses */
    uint32_t word;       /* host tid | FUTEX_WAITERS | FUTEX_OWNER_DIED */
    uint32_t generation; /* times it was taken over from a dead owner */
};

/* Rings and pools in which an owner's number can stand: they are repaired before it is given to
 * another (core/roster.c). */
#define EXO_ITEM_COUNT 64
struct exo_items {
    int64_t away[EXO_ITEM_COUNT]; /* bytes from this struct; 0 nothing. A, atomic */
};

enum exo_task_state {
    EXO_TASK_FREE = 0,
    EXO_TASK_EMBRYO = 1, /* reserved by the parent, not running yet */
    EXO_TASK_ALIVE = 2,
    EXO_TASK_ZOMBIE = 3, /* has announced its exit; its parent has not waited yet */
};

enum exo_task_flags {
    EXO_TASK_LEADER = 1,         /* a process, tid == tgid */
    EXO_TASK_LEADER_EXITED = 2,  /* the first thread has left, others go on */
    EXO_TASK_EXECED = 4,         /* has called execve: setpgid by the parent gives EACCES */
    EXO_TASK_SHARES_VM = 8,      /* vfork or CLONE_VM child, until it execs */
    EXO_TASK_AUTO_REAPS = 64,    /* SIGCHLD ignored: the host reaps its children by itself */
    EXO_TASK_SHARES_MEMORY = 32, /* has writable shared memory: see runtime/robust.c */
    EXO_TASK_IN_PROC = 128,      /* the working directory is below /proc */
    EXO_TASK_STRANGERS = 256,    /* exec: host fds may be open that nobody knows of */
    EXO_TASK_HEARS = 512,        /* ... of AUTO_REAPS: it has a handler that is told their pids */
    EXO_TASK_MDWE = 4096,        /* prctl(2), PR_MDWE_REFUSE_EXEC_GAIN */
    EXO_TASK_MDWE_ONCE = 8192,   /* ... PR_MDWE_NO_INHERIT */
    EXO_TASK_TRACES = 0x10000,   /* has traced others: wait4 looks for their news too */
    EXO_TASK_NO_CHILD_STOPS = 0x20000, /* SA_NOCLDSTOP is set for its SIGCHLD */
    EXO_TASK_CHROOTED = 0x100000,      /* its root directory is another: /proc may not be there */
    EXO_TASK_EXECUTES = 0x40000,       /* A, trace_lock: amid an exec, a call would kill it */
    EXO_TASK_PIPES =
        0x200000, /* it or those before it have made pipes: its fd table may have ends */
    EXO_TASK_RECORDED = 0x400000, /* is watched: struct exo_recording */
    EXO_TASK_ORPHANED = 0x800000, /* its parent is dead or the host's, which knows whose it is */
    EXO_TASK_VFORK_WATCHED = 0x80000, /* its maker waits for EXO_TASK_SHARES_VM to go */
};

enum exo_task_security {
    EXO_SECURITY_NO_NEW_PRIVS = 1, /* prctl(2), PR_SET_NO_NEW_PRIVS */
    EXO_SECURITY_STRICT = 2,       /* seccomp(2), SECCOMP_SET_MODE_STRICT */
};

/* One thread. 192 bytes: three cache lines. */
struct exo_task {
    struct exo_lock alive; /* held from birth to death: a free or died word means a dead task */
    uint32_t state;        /* enum exo_task_state */
    uint32_t flags;        /* enum exo_task_flags */
    uint32_t tid;          /* exo's numbers, what the guest sees */
    uint32_t tgid;
    uint32_t ppid;
    uint32_t pgid;
    uint32_t sid;
    uint32_t host_tid;
    uint32_t host_tgid;
    uint32_t parent_slot;
    uint32_t leader_slot; /* slot of the process's first thread */
    uint32_t exit_code;   /* as wait4 reports it, valid from ZOMBIE */
    uint64_t fd_table;    /* offset of its struct exo_fd_table */
    uint64_t start_ns;    /* CLOCK_MONOTONIC */
    uint64_t robust_list; /* what the guest registered, in its own addresses */
    uint32_t call_posted; /* 1 from announcing a legacy call until the kernel took it */
    uint32_t host_pgid;
    uint64_t nofile_soft; /* RLIMIT_NOFILE as the guest sees it; of a process's first thread */
    uint64_t nofile_hard;
    uint64_t ignored;    /* bit n - 1: signal n, when the program was executed */
    uint32_t held_table; /* T: offset of what is in its hand, see core/tables.c */
    uint32_t held_array; /* ... and its size class, in the low bits */
    uint16_t filter;     /* A, filter_lock: its newest seccomp filter, 0 none */
    uint8_t security;    /* A, filter_lock: enum exo_task_security */
    uint8_t reserved;
    uint32_t traced;       /* futex word: EXO_INTERCEPT_PTRACE's tracer has it; it waits */
    uint32_t tracer;       /* A, trace_lock: pid of the process that traces it, 0 none */
    uint32_t trace_waits;  /* A, trace_lock: sleeps until something that it traces has news */
    uint32_t asleep_on;    /* T: index of the pipe on whose twin it sleeps, | EXO_ASLEEP_WRITES */
    uint32_t held_objects; /* T: number of what it makes, or an end of which comes or goes; two */
    uint32_t waking;       /* T: index of the pipe to whose twin it is about to do something */
    uint32_t polls;        /* T: when it has lain down last to poll several, TSC */
    uint32_t polls_rung;   /* atomic: the last of these for which somebody has rung */
    uint32_t reserved2[7];
};
#define EXO_ASLEEP_WRITES 0x10000
#define EXO_ASLEEP_POLLS 0x20000 /* instead: it polls several, and takes nothing from twins */

/* A slot's numbers once more: dense, to be scanned. */
struct exo_ids {
    uint32_t tid; /* 0 when free */
    uint32_t host_tid;
};

enum exo_fd_flags {
    EXO_FD_OPEN = 1,         /* in use; without it and with host -2: reserved */
    EXO_FD_CLOEXEC = 2,      /* the guest's FD_CLOEXEC */
    EXO_FD_HOST_CLOEXEC = 4, /* the host's, made equal just before an exec */
    EXO_FD_DIRECTORY = 8,    /* host fd is a memfd of linux_dirent64 records; seen as a directory */
    EXO_FD_PROC = 16,        /* a directory of the host's below /proc */
    EXO_FD_SIGNALS = 32,     /* a signalfd: what is read from it holds pids */
    EXO_FD_TEXT = 64,        /* a memfd of text below /proc that exo makes: see proctext.c */
    EXO_FD_TEXT_NEW = 128,   /* ... nothing has been read of it yet */
    EXO_FD_PIPE = 256,       /* an end of exo's pipe number stamp; the host's is its twin */
    EXO_FD_PIPE_WRITES = 512, /* ... the one to write to */
    EXO_FD_SOCKET = 1024,     /* exo's socket number stamp; the host's is its twin */
    EXO_FD_EPOLL = 2048,      /* exo's epoll set number stamp; the host's is its twin */
    EXO_FD_EVENT = 4096,      /* exo's eventfd number stamp */
    EXO_FD_FILE =
        32768, /* opened by a name, to be read; stamp 1: fstat(2) has shown a regular file */
};

#define EXO_FILE_REGULAR 1 /* the stamp of an EXO_FD_FILE */
#define EXO_FD_HOST_FREE (-1)
#define EXO_FD_HOST_RESERVED (-2)

struct exo_fd {
    int32_t host;   /* host fd, EXO_FD_HOST_FREE or EXO_FD_HOST_RESERVED */
    uint16_t flags; /* enum exo_fd_flags */
    uint16_t
        stamp; /* T: with EXO_FD_TEXT_NEW, when that was; proctext.c. EXO_FD_PIPE: its index. See EXO_FD_FILE */
};

struct exo_fd_table {
    struct exo_lock lock; /* alloc, close, dup, grow; reading an entry needs none */
    uint32_t users;       /* processes that share it (CLONE_FILES) */
    uint32_t count;       /* entries of the array in use */
    uint32_t first_free;  /* no free entry below */
    uint32_t class_;      /* size class of the array */
    uint32_t used;        /* entries at and above were never taken */
    uint32_t growing;     /* the class it is about to have, else 0 */
    uint64_t entries;     /* offset of struct exo_fd[count] */
    uint64_t next_free;   /* free tables are chained, by offset */
    uint64_t outgrown[EXO_TABLE_CLASS_COUNT]; /* smaller arrays, readable until the table goes */
};

enum exo_pipe_mode {
    EXO_PIPE_FREE = 0,
    EXO_PIPE_OWN = 1,    /* what is in it is here */
    EXO_PIPE_HOST = 2,   /* what is in it is in the twin, for good */
    EXO_PIPE_LEAVES = 3, /* is going there: wait */
};

enum exo_pipe_page_flags {
    EXO_PAGE_GROWS = 1,  /* what is written next may come behind it */
    EXO_PAGE_PACKET = 2, /* O_DIRECT: one read takes all of it, or loses the rest */
    EXO_PAGE_IN_LANE = 4,
};

/* What is in one of a pipe's slots. */
struct exo_pipe_page {
    uint16_t start; /* readers: so much has been read */
    uint16_t end;   /* writers: so much has been written; readers: EXO_PAGE_CLOSED */
    uint16_t place; /* writers: which of the pipe's pages, or of all lanes' */
    uint16_t flags; /* writers: enum exo_pipe_page_flags */
};
#define EXO_PAGE_CLOSED 0xffff /* all has been read of the last page: nothing may be added to it */

/* What all things that fds lead to begin with: core/objects.c. The kinds and their numbers, which an
 * entry's stamp names, stand in exo_kinds there. */
struct exo_object {
    struct exo_lock lock; /* what follows, but for ends and next_free */
    uint64_t ends;        /* A, atomic: users of either end, changes */
    uint32_t next_free;   /* A, object_lock */
    uint32_t mode;        /* 0 free; from here on all is zero at first */
};

/* In the order of their numbers. */
enum exo_kind { EXO_KIND_PIPE, EXO_KIND_SOCK, EXO_KIND_EVENT, EXO_KIND_EPOLL, EXO_KIND_COUNT };

/* exo_object.ends: who reads (or has the one end), who writes, and how often that has changed. */
#define EXO_ENDS_BITS 22
#define EXO_ENDS_MASK ((1U << EXO_ENDS_BITS) - 1)
#define EXO_ENDS_CHANGE (1ULL << 2 * EXO_ENDS_BITS)

/* How long to look for news before sleeping, by what that has brought lately: runtime/patience.c. All is
 * written by who waits, and read as a hint. */
struct exo_patience {
    uint16_t spins; /* pauses that are worth it */
    uint8_t yields;
    uint8_t failures; /* long tries that have brought nothing, one after the other */
    uint16_t looks;
    uint16_t hope;   /* the last sleep was a short one */
    uint32_t failed; /* when the last of them did, TSC >> 10 */
};

/* A reader that naps before it sleeps: runtime/nap.c. */
struct exo_nap {
    uint32_t napper; /* slot of who does, 0 nobody; the object's lock */
    uint32_t spared; /* writers, about: writes that have come in this nap */
};

/* When it does; the reader's. */
struct exo_nap_habit {
    uint8_t hope;     /* waits that were short, and ended by little, one after the other */
    uint8_t failures; /* naps that were not worth it, one after the other */
    uint16_t failed;  /* when the last of them was, TSC >> 18 */
};

/* A pipe whose contents are in the region, page by page as pipe(7)'s capacity has it. Its twin, the
 * host's pipe behind both ends' fds, has a page and no content: who has nothing to read sleeps in
 * reading it, and is woken by a byte; who has no room to write sleeps in filling it, and is woken by
 * its being emptied. So the host wakes all when the last one at the other end is killed. */
struct exo_pipe {
    struct exo_lock lock; /* as struct exo_object */
    uint64_t ends;
    uint32_t next_free;
    uint32_t mode;        /* enum exo_pipe_mode */
    uint32_t sleeping[2]; /* readers, writers that sleep or are about to; or were killed asleep */
    uint32_t watch[2];    /* A, its watch lock: first of who watches the read end, the write end */
    uint32_t woken[2]; /* when somebody of them was last woken, TSC >> 10; 0: none is on the way */
    uint32_t filled;   /* a writer that slept may have filled the twin */
    uint32_t leaver;   /* slot of who brings it to the host */
    uint32_t nonblock; /* bit 0 the read end's O_NONBLOCK, bit 1 the write end's; bit 2 O_DIRECT.
                          Of a FIFO the host knows; bit 3 there is reason to ask, bit 4 its twin is small */
    uint32_t slots;    /* input: how many may be full, 0: EXO_PIPE_PAGE_COUNT */
    uint32_t lane;     /* A, object_lock: which lane is its own, 0: none */
    uint32_t used[2];  /* slot of who last read, last wrote */
    uint32_t fifo;     /* that of kr->fifos, plus one; 0: it has no name */
    uint32_t reserved[10];
    struct exo_lock input; /* writers: head, and what they write of pages */
    uint32_t turn;         /* input: pages that have gone through the lane, or might have */
    uint32_t stamp;        /* input: whose turns they are, in words of lanes; 0 none yet */
    uint32_t generation;   /* input: which pipe this is, in the words of pages lent to it */
    uint32_t lends;        /* input: pages of its lane have been found lent */
    struct exo_nap nap;    /* of readers */
    uint32_t reserved2[6];
    uint32_t head; /* input: the next slot to be filled. A line to itself, others look at it */
    uint32_t reserved3[15];
    struct exo_lock output; /* readers: tail, and what they write of pages */
    uint32_t taker;         /* output: slot of who splices what is in it, 0: nobody */
    struct exo_patience patience[2];
    struct exo_nap_habit habit;
    uint32_t reserved4[4];
    uint32_t tail; /* output: the next slot to be read. A line to itself, too */
    uint32_t reserved5[15];
};

/* A FIFO that a guest has made: core/fifo.c. */
struct exo_fifo {
    uint64_t key[3]; /* A, fifo_lock: inode, device, when it was made in ns; all 0: none */
    uint32_t name;   /* A, atomic: hash of the name by which it was made, or opened last */
    uint32_t pipe;   /* A, fifo_lock: number of the pipe with what is in it; 0 or another's: none */
    uint32_t at_host; /* A, atomic: it has become the host's, for good */
    uint32_t reserved;
};

/* An epoll set's watching of one object. Its number: group * 64 + which of it. */
struct exo_watch {
    uint64_t data;   /* A, the set's lock: what the guest wants told */
    uint32_t events; /* A, the set's lock: what it asks for; 0 nothing now, EPOLLONESHOT */
    uint32_t object; /* A, the object's watch lock: as exo_object_of() has it; 0 is none, or gone */
    uint32_t next;   /* A, the object's watch lock: who else watches it */
    uint16_t gone;   /* A, the set's lock: HUP, ERR and RDHUP as the twin has told */
    uint16_t generation; /* A, the set's lock: changes when it is taken */
    int32_t fd;          /* the number by which it was added */
    int32_t host;        /* ... and the host's there */
};

struct exo_watch_group {
    uint64_t used;      /* A, atomic: bit per watch, set under the set's lock */
    uint64_t ready;     /* A, atomic: has changed, or may have; to be looked at */
    uint32_t set;       /* A, group_lock: number of its set, 0 none */
    uint32_t place;     /* which of the set's groups */
    uint32_t next_free; /* A, group_lock */
    uint32_t reserved;
    uint64_t timers;   /* A, atomic: timers, and sets that have some; core/deadline.c */
    uint64_t stale;    /* A, atomic: ... of which the twin may not know when they expire */
    uint64_t deadline; /* A, atomic: of them; 0 there were none */
    uint64_t reserved2;
    struct exo_watch watches[EXO_WATCH_GROUP_SIZE];
    uint32_t came[EXO_WATCH_GROUP_SIZE]; /* A: which of the set's arrivals made it ready */
};

enum exo_set_mode {
    EXO_SET_OWN = 1,
    EXO_SET_HOST = 2, /* all that is in it is in the twin, as the guest wants it */
};

/* What the twin has told once, of a file of the host's, to who only asked whether there is anything. */
#define EXO_KEPT_COUNT 16
struct exo_kept {
    uint64_t data;
    uint32_t events;
    uint32_t reserved;
};

/* An epoll set. Its twin is the host's epoll behind its fds: files of the host's are in it as the guest
 * wants them, twins of exo's objects edge-triggered, to sleep by. */
struct exo_epoll {
    struct exo_lock lock; /* as struct exo_object */
    uint64_t ends;
    uint32_t next_free;
    uint32_t mode;        /* enum exo_set_mode */
    uint32_t sleepers;    /* A, atomic: sleep, and nobody has been sent to wake them */
    uint32_t watch;       /* A, its watch lock: first of who watches it: sets that it is in */
    uint32_t inside;      /* A, its lock: wait for the twin, or were killed there */
    uint32_t hosts;       /* A, atomic: files of the host's that were added, less those removed */
    uint32_t group_count; /* A, its lock */
    uint32_t arrivals;    /* A, atomic: how often a watch has become ready */
    uint32_t asked;       /* when the twin was last asked, TSC >> 10 */
    struct exo_patience patience;
    uint64_t deadline; /* A, atomic: when one of its timers expires; core/deadline.c */
    uint32_t stale;    /* A, atomic: a group's stale has bits */
    uint32_t
        repaired;    /* A, its lock: the lock's generation when its bits were last looked through */
    uint32_t turn;   /* A, its lock: odd while somebody who looks has bits in its hand */
    uint32_t nested; /* A: other sets were added */
    uint32_t once;   /* A: files of the host's were, of which the twin tells only once */
    uint32_t
        host_ready; /* A: what the twin has last told who asked: files of the host's are ready */
    uint32_t kept_count; /* A, its lock: of kept */
    struct exo_kept kept[EXO_KEPT_COUNT];
    uint64_t ready[EXO_SET_GROUP_COUNT / 64]; /* A, atomic: groups with something ready */
    uint16_t groups[EXO_SET_GROUP_COUNT];     /* A, its lock */
};

/* An eventfd: read and written here; its twin is the host's eventfd, for who sleeps. Or a timerfd: whether it has
 * expired the clock says; its twin, the host's timerfd, has been told of it if somebody was to sleep. */
struct exo_event {
    struct exo_lock lock; /* as struct exo_object */
    uint64_t ends;
    uint32_t next_free;
    uint32_t mode;      /* enum exo_pipe_mode */
    uint64_t count;     /* of a timer: expirations that are unread, but those since expiry_ns */
    uint32_t semaphore; /* EFD_SEMAPHORE */
    uint32_t sleeping;  /* readers that sleep or are about to, or were killed asleep */
    uint32_t nonblock;
    uint32_t watch; /* A, its watch lock: first of who watches it */
    struct exo_patience patience;
    uint32_t clock;       /* timerfd_create(2)'s + 1; 0: an eventfd */
    uint64_t expiry_ns;   /* A, its lock: CLOCK_MONOTONIC; 0 it does not run */
    uint64_t interval_ns; /* A, its lock */
    uint64_t told_ns;     /* A: who watches has been told that it expired then */
    uint32_t armed;       /* A, its lock: the twin knows */
    uint32_t reserved;
};

/* For lists of who watches an object; one per many objects. */
struct exo_watch_lock {
    struct exo_lock lock;
    uint32_t changes; /* odd while a list is being changed: who walks one without the lock looks */
    uint32_t reserved[11];
};

/* A legacy call, from the guest's runtime to the kernel process and back. One per task slot. */
enum exo_frame_state {
    EXO_FRAME_IDLE = 0,
    EXO_FRAME_POSTED = 1,   /* guest -> kernel */
    EXO_FRAME_REPLY = 2,    /* kernel -> guest: result and outs are there */
    EXO_FRAME_HOSTCALL = 3, /* kernel -> guest: make host_nr(host_args) and post host_result */
    EXO_FRAME_HOSTDONE = 4, /* guest -> kernel: the answer to HOSTCALL */
};

enum exo_reply_flags {
    EXO_REPLY_FD = 1,        /* result is a new fd: take it from the channel and install it */
    EXO_REPLY_CLOEXEC = 2,   /* ... with FD_CLOEXEC */
    EXO_REPLY_DIRECTORY = 4, /* ... it holds linux_dirent64 records */
    EXO_REPLY_PASS = 8,      /* not mine after all: make the call on the host yourself */
    EXO_REPLY_PATH = 16,     /* ... with the path in data instead of the guest's */
    EXO_REPLY_TEXT = 32,     /* of an fd: text below /proc, to be made anew when read again */
};

/* Bits of exo_kr.kernel_sleeping. */
enum exo_kernel_sleep {
    EXO_KERNEL_SLEEPING = 1,        /* ring the doorbell after posting a call */
    EXO_KERNEL_AWAITS_HANDOVER = 2, /* ... and after taking a handed-over fd */
};

/* Handing over an fd. The kernel sends one datagram on the channel, SCM_RIGHTS with one fd and the
 * payload {uint32_t slot, uint32_t sequence}, then publishes the reply with EXO_REPLY_FD. It never
 * begins the next hand-over while that frame is in REPLY and its task alive, and drains the channel
 * after that: a receiver's first message is its own, no lock is needed, and a message with
 * another slot or sequence is discarded (a killed receiver's). The guest receives (MSG_DONTWAIT,
 * MSG_CMSG_CLOEXEC), stores state = IDLE, then calls_posted = 1, and after a full fence rings the
 * doorbell if kernel_sleeping has EXO_KERNEL_AWAITS_HANDOVER.
 */

struct exo_frame {
    uint32_t state; /* futex word, enum exo_frame_state; sleeping guests set EXO_FRAME_WAITING */
    uint32_t nr;
    uint32_t flags;    /* enum exo_reply_flags, K */
    uint32_t sequence; /* T, counts calls; a handed-over fd carries it */
    int64_t args[6];
    int64_t result;
    int64_t host_nr;
    int64_t host_args[6]; /* a value below EXO_FRAME_DATA_SIZE marked in host_data is an offset */
    int64_t host_result;
    uint32_t host_data;     /* bit i: host_args[i] is an offset into data */
    uint32_t data_size;     /* bytes of data in use */
    uint32_t arg_offset[6]; /* where a staged argument stands in data */
    uint32_t arg_size[6];   /* its bytes; for an out argument the room there is */
    uint32_t out_size[6];   /* K: bytes to copy back to the guest for argument i */
    uint8_t data[EXO_FRAME_DATA_SIZE];
};
#define EXO_FRAME_WAITING 0x80000000 /* or'ed into state while the other side sleeps on it */

/* One instruction of classic BPF, as struct sock_filter. */
struct exo_bpf {
    uint16_t code;
    uint8_t if_true, if_false; /* instructions to skip */
    uint32_t value;
};

/* A seccomp filter of a guest's. It lives as long as a task slot names it, itself or through newer
 * filters; nobody counts, whoever adds a filter looks (core/filter.c). All under filter_lock, but
 * reading what one's own task names. */
struct exo_filter {
    uint32_t older;   /* the filter installed before it, 0 none */
    uint32_t first;   /* its first unit of the pool */
    uint32_t count;   /* instructions */
    uint32_t depth;   /* filters from here to the oldest */
    uint32_t weight;  /* instructions of all these as Linux counts them */
    uint32_t is_used; /* found so at the last look */
    uint32_t reserved[2];
    uint64_t allowed[EXO_CALL_COUNT / 64]; /* calls that all of these allow, whatever arguments */
};

/* An executable file with sites that trapped and were found good to patch. */
struct exo_image {
    uint64_t device;
    uint64_t inode;
    int64_t mtime_ns;
    uint64_t size;
    uint32_t site_count; /* of image_sites[], published with release after the site is written */
    uint32_t mapped;     /* A, atomic: times its code was mapped */
    uint32_t copy;       /* its newest patched copy: index in copies + 1, published with release */
    uint32_t builder;    /* A, atomic: host tid of who makes the next copy, 0 nobody */
    uint32_t index;      /* in image_sites */
    uint32_t reserved[3];
};

struct exo_image_sites {
    uint32_t offsets[EXO_IMAGE_SITE_COUNT]; /* in the file, of the syscall instruction */
};

/* A patched copy of an image's code, in the region's memfd behind everything that is mapped by all:
 * EXO_COPY_EXTRA_SIZE bytes of stubs and struct exo_copy_site[site_count] by ascending offset; then
 * the code. Never changed once published. Code is mapped where the original would
 * be, the extra pages always at the same distance from it, as the jumps lead there. */
struct exo_copy {
    uint64_t at;          /* in the memfd */
    uint64_t text_offset; /* in the file */
    uint64_t text_size;
    int64_t away;        /* bytes from the code's start to the extra pages' */
    uint32_t site_count; /* patched in it */
    uint32_t seen;       /* sites of the image that were looked at */
    uint32_t image;      /* index */
    uint32_t reserved[5];
};
#define EXO_COPY_COUNT 1024
#define EXO_COPY_STUB_SIZE 0x10000
#define EXO_COPY_EXTRA_SIZE 0x14000
#define EXO_COPY_TEXT_LIMIT 0x800000 /* larger code is patched in each process by itself */
#define EXO_COPIES_SIZE 0x20000000   /* bytes of the memfd for copies */

struct exo_copy_site {
    uint32_t offset; /* of the syscall instruction, from the code's start */
    uint16_t slot;   /* its stub is slot * 64 bytes into the extra pages */
    uint8_t kind, moved, first, tail;
    uint8_t original[5]; /* what the jump replaced */
    uint8_t reserved;
};

enum exo_trace_state {
    EXO_TRACE_RUNNING = 0,
    EXO_TRACE_STOPPED = 1,   /* the tracer has the record */
    EXO_TRACE_LISTENING = 2, /* group-stopped after PTRACE_LISTEN: to the tracer it runs */
    EXO_TRACE_EXITED = 3,    /* has ended, and waits for its tracer to know */
    EXO_TRACE_REAPED = 4,
};

enum exo_trace_flags {
    EXO_TRACE_SEIZED = 1,
    EXO_TRACE_GROUP_STOP = 2, /* the stop is a group-stop: it has no siginfo */
    EXO_TRACE_EXEC = 4,       /* has executed a program and not yet told */
};

/* What a traced task is to do as soon as it can. */
enum exo_trace_work {
    EXO_WORK_ATTACH = 1,
    EXO_WORK_SIGSTOP = 2, /* sent by stop_info */
    EXO_WORK_INTERRUPT = 4,
    EXO_WORK_GROUP_STOP = 8, /* by group_signal */
    EXO_WORK_CONTINUED = 16,
    EXO_WORK_RECORD = 64, /* is to be watched from now on, or no more */
    EXO_WORK_EXIT = 32,   /* the whole process ends, as its first thread's group_exit says */
};

enum exo_trace_changes {
    EXO_CHANGED_REGS = 1,
    EXO_CHANGED_VECTORS = 2,
    EXO_CHANGED_MASK = 4,
    EXO_CHANGED_DEBUG = 8,
};

#define EXO_XSTATE_SIZE 12352 /* room for AMX, and to align by 64 */

/* Of a task that is traced: ptrace(2). Same index as the slot. In a stop the task waits, and its
 * tracer reads and writes registers, siginfo and signal mask here. */
struct exo_trace {
    uint32_t state;       /* futex word, enum exo_trace_state */
    uint32_t flags;       /* enum exo_trace_flags */
    uint32_t options;     /* PTRACE_O_* */
    uint32_t work;        /* atomic, enum exo_trace_work */
    uint32_t tracer_slot; /* of the tracer's first thread */
    uint32_t status;      /* of the stop or the end, as wait4 reports it */
    uint32_t unreported;  /* A, trace_lock: the tracer has not waited for it yet */
    uint32_t resume;      /* the PTRACE_ request that ended the last stop */
    uint32_t signal;      /* ... and the signal to go on with */
    uint32_t changed;     /* enum exo_trace_changes */
    uint32_t call_stop;   /* PTRACE_SYSCALL_INFO_* */
    uint32_t xstate_size;
    uint32_t group_signal;
    uint32_t group_exit; /* wait status with which the process ends | EXO_GROUP_EXITS */
    uint32_t vforks;     /* futex word: 1 while its maker waits as vfork(2) has it */
    uint32_t reserved;
    uint64_t message; /* PTRACE_GETEVENTMSG */
    uint64_t mask;
    uint64_t debug[8];
    uint64_t info[16]; /* siginfo_t of the stop */
    uint64_t stop_info[16];
    uint64_t regs[27]; /* struct user_regs_struct */
    uint8_t xstate[EXO_XSTATE_SIZE];
};
#define EXO_GROUP_EXITS 0x80000000

/* How one runtime, or the kernel process, calls another: a SIGBUS, which is never blocked, with these
 * si_codes; what it means stands here in the region. Not SIGSYS: of two for one thread the host drops
 * one, and a call that traps would be lost. A fault comes again. */
#define EXO_CALLING 7
#define EXO_SI_TRACE (-4712)   /* look into your trace record */
#define EXO_SI_FORWARD (-4714) /* a signal of the process waits: ownqueue.c */
#define EXO_SI_WAKE (-4713)    /* something you trace has stopped or ended: wait again */

/* What is told about tasks that `exo-um trace` watches: runtime/record.c. Events go, in records of 56
 * bytes, through a set of rings (ringset.h) to the one who watches; one that is longer takes several. */
#define EXO_RECORD_ORDER 13 /* records of one ring */
#define EXO_RECORD_RING_COUNT 16
#define EXO_RECORD_RINGS_SIZE (EXO_RECORD_RING_COUNT * (64 * 8192 + 512) + 512)
#define EXO_RECORD_DATA 48
#define EXO_RECORD_MORE 0x80000000 /* of a record's sequence: the event goes on in the next one */
#define EXO_STAGE_DATA 4040
#define EXO_TAMPER_COUNT 8
#define EXO_TALLY_SETS 64 /* the last one is for all tasks that got none for themselves */
#define EXO_DEPTH_COUNT 4096

struct exo_told {
    uint32_t tid;      /* of the task that has written it */
    uint32_t sequence; /* counts the task's records, | EXO_RECORD_MORE */
    uint8_t data[EXO_RECORD_DATA];
};

/* The ring's type of an event's records. */
enum exo_record_kind {
    EXO_RECORD_CALL = 1,   /* struct exo_called, arguments, pieces of memory */
    EXO_RECORD_SIGNAL = 2, /* TSC, siginfo_t */
    EXO_RECORD_ENDED = 3,  /* TSC, wait status, whether it is the process's */
    EXO_RECORD_BORN = 4,   /* TSC, pid of the process, its parent's */
    EXO_RECORD_STACK =
        5, /* TSC, rip, rsp, rbp, rbx, r12 to r15; the task waits: exo_stage.walked */
    EXO_RECORD_IMAGE = 6, /* struct exo_imaged, two paths: of the program and of its interpreter */
    EXO_RECORD_MEMORY =
        7, /* TSC, pieces of memory of the task's next EXO_RECORD_CALL, which has no room for them */
};

enum exo_called_flags {
    EXO_CALLED_ENDLESS = 1,  /* does not return */
    EXO_CALLED_LONG = 2,     /* spent is in units of 2^20 cycles */
    EXO_CALLED_INJECTED = 4, /* was not made, or a signal came with it */
    EXO_CALLED_DELAYED = 8,
    EXO_CALLED_HOST = 16,   /* with EXO_RECORDING_ORIGINS: it made calls of the host */
    EXO_CALLED_LEGACY = 32, /* ... the kernel process served it */
    EXO_CALLED_ORIGIN = 64, /* struct exo_origin and stack follow the arguments */
    EXO_CALLED_CUT = 128,   /* by a signal, for good: it had a timeout of its socket */
};

/* Its arguments follow, argc of 8 bytes each; then pieces of memory: an address of 48 bits, above it
 * the size in bytes (15 bits) and whether it was read after the call (1 bit); the bytes, at a multiple
 * of 8. A zero instead of an address ends them. */
struct exo_called {
    uint16_t nr;
    uint8_t argc;
    uint8_t flags;  /* enum exo_called_flags */
    uint32_t spent; /* TSC cycles */
    uint64_t began; /* TSC */
    int64_t result;
};

/* What a fd leads to, as a piece of memory at EXO_PIECE_FD | (uint32_t)fd. The link, as /proc shows the
 * host's, follows without a NUL. */
#define EXO_PIECE_FD 0xffff00000000
struct exo_fd_told {
    uint32_t mode; /* as stat(2) has it; 0 unknown */
    uint32_t device_major, device_minor;
    uint32_t family, type, protocol; /* from here on of sockets */
    uint64_t generation, peer;       /* of exo's: which, and with which it is connected; 0 none */
    uint16_t local_size, remote_size;
    uint8_t local[112], remote[112]; /* struct sockaddr */
};

/* Where a call was made, and by whom: then come size bytes of stack from rsp on, a multiple of 8. */
struct exo_origin {
    uint64_t rip; /* behind the instruction, as if it had no patch */
    uint64_t rsp, rbp;
    uint64_t size;
};

/* A program that was executed. Two strings follow, each with its NUL; the latter may be empty. */
struct exo_imaged {
    uint64_t tsc;
    uint64_t bias, interp_bias; /* to be added to the file's addresses */
};

/* Where a watched task puts an event together: same index as the slot. */
struct exo_stage {
    uint32_t call;     /* T: of the call in progress, the sequence number it will have; 0 none */
    uint32_t sequence; /* T */
    uint32_t size;     /* T: bytes of data */
    uint16_t unborn;   /* T: its birth is still to be told */
    uint16_t tally;    /* T: 1 + number of the set in which its calls are counted, 0 none yet */
    uint32_t counts[EXO_TAMPER_COUNT]; /* T: calls that were meant, by tampering */
    uint32_t walked;                   /* futex word: who watches has seen the stack */
    uint32_t pieces; /* T: where they begin in data; those told before are no more in it */
    uint8_t data[EXO_STAGE_DATA];
};

enum exo_tamper_flags { EXO_TAMPER_RESULT = 1 };

/* What is done to calls: strace(1), -e inject. K */
struct exo_tamper {
    uint64_t calls[EXO_CALL_COUNT / 64];
    int64_t result;
    uint32_t flags;
    uint32_t signal;
    uint64_t delay_enter_ns, delay_exit_ns;
    uint32_t first, last, step; /* of a task's calls, counted from 1; last 0: no end */
    uint32_t reserved;
};

struct exo_tally {
    uint64_t calls, errors, cycles; /* T of the set's owner; A, atomic, in the shared set */
    uint64_t reserved;
};

enum exo_recording_flags {
    EXO_RECORDING_EVENTS = 1,
    EXO_RECORDING_TALLIES = 2, /* calls are counted here */
    EXO_RECORDING_FOLLOWS = 4, /* tasks that watched ones make are watched, too */
    EXO_RECORDING_STACKS = 8,  /* before each call EXO_RECORD_STACK */
    EXO_RECORDING_ORIGINS =
        16,                 /* calls come with struct exo_origin, programs with struct exo_imaged */
    EXO_RECORDING_FDS = 32, /* ... with struct exo_fd_told of each fd */
    EXO_RECORDING_WHOLE = 64, /* lists are told to their ends */
};
#define EXO_RECORDING_ALL 127

struct exo_recording {
    uint32_t on; /* K */
    uint32_t flags;
    uint32_t string_limit;
    uint32_t tamper_count;
    uint32_t stack_limit; /* bytes of struct exo_origin's stack */
    uint32_t reserved;
    uint64_t calls[EXO_CALL_COUNT / 64]; /* K: bit set: is told about */
    struct exo_tamper tampers[EXO_TAMPER_COUNT];
    uint64_t
        tally_owners[EXO_TALLY_SETS];   /* A, atomic: tid << 32 | slot, which may be dead; 0 none */
    uint8_t tally_seen[EXO_TALLY_SETS]; /* A: something has been counted there */
    struct exo_tally tallies[EXO_TALLY_SETS][EXO_CALL_COUNT];
    uint64_t depths[EXO_DEPTH_COUNT];     /* whoever watches: origin.h */
    uint8_t rings[EXO_RECORD_RINGS_SIZE]; /* from a multiple of 128 on */
};

/* Counters kept while stats is set (or always, where they cost nothing). */
struct exo_stats {
    uint64_t sites_patched;    /* sites patched after a trap */
    uint64_t sites_remembered; /* sites patched in a batch, or found patched in a copy */
    uint64_t sites_trapping;   /* sites found that no pattern fits */
    uint64_t processes;
    uint64_t threads;
    uint64_t execs;
    uint64_t signals;
    uint64_t handed_pages;    /* put from one pipe into another without a copy */
    uint64_t handed_differed; /* ... not, as the guest had changed them */
    uint64_t handed_late;     /* ... not, as the pipe had used them again */
    uint64_t naps;            /* readers that let some writes come */
    uint64_t bells_spared;    /* writes that came then */
    uint64_t bells_owed;      /* ... of those, for which the reader was woken before its time */
    uint64_t boot_ns[8];      /* CLOCK_MONOTONIC at enum exo_boot_phase, first guest only */
};

/* Kept while stats are asked for, by call number. */
struct exo_call_counts {
    uint64_t calls[EXO_CALL_COUNT];        /* served */
    uint64_t host_calls[EXO_CALL_COUNT];   /* host calls made for them */
    uint64_t legacy_calls[EXO_CALL_COUNT]; /* of calls: handed to the kernel process */
    uint64_t trapped[EXO_CALL_COUNT];      /* of calls: arrived through SIGSYS */
};

enum exo_boot_phase {
    EXO_BOOT_SPAWN = 0,  /* kernel process is about to start the first guest */
    EXO_BOOT_LOADER = 1, /* loader's first instruction */
    EXO_BOOT_REGION = 2, /* region mapped, thread area set */
    EXO_BOOT_LOADED = 3, /* ELF and interpreter mapped */
    EXO_BOOT_ENTRY = 4,  /* about to jump to the guest's entry point */
};

enum exo_intercept {
    EXO_INTERCEPT_DISPATCH = 0, /* Syscall User Dispatch */
    EXO_INTERCEPT_SECCOMP = 1,  /* seccomp by instruction pointer */
    EXO_INTERCEPT_PTRACE = 2,   /* by another process: PTRACE_SYSEMU */
};

enum exo_kr_flags {
    EXO_KR_STATS = 1,
    EXO_KR_NO_PATCH = 2, /* leave every site trapping */
    EXO_KR_NET_HOST = 4, /* INET sockets are the host's */
    EXO_KR_COPIES = 8,   /* pages are never handed from one pipe to another */
    EXO_KR_BELLS = 16,   /* who sleeps is woken by each write */
};

enum exo_sock_mode {
    EXO_SOCK_FREE,
    EXO_SOCK_FRESH,     /* bound or not */
    EXO_SOCK_LISTENS,   /* its twin does */
    EXO_SOCK_EMBRYO,    /* connected, and not yet accepted: nobody has it */
    EXO_SOCK_CONNECTED, /* or was, once */
    EXO_SOCK_HOST,      /* the twin is all there is, from now on: entries forget the socket */
};

#define EXO_SOCK_DGRAM 2 /* exo_sock.type, as socket(2) has it */
#define EXO_SOCK_SEQPACKET 5

enum exo_sock_shut {
    EXO_SHUT_READS = 1, /* shutdown(2) here */
    EXO_SHUT_WRITES = 2,
    EXO_SHUT_END = 4,      /* nothing comes any more from the other side */
    EXO_SHUT_DEAF = 8,     /* nothing is read there any more */
    EXO_SHUT_GONE = 16,    /* closed there, or killed */
    EXO_SHUT_QUEUED = 32,  /* an embryo that the host's queue has */
    EXO_SHUT_TOLD = 64,    /* of a connect(2) that did not wait: its end has been told */
    EXO_SHUT_FIN = 256,    /* the end came before any reset */
    EXO_SHUT_WROTE = 128,  /* to TCP whose other side is gone: that answers with a reset, then */
    EXO_SHUT_SYN = 512,    /* connecting: the listener's backlog may be full, see ticket */
    EXO_SHUT_FIRST = 1024, /* ended here before it was ended there: TIME_WAIT is here, then */
    EXO_SHUT_NEVER = 2048, /* an embryo whose other side gave up before there was room for it */
};

/* Urgent data, of which there is one byte at most: see core/sockurgent.c. */
enum exo_urgent { EXO_URGENT_NONE, EXO_URGENT_THERE, EXO_URGENT_READ };

/* Whoever closes a TCP connection first leaves its port so: in TIME_WAIT, one for all of a port. */
struct exo_time_wait {
    uint32_t until_s; /* CLOCK_MONOTONIC, 0 nothing */
    uint32_t shares;  /* bit 0: all of them had SO_REUSEADDR, 1: SO_REUSEPORT */
    uint8_t family;   /* of local; 0: several addresses */
    uint8_t address[16];
    uint8_t reserved[7];
};

/* A socket or set that is on its way in a message: its number, and that of the socket it has been sent to. */
struct exo_flight {
    uint32_t sock, carrier;
};
#define EXO_FLIGHT_COUNT 4096

/* As in struct sockaddr_in and sockaddr_in6, in network order; AF_UNIX datagrams have their name's key as
 * the address. */
struct exo_sock_name {
    uint16_t family, port;
    uint32_t scope;
    uint8_t address[16];
};

/* An AF_UNIX name that a guest has bound: device and inode, or a hash of an abstract name. */
struct exo_unix_name {
    uint64_t key[2];
    uint64_t cookie;   /* SO_COOKIE of the host's socket */
    uint32_t listener; /* host pid of who has called listen(2), 0: nobody yet */
    uint32_t reserved;
};

#define EXO_UNIX_NAME_COUNT 256
#define EXO_UNIX_NAME_MAX 112 /* struct sockaddr_un, and a whole number of words */
#define EXO_SOCK_MARK_COUNT 16

/* With the byte at `at`, and up to size more, comes control data: the twin has it, with a byte. */
struct exo_sock_mark {
    uint32_t at, size;
};

/* A stream socket, or one side of a connection: what is on its way to it, in a ring, and its state. Its
 * twin, the host's AF_UNIX socket behind the fds, has no content, but bytes that ring: who waits here
 * sleeps until there is one, and is woken by its peer's writing one there. So the host wakes all when
 * the last one at the other side is killed. Bytes are counted from the first on, modulo 2^32. */
struct exo_sock {
    struct exo_lock lock; /* as struct exo_object; sleeping, rung */
    uint64_t ends;
    uint32_t next_free;
    uint32_t mode;         /* enum exo_sock_mode */
    uint32_t peer;         /* A, net_lock: number of the other side, 0 none */
    uint32_t shut;         /* A, atomic: enum exo_sock_shut */
    uint32_t sleeping[2];  /* for something to read, for room to write; or were killed asleep */
    uint32_t rung;         /* when last, TSC >> 10; 0: what rang has been taken */
    uint32_t watch;        /* who watches it: core/watch.h */
    uint32_t nonblock;     /* O_NONBLOCK */
    uint32_t used;         /* slot of who was at work here last */
    struct exo_lock input; /* head, start: the other side's writers */
    uint32_t head;         /* bytes that have come */
    uint32_t start;        /* ... before which all have been read: the ring began anew */
    uint32_t signals;      /* O_ASYNC: the host is to see each arrival */
    uint32_t no_room; /* A, atomic: who wrote here, or looked, found no room at the other side */
    uint32_t bells;   /* A, about: bytes in the twin that rang for who watches */
    uint32_t type;    /* 0: a stream, EXO_SOCK_DGRAM, EXO_SOCK_SEQPACKET: whole messages */
    uint32_t limit;   /* of those, bytes on their way: the sender's SO_SNDBUF, UDP: our SO_RCVBUF */
    uint32_t window; /* of streams: the same, by SO_RCVBUF and the other side's SO_SNDBUF; 0: all */
    uint32_t low_water; /* SO_RCVLOWAT - 1 */
    struct exo_nap nap;
    struct exo_nap_habit habit; /* seldom written to */
    struct exo_lock output;     /* tail: readers */
    uint32_t tail;              /* bytes that have been read */
    uint32_t error;             /* A, atomic: SO_ERROR */
    uint64_t generation;        /* no two sockets have the same */
    uint64_t timeout_ns[2];     /* SO_RCVTIMEO, SO_SNDTIMEO; 0 none */
    uint16_t family, protocol;
    uint32_t urgent; /* A, output: enum exo_urgent; set under input */
    struct exo_patience patience[2];
    struct exo_sock_name local, remote;
    uint32_t next_bound; /* A, net_lock: of the same port */
    uint32_t bound;      /* A, net_lock: the port whose chain it is in, 0 none */
    uint32_t backlog;
    uint32_t announced; /* A, atomic: of a listener, connections that ever came to it, or tried */
    uint32_t accepted;  /* A, atomic: ... and those that wait no more; who connects sleeps on it */
    uint32_t ticket;    /* which of the listener's: beyond its backlog it is not connected yet */
    uint32_t listener_of; /* ... whose number this is */
    uint32_t linger;      /* SO_LINGER: seconds + 1, 0 off */
    uint32_t owner;       /* F_SETOWN has been called: urgent data is to ring as such */
    uint32_t listener;    /* an embryo's; AF_UNIX: host pid of who listens */
    uint32_t urgent_at;   /* which of the bytes that come it is */
    uint32_t options[43]; /* runtime/sockopt.c: what setsockopt(2) has set, by row */
    uint64_t cookie;      /* the twin's SO_COOKIE, once it has been sent somewhere */
    uint32_t sending; /* input: slot of who puts control data into our twin just now, 0 nobody */
    uint32_t passes_cred; /* SO_PASSCRED */
    uint32_t cred_from;   /* ... which has been set when so many bytes had come */
    uint32_t mark_head;   /* input: marks that were ever set */
    uint32_t mark_tail;   /* output: ... and reached */
    struct exo_sock_mark marks[EXO_SOCK_MARK_COUNT];
    uint16_t deaf;      /* A: who slept on the twin was woken by ending it: it hears nothing more */
    uint16_t litter;    /* who slept was woken by a byte in the twin, which may be there still */
    uint16_t poller[2]; /* slot of the only one of those who sleep, if it polls; else 0 */
    uint32_t udp;       /* A, atomic: enum exo_udp_flags */
    /* AF_UNIX datagrams: a peer is one only while its generation is this, and need not know of it. */
    uint64_t peer_generation; /* A, net_lock */
    uint32_t crowd;           /* who waits for room here has filled the twin */
    uint32_t name_size;       /* A, net_lock: of name, 0 none */
    uint8_t name[EXO_UNIX_NAME_MAX];
};

enum exo_udp_flags {
    EXO_UDP_PORT = 1,     /* bind(2) has named a port, */
    EXO_UDP_ADDRESS = 2,  /* ... an address */
    EXO_UDP_PKTINFO = 4,  /* IP_PKTINFO */
    EXO_UDP_PKTINFO6 = 8, /* IPV6_RECVPKTINFO */
    /* Of AF_UNIX datagrams: */
    EXO_UNIX_NAMED = 16,   /* bound: processes of the host may send to the twin */
    EXO_UNIX_MIXED = 32,   /* what is sent to it goes to the twin, from now on: behind the ring's */
    EXO_UNIX_FOREIGN = 64, /* there is such a message in the twin */
    EXO_UNIX_AWAY = 128,   /* connected to somebody at the host */
};

/* Before each message in a ring; at a multiple of 64. */
struct exo_record {
    uint32_t size;      /* bytes of the message, which follows */
    uint16_t has_cred;  /* cred is who has sent it, for SO_PASSCRED */
    uint16_t name_size; /* AF_UNIX: the sender's name, behind the message */
    union {
        struct exo_sock_name from; /* UDP */
        uint32_t cred[3];
    };
    union {
        uint8_t to[16]; /* UDP: the address it was sent to, as the receiver's family has it */
        struct {
            uint64_t sent_by; /* AF_UNIX: the sender's generation */
            uint32_t sender;  /* ... and number */
        };
    };
};

/* Whether there is a kernel process. On the platform preload a program makes the region itself, and the
 * first of its processes that needs a kernel process starts it (runtime/companion.c). */
enum exo_kernel_state {
    EXO_KERNEL_THERE = 0, /* it made the region */
    EXO_KERNEL_ABSENT = 1,
    EXO_KERNEL_STARTING = 2,
    EXO_KERNEL_SERVES = 3,
    EXO_KERNEL_FAILED = 4, /* its calls give ENOSYS */
};

/* How to start it; strings that may be empty. */
struct exo_companion {
    char launcher[EXO_PATH_SIZE];
    char stats[EXO_PATH_SIZE];   /* file for the counts at the end */
    char runtime[EXO_PATH_SIZE]; /* XDG_RUNTIME_DIR=... of the environment */
    uint32_t host_pid; /* 0 until it is there; pid 1 is then who started the first guest */
    uint32_t reserved;
};

/* Whether the host's clock is the time stamp counter: core/now.c. */
enum exo_tsc { EXO_TSC_UNKNOWN, EXO_TSC_IS_CLOCK, EXO_TSC_IS_NONE };

#define EXO_NAME_SIZE 65 /* of uname(2), with a NUL */

struct exo_names {
    struct exo_lock lock;
    char host[EXO_NAME_SIZE], domain[EXO_NAME_SIZE];
    char release[EXO_NAME_SIZE], version[EXO_NAME_SIZE];
    char padding[4];
};

/* From the end of ids to the first tasks, what fork and exec touch is in 64 KiB at a multiple of that:
 * a host maps so much at one page fault. The first fd tables are in the same 2 MiB, for which one
 * page table will do. */
struct exo_kr {
    uint8_t near_heap[EXO_NEAR_HEAP_SIZE];
    struct exo_ids ids[EXO_TASK_COUNT]; /* of the last slot first: exo_ids_of() */
    uint64_t magic;
    uint32_t version;
    uint32_t flags;     /* enum exo_kr_flags, K */
    uint64_t size;      /* bytes of the whole region */
    uint32_t intercept; /* enum exo_intercept, K */
    uint32_t kernel_host_pid;
    uint32_t kernel_host_pgid;
    uint32_t kernel_host_sid;
    uint32_t next_tid;        /* A, atomic */
    uint32_t task_high;       /* A, atomic: slots below are or were in use */
    uint32_t kernel_sleeping; /* K: ring the doorbell */
    uint32_t calls_posted;    /* A, atomic: set by a guest, cleared by the kernel before it looks */
    uint32_t cpu_count;       /* K: CPUs the instance may use; 1 means never spin */
    uint32_t task_low;        /* A, task_lock: no free slot below, 0 counts as 1 */
    uint32_t tids_wrapped;    /* A, task_lock: numbers may be in use already */
    uint32_t filter_high;     /* A, filter_lock: filters from here on were never used */
    uint32_t left_behind;     /* A: a task was killed at work: the reaper is to look */
    uint32_t has_items;       /* A: there is something in items */
    uint32_t free_group;      /* A, group_lock: of watches, 0 none */
    uint32_t group_high;      /* A, group_lock: groups from here on were never used */
    uint32_t
        free_objects[8];     /* A, object_lock: by kind, number of the first of the chain, 0 none */
    uint32_t object_high[8]; /* A, object_lock: how many of the kind were ever used */
    uint64_t entry;          /* A: address of exo_entry, the same in every guest */
    struct exo_lock task_lock;   /* taking and freeing slots */
    struct exo_lock table_lock;  /* taking and freeing fd tables and arrays */
    struct exo_lock image_lock;  /* adding images and sites */
    struct exo_lock filter_lock; /* adding seccomp filters, and giving them to tasks */
    struct exo_lock trace_lock;  /* who traces whom, stops and waiting for them */
    struct exo_lock object_lock; /* taking and freeing objects */
    struct exo_lock net_lock;    /* who is connected with whom, ports */
    uint64_t instance;           /* K: random, in the names of twins */
    uint64_t bell[2];            /* K: random, what rings at twins that have messages, too */
    uint32_t datagrams;          /* K: net.unix.max_dgram_qlen */
    uint32_t kernel_state;       /* A, atomic: enum exo_kernel_state */
    uint32_t tsc;                /* A: enum exo_tsc */
    uint32_t reserved;
    uint64_t next_generation;   /* A, atomic: of sockets */
    uint32_t next_port;         /* A, net_lock: to try for who names none */
    uint32_t flying;            /* A, atomic: sockets on their way in messages, at least */
    uint32_t unix_name_high;    /* A, net_lock */
    uint32_t flight_high;       /* A, net_lock: of flights */
    struct exo_lock group_lock; /* taking and freeing groups of watches */
    struct exo_lock fifo_lock;  /* fifos */
    uint32_t fifo_high;         /* A, fifo_lock: rows from here on were never used */
    uint32_t fifo_next;         /* A, fifo_lock: which to give up first */
    uint64_t heap_next;         /* A, table_lock: next byte never used of the heap */
    uint64_t free_tables;
    uint64_t free_arrays[EXO_TABLE_CLASS_COUNT]; /* chained through their first 8 bytes */
    uint32_t image_count;                        /* published with release */
    uint32_t copy_count;                         /* A, image_lock */
    uint64_t copy_next;                          /* A, image_lock: first free byte of the memfd */
    uint64_t departed[EXO_DEPARTED_COUNT];       /* A: host tid << 32 | tid, at host tid % count */
    struct exo_stats stats;
    struct exo_image near_images[EXO_NEAR_COUNT]; /* exo_image_at() */
    struct exo_copy near_copies[EXO_NEAR_COUNT];  /* exo_copy_at() */
    struct exo_task tasks[EXO_TASK_COUNT];
    struct exo_image far_images[EXO_IMAGE_COUNT - EXO_NEAR_COUNT];
    struct exo_copy far_copies[EXO_COPY_COUNT - EXO_NEAR_COUNT];
    struct exo_image_sites image_sites[EXO_IMAGE_COUNT];
    struct exo_call_counts counts;
    struct exo_companion companion;
    struct exo_names names; /* A, its lock */
    struct exo_frame frames[EXO_TASK_COUNT];
    uint64_t filter_units[EXO_FILTER_UNIT_COUNT / 64]; /* bit set: unit taken at the last look */
    struct exo_filter filters[EXO_FILTER_COUNT];       /* 0 is none */
    struct exo_bpf filter_code[EXO_FILTER_UNIT_COUNT * EXO_FILTER_UNIT];
    struct exo_trace traces[EXO_TASK_COUNT];
    struct exo_recording recording;
    struct exo_stage stages[EXO_TASK_COUNT];
    struct exo_items items; /* in which task slots are the numbers */
    struct exo_pipe pipes[EXO_PIPE_COUNT];
    struct exo_watch_lock watch_locks[EXO_WATCH_LOCK_COUNT];
    struct exo_event events[EXO_EVENT_COUNT];
    struct exo_epoll epolls[EXO_EPOLL_COUNT];
    struct exo_watch_group watch_groups[EXO_WATCH_GROUP_COUNT];
    struct exo_pipe_page pipe_slots[EXO_PIPE_COUNT][EXO_PIPE_SLOT_COUNT];
    uint8_t pipe_pages[EXO_PIPE_COUNT * EXO_PIPE_SIZE + 4096]; /* from a multiple of 4096 on */
    uint8_t lane_pages[EXO_LANE_COUNT * EXO_LANE_PAGE_COUNT * 4096 + 4096]; /* the same */
    uint64_t lane_words[EXO_LANE_COUNT][EXO_LANE_PAGE_COUNT]; /* A, atomic: core/lane.c */
    uint16_t lane_owners[EXO_LANE_COUNT]; /* A, object_lock: number of the pipe that had it last */
    struct exo_sock socks[EXO_SOCK_COUNT];
    struct exo_fifo fifos[EXO_FIFO_COUNT];
    struct exo_unix_name unix_names[EXO_UNIX_NAME_COUNT]; /* A, net_lock: the latest, in a ring */
    uint16_t bound[65536];      /* A, net_lock: number of the first socket of a TCP port, 0 none */
    uint16_t udp_bound[65536];  /* A, net_lock: the same of UDP */
    uint16_t unix_bound[65536]; /* A, net_lock: AF_UNIX datagrams, by their name's hash */
    uint64_t udp_at_host[65536 / 64]; /* A, atomic: UDP ports that guests' sockets have had there */
    struct exo_flight flights[EXO_FLIGHT_COUNT]; /* A, net_lock */
    struct exo_time_wait time_waits[65536];      /* A, net_lock: by TCP port, in host order */
    uint8_t far_heap[EXO_KR_HEAP_SIZE + 4096];   /* fd tables, from a multiple of 4096 on */
    uint8_t sock_rings[EXO_SOCK_COUNT + 1][EXO_SOCK_SIZE]; /* from a multiple of 4096 on */
};

#endif
