/* sigprocmask(2), sigpending(2): blocking, merging, queueing order, inheritance. */
#include "check.h"

static volatile int log_count, log_number[64], log_value[64];

static void handler(int number, siginfo_t *info, void *context)
{
    (void)context;
    log_number[log_count & 63] = number;
    log_value[log_count & 63] = info->si_value.sival_int;
    log_count++;
}

static void mask_is(const char *name)
{
    sigset_t now;
    sigprocmask(SIG_BLOCK, NULL, &now);
    printf("%s:", name);
    for (int number = 1; number < 65; number++)
        if (sigismember(&now, number) == 1)
            printf(" %d", number);
    printf("\n");
}

int main(int argc, char **argv)
{
    if (argc > 1) {
        mask_is("over exec");
        sigset_t pending;
        sigpending(&pending);
        printf("pending over exec: %d\n", sigismember(&pending, SIGUSR1));
        return 0;
    }
    sigset_t set, pending;
    struct sigaction action = {.sa_sigaction = handler, .sa_flags = SA_SIGINFO};
    sigfillset(&action.sa_mask);
    int realtime = SIGRTMIN + 5, numbers[] = {SIGUSR1, SIGUSR2, realtime, realtime + 1};
    sigemptyset(&set);
    for (int i = 0; i < 4; i++) {
        sigaddset(&set, numbers[i]);
        sigaction(numbers[i], &action, NULL);
    }
    CHECK(sigprocmask(SIG_BLOCK, &set, NULL) == 0);
    mask_is("blocked");
    for (int i = 0; i < 3; i++) {
        sigqueue(getpid(), realtime + 1, (union sigval){.sival_int = 10 + i});
        sigqueue(getpid(), realtime, (union sigval){.sival_int = 20 + i});
        raise(SIGUSR2);
        raise(SIGUSR1);
    }
    sigpending(&pending);
    printf("pending: %d %d %d %d\n", sigismember(&pending, SIGUSR1), sigismember(&pending, SIGHUP),
           sigismember(&pending, realtime), log_count);
    CHECK(sigprocmask(SIG_UNBLOCK, &set, NULL) == 0);
    for (int i = 0; i < log_count; i++)
        printf("%d(%d) ", log_number[i],
               log_value[i] < 100 && log_number[i] > 32 ? log_value[i] : 0);
    printf("\n");
    mask_is("unblocked");
    sigfillset(&set);
    sigprocmask(SIG_SETMASK, &set, NULL);
    sigset_t raw = {{0}};
    syscall(SYS_rt_sigprocmask, SIG_BLOCK, NULL, &raw, 8);
    printf("all but: KILL %d STOP %d\n", sigismember(&raw, SIGKILL), sigismember(&raw, SIGSTOP));
    FAILS(syscall(SYS_rt_sigprocmask, 77, &set, NULL, 8));
    FAILS(syscall(SYS_rt_sigprocmask, SIG_BLOCK, &set, NULL, 16));
    sigemptyset(&set);
    sigaddset(&set, SIGUSR1);
    sigaddset(&set, SIGTERM);
    sigprocmask(SIG_SETMASK, &set, NULL);
    raise(SIGUSR1);
    pid_t pid = fork();
    if (pid == 0) {
        mask_is("over fork");
        sigpending(&pending);
        printf("pending over fork: %d\n", sigismember(&pending, SIGUSR1));
        _exit(0);
    }
    CHECK(reap(pid) == 0);
    execl("/proc/self/exe", argv[0], "second", NULL);
    return 1;
}
