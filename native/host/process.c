/* Small services of the host that Python's os module lacks or offers only at an import's price. */
#include <errno.h>
#include <signal.h>
#include <stddef.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <exo/core.h>

#include "host.h"

int exo_host_subreaper_set(void)
{
    return prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) < 0 ? -errno : 0;
}

int exo_host_nofile_get(uint64_t limits[2])
{
    struct rlimit limit;
    if (getrlimit(RLIMIT_NOFILE, &limit) < 0)
        return -errno;
    limits[0] = limit.rlim_cur;
    limits[1] = limit.rlim_max;
    return 0;
}

int exo_host_task_kill(struct exo_kr *kr, uint32_t slot)
{
    const struct exo_task *task = &kr->tasks[slot];
    int pidfd = (int)syscall(SYS_pidfd_open, task->host_tgid, 0);
    if (pidfd < 0)
        return -errno;
    /* Alive after the pidfd was taken: then it is this task that the pidfd stands for. */
    int error = exo_alive_test(task) ? 0 : -ESRCH;
    if (error == 0 && syscall(SYS_pidfd_send_signal, pidfd, SIGKILL, NULL, 0) < 0)
        error = -errno;
    close(pidfd);
    return error;
}

int exo_host_task_signal(const struct exo_kr *kr, uint32_t slot, uint32_t tid, int number)
{
    const uint32_t *now = &kr->ids[EXO_TASK_COUNT - 1 - slot].tid;
    uint32_t host_pid = slot == 0 ? kr->kernel_host_pid : kr->tasks[slot].host_tgid;
    int pidfd = (int)syscall(SYS_pidfd_open, host_pid, 0);
    if (pidfd < 0)
        return -errno;
    /* Not by its alive lock: in the middle of an exec that is free. */
    int error = __atomic_load_n(now, __ATOMIC_ACQUIRE) == tid ? 0 : -ESRCH;
    if (error == 0 && syscall(SYS_pidfd_send_signal, pidfd, number, NULL, 0) < 0)
        error = -errno;
    close(pidfd);
    return error;
}
