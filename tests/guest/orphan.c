/* Orphans: a new parent, told by getppid(2), that can wait for them: the next subreaper
 * (PR_SET_CHILD_SUBREAPER), else the one above. And children that come and go.
 */
#include "check.h"

#include <sys/prctl.h>

#define CYCLES 1000

static int ends[2];

/* An orphan: waits until its parent is another than old, and says whether that is expected. */
static void orphan(pid_t old, pid_t expected)
{
    while (getppid() == old)
        sleep_ms(1);
    char byte = getppid() == expected ? 'y' : 'n';
    _exit(write(ends[1], &byte, 1) == 1 ? 7 : 1);
}

/* Makes one by a child that exits, or is killed, and gives its pid. */
static pid_t make_orphan(pid_t expected, bool kill_parent)
{
    int pids[2];
    pid_t pid = 0;
    CHECK(pipe(pids) == 0);
    pid_t parent = fork();
    if (parent == 0) {
        pid_t old = getpid();
        pid_t child = fork();
        if (child == 0)
            orphan(old, expected);
        if (write(pids[1], &child, sizeof child) != sizeof child)
            _exit(1);
        if (kill_parent)
            pause();
        _exit(0);
    }
    CHECK(read(pids[0], &pid, sizeof pid) == sizeof pid);
    if (kill_parent)
        kill(parent, SIGKILL);
    CHECK(reap(parent) == (kill_parent ? 128 + SIGKILL : 0));
    close(pids[0]);
    close(pids[1]);
    return pid;
}

static bool told_yes(void)
{
    char byte = 0;
    return read(ends[0], &byte, 1) == 1 && byte == 'y';
}

static void test_subreaper(void)
{
    int set = 0;
    CHECK(prctl(PR_SET_CHILD_SUBREAPER, 1) == 0);
    CHECK(prctl(PR_GET_CHILD_SUBREAPER, &set) == 0 && set == 1);
    for (int killed = 0; killed < 2; killed++) {
        pid_t pid = make_orphan(getpid(), killed);
        CHECK(told_yes());
        CHECK(reap(pid) == 7);
    }
    /* A child does not inherit it, so its grandchild comes to us. */
    pid_t pid = fork();
    if (pid == 0) {
        prctl(PR_GET_CHILD_SUBREAPER, &set);
        make_orphan(getppid(), false);
        _exit(set == 0 && told_yes() ? 0 : 1);
    }
    CHECK(reap(pid) == 0);
    int status;
    CHECK(wait(&status) > 0 && WEXITSTATUS(status) == 7);
    FAILS(wait(&status));
    CHECK(prctl(PR_SET_CHILD_SUBREAPER, 0) == 0);
}

static void test_zombie_orphans(void)
{
    prctl(PR_SET_CHILD_SUBREAPER, 1);
    pid_t pid = fork();
    if (pid == 0) {
        if (fork() == 0)
            _exit(9);
        siginfo_t info;
        waitid(P_ALL, 0, &info, WEXITED | WNOWAIT);
        _exit(0);
    }
    CHECK(reap(pid) == 0);
    int status;
    CHECK(wait(&status) > 0 && WIFEXITED(status) && WEXITSTATUS(status) == 9);
    prctl(PR_SET_CHILD_SUBREAPER, 0);
}

/* A parent's death is no signal to us before we ask for it, and then the one we asked for. */
static void test_death_signal(void)
{
    int number = -1;
    CHECK(prctl(PR_GET_PDEATHSIG, &number) == 0 && number == 0);
    prctl(PR_SET_CHILD_SUBREAPER, 1);
    pid_t parent = fork();
    if (parent == 0) {
        int ready[2];
        char byte;
        if (pipe(ready) != 0)
            _exit(1);
        if (fork() == 0) {
            prctl(PR_SET_PDEATHSIG, SIGUSR1);
            if (write(ready[1], "", 1) == 1)
                pause();
            _exit(1);
        }
        _exit(read(ready[0], &byte, 1) == 1 ? 0 : 1);
    }
    CHECK(reap(parent) == 0);
    int status;
    CHECK(wait(&status) > 0 && WIFSIGNALED(status) && WTERMSIG(status) == SIGUSR1);
    prctl(PR_SET_CHILD_SUBREAPER, 0);
}

/* Children nobody waits for: the kernel does, when SIGCHLD is ignored. */
static void test_cycles(bool ignored)
{
    int status, made = 0;
    signal(SIGCHLD, ignored ? SIG_IGN : SIG_DFL);
    for (int i = 0; i < CYCLES; i++) {
        pid_t pid = fork();
        if (pid == 0)
            _exit(i % 100);
        made += pid > 0;
        if (ignored)
            CHECK(waitpid(pid, &status, 0) == -1 && errno == ECHILD);
        else
            CHECK(waitpid(pid, &status, 0) == pid && WEXITSTATUS(status) == i % 100);
    }
    CHECK(made == CYCLES);
    signal(SIGCHLD, SIG_DFL);
}

int main(void)
{
    CHECK(pipe(ends) == 0);
    test_subreaper();
    test_zombie_orphans();
    test_death_signal();
    test_cycles(false);
    test_cycles(true);
    return finish();
}
