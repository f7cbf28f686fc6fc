/* wait4(2): statuses, options, process groups, rusage, ignored SIGCHLD. */
#include "check.h"
#include <sys/resource.h>

static pid_t child(int (*body)(void))
{
    pid_t pid = fork();
    if (pid == 0)
        _exit(body());
    return pid;
}

static int ok(void)
{
    return 6;
}
static int die(void)
{
    return raise(SIGTERM);
}
static int hang(void)
{
    return pause();
}
static int burn(void)
{
    for (volatile long i = 0; i < 30000000; i++)
        ;
    return 0;
}

static void describe(const char *name, pid_t got, pid_t want, int status)
{
    printf("%s: %s", name, got == want ? "the child" : got == 0 ? "nobody" : "other");
    if (got > 0)
        printf(", exited %d %d, signaled %d %d, stopped %d %d, continued %d", WIFEXITED(status),
               WEXITSTATUS(status), WIFSIGNALED(status), WTERMSIG(status), WIFSTOPPED(status),
               WSTOPSIG(status), WIFCONTINUED(status));
    printf("\n");
}

int main(void)
{
    int status = 0;
    pid_t pid = child(ok);
    pid_t got = wait4(pid, &status, 0, NULL);
    describe("exit", got, pid, status);
    pid = child(die);
    got = wait4(-1, &status, 0, NULL);
    describe("signal", got, pid, status);
    pid = child(hang);
    got = wait4(pid, &status, WNOHANG, NULL);
    describe("nohang", got, pid, status);
    kill(pid, SIGSTOP);
    got = wait4(pid, &status, WUNTRACED, NULL);
    describe("stop", got, pid, status);
    kill(pid, SIGCONT);
    got = wait4(pid, &status, WCONTINUED, NULL);
    describe("continue", got, pid, status);
    kill(pid, SIGKILL);
    got = wait4(0, &status, 0, NULL);
    describe("kill, own group", got, pid, status);
    pid = child(ok);
    setpgid(pid, pid);
    got = wait4(-pid, &status, 0, NULL);
    describe("other group", got, pid, status);
    struct rusage usage;
    memset(&usage, 0, sizeof usage);
    pid = child(burn);
    CHECK(wait4(pid, &status, 0, &usage) == pid);
    CHECK(usage.ru_utime.tv_sec * 1000000 + usage.ru_utime.tv_usec > 0);
    FAILS(wait4(-1, NULL, 0, NULL));
    FAILS(wait4(getpid(), NULL, 0, NULL));
    FAILS(wait4(-1, NULL, 12345678, NULL));
    pid = child(ok);
    FAILS(wait4(pid + 100000, NULL, WNOHANG, NULL));
    CHECK(reap(pid) == 6);
    signal(SIGCHLD, SIG_IGN);
    pid = child(ok);
    FAILS(wait4(pid, NULL, 0, NULL));
    signal(SIGCHLD, SIG_DFL);
    pid_t first = child(ok), second = child(die);
    int statuses = reap(second) * 1000 + reap(first);
    printf("in other order %d\n", statuses);
    return finish();
}
