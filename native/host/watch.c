/* Starts exo-watch, which outlives the kernel process for as long as it takes to end the instance.
 *
 * Rules for the child: as in spawn.c.
 */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stddef.h>
#include <sys/wait.h>
#include <unistd.h>

#include "host.h"

static void child_run(const char *path, int region)
{
    char *const argv[] = {"exo-watch", NULL};
    char *const envp[] = {NULL};
    if (region == EXO_FD_KR ? fcntl(region, F_SETFD, 0) == 0 : dup2(region, EXO_FD_KR) >= 0)
        execve(path, argv, envp);
}

/* noinline: nothing of ours may live in registers that the child overwrites. */
static __attribute__((noinline)) pid_t child_start(const char *path, int region,
                                                   volatile int *error)
{
    pid_t pid = vfork();
    if (pid == 0) {
        child_run(path, region);
        *error = errno;
        _exit(127);
    }
    return pid;
}

/* Every signal stays blocked in the child. */
int exo_host_watch(const char *path, int region)
{
    volatile int error = 0;
    sigset_t all, old;
    sigfillset(&all);
    sigprocmask(SIG_SETMASK, &all, &old);
    pid_t pid = child_start(path, region, &error);
    int failed = pid < 0 ? errno : error;
    sigprocmask(SIG_SETMASK, &old, NULL);
    if (pid > 0 && failed)
        while (waitpid(pid, NULL, 0) < 0 && errno == EINTR)
            ;
    return failed ? -failed : pid;
}
