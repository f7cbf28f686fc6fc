/* sigpending(2), sigqueue(3), signal(7): what waits while blocked, how much, in which order. */
#include "check.h"
#include <sys/resource.h>
#include <sys/signalfd.h>

static int order[256], values[256], codes[256];
static volatile sig_atomic_t count;

static void note(int number, siginfo_t *info, void *context)
{
    (void)context;
    int i = count++;
    order[i & 255] = number;
    values[i & 255] = info->si_value.sival_int;
    codes[i & 255] = info->si_code;
}

static void show(const char *name)
{
    printf("%s:", name);
    for (int i = 0; i < count; i++)
        printf(" %d%s", order[i], codes[i] == SI_QUEUE ? "q" : codes[i] == SI_TKILL ? "t" : "");
    printf(" values");
    for (int i = 0; i < count; i++)
        printf(" %d", codes[i] == SI_QUEUE ? values[i] : -1);
    printf("\n");
    count = 0;
}

static void queue(int number, int value)
{
    CHECK(sigqueue(getpid(), number, (union sigval){.sival_int = value}) == 0);
}

static void install(int flags, const int *numbers, int n, bool mask_all)
{
    struct sigaction action = {.sa_sigaction = note, .sa_flags = flags | SA_SIGINFO};
    if (mask_all)
        sigfillset(&action.sa_mask);
    for (int i = 0; i < n; i++)
        CHECK(sigaction(numbers[i], &action, NULL) == 0);
}

static const int all[] = {SIGUSR1, SIGUSR2, SIGTERM, SIGSEGV, SIGBUS, SIGSYS, SIGCHLD, 34, 40, 64};
#define ALL_COUNT (int)(sizeof all / sizeof all[0])

/* Those for one thread come before those for the process. */
static void everything(bool to_thread)
{
    for (int i = ALL_COUNT - 1; i >= 0; i--) {
        if (to_thread && (all[i] == SIGSEGV || all[i] == SIGBUS || all[i] == SIGSYS))
            continue;
        queue(all[i], i);
        queue(all[i], i + 100);
        if (to_thread && i % 3 == 0)
            CHECK(syscall(SYS_tgkill, getpid(), getpid(), all[i]) == 0);
    }
}

static void pending(const char *name)
{
    sigset_t set;
    sigemptyset(&set);
    CHECK(sigpending(&set) == 0);
    printf("%s:", name);
    for (int i = 1; i < 65; i++)
        if (sigismember(&set, i) == 1)
            printf(" %d", i);
    printf("\n");
}

int main(int argc, char **argv)
{
    sigset_t full, none, old, one;
    sigfillset(&full);
    sigemptyset(&none);
    if (argc > 1) {
        pending("after exec");
        sigprocmask(SIG_BLOCK, NULL, &old);
        printf("blocked after exec: %d %d %d\n", sigismember(&old, SIGUSR1),
               sigismember(&old, SIGSEGV), sigismember(&old, SIGINT));
        install(0, all, ALL_COUNT, true);
        sigprocmask(SIG_SETMASK, &none, NULL);
        show("delivered after exec");
        return finish();
    }
    for (int i = 0; i < 4; i++) {
        bool mask_all = i & 1;
        install(0, all, ALL_COUNT, mask_all);
        sigprocmask(SIG_SETMASK, &full, NULL);
        everything(i / 2);
        pending("pending");
        sigprocmask(SIG_SETMASK, &none, NULL);
        show(mask_all ? "one after the other" : "each in the one before");
        pending("left");
    }
    sigprocmask(SIG_SETMASK, &full, NULL);
    everything(false);
    pid_t pid = fork();
    if (pid == 0) {
        pending("in a child");
        _exit(0);
    }
    CHECK(reap(pid) == 0);
    struct timespec now = {0, 0};
    siginfo_t info;
    sigdelset(&full, SIGCHLD);
    for (int number; (number = sigtimedwait(&full, &info, &now)) > 0;)
        printf("timedwait %d code %d value %d\n", number, info.si_code,
               info.si_code == SI_QUEUE ? info.si_value.sival_int : -1);
    printf("then %s\n", error_name(errno));
    sigfillset(&full);
    queue(SIGUSR1, 5);
    queue(SIGSEGV, 6);
    signal(SIGUSR1, SIG_IGN);
    signal(SIGSEGV, SIG_IGN);
    signal(SIGCHLD, SIG_DFL);
    pending("discarded by being ignored");
    queue(SIGUSR1, 5);
    queue(SIGSYS, 5);
    pending("blocked and ignored");
    install(0, all, ALL_COUNT, true);
    sigprocmask(SIG_SETMASK, &none, NULL);
    show("no longer ignored");
    sigemptyset(&one);
    sigaddset(&one, SIGSEGV);
    sigaddset(&one, SIGUSR1);
    sigprocmask(SIG_BLOCK, &one, NULL);
    queue(SIGSEGV, 8);
    queue(SIGUSR1, 9);
    FAILS(sigsuspend(&none));
    show("suspended");
    struct rlimit limit = {20000, 20000}, before; /* of all the user's: other tests have many */
    CHECK(getrlimit(RLIMIT_SIGPENDING, &before) == 0);
    sigfillset(&full);
    sigprocmask(SIG_SETMASK, &full, NULL);
    pid = fork();
    if (pid == 0) {
        limit.rlim_cur = 0;
        CHECK(setrlimit(RLIMIT_SIGPENDING, &limit) == 0);
        FAILS(sigqueue(getpid(), SIGRTMIN, (union sigval){.sival_int = 1}));
        FAILS(sigqueue(getpid(), SIGUSR1, (union sigval){.sival_int = 1}));
        FAILS(kill(getpid(), SIGUSR2));
        FAILS(kill(getpid(), SIGRTMIN));
        pending("beyond the limit");
        timer_t timer;
        FAILS(timer_create(CLOCK_MONOTONIC, NULL, &timer));
        sigprocmask(SIG_SETMASK, &none, NULL);
        show("with what is known");
        _exit(failures);
    }
    printf("limit: %d\n", reap(pid));
    pid = fork();
    if (pid == 0) {
        CHECK(setrlimit(RLIMIT_SIGPENDING, &limit) == 0);
        sigprocmask(SIG_SETMASK, &none, NULL);
        queue(SIGUSR1, 17);
        show("unblocked under the limit");
        _exit(failures);
    }
    printf("limit: %d\n", reap(pid));
    queue(SIGUSR1, 1);
    queue(40, 2);
    queue(40, 3);
    queue(SIGSEGV, 4);
    execl("/proc/self/exe", argv[0], "again", NULL);
    return 1;
}
