/* sigaltstack(2): where handlers run, a stack overflow that is survived, errors. */
#include "check.h"
#include <setjmp.h>
#include <sys/resource.h>

static char alternative[65536];
static sigjmp_buf back;
static volatile int inside, flags_inside, error_inside;

static bool on_it(void)
{
    char here;
    return &here >= alternative && &here < alternative + sizeof alternative;
}

static void handler(int number)
{
    (void)number;
    stack_t now;
    inside = on_it();
    sigaltstack(NULL, &now);
    flags_inside = now.ss_flags;
    stack_t off = {.ss_flags = SS_DISABLE};
    error_inside = sigaltstack(&off, NULL) == -1 ? errno : 0;
}

static void overflowed(int number)
{
    (void)number;
    inside = on_it();
    siglongjmp(back, 1);
}

static volatile int bottom = -1;

__attribute__((noinline)) static int deeper(int n)
{
    volatile char room[4096];
    room[0] = (char)n;
    return n == bottom ? 0 : deeper(n + 1) + room[0];
}

int main(void)
{
    stack_t stack = {.ss_sp = alternative, .ss_size = sizeof alternative}, old;
    CHECK(sigaltstack(NULL, &old) == 0);
    printf("at first disabled: %d\n", old.ss_flags == SS_DISABLE);
    CHECK(sigaltstack(&stack, NULL) == 0);
    struct sigaction action = {.sa_handler = handler};
    sigaction(SIGUSR1, &action, NULL);
    raise(SIGUSR1);
    printf("without the flag: %d, flags %d, %s\n", inside, flags_inside, error_name(error_inside));
    CHECK(sigaltstack(&stack, NULL) == 0);
    action.sa_flags = SA_ONSTACK;
    sigaction(SIGUSR1, &action, NULL);
    raise(SIGUSR1);
    printf("with it: %d, flags %d, %s\n", inside, flags_inside, error_name(error_inside));
    struct rlimit limit = {1 << 20, 1 << 20};
    CHECK(setrlimit(RLIMIT_STACK, &limit) == 0);
    action.sa_handler = overflowed;
    sigaction(SIGSEGV, &action, NULL);
    for (int i = 0; i < 3; i++) {
        inside = 0;
        if (sigsetjmp(back, 1) == 0)
            deeper(0);
        printf("overflow %d survived: %d\n", i, inside);
    }
    stack.ss_size = 100;
    FAILS(sigaltstack(&stack, NULL));
    stack.ss_flags = 12345;
    FAILS(sigaltstack(&stack, NULL));
    stack_t off = {.ss_flags = SS_DISABLE};
    CHECK(sigaltstack(&off, &old) == 0);
    printf("ours: %d\n", old.ss_sp == alternative && old.ss_size == sizeof alternative);
    pid_t pid = fork();
    if (pid == 0)
        _exit(deeper(0) & 1);
    printf("overflow without it: %d\n", reap(pid));
    return finish();
}
