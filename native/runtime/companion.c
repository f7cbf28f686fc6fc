/* Starts the kernel process (exo_um/kernel/companion.py) of an instance that has none.
 *
 * It is a grandchild of the guest whose call needs it, so that no guest can wait for it, in a session of
 * its own. It inherits the region, the doorbell, both ends of the channel and the loader, and nothing
 * else. Its guests' end of the channel takes the place of what held that number.
 */
#include <linux/futex.h>
#include <linux/prctl.h>

#include "companion.h"
#include "signal.h"
#include "text.h"

#define FAMILY_UNIX 1
#define SOCK_DGRAM_ 2
#define WAIT_ALL 0x40000000 /* __WALL */
#define PAUSE_NS 100000000

static void settle(uint32_t state)
{
    store_release(&KR->kernel_state, state);
    HOST_3(__NR_futex, &KR->kernel_state, FUTEX_WAKE, INT32_MAX);
}

static void keep_only_ours(void)
{
    long null = HOST_3(__NR_open, "/dev/null", 2, 0);
    for (int fd = 0; fd <= 2; fd++)
        HOST_3(__NR_dup3, null, fd, 0);
    HOST_3(__NR_close_range, 3, EXO_FD_KERNEL_END - 1, 0);
    HOST_3(__NR_close_range, EXO_FD_LOADER + 1, UINT32_MAX, 0);
}

/* In the grandchild: host calls only, on a copy of our memory. */
static noreturn void execute(int kernel_end)
{
    uint64_t none = 0;
    const char *argv[] = {"exo-um", "companion", NULL};
    const char *envp[] = {KR->companion.runtime[0] ? KR->companion.runtime : NULL, NULL};
    KR->companion.host_pid = (uint32_t)HOST_0(__NR_getpid);
    HOST_0(__NR_setsid);
    HOST_3(__NR_dup3, kernel_end, EXO_FD_KERNEL_END, 0);
    keep_only_ours();
    HOST_1(__NR_chdir, "/");
    HOST_4(__NR_rt_sigprocmask, 2 /* SIG_SETMASK */, &none, 0, 8);
    HOST_3(__NR_execve, KR->companion.launcher, argv, envp);
    settle(EXO_KERNEL_FAILED);
    HOST_1(__NR_exit_group, 127);
    __builtin_trap();
}

static long make_grandchild(int kernel_end)
{
    long child = HOST_5(__NR_clone, 0, 0, 0, 0, 0);
    if (child != 0)
        return child;
    long grandchild = HOST_5(__NR_clone, 0, 0, 0, 0, 0);
    if (grandchild == 0)
        execute(kernel_end);
    HOST_1(__NR_exit_group, grandchild < 0);
    __builtin_trap();
}

static bool start(void)
{
    int ends[2], status = 0, subreaper = 0;
    if (HOST_4(__NR_socketpair, FAMILY_UNIX, SOCK_DGRAM_ | O_CLOEXEC_, 0, ends) != 0)
        return false;
    HOST_3(__NR_dup3, ends[1], EXO_FD_CHANNEL, 0);
    HOST_5(__NR_prctl, PR_GET_CHILD_SUBREAPER, &subreaper, 0, 0, 0);
    HOST_5(__NR_prctl, PR_SET_CHILD_SUBREAPER, 0, 0, 0, 0); /* or it would be our child */
    long child = make_grandchild(ends[0]);
    if (child > 0)
        while (HOST_4(__NR_wait4, child, &status, WAIT_ALL, 0) == -EINTR)
            ;
    HOST_5(__NR_prctl, PR_SET_CHILD_SUBREAPER, subreaper, 0, 0, 0);
    HOST_1(__NR_close, ends[0]);
    HOST_1(__NR_close, ends[1]);
    return child > 0 && status == 0;
}

void exo_companion_begin(void)
{
    uint32_t absent = EXO_KERNEL_ABSENT;
    if (!compare_exchange(&KR->kernel_state, &absent, EXO_KERNEL_STARTING))
        return;
    uint64_t mask = exo_mask_block_all();
    bool started = start();
    exo_mask_set(mask);
    if (!started)
        settle(EXO_KERNEL_FAILED);
}

/* Whether it has ended without a word. Its number is another's at worst, and then we wait on. */
static bool is_gone(void)
{
    uint32_t pid = load_acquire(&KR->companion.host_pid);
    if (pid == 0)
        return false;
    long handle = HOST_2(__NR_pidfd_open, pid, 0);
    if (handle < 0)
        return handle == -ESRCH;
    struct {
        int32_t fd;
        int16_t events, revents;
    } ended = {(int32_t)handle, POLLIN_, 0};
    HOST_3(__NR_poll, &ended, 1, 0);
    HOST_1(__NR_close, handle);
    return ended.revents != 0;
}

static void say_failed(void)
{
    static uint32_t said;
    if (exchange(&said, 1))
        return;
    exo_say("exo-um: the kernel process cannot be started: ");
    exo_say(KR->companion.launcher);
    exo_say("\n");
}

bool exo_companion_awaited(void)
{
    uint64_t pause[2] = {0, PAUSE_NS};
    uint32_t state;
    exo_companion_start();
    while ((state = load_acquire(&KR->kernel_state)) == EXO_KERNEL_STARTING) {
        long waited = HOST_4(__NR_futex, &KR->kernel_state, FUTEX_WAIT, state, pause);
        if (waited == -ETIMEDOUT && is_gone() &&
            load_acquire(&KR->kernel_state) == EXO_KERNEL_STARTING)
            settle(EXO_KERNEL_FAILED);
    }
    if (state == EXO_KERNEL_FAILED)
        say_failed();
    return state == EXO_KERNEL_SERVES;
}
