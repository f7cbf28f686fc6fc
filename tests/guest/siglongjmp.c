/* siglongjmp(3) and swapcontext(3): leaving handlers without sigreturn. */
#include "check.h"
#include <setjmp.h>
#include <sys/time.h>
#include <ucontext.h>

static sigjmp_buf back;
static int pipes[2];
static void leave(int number)
{
    siglongjmp(back, number);
}

static ucontext_t main_context, other_context;
static int steps;

static void other(void)
{
    for (int i = 0; i < 3; i++) {
        steps++;
        swapcontext(&other_context, &main_context);
    }
}

int main(void)
{
    sigset_t mask;
    CHECK(pipe(pipes) == 0);
    signal(SIGUSR1, leave);
    signal(SIGALRM, leave);
    volatile int times = 0;
    int rounds = 0, number = sigsetjmp(back, 1);
    if (number != 0)
        times++;
    if (times < 1000)
        raise(SIGUSR1);
    printf("raised and left %d times, last %d\n", times, number);
    sigprocmask(SIG_BLOCK, NULL, &mask);
    printf("mask restored: %d\n", !sigismember(&mask, SIGUSR1));
    number = sigsetjmp(back, 0);
    if (number == 0)
        raise(SIGUSR1);
    sigprocmask(SIG_BLOCK, NULL, &mask);
    printf("mask kept: %d\n", sigismember(&mask, SIGUSR1));
    sigemptyset(&mask);
    sigprocmask(SIG_SETMASK, &mask, NULL);
    for (volatile int i = 0; i < 5; i++) {
        char c;
        if (sigsetjmp(back, 1) == 0) {
            setitimer(ITIMER_REAL, &(struct itimerval){{0, 0}, {0, 20000}}, NULL);
            rounds += read(pipes[0], &c, 1) == 1;
        }
    }
    printf("left a blocking read 5 times, it returned %d times\n", rounds);
    CHECK(write(pipes[1], "z", 1) == 1);
    char c = 0;
    CHECK(read(pipes[0], &c, 1) == 1 && c == 'z');
    static char stack[65536];
    getcontext(&other_context);
    other_context.uc_stack.ss_sp = stack;
    other_context.uc_stack.ss_size = sizeof stack;
    other_context.uc_link = &main_context;
    makecontext(&other_context, other, 0);
    for (int i = 0; i < 4; i++)
        swapcontext(&main_context, &other_context);
    printf("contexts: %d steps\n", steps);
    return finish();
}
