/* waitid(2): siginfo of ended, stopped and continued children, WNOWAIT, P_PIDFD, SIGCHLD. */
#include "check.h"

static volatile int chld_code, chld_status;
static volatile pid_t chld_pid;

static void on_child(int number, siginfo_t *info, void *context)
{
    (void)number, (void)context;
    chld_code = info->si_code;
    chld_status = info->si_status;
    chld_pid = info->si_pid;
}

static void show(const char *name, idtype_t type, id_t id, int options, pid_t want)
{
    siginfo_t info;
    memset(&info, 0xff, sizeof info);
    if (waitid(type, id, &info, options) == -1) {
        printf("%s: %s\n", name, error_name(errno));
        return;
    }
    printf("%s: signo %d code %d status %d pid %s uid %d\n", name, info.si_signo, info.si_code,
           info.si_pid ? info.si_status : 0,
           info.si_pid == want ? "child"
           : info.si_pid       ? "?"
                               : "0",
           info.si_pid ? info.si_uid == getuid() : 0);
}

int main(void)
{
    struct sigaction action = {.sa_sigaction = on_child, .sa_flags = SA_SIGINFO | SA_RESTART};
    CHECK(sigaction(SIGCHLD, &action, NULL) == 0);
    pid_t pid = fork();
    if (pid == 0)
        _exit(300 & 0xff);
    show("peek", P_PID, (id_t)pid, WEXITED | WNOWAIT, pid);
    show("exit", P_ALL, 0, WEXITED, pid);
    printf("handler: code %d status %d pid %d\n", chld_code, chld_status, chld_pid == pid);
    show("again", P_PID, (id_t)pid, WEXITED, pid);
    pid = fork();
    if (pid == 0)
        for (;;)
            pause();
    show("nohang", P_PID, (id_t)pid, WEXITED | WNOHANG, pid);
    kill(pid, SIGSTOP);
    show("stop", P_PID, (id_t)pid, WSTOPPED, pid);
    show("stop told once", P_PID, (id_t)pid, WSTOPPED | WNOHANG, pid);
    kill(pid, SIGCONT);
    show("continue", P_PID, (id_t)pid, WCONTINUED, pid);
    kill(pid, SIGTERM);
    int pidfd = (int)syscall(SYS_pidfd_open, pid, 0);
    CHECK(pidfd >= 0);
    show("pidfd", P_PIDFD, (id_t)pidfd, WEXITED, pid);
    pid = fork();
    if (pid == 0)
        abort();
    show("abort", P_PGID, (id_t)getpgrp(), WEXITED, pid);
    show("no options", P_ALL, 0, 0, 0);
    show("no children", P_ALL, 0, WEXITED, 0);
    return finish();
}
