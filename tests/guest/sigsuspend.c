/* sigsuspend(2), pause(2), sigtimedwait(2), signalfd(2): waiting for signals. */
#include "check.h"
#include <sys/signalfd.h>
#include <sys/time.h>

static volatile sig_atomic_t hits;
static void handler(int number)
{
    hits += number;
}

/* A child that signals us once we wait. */
static pid_t signaller(void)
{
    pid_t parent = getpid(), pid = fork();
    if (pid != 0)
        return pid;
    until_asleep(parent, parent);
    _exit(kill(parent, SIGUSR1));
}

int main(void)
{
    sigset_t usr1, none, old, pending;
    sigemptyset(&none);
    sigemptyset(&usr1);
    sigaddset(&usr1, SIGUSR1);
    struct sigaction action = {.sa_handler = handler};
    sigaction(SIGUSR1, &action, NULL);
    sigaction(SIGALRM, &action, NULL);
    CHECK(sigprocmask(SIG_BLOCK, &usr1, NULL) == 0);
    raise(SIGUSR1);
    printf("blocked: hits %d\n", (int)hits);
    FAILS(sigsuspend(&none));
    printf("suspended: hits %d\n", (int)hits);
    sigprocmask(SIG_SETMASK, NULL, &old);
    printf("mask back: %d\n", sigismember(&old, SIGUSR1));
    pid_t pid = signaller();
    hits = 0;
    FAILS(sigsuspend(&none));
    printf("from a child: hits %d, status %d\n", (int)hits, reap(pid));
    hits = 0;
    setitimer(ITIMER_REAL, &(struct itimerval){{0, 20000}, {0, 20000}}, NULL);
    FAILS(pause());
    setitimer(ITIMER_REAL, &(struct itimerval){0}, NULL);
    printf("alarm: hits %d\n", hits >= SIGALRM);
    struct timespec brief = {0, 1000000};
    FAILS(sigtimedwait(&usr1, NULL, &brief));
    siginfo_t info;
    raise(SIGUSR1);
    printf("timedwait %d", sigtimedwait(&usr1, &info, &brief));
    printf(" from %d\n", info.si_pid == getpid());
    pid = signaller();
    printf("waitinfo %d", sigwaitinfo(&usr1, &info));
    printf(" from child %d, status %d\n", info.si_pid == pid, reap(pid));
    int fd = signalfd(-1, &usr1, SFD_NONBLOCK | SFD_CLOEXEC);
    struct signalfd_siginfo record;
    FAILS(read(fd, &record, sizeof record));
    sigqueue(getpid(), SIGUSR1, (union sigval){.sival_int = 12});
    CHECK(read(fd, &record, sizeof record) == sizeof record);
    printf("signalfd: %u value %d pid %d\n", record.ssi_signo, record.ssi_int,
           record.ssi_pid == (uint32_t)getpid());
    sigpending(&pending);
    printf("pending after: %d\n", sigismember(&pending, SIGUSR1));
    return finish();
}
