/* signal(7): a storm from another process meets signals to oneself, jumps out of handlers and calls
 * made in handlers. Queued signals all come, in order; none interrupts its own handler; the mask is
 * right at every point.
 */
#include "check.h"
#include <setjmp.h>
#include <sys/time.h>

#define ROUNDS 4000

static volatile sig_atomic_t expected, disorder, nested, own, depth_rt, depth_own, wrong_mask;
static volatile sig_atomic_t done, alarms, chatty;
static int pipes[2];
static sigjmp_buf back;

static bool blocked(int number)
{
    sigset_t now;
    sigprocmask(SIG_BLOCK, NULL, &now);
    return sigismember(&now, number) == 1;
}

static void queued(int number, siginfo_t *info, void *context)
{
    (void)context;
    if (depth_rt++ != 0)
        nested++;
    if (info->si_value.sival_int != expected)
        disorder++;
    expected = info->si_value.sival_int + 1;
    if (chatty && !blocked(number))
        wrong_mask++;
    if (chatty && expected % 7 == 0)
        CHECK(write(pipes[1], "x", 1) == 1);
    if (chatty && expected % 5 == 0)
        raise(SIGUSR2);
    if (expected % ROUNDS == 0)
        done = 1;
    depth_rt--;
}

static void on_own(int number)
{
    if (depth_own++ != 0)
        nested++;
    own++;
    if (chatty && own % 3 == 0 && !blocked(number))
        wrong_mask++;
    depth_own--;
}

static void on_alarm(int number)
{
    alarms++;
    if (chatty && !blocked(number))
        wrong_mask++;
}

static void leave(int number)
{
    (void)number;
    siglongjmp(back, 1);
}

static pid_t sender(void)
{
    pid_t parent = getpid(), pid = fork();
    if (pid == 0) {
        for (int i = 0; i < ROUNDS; i++)
            while (sigqueue(parent, SIGRTMIN, (union sigval){.sival_int = i}) == -1)
                sched_yield();
        _exit(0);
    }
    return pid;
}

static void storm(const char *name, int style, int mask_own)
{
    struct sigaction action = {.sa_sigaction = queued, .sa_flags = SA_SIGINFO | SA_RESTART};
    if (mask_own)
        sigaddset(&action.sa_mask, SIGUSR2);
    CHECK(sigaction(SIGRTMIN, &action, NULL) == 0);
    expected = done = own = alarms = 0;
    chatty = style;
    setitimer(ITIMER_REAL, &(struct itimerval){{0, 1000}, {0, 1000}}, NULL);
    pid_t pid = sender();
    long raised = 0, jumped = 0;
    while (!done || raised < 8) {
        raise(SIGUSR2);
        raised++;
        if (blocked(SIGUSR2) || blocked(SIGRTMIN) || blocked(SIGALRM))
            wrong_mask++;
        if (style == 2 && raised % 4 == 0 && sigsetjmp(back, 1) == 0) {
            raise(SIGUSR1);
        } else if (style == 2 && raised % 4 == 0)
            jumped++;
    }
    setitimer(ITIMER_REAL, &(struct itimerval){0}, NULL);
    int status;
    while ((status = reap(pid)) == -1)
        ;
    printf("%s: disorder %d, nested %d, wrong masks %d, all raised %d, jumped %d, alarms %d, "
           "sender %d\n",
           name, (int)disorder, (int)nested, (int)wrong_mask, own >= raised,
           style != 2 || jumped > 0, alarms > 0, status);
}

int main(void)
{
    struct sigaction action = {.sa_handler = on_own};
    CHECK(pipe2(pipes, O_NONBLOCK) == 0);
    sigaction(SIGUSR2, &action, NULL);
    action.sa_handler = on_alarm;
    sigaction(SIGALRM, &action, NULL);
    action.sa_handler = leave;
    sigaction(SIGUSR1, &action, NULL);
    for (int mask_own = 0; mask_own < 2; mask_own++) {
        storm("quiet handlers", 0, mask_own);
        storm("handlers that make calls", 1, mask_own);
        storm("jumps out of handlers, too", 2, mask_own);
        char rest[4096];
        while (read(pipes[0], rest, sizeof rest) > 0)
            ;
    }
    return finish();
}
