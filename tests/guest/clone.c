/* clone(2) and clone3(2): what parent and child share, and the tid words. */
#include "check.h"
#include <linux/sched.h>
#include <sched.h>
#include <sys/mman.h>

static char stack[65536] __attribute__((aligned(16)));
static volatile int shared;
static int pipes[2];

static int child_main(void *argument)
{
    shared = (int)(long)argument;
    int fd = dup(pipes[0]);
    (void)!chdir("/");
    return fd > 0 ? 4 : 5;
}

static int run(unsigned long flags)
{
    shared = 0;
    pid_t pid = clone(child_main, stack + sizeof stack, (int)flags | SIGCHLD, (void *)77);
    CHECK(pid > 0);
    return reap(pid);
}

static bool in_root(void)
{
    char path[4096];
    return getcwd(path, sizeof path) && strcmp(path, "/") == 0;
}

static void tid_words(void)
{
    pid_t *words = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    long pid = syscall(SYS_clone, CLONE_PARENT_SETTID | CLONE_CHILD_SETTID | SIGCHLD, 0, &words[0],
                       &words[1], 0);
    if (pid == 0)
        _exit(words[1] == getpid() ? 0 : 1);
    CHECK(words[0] == pid);
    printf("tid words: %d\n", reap((pid_t)pid));
    struct clone_args arguments = {.flags = CLONE_PIDFD | CLONE_PARENT_SETTID,
                                   .exit_signal = SIGCHLD};
    int pidfd = -1;
    pid_t tid = 0;
    arguments.pidfd = (uint64_t)&pidfd;
    arguments.parent_tid = (uint64_t)&tid;
    pid = syscall(SYS_clone3, &arguments, sizeof arguments);
    if (pid == 0)
        _exit(9);
    CHECK(pidfd >= 0 && tid == pid);
    printf("clone3: %d\n", reap((pid_t)pid));
    FAILS(syscall(SYS_clone3, &arguments, 1));
    FAILS(syscall(SYS_clone, CLONE_SIGHAND, 0, 0, 0, 0));
    FAILS(syscall(SYS_clone, CLONE_THREAD, 0, 0, 0, 0));
}

int main(void)
{
    CHECK(pipe(pipes) == 0);
    int home = open(".", O_DIRECTORY);
    printf("plain: %d", run(0));
    printf(" memory %d root %d\n", shared, in_root());
    printf("vm: %d", run(CLONE_VM));
    printf(" memory %d root %d\n", shared, in_root());
    printf("fs: %d", run(CLONE_FS));
    printf(" memory %d root %d\n", shared, in_root());
    CHECK(fchdir(home) == 0);
    int next = dup(0);
    close(next);
    printf("files: %d", run(CLONE_FILES));
    printf(" child's descriptor is ours: %d\n", fcntl(next, F_GETFD) == 0);
    printf("all: %d", run(CLONE_VM | CLONE_FS | CLONE_FILES | CLONE_VFORK));
    printf(" memory %d root %d\n", shared, in_root());
    tid_words();
    return finish();
}
