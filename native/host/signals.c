/* The kernel process's own signals: what it serves, ignores, and leaves to the guest.
 *
 * Served signals are blocked and read from a signalfd, so Python never runs a handler. Stop signals
 * from the terminal are ignored: a guest that catches them must still find its kernel running, and
 * exo-um stops itself once the guest really has.
 */
#include <errno.h>
#include <signal.h>
#include <stdbool.h>
#include <stddef.h>
#include <sys/signalfd.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "host.h"

static const int served[] = {SIGCHLD, SIGHUP, SIGINT, SIGQUIT, SIGTERM, SIGUSR1, SIGUSR2};
static const int stops[] = {SIGTSTP, SIGTTIN, SIGTTOU};

static uint64_t bit_of(int number)
{
    return (uint64_t)1 << (number - 1);
}

/* Whether we started with signal number ignored. The C library keeps two to itself: without it. */
static bool is_ignored(int number)
{
    struct {
        uint64_t handler, flags, restorer, mask;
    } action;
    return syscall(SYS_rt_sigaction, number, NULL, &action, sizeof action.mask) == 0 &&
           action.handler == (uint64_t)(uintptr_t)SIG_IGN;
}

static uint64_t ignored_signals(void)
{
    uint64_t ignored = 0;
    for (int number = 1; number < NSIG; number++) {
        /* Python ignores these two before we can see what our caller wanted; the launcher did. */
        if (number == SIGPIPE || number == SIGXFSZ)
            continue;
        if (is_ignored(number))
            ignored |= bit_of(number);
    }
    return ignored;
}

static uint64_t blocked_signals(void)
{
    uint64_t mask = 0;
    sigset_t set;
    sigprocmask(SIG_BLOCK, NULL, &set);
    for (int number = 1; number < NSIG; number++)
        if (sigismember(&set, number) == 1)
            mask |= bit_of(number);
    return mask;
}

int exo_host_signals_open(struct exo_signals *signals)
{
    sigset_t set;
    signals->ignored = ignored_signals();
    signals->mask = blocked_signals();
    for (size_t i = 0; i < sizeof stops / sizeof *stops; i++)
        signal(stops[i], SIG_IGN);
    signal(SIGCHLD, SIG_DFL);
    sigemptyset(&set);
    for (size_t i = 0; i < sizeof served / sizeof *served; i++)
        sigaddset(&set, served[i]);
    if (sigprocmask(SIG_BLOCK, &set, NULL) < 0)
        return -errno;
    signals->fd = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
    return signals->fd < 0 ? -errno : 0;
}

int exo_host_signals_watch(uint64_t mask)
{
    sigset_t set;
    sigemptyset(&set);
    for (int number = 1; number < NSIG; number++)
        if (mask & bit_of(number))
            sigaddset(&set, number);
    if (sigprocmask(SIG_BLOCK, &set, NULL) < 0)
        return -errno;
    int fd = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
    return fd < 0 ? -errno : fd;
}

int exo_host_signal_next(int fd, struct exo_signal *signal)
{
    struct signalfd_siginfo info;
    ssize_t size = read(fd, &info, sizeof info);
    if (size < 0)
        return errno == EAGAIN || errno == EINTR ? 0 : -errno;
    signal->number = (int32_t)info.ssi_signo;
    signal->code = info.ssi_code;
    signal->host_pid = info.ssi_pid;
    return 1;
}

int exo_host_stop_self(int number)
{
    struct sigaction old;
    struct sigaction standard = {.sa_handler = SIG_DFL};
    sigset_t set, old_set;
    sigemptyset(&set);
    sigaddset(&set, number);
    sigaction(number, &standard, &old);
    sigprocmask(SIG_UNBLOCK, &set, &old_set);
    int error = raise(number) == 0 ? 0 : -errno;
    sigprocmask(SIG_SETMASK, &old_set, NULL);
    if (number != SIGSTOP)
        sigaction(number, &old, NULL);
    return error;
}

int exo_host_signal_queue(int host_tgid, int host_tid, const struct exo_queued *what)
{
    siginfo_t info = {.si_signo = what->number, .si_code = what->code};
    info.si_pid = what->pid;
    info.si_uid = what->uid;
    info.si_status = what->status;
    long result = host_tid == 0
                      ? syscall(SYS_rt_sigqueueinfo, host_tgid, what->number, &info)
                      : syscall(SYS_rt_tgsigqueueinfo, host_tgid, host_tid, what->number, &info);
    return result == 0 ? 0 : -errno;
}

void exo_host_signal_default(int number)
{
    signal(number, SIG_DFL);
}
