/* setpgid(2): a pipeline's group, waiting for it, signals to it, orphaned stopped groups. */
#include "check.h"
#include <sys/prctl.h>

static pid_t member(pid_t group)
{
    pid_t pid = fork();
    if (pid == 0) {
        setpgid(0, group);
        for (;;)
            pause();
    }
    CHECK(setpgid(pid, group ? group : pid) == 0);
    return pid;
}

int main(void)
{
    pid_t leader = member(0), second = member(leader), third = member(leader);
    CHECK(getpgid(second) == leader && getpgid(third) == leader);
    int status, stopped = 0, ended = 0;
    CHECK(killpg(leader, SIGSTOP) == 0);
    for (int i = 0; i < 3; i++)
        stopped += waitpid(-leader, &status, WUNTRACED) > 0 && WIFSTOPPED(status);
    printf("stopped %d\n", stopped);
    CHECK(kill(leader, SIGKILL) == 0);
    CHECK(reap(leader) == 128 + SIGKILL);
    printf("the group outlives its leader: %d\n", kill(-leader, 0) == 0);
    FAILS(waitpid(leader, NULL, WNOHANG));
    CHECK(killpg(leader, SIGCONT) == 0 && killpg(leader, SIGTERM) == 0);
    for (int i = 0; i < 2; i++) {
        while (waitpid(-leader, &status, 0) > 0 && !WIFSIGNALED(status))
            ;
        ended += WTERMSIG(status) == SIGTERM;
    }
    printf("ended %d\n", ended);
    FAILS(kill(-leader, 0));
    FAILS(waitpid(-leader, NULL, 0));
    CHECK(prctl(PR_SET_CHILD_SUBREAPER, 1) == 0);
    /* A stopped group that loses its last parent outside gets SIGHUP and SIGCONT. */
    int pipes[2];
    char c = 0;
    CHECK(pipe(pipes) == 0);
    pid_t middle = fork();
    if (middle == 0) {
        setsid();
        pid_t child = fork();
        if (child == 0) {
            setpgid(0, 0);
            close(pipes[0]);
            raise(SIGSTOP);
            pause();
        }
        waitpid(child, &status, WUNTRACED);
        _exit(WIFSTOPPED(status) ? 0 : 1);
    }
    CHECK(reap(middle) == 0);
    close(pipes[1]);
    CHECK(read(pipes[0], &c, 1) == 0);
    printf("orphaned stopped group: signal %d\n", reap(-1) - 128);
    return finish();
}
