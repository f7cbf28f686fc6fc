/* rt_sigqueueinfo(2), rt_tgsigqueueinfo(2), pidfd_send_signal(2): who may claim what, who is told. */
#include "check.h"
#include <pthread.h>
#include <sys/signalfd.h>

static volatile sig_atomic_t hits;
static siginfo_t last;
static volatile pid_t on_thread;

static void note(int number, siginfo_t *info, void *context)
{
    (void)number, (void)context;
    last = *info;
    on_thread = (pid_t)syscall(SYS_gettid);
    hits++;
}

static long send(int how, pid_t pid, pid_t tid, int number, siginfo_t *info)
{
    if (how == 0)
        return syscall(SYS_rt_sigqueueinfo, pid, number, info);
    if (how == 1)
        return syscall(SYS_rt_tgsigqueueinfo, pid, tid, number, info);
    int fd = (int)syscall(SYS_pidfd_open, pid, 0);
    long result = syscall(SYS_pidfd_send_signal, fd, number, info, 0);
    int error = errno;
    close(fd);
    errno = error;
    return result;
}

static const int codes[] = {SI_USER,  SI_KERNEL, SI_QUEUE, SI_TIMER,   SI_MESGQ, SI_ASYNCIO,
                            SI_SIGIO, SI_TKILL,  -100,     CLD_EXITED, 7};
static const char *const names[] = {"rt_sigqueueinfo", "rt_tgsigqueueinfo", "pidfd"};

static void table(const char *whom, pid_t pid, pid_t tid, bool here)
{
    for (int how = 0; how < 3; how++)
        for (size_t i = 0; i < sizeof codes / sizeof codes[0]; i++) {
            siginfo_t info = {.si_signo = SIGUSR1, .si_code = codes[i], .si_errno = 3};
            info.si_pid = getpid();
            info.si_uid = 4321;
            info.si_value.sival_int = 99;
            hits = 0;
            errno = 0;
            long result = send(how, pid, tid, SIGUSR1, &info);
            printf("%s to %s, code %d: %ld %s", names[how], whom, codes[i], result,
                   error_name(result ? errno : 0));
            if (here && hits)
                printf(" hits %d code %d errno %d pid %d uid %d value %d", (int)hits, last.si_code,
                       last.si_errno, last.si_pid == getpid(), last.si_uid,
                       last.si_value.sival_int);
            printf("\n");
        }
}

/* The only one that has it unblocked. */
static void *from_thread(void *argument)
{
    pthread_sigmask(SIG_UNBLOCK, argument, NULL);
    table("own process from a thread", getpid(), getpid(), true);
    table("own thread from a thread", getpid(), (pid_t)syscall(SYS_gettid), true);
    return NULL;
}

static void strange(void)
{
    siginfo_t info = {.si_code = SI_QUEUE};
    info.si_pid = 54321;
    CHECK(send(0, getpid(), 0, SIGUSR1, &info) == 0);
    printf("a pid that nobody has: %d\n", last.si_pid);
    info.si_signo = 77;
    CHECK(send(0, getpid(), 0, SIGUSR1, &info) == 0);
    printf("another number: %d\n", last.si_signo);
    errno = 0;
    info.si_signo = SIGUSR2;
    printf("pidfd with another number: %ld %s\n", send(2, getpid(), 0, SIGUSR1, &info),
           error_name(errno));
    FAILS(send(0, getpid(), 0, 65, &info));
    FAILS(send(0, getpid(), 0, 0, &info));
    FAILS(send(0, getpid(), 0, -1, &info));
    FAILS(send(0, getpid(), 0, SIGUSR1, (void *)8));
    FAILS(send(0, 0, 0, SIGUSR1, &info));
    FAILS(send(0, -1, 0, SIGUSR1, &info));
    FAILS(send(1, getpid(), 0, SIGUSR1, &info));
    FAILS(send(1, 0, getpid(), SIGUSR1, &info));
    FAILS(send(1, getpid(), getpid(), 65, &info));
    memset((char *)&info + 64, 1, 64);
    info.si_code = -100;
    FAILS(send(0, getpid(), 0, SIGUSR1, &info));
    pid_t pid = fork();
    if (pid == 0)
        _exit(0);
    CHECK(waitid(P_PID, (id_t)pid, &last, WEXITED | WNOWAIT) == 0);
    info = (siginfo_t){.si_code = SI_QUEUE};
    FAILS(send(0, pid, 0, SIGUSR1, &info));
    CHECK(reap(pid) == 0);
    FAILS(send(0, pid, 0, SIGUSR1, &info));
    int self = (int)syscall(SYS_pidfd_open, getpid(), 0);
    FAILS(syscall(SYS_pidfd_send_signal, self, SIGUSR1, NULL, 64));
    FAILS(syscall(SYS_pidfd_send_signal, self, 77, NULL, 0));
    FAILS(syscall(SYS_pidfd_send_signal, 0, SIGUSR1, NULL, 0));
    FAILS(syscall(SYS_pidfd_send_signal, -1, SIGUSR1, NULL, 0));
    hits = 0;
    CHECK(syscall(SYS_pidfd_send_signal, self, SIGUSR1, NULL, 0) == 0);
    printf("pidfd: hits %d code %d pid %d uid %d\n", (int)hits, last.si_code,
           last.si_pid == getpid(), last.si_uid == getuid());
}

int main(void)
{
    struct sigaction action = {.sa_sigaction = note, .sa_flags = SA_SIGINFO};
    CHECK(sigaction(SIGUSR1, &action, NULL) == 0);
    table("itself", getpid(), getpid(), true);
    pthread_t thread;
    sigset_t usr1;
    sigemptyset(&usr1);
    sigaddset(&usr1, SIGUSR1);
    pthread_sigmask(SIG_BLOCK, &usr1, NULL);
    CHECK(pthread_create(&thread, NULL, from_thread, &usr1) == 0);
    pthread_join(thread, NULL);
    pthread_sigmask(SIG_UNBLOCK, &usr1, NULL);
    pid_t pid = fork();
    if (pid == 0) {
        signal(SIGUSR1, SIG_IGN);
        for (;;)
            pause();
    }
    table("a child", pid, pid, false);
    kill(pid, SIGKILL);
    printf("child %d\n", reap(pid));
    strange();
    return finish();
}
