/* signal(7): a signal to a process goes to a thread that lets it through, however that waits, be it
 * one of those that the CPU raises too; if all block it, to the first that unblocks it.
 */
#include "check.h"
#include <poll.h>
#include <pthread.h>
#include <sched.h>

static const int all[] = {SIGUSR1, SIGTRAP, SIGBUS, SIGSEGV, SIGSYS, SIGALRM};
#define COUNT (int)(sizeof all / sizeof all[0])
static volatile int handled[COUNT], by_worker[COUNT], codes[COUNT], from[COUNT], ready, stop, left;
static pthread_t first;
static sigset_t none, full, ours;
static int go[2], quiet[2];

static void handler(int number, siginfo_t *info, void *context)
{
    (void)context;
    for (int i = 0; i < COUNT; i++)
        if (all[i] == number) {
            by_worker[i] = !pthread_equal(pthread_self(), first);
            codes[i] = info->si_code;
            from[i] = info->si_pid;
            handled[i]++;
        }
}

static void wait_ready(void)
{
    while (!ready)
        sched_yield();
}

enum how { COMPUTES, PAUSES, SUSPENDS, POLLS, READS, TAKES, TAKES_TIMED, HOW_COUNT };
static const char *const names[] = {"computes", "pauses", "suspends", "polls", "reads", "takes", "takes timed"};

static int take(bool timed)
{
    siginfo_t info;
    int number = sigtimedwait(&ours, &info, timed ? &(struct timespec){100, 0} : NULL);
    for (int i = 0; i < COUNT; i++)
        if (all[i] == number) {
            by_worker[i] = 1;
            codes[i] = info.si_code;
            from[i] = info.si_pid;
            handled[i]++;
        }
    return number;
}

static void *worker(void *argument)
{
    enum how how = (enum how)(long)argument;
    char c;
    pthread_sigmask(SIG_SETMASK, how == SUSPENDS || how == POLLS || how >= TAKES ? &full : &none, NULL);
    ready = 1;
    while (!stop) {
        if (how == PAUSES)
            pause();
        if (how == SUSPENDS)
            sigsuspend(&none);
        if (how == POLLS)
            ppoll(&(struct pollfd){quiet[0], POLLIN, 0}, 1, NULL, &none);
        if (how == READS)
            (void)!read(quiet[0], &c, 1);
        if (how >= TAKES)
            take(how == TAKES_TIMED);
    }
    left = 1;
    return NULL;
}

static void send_each(bool by_child)
{
    pid_t parent = getpid();
    for (int i = 0; i < COUNT; i++) {
        int before = handled[i];
        pid_t pid = by_child ? fork() : 0;
        if (by_child && pid == 0)
            _exit(kill(parent, all[i]));
        if (!by_child)
            kill(parent, all[i]);
        while (handled[i] == before)
            sched_yield();
        if (by_child)
            CHECK(reap(pid) == 0);
        printf(" %d%s%s", all[i], by_worker[i] ? "" : " here", codes[i] == SI_USER ? "" : " code?");
        CHECK(from[i] == (by_child ? pid : parent) && handled[i] == before + 1);
    }
}

static void run(enum how how)
{
    pthread_t thread;
    stop = ready = left = 0;
    CHECK(pthread_create(&thread, NULL, worker, (void *)(long)how) == 0);
    wait_ready();
    printf("%s:", names[how]);
    send_each(false);
    printf("; from a child:");
    send_each(true);
    printf("\n");
    stop = 1;
    do { /* out of its last wait, which may begin after a signal */
        kill(getpid(), SIGUSR1);
        sched_yield();
    } while (!left);
    pthread_join(thread, NULL);
    sigtimedwait(&ours, NULL, &(struct timespec){0});
}

static void *late(void *unused)
{
    sigset_t pending;
    char c;
    (void)!read(go[0], &c, 1);
    sigpending(&pending);
    for (int i = 0; i < COUNT; i++)
        printf("%s%d", i ? " " : "pending in another thread: ", sigismember(&pending, all[i]));
    memset((void *)handled, 0, sizeof handled);
    pthread_sigmask(SIG_SETMASK, &none, NULL);
    printf("; unblocked there:");
    for (int i = 0; i < COUNT; i++)
        printf(" %d%s", handled[i], by_worker[i] ? "" : " by the first");
    pthread_sigmask(SIG_SETMASK, &full, NULL);
    return unused;
}

/* All block them; then the other thread unblocks, then the first one does. */
static void unblocked_later(void)
{
    pthread_t thread;
    sigset_t pending;
    CHECK(pthread_create(&thread, NULL, late, NULL) == 0);
    for (int i = 0; i < COUNT; i++)
        kill(getpid(), all[i]);
    CHECK(write(go[1], "g", 1) == 1);
    pthread_join(thread, NULL);
    sigpending(&pending);
    for (int i = 0; i < COUNT; i++)
        printf("%s%d", i ? " " : "; left: ", sigismember(&pending, all[i]));
    /* One that is for this thread is not for the other, and goes with it. */
    CHECK(pthread_create(&thread, NULL, late, NULL) == 0);
    for (int i = 0; i < COUNT; i++)
        pthread_kill(pthread_self(), all[i]);
    printf("\nfor one thread: "); /* before the other is let go, which prints, too */
    CHECK(write(go[1], "g", 1) == 1);
    pthread_join(thread, NULL);
    sigpending(&pending);
    for (int i = 0; i < COUNT; i++)
        printf("%s%d", i ? " " : "; left: ", sigismember(&pending, all[i]));
    memset((void *)handled, 0, sizeof handled);
    pthread_sigmask(SIG_SETMASK, &none, NULL);
    printf("; handled:");
    for (int i = 0; i < COUNT; i++)
        printf(" %d", handled[i]);
    printf("\n");
    pthread_sigmask(SIG_SETMASK, &full, NULL);
}

int main(void)
{
    first = pthread_self();
    CHECK(pipe(go) == 0 && pipe(quiet) == 0);
    sigemptyset(&none);
    sigfillset(&full);
    sigemptyset(&ours);
    struct sigaction action = {.sa_sigaction = handler, .sa_flags = SA_SIGINFO};
    for (int i = 0; i < COUNT; i++) {
        sigaddset(&ours, all[i]);
        CHECK(sigaction(all[i], &action, NULL) == 0);
    }
    pthread_sigmask(SIG_SETMASK, &full, NULL);
    for (int how = 0; how < HOW_COUNT; how++)
        run((enum how)how);
    unblocked_later();
    return finish();
}
