/* exo-watch: ends an instance whose kernel process has died, by whatever it died.
 *
 * A child of the kernel process (host/watch.c starts it before the first guest), in a session of its
 * own, so that neither a terminal nor kill(2) of exo-um's process group reaches it. It has one fd,
 * the region's, and sleeps until the kernel process is gone. A guest that unmapped everything,
 * left its session or blocked its signals is found all the same: by the task table, and by the fd
 * of the region that every process of the instance has under the same number.
 */
#include <dirent.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include <exo/core.h>

#define TID_MASK 0x3fffffff /* FUTEX_TID_MASK */
#define PAUSE_MAX_NS 50000000

static int pidfd_of(pid_t pid)
{
    return (int)syscall(SYS_pidfd_open, pid, 0);
}

static bool kill_by(int pidfd)
{
    return syscall(SYS_pidfd_send_signal, pidfd, SIGKILL, NULL, 0) == 0;
}

/* The host's number of a task's process, 0 if the task is dead. A task in the middle of its birth
 * may have no more than its alive word. */
static pid_t process_of(const struct exo_task *task)
{
    uint32_t word = __atomic_load_n(&task->alive.word, __ATOMIC_ACQUIRE);
    if (!exo_alive_test(task))
        return 0;
    return (pid_t)(task->host_tgid != 0 ? task->host_tgid : word & TID_MASK);
}

static bool kill_listed(const struct exo_kr *kr)
{
    bool killed = false;
    for (uint32_t slot = 1; slot < kr->task_high && slot < EXO_TASK_COUNT; slot++) {
        pid_t pid = process_of(&kr->tasks[slot]);
        int pidfd = pid > 1 ? pidfd_of(pid) : -1;
        if (pidfd < 0)
            continue;
        /* Alive after the pidfd was taken: then it is this task that the pidfd stands for. */
        if (process_of(&kr->tasks[slot]) == pid)
            killed |= kill_by(pidfd);
        close(pidfd);
    }
    return killed;
}

static bool has_region(const char *pid, const struct stat *region)
{
    struct stat found;
    char path[64];
    snprintf(path, sizeof path, "/proc/%.10s/fd/%d", pid, EXO_FD_KR);
    return stat(path, &found) == 0 && found.st_dev == region->st_dev &&
           found.st_ino == region->st_ino;
}

static bool kill_holder(const char *name, const struct stat *region)
{
    pid_t pid = (pid_t)strtol(name, NULL, 10);
    if (pid <= 1 || pid == getpid() || !has_region(name, region))
        return false;
    int pidfd = pidfd_of(pid);
    if (pidfd < 0)
        return false;
    bool killed = has_region(name, region) && kill_by(pidfd);
    close(pidfd);
    return killed;
}

/* Those that the table does not name: in the middle of an exec, or of a birth. */
static bool kill_holders(void)
{
    struct stat region;
    bool killed = false;
    DIR *processes = opendir("/proc");
    if (processes == NULL || fstat(EXO_FD_KR, &region) != 0)
        return false;
    for (struct dirent *entry; (entry = readdir(processes)) != NULL;)
        killed |= kill_holder(entry->d_name, &region);
    closedir(processes);
    return killed;
}

/* A task that comes to life sees that the kernel process is dead and ends itself
 * (exo_area_attach()), so the passes come to an end. */
static void end_instance(const struct exo_kr *kr)
{
    struct timespec pause = {.tv_nsec = 500000};
    while (kill_listed(kr) | kill_holders()) {
        nanosleep(&pause, NULL);
        if (pause.tv_nsec < PAUSE_MAX_NS)
            pause.tv_nsec *= 2;
    }
}

int main(void)
{
    close_range(0, EXO_FD_KR - 1, 0);
    close_range(EXO_FD_KR + 1, ~0U, 0);
    setsid();
    if (chdir("/") != 0)
        return 1;
    const struct exo_kr *kr = mmap(NULL, sizeof *kr, PROT_READ, MAP_SHARED, EXO_FD_KR, 0);
    if (kr == MAP_FAILED || kr->magic != EXO_ABI_MAGIC)
        return 1;
    struct pollfd kernel = {.fd = pidfd_of((pid_t)kr->kernel_host_pid), .events = POLLIN};
    /* Our parent still: then the pidfd is its, else it is dead already. */
    while (kernel.fd >= 0 && getppid() == (pid_t)kr->kernel_host_pid)
        poll(&kernel, 1, -1);
    end_instance(kr);
    return 0;
}
