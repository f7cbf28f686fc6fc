/* prctl(2): names, death signals, dumpability, no_new_privs, keep-capabilities, arch_prctl. */
#include "check.h"
#include <asm/prctl.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <pthread.h>
#include <sys/prctl.h>

static void *named(void *argument)
{
    char name[16] = "";
    prctl(PR_GET_NAME, name);
    prctl(PR_SET_NAME, "a thread");
    printf("thread starts as %s\n", name);
    return argument;
}

static void death_signal(void)
{
    int pipes[2];
    char c;
    CHECK(pipe(pipes) == 0);
    CHECK(prctl(PR_SET_CHILD_SUBREAPER, 1) == 0);
    pid_t middle = fork();
    if (middle == 0) {
        if (fork() == 0) {
            prctl(PR_SET_PDEATHSIG, SIGUSR2);
            (void)!write(pipes[1], "r", 1);
            for (;;)
                pause();
        }
        CHECK(read(pipes[0], &c, 1) == 1);
        _exit(0);
    }
    CHECK(reap(middle) == 0);
    printf("death signal: %d\n", reap(-1) - 128);
}

/* A filter that makes getppid fail with EXDEV and allows the rest. */
static int filtered(void)
{
    struct sock_filter code[] = {
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, 0),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_getppid, 0, 1),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | EXDEV),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
    };
    struct sock_fprog program = {4, code};
    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) ||
        prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program))
        return 100;
    errno = 0;
    return syscall(SYS_getppid) == -1 ? errno : 0;
}

int main(void)
{
    char name[17] = "";
    CHECK(prctl(PR_GET_NAME, name) == 0);
    printf("name %s\n", name);
    CHECK(prctl(PR_SET_NAME, "a name that is far too long") == 0 && prctl(PR_GET_NAME, name) == 0);
    printf("cut to %s\n", name);
    FILE *comm = fopen("/proc/self/comm", "r");
    CHECK(comm && fgets(name, sizeof name, comm));
    printf("comm %s\n", name);
    pthread_t thread;
    pthread_create(&thread, NULL, named, NULL);
    pthread_join(thread, NULL);
    CHECK(prctl(PR_GET_NAME, name) == 0);
    printf("still %s\n", name);
    int number = -1;
    CHECK(prctl(PR_SET_PDEATHSIG, SIGUSR1) == 0 && prctl(PR_GET_PDEATHSIG, &number) == 0);
    printf("death signal set %d\n", number);
    prctl(PR_SET_PDEATHSIG, 0);
    death_signal();
    printf("dumpable %d", prctl(PR_GET_DUMPABLE));
    CHECK(prctl(PR_SET_DUMPABLE, 0) == 0);
    printf(" %d\n", prctl(PR_GET_DUMPABLE));
    FAILS(prctl(PR_SET_DUMPABLE, 7));
    FAILS(prctl(PR_SET_PDEATHSIG, 77));
    FAILS(prctl(98765));
    printf("timer slack plausible %d\n", prctl(PR_GET_TIMERSLACK) > 0);
    unsigned long fs = 0;
    CHECK(syscall(SYS_arch_prctl, ARCH_GET_FS, &fs) == 0 && fs == (unsigned long)pthread_self());
    FAILS(syscall(SYS_arch_prctl, 0x9999, 0));
    pid_t pid = fork();
    if (pid == 0)
        _exit(filtered());
    int outcome = reap(pid);
    printf("the guest's own filter, if it may have one, is obeyed: %d\n",
           outcome == EXDEV || outcome == 100);
    return finish();
}
