/* The tracer's side of ptrace(2): the requests, but for registers and memory (tracedata.c).
 *
 * DIFFERS: any thread of the tracer's process may act for it and wait for what it traces, and a
 * tracee is let go when that process ends, not the thread that attached.
 */
#include <linux/futex.h>

#include "robust.h"
#include "text.h"
#include "tracedata.h"
#include "translate.h"

#define OPTIONS (0xffUL | PTRACE_O_EXITKILL)

/* What the host's own ptrace(2) would say: the answer to who may look into whom. */
static long check_access(const struct exo_task *task)
{
    uint64_t word;
    uint64_t local[2] = {(uint64_t)&word, sizeof(word)}, remote[2] = {EXO_KR_BASE, sizeof(word)};
    long got = HOST_6(__NR_process_vm_readv, task->host_tid, local, 1, remote, 1, 0);
    return got == -EPERM || got == -ESRCH ? got : 0;
}

static bool is_kin(const struct exo_task *task)
{
    return task->leader_slot == area()->task->leader_slot;
}

/* Deadly signals pass through the runtime from now on, so that the tracees hear of the end. */
static void become_tracer(void)
{
    exo_robust_guard();
    fetch_or(&area()->leader->flags, EXO_TASK_TRACES);
}

/* Our parent may be asleep in a wait that does not know that it traces. */
static void make_parent_look(uint32_t parent)
{
    fetch_or(&KR->tasks[parent].flags, EXO_TASK_TRACES);
    exo_lock_acquire(&KR->trace_lock);
    for (uint32_t i = 1; i < load_acquire(&KR->task_high); i++) {
        const struct exo_task *task = &KR->tasks[i];
        if (task->leader_slot == parent && task->state == EXO_TASK_ALIVE)
            exo_trace_signal_locked(task, EXO_SI_WAKE);
    }
    exo_lock_release(&KR->trace_lock);
}

static void set_record(struct exo_task *task, uint32_t tracer, uint32_t slot, uint32_t flags,
                       uint64_t options)
{
    struct exo_trace *record = exo_trace_of(task);
    memset(record, 0, offsetof(struct exo_trace, regs));
    record->flags = flags;
    record->options = (uint32_t)options;
    record->tracer_slot = slot;
    store_release(&task->tracer, tracer);
}

static long trace_me(void)
{
    struct exo_area *mine = area();
    struct exo_stopped at;
    uint32_t parent = mine->leader->parent_slot;
    if (mine->task->tracer != 0 || parent == 0 || KR->tasks[parent].tid != mine->leader->ppid)
        return -EPERM;
    exo_lock_acquire(&KR->trace_lock);
    set_record(mine->task, KR->tasks[parent].tid, parent, 0, 0);
    exo_lock_release(&KR->trace_lock);
    make_parent_look(parent);
    exo_stopped_in_call(&at);
    exo_trace_adopt(&at);
    return 0;
}

char exo_trace_host_state(const struct exo_task *task)
{
    char path[40], text[256], *to = exo_put_text(path, "/proc/");
    exo_put_text(exo_put_number(to, task->host_tid), "/stat");
    long fd = HOST_3(__NR_open, path, O_CLOEXEC_, 0);
    if (fd < 0)
        return 'X';
    long size = HOST_3(__NR_read, fd, text, sizeof(text) - 1);
    HOST_1(__NR_close, fd);
    while (size > 0 && text[size - 1] != ')')
        size--;
    return size > 0 ? text[size + 1] : 'X';
}

static long attach(struct exo_task *task, long request, uint64_t addr, uint64_t options)
{
    bool seize = request == PTRACE_SEIZE;
    if (seize && (addr != 0 || (options & ~OPTIONS)))
        return -EIO;
    if (is_kin(task))
        return -EPERM;
    while (load_acquire(&task->state) == EXO_TASK_EMBRYO &&
           exo_alive_test(&KR->tasks[task->parent_slot]))
        HOST_0(__NR_sched_yield); /* its number is known a moment before it */
    char state = exo_trace_host_state(task);
    if (state == 'Z' || state == 'X')
        return -EPERM;
    long error = check_access(task);
    if (error != 0)
        return error;
    become_tracer();
    struct k_siginfo stop = {.signo = SIGSTOP_, .code = SI_USER_};
    exo_lock_acquire(&KR->trace_lock);
    if (task->tracer != 0 || task->state != EXO_TASK_ALIVE) {
        exo_lock_release(&KR->trace_lock);
        return -EPERM;
    }
    set_record(task, area()->tgid, area()->task->leader_slot, seize ? EXO_TRACE_SEIZED : 0,
               seize ? options : 0);
    memcpy(exo_trace_of(task)->stop_info, &stop, sizeof(stop));
    exo_lock_release(&KR->trace_lock);
    exo_trace_call_tracee(task, EXO_WORK_ATTACH | (seize ? 0 : EXO_WORK_SIGSTOP));
    if (state == 'T' && !seize) /* it stops here instead */
        HOST_2(__NR_kill, task->host_tgid, SIGCONT_);
    return 0;
}

/* Lets a stopped tracee go on; the record is its own again. */
static long resume(struct exo_task *task, struct exo_trace *record, uint32_t how, uint64_t sig)
{
    if (sig > 64)
        return -EIO;
    exo_lock_acquire(&KR->trace_lock);
    record->resume = how;
    record->signal = (uint32_t)sig;
    record->unreported = 0;
    if (how == PTRACE_DETACH)
        task->tracer = 0;
    exo_lock_release(&KR->trace_lock);
    store_release(&record->state, EXO_TRACE_RUNNING);
    HOST_3(__NR_futex, &record->state, FUTEX_WAKE, INT32_MAX);
    return 0;
}

static long listen(struct exo_trace *record)
{
    if (!(record->flags & EXO_TRACE_SEIZED) || record->status >> 16 != PTRACE_EVENT_STOP)
        return -EIO;
    uint32_t stopped = EXO_TRACE_STOPPED;
    compare_exchange(&record->state, &stopped, EXO_TRACE_LISTENING);
    HOST_3(__NR_futex, &record->state, FUTEX_WAKE, INT32_MAX); /* to look for work */
    return 0;
}

static long set_options(struct exo_trace *record, uint64_t options)
{
    if (options & ~OPTIONS)
        return -EINVAL;
    record->options = (uint32_t)options;
    return 0;
}

static long copy_info(struct exo_trace *record, uint64_t data, bool set)
{
    if (record->flags & EXO_TRACE_GROUP_STOP && record->status >> 16 == 0)
        return -EINVAL;
    return set ? guest_read(record->info, data, sizeof(record->info))
               : guest_write(data, record->info, sizeof(record->info));
}

static long copy_mask(struct exo_trace *record, uint64_t size, uint64_t data, bool set)
{
    uint64_t mask = record->mask;
    if (size != sizeof(mask))
        return -EINVAL;
    if (!set)
        return guest_put(data, &mask);
    if (guest_get(&mask, data) != 0)
        return -EFAULT;
    record->mask = mask & ~SIG_ALWAYS;
    record->changed |= EXO_CHANGED_MASK;
    return 0;
}

/* DIFFERS: PTRACE_PEEKSIGINFO finds no signals: those pending are the host's. */
static long peek_infos(uint64_t addr)
{
    struct {
        uint64_t offset;
        uint32_t flags;
        int32_t count;
    } args;
    if (guest_get(&args, addr) != 0)
        return -EFAULT;
    return (args.flags & ~(uint32_t)PTRACE_PEEKSIGINFO_SHARED) || args.count < 0 ? -EINVAL : 0;
}

/* Of a tracee that is stopped. */
static long serve(struct exo_task *task, long request, uint64_t addr, uint64_t data)
{
    struct exo_trace *record = exo_trace_of(task);
    switch (request) {
    case PTRACE_CONT:
    case PTRACE_SYSCALL:
    case PTRACE_SINGLESTEP:
    case PTRACE_SYSEMU:
    case PTRACE_SYSEMU_SINGLESTEP:
    case PTRACE_DETACH:
        return resume(task, record, (uint32_t)request, data);
    case PTRACE_LISTEN:
        return listen(record);
    case PTRACE_SETOPTIONS:
    case PTRACE_OLDSETOPTIONS:
        return set_options(record, data);
    case PTRACE_GETEVENTMSG:
        return guest_put(data, &record->message);
    case PTRACE_GETSIGINFO:
        return copy_info(record, data, false);
    case PTRACE_SETSIGINFO:
        return copy_info(record, data, true);
    case PTRACE_GETSIGMASK:
        return copy_mask(record, addr, data, false);
    case PTRACE_SETSIGMASK:
        return copy_mask(record, addr, data, true);
    case PTRACE_PEEKSIGINFO:
        return peek_infos(addr);
    default:
        return exo_trace_data(task, request, addr, data);
    }
}

/* The traced task of the process that takes its signals: task if given. */
static struct exo_task *traced_of(const struct exo_task *leader, struct exo_task *task)
{
    if (task != NULL)
        return task->tracer != 0 ? task : NULL;
    uint32_t slot = (uint32_t)(leader - KR->tasks);
    if (leader->tracer != 0 && !(leader->flags & EXO_TASK_LEADER_EXITED))
        return &KR->tasks[slot];
    for (uint32_t i = 1; i < load_acquire(&KR->task_high); i++)
        if (KR->tasks[i].leader_slot == slot && KR->tasks[i].tracer != 0 &&
            KR->tasks[i].state == EXO_TASK_ALIVE)
            return &KR->tasks[i];
    return NULL;
}

/* SIGCONT takes back what has not yet stopped the process. */
static void forget_stops(uint32_t leader_slot)
{
    for (uint32_t i = 1; i < load_acquire(&KR->task_high); i++)
        if (KR->tasks[i].leader_slot == leader_slot && KR->tasks[i].tracer != 0)
            fetch_and(&KR->traces[i].work, ~(uint32_t)EXO_WORK_SIGSTOP);
}

long exo_trace_stop_or_cont(const struct exo_task *leader, struct exo_task *task, int sig)
{
    struct k_siginfo info = {.signo = SIGSTOP_, .code = task ? SI_TKILL_ : SI_USER_};
    struct exo_task *to = traced_of(leader, task);
    if (to == NULL)
        return 1;
    long error = HOST_2(__NR_kill, leader->host_tgid, 0);
    struct exo_trace *its = exo_trace_of(to);
    if (error == 0 && sig == SIGCONT_) {
        forget_stops((uint32_t)(leader - KR->tasks));
        if (load_acquire(&its->state) == EXO_TRACE_LISTENING)
            exo_trace_call_tracee(to, EXO_WORK_CONTINUED);
        return 1;
    }
    if (error != 0)
        return error;
    info.pid = (int32_t)area()->tgid;
    info.uid = (uint32_t)HOST_0(__NR_getuid);
    memcpy(its->stop_info, &info, sizeof(info));
    exo_trace_call_tracee(to, EXO_WORK_SIGSTOP);
    return 0;
}

/* The tracer's process ends: its tracees go on alone, or die with it. */
void exo_trace_tracer_ends(void)
{
    const struct exo_area *mine = area();
    if (!(mine->leader->flags & EXO_TASK_TRACES))
        return;
    for (uint32_t i = 1; i < load_acquire(&KR->task_high); i++) {
        struct exo_task *task = &KR->tasks[i];
        struct exo_trace *record = exo_trace_of(task);
        if (task->tracer != mine->tgid || load_relaxed(&exo_ids_of(KR, i)->tid) == 0)
            continue;
        if (record->options & PTRACE_O_EXITKILL)
            exo_robust_kill(&KR->tasks[task->leader_slot]);
        if (load_acquire(&record->state) != EXO_TRACE_RUNNING) {
            resume(task, record, PTRACE_DETACH, record->unreported ? record->signal : 0);
            continue;
        }
        task->tracer = 0;
        exo_trace_call_tracee(task, 0); /* to see that */
    }
}

SYSCALL(ptrace)
{
    if (a == PTRACE_TRACEME)
        return trace_me();
    uint32_t slot = (int)b <= 0 ? 0 : exo_task_find(KR, (uint32_t)b);
    if (slot == 0)
        return b == 1 && (a == PTRACE_ATTACH || a == PTRACE_SEIZE) ? -EPERM : -ESRCH;
    struct exo_task *task = &KR->tasks[slot];
    struct exo_trace *record = exo_trace_of(task);
    if (a == PTRACE_ATTACH || a == PTRACE_SEIZE)
        return attach(task, a, (uint64_t)c, (uint64_t)d);
    if (task->tracer != area()->tgid || record->state == EXO_TRACE_EXITED)
        return -ESRCH;
    become_tracer();
    if (a == PTRACE_KILL)
        return exo_robust_kill(&KR->tasks[task->leader_slot]);
    if (a == PTRACE_INTERRUPT) {
        if (!(record->flags & EXO_TRACE_SEIZED))
            return -EIO;
        exo_trace_call_tracee(task, EXO_WORK_INTERRUPT);
        return 0;
    }
    if (load_acquire(&record->state) != EXO_TRACE_STOPPED || !exo_alive_test(task))
        return -ESRCH;
    return serve(task, a, (uint64_t)c, (uint64_t)d);
}
