/* setsid(2), setpgid(2): sessions and groups, who may change what. */
#include "check.h"
#include <sys/ioctl.h>

static void in_child(const char *name, int (*body)(void))
{
    pid_t pid = fork();
    if (pid == 0)
        _exit(body());
    printf("%s: %d\n", name, reap(pid));
}

static int new_session(void)
{
    CHECK(setsid() == getpid());
    CHECK(getsid(0) == getpid() && getpgrp() == getpid());
    FAILS(setsid());
    FAILS(setpgid(0, 0));
    FAILS(open("/dev/tty", O_RDWR));
    return failures;
}

static int new_group(void)
{
    pid_t session = getsid(0);
    CHECK(setpgid(0, 0) == 0 && getpgrp() == getpid() && getsid(0) == session);
    FAILS(setsid());
    pid_t pid = fork();
    if (pid == 0)
        _exit(getpgrp() == getppid() && setpgid(0, 0) == 0 && getpgrp() == getpid() ? 0 : 1);
    CHECK(reap(pid) == 0);
    return failures;
}

static int other_session(void)
{
    int pipes[2];
    char c;
    CHECK(pipe(pipes) == 0);
    pid_t pid = fork();
    if (pid == 0) {
        setsid();
        (void)!write(pipes[1], "x", 1);
        pause();
    }
    CHECK(read(pipes[0], &c, 1) == 1 && getpgid(pid) == pid && getsid(pid) == pid);
    FAILS(setpgid(pid, getpgrp()));
    FAILS(setpgid(0, pid));
    kill(pid, SIGKILL);
    CHECK(reap(pid) == 128 + SIGKILL);
    return failures;
}

static int after_exec(void)
{
    int pipes[2];
    char c;
    CHECK(pipe2(pipes, O_CLOEXEC) == 0);
    pid_t pid = fork();
    if (pid == 0) {
        execl("/bin/sleep", "sleep", "100", NULL);
        _exit(99);
    }
    close(pipes[1]);
    CHECK(read(pipes[0], &c, 1) == 0);
    FAILS(setpgid(pid, pid));
    kill(pid, SIGKILL);
    CHECK(reap(pid) == 128 + SIGKILL);
    return failures;
}

int main(void)
{
    in_child("new session", new_session);
    in_child("new group", new_group);
    in_child("other session", other_session);
    in_child("after exec", after_exec);
    FAILS(setpgid(0, -1));
    FAILS(setpgid(999999999, 0));
    return finish();
}
