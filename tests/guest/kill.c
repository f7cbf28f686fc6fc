/* kill(2), tgkill(2), sigqueue(3): targets, errors, siginfo. */
#include "check.h"
#include <sys/mman.h>

static volatile sig_atomic_t hits;
static siginfo_t last;

static void on_signal(int number, siginfo_t *info, void *context)
{
    (void)number, (void)context;
    hits++;
    last = *info;
}

static pid_t sleeper(void)
{
    pid_t pid = fork();
    if (pid == 0)
        for (;;)
            pause();
    return pid;
}

/* Where its parent shares memory a newborn child dies by its own hand, whatever it knows of itself. */
static void kill_newborn(void)
{
    CHECK(mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0) != MAP_FAILED);
    for (int i = 0; i < 200; i++) {
        pid_t pid = sleeper();
        CHECK(kill(pid, SIGKILL) == 0);
        CHECK(reap(pid) == 128 + SIGKILL);
    }
}

int main(void)
{
    struct sigaction action = {.sa_sigaction = on_signal, .sa_flags = SA_SIGINFO};
    CHECK(sigaction(SIGUSR1, &action, NULL) == 0);
    CHECK(kill(getpid(), 0) == 0 && hits == 0);
    CHECK(kill(getpid(), SIGUSR1) == 0);
    printf("self: hits %d code %d pid %d uid %d\n", hits, last.si_code == SI_USER,
           last.si_pid == getpid(), last.si_uid == getuid());
    CHECK(syscall(SYS_tgkill, getpid(), syscall(SYS_gettid), SIGUSR1) == 0);
    printf("tgkill: hits %d code %d pid %d\n", hits, last.si_code == SI_TKILL,
           last.si_pid == getpid());
    CHECK(sigqueue(getpid(), SIGUSR1, (union sigval){.sival_int = 4711}) == 0);
    printf("queue: hits %d code %d value %d\n", hits, last.si_code == SI_QUEUE,
           last.si_value.sival_int);
    pid_t parent = getpid(), pid = fork();
    if (pid == 0)
        _exit(kill(parent, SIGUSR1) == 0 ? 0 : 1);
    CHECK(reap(pid) == 0);
    printf("from child: hits %d pid %d\n", hits, last.si_pid == pid);
    int numbers[] = {SIGKILL, SIGTERM, SIGHUP, SIGPIPE, SIGALRM, SIGRTMIN, SIGXCPU, SIGQUIT};
    for (size_t i = 0; i < sizeof numbers / sizeof numbers[0]; i++) {
        pid = sleeper();
        CHECK(kill(pid, numbers[i]) == 0);
        printf("killed by %d\n", reap(pid) - 128);
    }
    pid = sleeper();
    CHECK(kill(pid, SIGCHLD) == 0 && kill(pid, SIGWINCH) == 0 && kill(pid, SIGURG) == 0);
    CHECK(waitpid(pid, NULL, WNOHANG) == 0);
    pid_t other = sleeper();
    CHECK(setpgid(pid, pid) == 0 && setpgid(other, pid) == 0);
    CHECK(kill(-pid, SIGTERM) == 0);
    printf("group: %d %d\n", reap(pid), reap(other));
    FAILS(kill(pid, 0));
    FAILS(kill(-pid, SIGTERM));
    FAILS(kill(getpid(), 65));
    FAILS(kill(getpid(), -1));
    FAILS(syscall(SYS_tgkill, getpid(), 0, SIGUSR1));
    FAILS(syscall(SYS_tgkill, 1, getpid(), SIGUSR1));
    pid = fork();
    if (pid == 0)
        _exit(0);
    CHECK(waitid(P_PID, (id_t)pid, &last, WEXITED | WNOWAIT) == 0);
    CHECK(kill(pid, 0) == 0 && kill(pid, SIGKILL) == 0);
    printf("zombie: %d\n", reap(pid));
    kill_newborn();
    return finish();
}
