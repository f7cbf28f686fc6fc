/* set_tid_address(2): the word that is cleared, and woken, when the thread ends. */
#include "check.h"
#include <linux/futex.h>
#include <pthread.h>
#include <sched.h>
#include <sys/mman.h>

static char stack[65536] __attribute__((aligned(16)));
static volatile int word = -1;

static int thread_main(void *argument)
{
    until_asleep(getpid(), getpid());
    return (int)(long)argument;
}

int main(void)
{
    long tid = syscall(SYS_set_tid_address, &word);
    printf("gives the tid: %d\n", tid == getpid() && tid == syscall(SYS_gettid));
    int flags = CLONE_VM | CLONE_FS | CLONE_FILES | CLONE_SIGHAND | CLONE_THREAD | CLONE_SYSVSEM |
                CLONE_PARENT_SETTID | CLONE_CHILD_CLEARTID;
    pid_t parent_tid = 0;
    word = 12345;
    int thread = clone(thread_main, stack + sizeof stack, flags, NULL, &parent_tid, NULL, &word);
    CHECK(thread > 0 && parent_tid == thread && thread != getpid());
    int waits = 0;
    while (word == 12345) {
        syscall(SYS_futex, &word, FUTEX_WAIT, 12345, NULL, NULL, 0);
        waits++;
    }
    printf("cleared to %d, waited %d\n", word, waits >= 1);
    volatile int *shared =
        mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    CHECK((void *)shared != MAP_FAILED);
    *shared = 77;
    pid_t pid = fork();
    if (pid == 0) {
        syscall(SYS_set_tid_address, shared);
        _exit(3);
    }
    /* Nobody else uses a forked child's memory: Linux does not clear the word then. */
    CHECK(reap(pid) == 3);
    printf("after a forked child: word %d\n", *shared);
    return finish();
}
