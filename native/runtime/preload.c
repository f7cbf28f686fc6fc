/* The platform preload: libexo_preload.so has mapped exo-guest into a program that its own loader has
 * started, before any of its code ran. The program becomes the first guest of an instance whose kernel
 * region it makes itself; there is no kernel process until one is needed (companion.c).
 *
 * One thread runs. What libc has already told the host about it (robust list, set_tid_address, signal
 * dispositions) is taken over.
 */
#include <linux/prctl.h>

#include "companion.h"
#include "intercept.h"
#include "loader.h"
#include "preload.h"
#include "signal.h"

#define ARCH_GET_FS_ 0x1003

static noreturn void leave(const struct exo_preload *with)
{
    if (with->failed != NULL)
        exo_set_gs(NULL);
    exo_start(with->entry, with->stack);
}

/* Asked before anything is changed. */
static bool host_can(struct exo_preload *with)
{
    long error = host_call_early(__NR_prctl, PR_SET_SYSCALL_USER_DISPATCH, PR_SYS_DISPATCH_OFF, 0,
                                 0, 0, 0);
    return error == 0 || exo_preload_fails(with, "Syscall User Dispatch (Linux 5.11)", error);
}

/* An area, and GS base at it: from here on there are host calls. */
static struct exo_area *make_area(const struct exo_preload *with)
{
    struct exo_area *mine = exo_area_create();
    exo_has_fsgsbase = (with->flags & EXO_PRELOAD_FSGSBASE) != 0;
    exo_set_gs(mine);
    mine->core.robust.list = (uint64_t)&mine->core.robust.list;
    mine->core.robust.futex_offset =
        (int64_t)offsetof(struct exo_lock, word) - (int64_t)offsetof(struct exo_lock, node);
    mine->core.host_tid = (uint32_t)HOST_0(__NR_gettid);
    return mine;
}

static uint32_t make_slot(struct exo_preload *with)
{
    uint32_t slot = exo_task_create(KR, 0, false);
    uint64_t table = slot == 0 ? 0 : exo_fd_table_create(KR);
    if (table == 0) {
        exo_preload_fails(with, "no room in the kernel region", -ENOMEM);
        return 0;
    }
    KR->tasks[slot].flags |= EXO_TASK_ORPHANED;
    exo_fd_table_give(KR, slot, table);
    if (!exo_preload_limits(with, slot) || !exo_preload_fds(with, table))
        return 0;
    return slot;
}

static uint64_t ignored_now(struct exo_sighand *hand)
{
    struct k_sigaction action;
    for (int sig = 1; sig <= 64; sig++) {
        if (exo_host_sigaction(sig, NULL, &action) != 0)
            continue;
        if (action.handler == SIG_IGN_)
            hand->inherited |= SIG_BIT(sig);
        if (action.handler <= SIG_IGN_)
            continue;
        hand->known |= SIG_BIT(sig);
        hand->actions[sig - 1] = action;
    }
    return hand->inherited;
}

static void take_over_signals(struct exo_area *mine)
{
    struct k_stack none = exo_area_altstack(mine);
    HOST_2(__NR_sigaltstack, &none, &mine->altstack);
    exo_signal_init();
    for (int sig = 1; sig <= 64; sig++)
        if ((mine->sighand->known & SIG_BIT(sig)) &&
            mine->sighand->actions[sig - 1].handler > SIG_IGN_)
            exo_action_to_host(sig, &mine->sighand->actions[sig - 1]);
}

#define PTHREAD_HEAD 128 /* bytes in which musl has a thread's number, from FS base on */

/* libc has asked for the thread's number already. glibc keeps it where set_tid_address(2) points, musl in
 * its thread's head. */
static void renumber(struct exo_area *mine)
{
    uint32_t seen, head[PTHREAD_HEAD / 4];
    uint64_t base = 0;
    if (guest_get(&seen, mine->clear_child_tid) == 0 && seen == mine->core.host_tid) {
        guest_put(mine->clear_child_tid, &mine->tid);
        return;
    }
    HOST_2(__NR_arch_prctl, ARCH_GET_FS_, &base);
    if (base == 0 || guest_read(head, base, sizeof(head)) != 0)
        return;
    for (uint64_t i = 0; i < PTHREAD_HEAD / 4; i++)
        if (head[i] == mine->core.host_tid) {
            guest_put(base + i * 4, &mine->tid);
            return;
        }
}

/* As attach() in loader.c, with what libc has set meanwhile. */
static void attach(struct exo_area *mine, uint32_t slot)
{
    struct exo_task *task = &KR->tasks[slot];
    uint64_t size = 0, robust = 0, cleared = 0;
    HOST_3(__NR_get_robust_list, 0, &robust, &size);
    HOST_5(__NR_prctl, PR_GET_TID_ADDRESS, &cleared, 0, 0, 0);
    uint32_t tid = mine->core.host_tid;
    if (!(exo_mm.flags & EXO_KR_NO_PATCH))
        mine->direct = &exo_direct;
    mine->sighand = exo_sighand_create(NULL);
    task->ignored = ignored_now(mine->sighand);
    exo_area_attach(mine, slot, tid);
    exo_task_set_host(KR, slot, tid, tid);
    task->robust_list = robust;
    mine->clear_child_tid = cleared;
    task->host_pgid = KR->kernel_host_pgid;
    if (HOST_5(__NR_prctl, PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0) == 1)
        task->security |= EXO_SECURITY_NO_NEW_PRIVS;
    store_release(&task->state, EXO_TASK_ALIVE);
    exo_mm.tasks = 1;
    renumber(mine);
    take_over_signals(mine);
}

noreturn void exo_preload(struct exo_preload *with)
{
    if (!host_can(with))
        exo_start(with->entry, with->stack);
    struct exo_area *mine = make_area(with);
    if (!exo_preload_region(with))
        leave(with);
    exo_note_phase(EXO_BOOT_LOADER);
    uint32_t slot = make_slot(with);
    if (slot == 0)
        leave(with);
    attach(mine, slot);
    exo_note_phase(EXO_BOOT_REGION);
    exo_preload_maps();
    fetch_add(&KR->stats.execs, 1);
    if (exo_mm.flags & EXO_KR_STATS)
        exo_companion_start();
    exo_note_phase(EXO_BOOT_ENTRY);
    exo_intercept_arm();
    leave(with);
}
