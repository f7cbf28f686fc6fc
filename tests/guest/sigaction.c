/* sigaction(2): flags, masks, old actions, inheritance over fork and exec. */
#include "check.h"

static volatile sig_atomic_t depth, deepest, order[8], count;

static void nested(int number)
{
    order[count++ & 7] = number;
    if (++depth > deepest)
        deepest = depth;
    if (count < 3)
        raise(SIGUSR1);
    depth--;
}

static void other(int number)
{
    order[count++ & 7] = number;
}

static void raiser(int number)
{
    raise(SIGUSR2);
    order[count++ & 7] = number;
}

static int try(void (*handler)(int), int flags, int blocked)
{
    struct sigaction action = {.sa_handler = handler, .sa_flags = flags};
    sigemptyset(&action.sa_mask);
    if (blocked)
        sigaddset(&action.sa_mask, blocked);
    depth = deepest = count = 0;
    CHECK(sigaction(SIGUSR1, &action, NULL) == 0);
    raise(SIGUSR1);
    return (int)count;
}

int main(int argc, char **argv)
{
    struct sigaction old, action = {.sa_handler = other};
    if (argc > 1) {
        sigaction(SIGUSR1, NULL, &old);
        printf("after exec: handler %d", old.sa_handler == SIG_DFL);
        sigaction(SIGUSR2, NULL, &old);
        printf(", ignored %d\n", old.sa_handler == SIG_IGN);
        return 0;
    }
    int calls = try(nested, 0, 0);
    printf("plain: calls %d deepest %d\n", calls, (int)deepest);
    calls = try(nested, SA_NODEFER, 0);
    printf("nodefer: calls %d deepest %d\n", calls, (int)deepest);
    calls = try(other, SA_RESETHAND, 0);
    sigaction(SIGUSR1, NULL, &old);
    printf("resethand: calls %d default %d flag %d\n", calls, old.sa_handler == SIG_DFL,
           (old.sa_flags & (int)SA_RESETHAND) != 0);
    CHECK(sigaction(SIGUSR2, &action, NULL) == 0);
    try(raiser, 0, 0);
    printf("unmasked: %d first\n", order[0] == SIGUSR2 ? 2 : 1);
    try(raiser, 0, SIGUSR2);
    printf("masked: %d first\n", order[0] == SIGUSR2 ? 2 : 1);
    sigaction(SIGUSR1, NULL, &old);
    printf("old: handler %d mask %d\n", old.sa_handler == raiser,
           sigismember(&old.sa_mask, SIGUSR2));
    FAILS(sigaction(SIGKILL, &action, NULL));
    FAILS(sigaction(SIGSTOP, &action, NULL));
    FAILS(sigaction(65, &action, NULL));
    FAILS(syscall(SYS_rt_sigaction, SIGUSR1, &action, NULL, 4));
    CHECK(sigaction(SIGKILL, NULL, &old) == 0);
    signal(SIGUSR2, SIG_IGN);
    raise(SIGUSR2);
    pid_t pid = fork();
    if (pid == 0) {
        count = 0;
        raise(SIGUSR1);
        _exit(count == 1 ? 0 : 1);
    }
    printf("inherited by fork: %d\n", reap(pid));
    for (int number = 1; number < 65; number++)
        if (number != SIGKILL && number != SIGSTOP && number != 32 && number != 33)
            CHECK(sigaction(number, &action, NULL) == 0);
    count = 0;
    for (int number = 1; number < 65; number++)
        if (number != SIGKILL && number != SIGSTOP && number != 32 && number != 33)
            raise(number);
    printf("every signal: %d calls\n", (int)count);
    signal(SIGUSR2, SIG_IGN);
    execl("/proc/self/exe", argv[0], "second", NULL);
    return 1;
}
