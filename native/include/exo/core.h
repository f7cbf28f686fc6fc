/* The core's functions: work on the kernel region alone, no libc, no globals.
 *
 * Compiled freestanding into the guest's runtime and hosted into the kernel process's bindings and
 * the native tests. Whoever links it supplies exo_self() and exo_host_call().
 */
#ifndef EXO_CORE_H
#define EXO_CORE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <exo/abi.h>

/* The host's robust list head, as set_robust_list(2) takes it. Nodes are struct exo_lock.node. */
struct exo_robust_head {
    uint64_t list;        /* first node, or the address of this field when empty */
    int64_t futex_offset; /* from a node to its futex word */
    uint64_t op_pending;  /* node of the lock being taken, held or released */
};

/* What a thread knows of CLOCK_MONOTONIC by the time stamp counter: now.c. */
struct exo_clock {
    uint64_t tsc, ns;   /* when the host was last asked, and what it said */
    uint64_t horizon;   /* cycles after which it is to be asked again */
    uint64_t rate;      /* nanoseconds per cycle, times 2^32, or a little less */
    uint64_t trusted;   /* ns: so long; 0 not known */
    uint64_t since_tsc; /* from there on it was measured */
    uint64_t since_ns;
};

/* What the core must know of the thread it runs on. */
struct exo_self {
    struct exo_robust_head robust;
    uint32_t host_tid;
    uint32_t slot;
    struct exo_clock clock;
};

/* Supplied by the environment. */
struct exo_self *exo_self(void);
long exo_host_call(long nr, long a, long b, long c, long d, long e, long f);
/* 0 or -EFAULT: either is a guest's. And to where another CPU reads next, past the caches of this one. */
long exo_guest_copy(void *to, const void *from, uint64_t size);
long exo_guest_copy_past(void *to, const void *from, uint64_t size);
/* Whether a guest's size bytes, a multiple of 64, are there and the same as those; read once. */
bool exo_guest_same(const void *guest, const void *with, uint64_t size);

/* lock.c: one lock at a time per thread; a dead owner's lock is taken over. */
void exo_lock_acquire(struct exo_lock *lock);
void exo_lock_release(struct exo_lock *lock);
/* For a thread that waits, in the same memory, for the caller: its lock. */
void exo_lock_release_for(struct exo_lock *lock, struct exo_self *owner);
/* Marks a thread alive until it dies: the words are released by the host, never by us. with is one
 * more lock to be marked at its death, or NULL. Registers the robust list with the host. */
void exo_alive_mark(struct exo_task *task, struct exo_self *self, struct exo_lock *with);
bool exo_alive_test(const struct exo_task *task);

/* What everybody maps of the region's memfd; copies of code follow there. */
#define EXO_KR_MAPPED_SIZE ((sizeof(struct exo_kr) + 4095) & ~4095UL)
/* Where the heap of fd tables goes on, and ends. */
#define EXO_FAR_HEAP ((__builtin_offsetof(struct exo_kr, far_heap) + 4095) & ~4095UL)
#define EXO_FAR_HEAP_END (EXO_FAR_HEAP + EXO_KR_HEAP_SIZE)
/* What RLIMIT_AS gets on top for the runtime, threads included. */
#define EXO_OWN_SPACE(mapped) ((mapped) + 0x2000000)
/* What everybody maps instead, and kr->size then is, where memory is limited: fewer rings. */
#define EXO_KR_LIMITED_SIZE                                                                        \
    ((__builtin_offsetof(struct exo_kr, sock_rings[EXO_SOCK_LIMITED_COUNT + 1]) + 4095) & ~4095UL)

/* region.c */
void exo_kr_init(struct exo_kr *kr, uint64_t size);
/* names.c: exo's version, and what the host says of itself. */
void exo_names_init(struct exo_kr *kr, const char *version, const char *host_name,
                    const char *host_release);
uint64_t exo_names_numeric(const char *release);
static inline void *exo_kr_at(struct exo_kr *kr, uint64_t offset)
{
    return (char *)kr + offset;
}

/* task.c: slots. 0 is the kernel process, so 0 also says "none". */
uint32_t exo_task_create(struct exo_kr *kr, uint32_t parent_slot, bool thread);
void exo_task_free(struct exo_kr *kr, uint32_t slot);
void exo_task_free_process(struct exo_kr *kr, uint32_t leader_slot);
/* In a new task, before it touches its slot: false if that was reclaimed, as its maker is dead. */
bool exo_task_claim(struct exo_kr *kr, uint32_t slot, uint32_t tid, uint32_t host_tid);
/* Frees the slot of a process that nobody is going to wait for, if it is still tid's and dead: host_tid
 * is the number that the host has nobody of, 0 if the slot had none and nobody was about to claim it. */
bool exo_task_reclaim(struct exo_kr *kr, uint32_t slot, uint32_t tid, uint32_t host_tid);
uint32_t exo_task_find(struct exo_kr *kr, uint32_t tid);
/* The number of a task that is gone, if not too many others have gone since; 0. */
uint32_t exo_task_departed(const struct exo_kr *kr, uint32_t host_tid);
uint32_t exo_task_find_host(struct exo_kr *kr, uint32_t host_tid);
void exo_task_set_host(struct exo_kr *kr, uint32_t slot, uint32_t host_tid, uint32_t host_tgid);
/* The same by its parent, unless the task has done it itself or is gone, and maybe its slot too. */
void exo_task_name(struct exo_kr *kr, uint32_t slot, uint32_t tid, uint32_t host_tid,
                   uint32_t host_tgid);
/* Exo's number for a host process group or session, and the other way round; 0 if there is none. */
uint32_t exo_task_pgid_of_host(struct exo_kr *kr, uint32_t host_pgid);
/* Host pid of the first member found of exo process group pgid; 0 if it has none. */
uint32_t exo_task_member_of(const struct exo_kr *kr, uint32_t pgid);

/* tables.c: offsets of struct exo_fd_table, 0 when the region is full. A new table is in the
 * caller's hand until it is given to a slot, takes the place of a slot's old one, or is released. */
uint64_t exo_fd_table_create(struct exo_kr *kr);
uint64_t exo_fd_table_clone(struct exo_kr *kr, uint64_t table);
/* Copies from's entries once more and keeps its lock: until copy_end nobody opens or closes a file
 * there. False, and no lock: from has outgrown to. */
bool exo_fd_table_copy_begin(struct exo_kr *kr, uint64_t to, uint64_t from);
void exo_fd_table_copy_end(struct exo_kr *kr, uint64_t from, struct exo_self *owner);
void exo_fd_table_give(struct exo_kr *kr, uint32_t slot, uint64_t table);
void exo_fd_table_replace(struct exo_kr *kr, uint32_t slot, uint64_t table);
void exo_fd_table_release(struct exo_kr *kr, uint64_t table);
/* One more user: slot, which has none yet. */
void exo_fd_table_share(struct exo_kr *kr, uint32_t slot, uint64_t table);
void exo_fd_table_swap(struct exo_kr *kr, uint32_t slot, uint32_t with);

/* fdtable.c: functions that return fds give -errno. */
int exo_fd_reserve(struct exo_kr *kr, uint64_t table, uint32_t lowest, uint64_t limit);
void exo_fd_install(struct exo_kr *kr, uint64_t table, int fd, int host, uint16_t flags);
void exo_fd_put(struct exo_kr *kr, uint64_t table, int fd, struct exo_fd entry);
void exo_fd_unreserve(struct exo_kr *kr, uint64_t table, int fd);
/* The number is free again if its entry still leads where *gone does; *gone is then what it was at last. */
bool exo_fd_take_away(struct exo_kr *kr, uint64_t table, int fd, struct exo_fd *gone);
/* The entry that was read at this place, perhaps of an array that was outgrown; false: it is another. */
bool exo_fd_change(struct exo_kr *kr, uint64_t table, struct exo_fd *at, struct exo_fd was,
                   struct exo_fd becomes);
/* Makes room for number fd itself (dup2); 0 or -errno. */
int exo_fd_ensure(struct exo_kr *kr, uint64_t table, int fd, uint64_t limit);
/* The entry, or NULL if fd is out of range; racing with close is the caller's affair, as in Linux. */
struct exo_fd *exo_fd_at(struct exo_kr *kr, uint64_t table, int fd);

/* bpf.c: classic BPF as seccomp(2) has it. */
struct exo_bpf_data { /* struct seccomp_data */
    int32_t nr;
    uint32_t arch;
    uint64_t instruction_pointer;
    uint64_t args[6];
};
/* 0, or -EINVAL where Linux would refuse the program. scratch has room for count words. */
int exo_bpf_check(const struct exo_bpf *code, uint32_t count, uint16_t *scratch);
/* What a checked program returns for one system call. */
uint32_t exo_bpf_run(const struct exo_bpf *code, uint32_t count, const struct exo_bpf_data *data);
/* Whether a checked program allows a call whatever its arguments and wherever it is made; false if
 * that is not easily seen. */
bool exo_bpf_always_allows(const struct exo_bpf *code, uint32_t count, uint32_t nr);
/* Instructions of a checked program after Linux's translation, by which it limits a task's sum. */
uint32_t exo_bpf_weight(const struct exo_bpf *code, uint32_t count);

/* filter.c: seccomp filters of tasks. */
/* Puts a checked program in front of the filters of task slot, and with sync gives the result to
 * all threads of its process. 0, -ENOMEM, or with sync the tid of a thread that is in the way. */
long exo_filter_add(struct exo_kr *kr, uint32_t slot, const struct exo_bpf *code, uint32_t count,
                    bool sync);
/* A new task's filters and privileges are its maker's. */
void exo_filter_inherit(struct exo_kr *kr, uint32_t slot, uint32_t from);
/* Exchanges those of two tasks. */
void exo_filter_swap(struct exo_kr *kr, uint32_t slot, uint32_t other);
/* The strictest answer of filter and all older ones, the newest of equals. */
uint32_t exo_filter_run(const struct exo_kr *kr, uint32_t filter, const struct exo_bpf_data *data);

static inline struct exo_ids *exo_ids_of(struct exo_kr *kr, uint32_t slot)
{
    return &kr->ids[EXO_TASK_COUNT - 1 - slot];
}

/* image.c: sites remembered per executable file. */
struct exo_image *exo_image_at(struct exo_kr *kr, uint32_t index);
struct exo_copy *exo_copy_at(struct exo_kr *kr, uint32_t index);
struct exo_image *exo_image_find(struct exo_kr *kr, uint64_t device, uint64_t inode,
                                 int64_t mtime_ns, uint64_t size, bool create);
void exo_image_add(struct exo_kr *kr, struct exo_image *image, uint32_t file_offset);
uint32_t *exo_image_sites(struct exo_kr *kr, const struct exo_image *image);
/* Room for a copy in the region's memfd: its offset, or 0. */
uint64_t exo_copy_reserve(struct exo_kr *kr, uint64_t size);
bool exo_copy_publish(struct exo_kr *kr, struct exo_image *image, const struct exo_copy *copy);

#endif
