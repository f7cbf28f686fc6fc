/* ptrace(2): PTRACE_TRACEME of a vfork child while threads of its parent, whose memory it shares, are
 * in system calls. Debuggers start programs this way.
 */
#include "check.h"
#include <pthread.h>
#include <sys/ptrace.h>

#define ROUNDS 12
#define THREADS 3

static volatile int stop;
static volatile long wrong;

static void *calls(void *unused)
{
    pid_t pid = getpid();
    while (!stop) {
        char c = 'c';
        int ends[2], word = 1;
        wrong += syscall(SYS_futex, &word, 0 /* FUTEX_WAIT */, 0, NULL) != -1 || errno != EAGAIN;
        wrong += pipe(ends) != 0 || write(ends[1], &c, 1) != 1 || read(ends[0], &c, 1) != 1;
        wrong += close(ends[0]) != 0 || close(ends[1]) != 0 || getppid() == pid;
    }
    return unused;
}

static void round_of(void)
{
    pthread_t threads[THREADS];
    for (int i = 0; i < THREADS; i++)
        CHECK(pthread_create(&threads[i], NULL, calls, NULL) == 0);
    usleep(2000);
    pid_t pid = vfork();
    if (pid == 0)
        _exit(ptrace(PTRACE_TRACEME, 0, NULL, NULL) != 0);
    CHECK(reap(pid) == 0);
    stop = 1;
    for (int i = 0; i < THREADS; i++)
        pthread_join(threads[i], NULL);
    _exit(wrong != 0);
}

int main(void)
{
    for (int i = 0; i < ROUNDS; i++) {
        pid_t pid = fork();
        if (pid == 0)
            round_of();
        int status = reap(pid);
        if (status != 0)
            printf("round %d: %#x\n", i, status);
    }
    return finish();
}
