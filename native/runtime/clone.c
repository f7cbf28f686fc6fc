/* New tasks: clone(2), clone3(2), fork(2), vfork(2).
 *
 * The host's clone makes the task; the runtime gives it a slot, an area and its numbers. A child
 * that shares memory starts on a runtime stack of its own and leaves by exo_resume; a forked child
 * goes on in the copy of its parent's area. Every signal is blocked from before the clone until each
 * side knows who it is, but where a lone thread forks: what arrives there is stashed, as anywhere in
 * the runtime, by an area that is already the child's own. The child's first steps touch no guest
 * memory.
 */
#include <linux/futex.h>

#include "clone.h"
#include "companion.h"
#include "intercept.h"
#include "legacy.h"
#include "mdwe.h"
#include "nap.h"
#include "record.h"
#include "signal.h"
#include "stub.h"
#include "trace.h"
#include "translate.h"

#define CSIGNAL 0xffUL
#define NAMESPACES                                                                                 \
    (CLONE_NEWNS_ | CLONE_NEWCGROUP_ | CLONE_NEWUTS_ | CLONE_NEWIPC_ | CLONE_NEWUSER_ |            \
     CLONE_NEWPID_ | CLONE_NEWNET_)
/* Done by the runtime: these would tell the guest, or the host, the other's number. */
#define OWN_FLAGS                                                                                  \
    (CLONE_PARENT_SETTID_ | CLONE_CHILD_SETTID_ | CLONE_CHILD_CLEARTID_ | CLONE_DETACHED_ |        \
     CLONE_PTRACE_ | CLONE_UNTRACED_ | CLONE_CLEAR_SIGHAND_ | CLONE_PIDFD_ | CSIGNAL)
#define ARGS_SIZE_0 64

struct request {
    bool racing; /* other threads may open and close files meanwhile */
    bool masked; /* all signals are blocked meanwhile */
    uint64_t flags;
    uint64_t exit_signal;
    uint64_t stack;                        /* the child's stack pointer, 0: the parent's */
    uint64_t pidfd, parent_tid, child_tid; /* guest addresses */
    uint64_t tls;
    uint32_t tid;   /* the child's */
    uint32_t event; /* what its tracer is told of the birth, 0: nothing */
};

/* struct clone_args of clone3(2). */
struct clone_args {
    uint64_t flags, pidfd, child_tid, parent_tid, exit_signal, stack, stack_size, tls;
    uint64_t set_tid, set_tid_size, cgroup;
};

extern long host_clone_vm(uint64_t flags, uint64_t stack, void *ptid, void *ctid, uint64_t tls,
                          struct exo_area *child);

/* What the kernel checks, and what exo does not have. */
static long check(const struct request *want)
{
    uint64_t flags = want->flags;
    if ((flags & CLONE_THREAD_) && !(flags & CLONE_SIGHAND_))
        return -EINVAL;
    if ((flags & CLONE_SIGHAND_) && !(flags & CLONE_VM_))
        return -EINVAL;
    if ((flags & CLONE_SIGHAND_) && (flags & CLONE_CLEAR_SIGHAND_))
        return -EINVAL;
    if ((flags & CLONE_PIDFD_) && (flags & CLONE_DETACHED_))
        return -EINVAL;
    if ((flags & (CLONE_NEWNS_ | CLONE_NEWUSER_)) && (flags & CLONE_FS_))
        return -EINVAL;
    if (want->exit_signal > 64)
        return -EINVAL;
    if (flags & NAMESPACES) /* DIFFERS: no namespaces of the guest's own yet: EPERM */
        return -EPERM;
    if (flags & CLONE_INTO_CGROUP_)
        return -EINVAL;
    return 0;
}

/* Everything the child's slot needs before it exists; 0 when there is no room. */
static uint32_t prepare_slot(const struct request *want)
{
    struct exo_area *mine = area();
    bool thread = want->flags & CLONE_THREAD_;
    uint32_t slot = exo_task_create(KR, mine->slot, thread);
    if (slot == 0) { /* the next attempt finds those that were killed and nobody waits for */
        store_release(&KR->left_behind, 1);
        exo_ring(EXO_KERNEL_SLEEPING);
        return 0;
    }
    struct exo_task *child = &KR->tasks[slot];
    uint64_t table = mine->task->fd_table;
    if (want->flags & CLONE_FILES_)
        exo_fd_table_share(KR, slot, table);
    else
        table = exo_fd_table_clone(KR, table);
    if (table == 0) {
        exo_task_free(KR, slot);
        return 0;
    }
    if (!(want->flags & CLONE_FILES_))
        exo_fd_table_give(KR, slot, table);
    exo_filter_inherit(KR, slot, mine->slot);
    if ((KR->recording.flags & EXO_RECORDING_FOLLOWS) ||
        (thread && (KR->recording.flags & EXO_RECORDING_ORIGINS)))
        child->flags |= mine->task->flags & EXO_TASK_RECORDED;
    if (thread)
        return slot;
    if (want->flags & CLONE_PARENT_) {
        child->ppid = mine->leader->ppid;
        child->flags |= mine->leader->flags & EXO_TASK_ORPHANED;
        child->parent_slot = mine->leader->parent_slot;
    }
    child->host_pgid = mine->leader->host_pgid;
    if (want->flags & CLONE_VM_)
        child->flags |= EXO_TASK_SHARES_VM;
    child->nofile_soft = mine->leader->nofile_soft;
    child->nofile_hard = mine->leader->nofile_hard;
    uint32_t flags =
        mine->leader->flags & (EXO_TASK_IN_PROC | EXO_TASK_CHROOTED | EXO_TASK_MDWE_BOTH);
    child->flags |= want->flags & CLONE_VM_ ? flags : exo_mdwe_inherit(flags);
    return slot;
}

/* Our maker was killed, and the kernel process has taken us for one that never was: so it shall be. */
static noreturn void die_unborn(void)
{
    HOST_2(__NR_kill, HOST_0(__NR_getpid), SIGKILL_);
    __builtin_trap();
}

/* In the child, whichever memory it has: everything the host does not inherit. */
static void child_attach(struct exo_area *mine, const struct request *want, uint32_t slot)
{
    mine->clear_child_tid = want->flags & CLONE_CHILD_CLEARTID_ ? want->child_tid : 0;
    uint32_t host_tid =
        mine->birth.host_tid; /* from the host's clone, which was told the address */
    if (host_tid == 0)
        host_tid = (uint32_t)HOST_1(__NR_set_tid_address, mine->clear_child_tid);
    mine->birth.host_tid = 0;
    if (!exo_task_claim(KR, slot, want->tid, host_tid))
        die_unborn();
    struct exo_task *task = &KR->tasks[slot];
    bool leader = task->flags & EXO_TASK_LEADER;
    exo_area_attach(mine, slot, host_tid);
    exo_task_set_host(KR, slot, host_tid, leader ? host_tid : mine->leader->host_tgid);
    exo_intercept_arm();
    exo_trace_begin();
    exo_record_executed();
    if (want->flags & CLONE_CLEAR_SIGHAND_)
        exo_actions_clear(mine->sighand);
    store_release(&task->state, EXO_TASK_ALIVE);
    if (want->racing)
        exo_fd_close_strangers();
    if (want->masked)
        exo_mask_set(mine->saved_mask);
    if (want->flags & CLONE_CHILD_SETTID_)
        guest_put(want->child_tid, &mine->tid);
}

/* A CLONE_VM child's first C function, on its own runtime stack, GS base set. */
void exo_child_begin(void)
{
    struct exo_area *mine = area();
    const struct exo_child *birth = &mine->birth;
    struct request want = {.flags = birth->flags,
                           .tid = birth->tid,
                           .child_tid = birth->child_tid,
                           .racing = birth->racing,
                           .masked = true};
    if (birth->racing && (birth->flags & CLONE_VFORK_)) /* our parent waits for us */
        exo_fd_table_copy_end(KR, birth->parent->task->fd_table, &birth->parent->core);
    struct k_stack stack = exo_area_altstack(mine);
    HOST_2(__NR_sigaltstack, &stack, 0);
    child_attach(mine, &want, birth->slot);
}

static void fork_child(const struct request *want, uint32_t slot)
{
    struct exo_area *mine = area();
    exo_mm.lock = 0;
    exo_mm.tasks = 1;
    exo_area_keep_only(mine);
    if (want->masked)
        exo_mask_after_fork();
    mine->host_calls = 0;
    mine->birth.flags = 0;
    child_attach(mine, want, slot);
    if (want->stack != 0)
        mine->regs.rsp = want->stack;
}

static long host_flags(const struct request *want)
{
    uint64_t flags = (want->flags & ~OWN_FLAGS) | want->exit_signal;
    return (long)(want->flags & CLONE_PIDFD_ ? flags | CLONE_PIDFD_ : flags);
}

/* The host copies its fds when it makes the child: no thread may change ours between that and our
 * own copy. One the host has and the table has not, being opened or closed right now, the child
 * closes. */
static bool lock_files(struct request *want, uint32_t slot)
{
    uint64_t from = area()->task->fd_table;
    struct exo_task *child = &KR->tasks[slot];
    if (!want->racing)
        return true;
    while (!exo_fd_table_copy_begin(KR, child->fd_table, from)) {
        uint64_t larger = exo_fd_table_clone(KR, from);
        if (larger == 0)
            return want->racing = false;
        exo_fd_table_replace(KR, slot, larger);
    }
    return true;
}

/* A vfork child has done it for us (exo_child_begin), unless it was killed before that. */
static void unlock_files(const struct request *want)
{
    uint64_t table = area()->task->fd_table;
    const struct exo_lock *lock = &((struct exo_fd_table *)exo_kr_at(KR, table))->lock;
    if (want->racing && (load_acquire(&lock->word) & FUTEX_TID_MASK) == area()->core.host_tid)
        exo_fd_table_copy_end(KR, table, &area()->core);
}

/* Own memory: the host copies this very stack, and both sides return from here. */
static long make_process(struct request *want, uint32_t slot, int *pidfd)
{
    exo_mm_lock();      /* nobody may hold it in the copy */
    exo_map_catch_up(); /* what an earlier child trapped on, the next one will not */
    long host_tid = -EAGAIN;
    if (!want->masked)
        host_tid = host_wait(__NR_clone, host_flags(want), 0, (long)pidfd, 0, (long)want->tls, 0);
    else if (lock_files(want, slot))
        host_tid = HOST_5(__NR_clone, host_flags(want), 0, pidfd, 0, want->tls);
    if (host_tid == 0) {
        fork_child(want, slot);
        return 0;
    }
    unlock_files(want);
    exo_mm_unlock();
    return host_tid;
}

/* Shared memory: the child gets an area, and later its own way to the guest. */
static long make_thread(struct request *want, uint32_t slot, int *pidfd)
{
    struct exo_area *mine = area();
    struct exo_area *child = exo_area_create();
    if (child == NULL)
        return -EAGAIN;
    child->regs = mine->regs;
    child->regs.rax = 0;
    child->flags = mine->flags;
    if (want->stack != 0)
        child->regs.rsp = want->stack;
    child->saved_mask = mine->saved_mask;
    child->mask = mine->mask;
    child->host_mask = mine->host_mask;
    if (want->flags & CLONE_VFORK_)
        child->altstack = mine->altstack;
    child->birth = (struct exo_child){.flags = want->flags,
                                      .slot = slot,
                                      .tid = want->tid,
                                      .child_tid = want->child_tid,
                                      .racing = want->racing,
                                      .parent = mine};
    child->sighand =
        want->flags & CLONE_SIGHAND_ ? mine->sighand : exo_sighand_create(mine->sighand);
    child->owns_sighand = !(want->flags & CLONE_SIGHAND_);
    if (child->sighand == NULL) {
        exo_area_abandon(child);
        return -EAGAIN;
    }
    if (exo_alone()) {
        exo_mm_lock();
        exo_map_alone();
        exo_mm_unlock();
    }
    if (!(want->flags & (CLONE_VFORK_ | CLONE_THREAD_)))
        exo_mm.strays = 1;
    fetch_add(&exo_mm.tasks, 1);
    bool watched = (want->flags & CLONE_VFORK_) && mine->adopted;
    uint64_t flags = (uint64_t)host_flags(want) | (want->flags & CLONE_CHILD_CLEARTID_);
    flags &= ~(watched ? CLONE_VFORK_ : 0);
    void *tid_at = pidfd; /* one or the other */
    if (!(want->flags & CLONE_PIDFD_)) {
        flags |= CLONE_PARENT_SETTID_;
        tid_at = &child->birth.host_tid;
    }
    long host_tid =
        lock_files(want, slot)
            ? host_clone_vm(flags, child->stack, tid_at, (void *)want->child_tid, want->tls, child)
            : -EAGAIN;
    unlock_files(want);
    if (host_tid > 0 && watched)
        exo_trace_vfork(want->event, slot, want->tid);
    if (host_tid < 0 || (want->flags & CLONE_VFORK_)) { /* not, or no longer, in our memory */
        exo_area_abandon(child);
        fetch_add(&exo_mm.tasks, (uint32_t)-1);
        exo_mm_release_of((uint32_t)host_tid);
    }
    if (!(want->flags & CLONE_SIGHAND_) && (host_tid < 0 || (want->flags & CLONE_VFORK_)))
        exo_sighand_drop(child);
    return host_tid;
}

static long make(struct request *want, uint32_t slot, int *pidfd)
{
    want->racing = !(want->flags & CLONE_FILES_) && !exo_alone();
    return want->flags & CLONE_VM_ ? make_thread(want, slot, pidfd)
                                   : make_process(want, slot, pidfd);
}

/* Whether something waits here that is not the child's, or another task is concerned. */
static bool needs_mask(const struct request *want)
{
    const struct exo_area *mine = area();
    return (want->flags & CLONE_VM_) || !exo_alone() || mine->adopted || want->event != 0 ||
           exo_pending_set() != 0;
}

static void undo(uint32_t slot)
{
    if (KR->tasks[slot].flags & EXO_TASK_LEADER)
        exo_task_free_process(KR, slot);
    else
        exo_task_free(KR, slot);
}

static void count_task(const struct request *want)
{
    fetch_add(want->flags & CLONE_THREAD_ ? &KR->stats.threads : &KR->stats.processes, 1);
}

/* In the parent: publishes the numbers and hands over the pidfd. */
static long parent_side(const struct request *want, uint32_t slot, long host_tid, int fd, int pidfd)
{
    exo_task_name(KR, slot, want->tid, (uint32_t)host_tid,
                  want->flags & CLONE_THREAD_ ? area()->leader->host_tgid : (uint32_t)host_tid);
    if (want->flags & CLONE_PIDFD_)
        exo_fd_give(fd, pidfd, true);
    return (long)want->tid;
}

/* The pidfd's number is taken and told before there is a child: what fails here makes none. */
static int announce_pidfd(const struct request *want)
{
    int fd = exo_fd_take(0);
    if (fd < 0 || guest_put(want->pidfd, &fd) == 0)
        return fd;
    exo_fd_untake(fd);
    return -EFAULT;
}

static void give_up_pidfd(int fd)
{
    if (fd >= 0)
        exo_fd_untake(fd);
}

static long do_clone(struct request *want)
{
    exo_nap_pay();
    struct exo_area *mine = area();
    int pidfd = -1, fd = -1;
    long error = check(want);
    if (error != 0)
        return error;
    if (!(want->flags & CLONE_THREAD_))
        exo_companion_start();
    uint32_t slot = prepare_slot(want);
    if (slot == 0)
        return -EAGAIN;
    want->tid = KR->tasks[slot].tid;
    if ((want->flags & CLONE_PIDFD_) && (fd = announce_pidfd(want)) < 0) {
        undo(slot);
        return fd;
    }
    want->event = exo_trace_expect(slot, want->flags, want->exit_signal);
    if (want->flags & CLONE_PARENT_SETTID_)
        guest_put(want->parent_tid,
                  &want->tid); /* a bad address is the caller's affair, as in Linux */
    want->masked = needs_mask(want);
    if (want->masked)
        error = exo_mask_block_everything(&mine->saved_mask);
    if (error != 0) {
        undo(slot);
        give_up_pidfd(fd);
        return error;
    }
    count_task(want);
    long host_tid = make(want, slot, &pidfd);
    if (host_tid == 0)
        return 0; /* the forked child */
    if (want->masked)
        exo_mask_set(mine->saved_mask);
    if (host_tid < 0) {
        undo(slot);
        give_up_pidfd(fd);
        return host_tid;
    }
    long result = parent_side(want, slot, host_tid, fd, pidfd);
    if (!(want->flags & CLONE_VFORK_) || !(want->flags & CLONE_VM_))
        exo_trace_made(want->event, want->tid);
    return result;
}

SYSCALL(clone)
{
    struct request want = {.flags = (uint64_t)a & ~CSIGNAL & 0xffffffff,
                           .exit_signal = (uint64_t)a & CSIGNAL,
                           .stack = (uint64_t)b,
                           .pidfd = (uint64_t)c,
                           .parent_tid = (uint64_t)c,
                           .child_tid = (uint64_t)d,
                           .tls = (uint64_t)e};
    if ((want.flags & CLONE_PIDFD_) && (want.flags & CLONE_PARENT_SETTID_))
        return -EINVAL;
    return do_clone(&want);
}

SYSCALL(fork)
{
    struct request want = {.exit_signal = SIGCHLD_};
    return do_clone(&want);
}

SYSCALL(vfork)
{
    struct request want = {.flags = CLONE_VM_ | CLONE_VFORK_, .exit_signal = SIGCHLD_};
    return do_clone(&want);
}

/* The size and the bytes beyond what we know: E2BIG unless they are zero, as copy_struct_from_user. */
static long read_args(struct clone_args *args, uint64_t from, uint64_t size)
{
    if (size > 4096)
        return -E2BIG;
    if (size < ARGS_SIZE_0)
        return -EINVAL;
    memset(args, 0, sizeof(*args));
    for (uint64_t i = sizeof(*args); i < size; i++) {
        long byte = guest_byte(from + i);
        if (byte != 0)
            return byte < 0 ? byte : -E2BIG;
    }
    return guest_read(args, from, size < sizeof(*args) ? size : sizeof(*args));
}

SYSCALL(clone3)
{
    struct clone_args args;
    long error = read_args(&args, (uint64_t)a, (uint64_t)b);
    if (error != 0)
        return error;
    if ((args.flags & (CLONE_DETACHED_ | CSIGNAL)) || args.exit_signal > 64 ||
        args.flags >> 34 != 0 || (args.stack == 0) != (args.stack_size == 0))
        return -EINVAL;
    if (args.set_tid != 0 || args.set_tid_size != 0)
        return args.set_tid_size > 32 || args.set_tid == 0 || args.set_tid_size == 0 ? -EINVAL
                                                                                     : -EPERM;
    if ((args.flags & (CLONE_THREAD_ | CLONE_PARENT_)) && args.exit_signal != 0)
        return -EINVAL;
    if ((args.flags & CLONE_INTO_CGROUP_) && exo_fd_host((int)args.cgroup) < 0)
        return -EBADF;
    struct request want = {.flags = args.flags,
                           .exit_signal = args.exit_signal,
                           .stack = args.stack == 0 ? 0 : args.stack + args.stack_size,
                           .pidfd = args.pidfd,
                           .parent_tid = args.parent_tid,
                           .child_tid = args.child_tid,
                           .tls = args.tls};
    return do_clone(&want);
}
