/* Starts the guests that are not made by guests: the first one, and programs that join later.
 * Each is a vfork child that becomes the loader.
 *
 * Rules for the child: it borrows our memory, so it calls the host directly, allocates nothing and
 * leaves nothing behind but errno, which is how a failure comes back.
 */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stddef.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <exo/core.h>

#include "host.h"

#define FD_COUNT 5

/* The fixed numbers first get out of each other's way, then into place, without FD_CLOEXEC. */
static int fds_place(const int32_t fds[FD_COUNT])
{
    static const int places[FD_COUNT] = {EXO_FD_KR, EXO_FD_DOORBELL, EXO_FD_CHANNEL, EXO_FD_LOADER,
                                         EXO_FD_COPIES};
    int moved[FD_COUNT];
    for (int i = 0; i < FD_COUNT; i++) {
        moved[i] = fcntl(fds[i], F_DUPFD_CLOEXEC, EXO_FD_LOADER + 1);
        if (moved[i] < 0)
            return -1;
    }
    for (int i = 0; i < FD_COUNT; i++)
        if (dup2(moved[i], places[i]) < 0)
            return -1;
    return 0;
}

static void signals_restore(const struct exo_signals *signals)
{
    sigset_t mask;
    sigemptyset(&mask);
    for (int number = 1; number < NSIG; number++) {
        uint64_t bit = (uint64_t)1 << (number - 1);
        struct sigaction action = {.sa_handler = signals->ignored & bit ? SIG_IGN : SIG_DFL};
        sigaction(number, &action, NULL); /* KILL and STOP refuse, rightly */
        if (signals->mask & bit)
            sigaddset(&mask, number);
    }
    sigprocmask(SIG_SETMASK, &mask, NULL);
}

static rlim_t with_own(rlim_t size)
{
    return size == RLIM_INFINITY ? size : size + EXO_OWN_SPACE(exo_host_region_size());
}

/* Fd numbers are bounded by exo itself; what the runtime takes comes on top of the guest's memory. */
static void limits_raise(void)
{
    struct rlimit limit;
    if (getrlimit(RLIMIT_NOFILE, &limit) == 0) {
        limit.rlim_cur = limit.rlim_max;
        setrlimit(RLIMIT_NOFILE, &limit);
    }
    if (getrlimit(RLIMIT_AS, &limit) == 0 && limit.rlim_cur != RLIM_INFINITY) {
        struct rlimit raised = {with_own(limit.rlim_cur), with_own(limit.rlim_max)};
        if (setrlimit(RLIMIT_AS, &raised) != 0) { /* only root may raise the hard limit */
            limit.rlim_cur = raised.rlim_cur < limit.rlim_max ? raised.rlim_cur : limit.rlim_max;
            setrlimit(RLIMIT_AS, &limit);
        }
    }
}

/* The received fds may have any number, 0 to 2 among them: out of the way first. */
static int stdio_place(const int32_t stdio[3])
{
    int moved[3];
    for (int i = 0; i < 3; i++) {
        moved[i] = stdio[i] < 0 ? -1 : fcntl(stdio[i], F_DUPFD_CLOEXEC, EXO_FD_LOADER + 1);
        if (stdio[i] >= 0 && moved[i] < 0)
            return -1;
    }
    for (int i = 0; i < 3; i++)
        if (moved[i] < 0)
            close(i);
        else if (dup2(moved[i], i) < 0)
            return -1;
    return 0;
}

static int place_enter(const struct exo_place *place)
{
    if (fchdir(place->directory) < 0 || stdio_place(place->stdio) < 0 || setsid() < 0)
        return -1;
    if (place->terminal && ioctl(0, TIOCSCTTY, 0) < 0)
        return -1;
    umask(place->umask);
    return 0;
}

static void child_run(const struct exo_spawn *spawn)
{
    if (fds_place(spawn->fds) < 0 || (spawn->place != NULL && place_enter(spawn->place) < 0))
        return;
    if (spawn->tracer != 0) /* where only ancestors may (Yama); survives the exec */
        prctl(PR_SET_PTRACER, spawn->tracer, 0, 0, 0);
    limits_raise();
    signals_restore(spawn->signals);
    syscall(SYS_execveat, EXO_FD_LOADER, "", spawn->argv, spawn->envp, AT_EMPTY_PATH);
}

/* noinline: nothing of ours may live in registers that the child overwrites. */
static __attribute__((noinline)) pid_t child_start(const struct exo_spawn *spawn,
                                                   volatile int *error)
{
    pid_t pid = vfork();
    if (pid == 0) {
        child_run(spawn);
        *error = errno;
        _exit(127);
    }
    return pid;
}

int exo_host_spawn(const struct exo_spawn *spawn)
{
    volatile int error = 0;
    sigset_t all, old;
    sigfillset(&all);
    sigprocmask(SIG_SETMASK, &all, &old);
    pid_t pid = child_start(spawn, &error);
    int failed = pid < 0 ? errno : error;
    sigprocmask(SIG_SETMASK, &old, NULL);
    if (pid > 0 && failed)
        while (waitpid(pid, NULL, 0) < 0 && errno == EINTR)
            ;
    return failed ? -failed : pid;
}
