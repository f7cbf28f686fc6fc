/* What test_debuggers.py runs under gdb and strace: the argument says what it does. */
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

int counter;
volatile int go = 1;
volatile int received;

static int inner(int x)
{
    counter += x;
    return x * 2;
}

int outer(int a, int b)
{
    int sum = inner(a);
    sum += inner(b);
    return sum;
}

static void on_signal(int sig)
{
    received += sig;
}

int step(int n)
{
    return n + 1;
}

static void *work(void *argument)
{
    pthread_barrier_wait(argument);
    return NULL;
}

static int threads(void)
{
    pthread_t thread;
    pthread_barrier_t barrier;
    pthread_barrier_init(&barrier, NULL, 2);
    pthread_create(&thread, NULL, work, &barrier);
    pthread_barrier_wait(&barrier);
    pthread_join(thread, NULL);
    puts("joined");
    return 5;
}

static int signals(void)
{
    signal(SIGUSR1, on_signal);
    raise(SIGUSR1);
    printf("received %d\n", received);
    fflush(stdout);
    *(volatile int *)16 = 1;
    return 0;
}

/* SIGCHLD comes behind the wait, whichever of the two processes is faster. */
static int forks(void)
{
    int status;
    sigset_t child;
    sigemptyset(&child);
    sigaddset(&child, SIGCHLD);
    sigprocmask(SIG_BLOCK, &child, NULL);
    pid_t pid = fork();
    if (pid == 0)
        _exit(outer(1, 2));
    waitpid(pid, &status, 0);
    sigprocmask(SIG_UNBLOCK, &child, NULL);
    return WEXITSTATUS(status);
}

static int loops(void)
{
    for (int n = 0; go; usleep(1000))
        n = step(n);
    puts("left");
    return 3;
}

int main(int argc, char **argv)
{
    const char *what = argc > 1 ? argv[1] : "";
    if (strcmp(what, "threads") == 0)
        return threads();
    if (strcmp(what, "signals") == 0)
        return signals();
    if (strcmp(what, "forks") == 0)
        return forks();
    if (strcmp(what, "loops") == 0)
        return loops();
    printf("%d\n", outer(3, 4));
    return counter;
}
