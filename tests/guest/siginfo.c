/* sigaction(2), "The siginfo_t argument": which numbers stand in it, for each kind of sender. */
#include "check.h"
#include <mqueue.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/time.h>

static volatile sig_atomic_t hits;
static siginfo_t last;

static void note(int number, siginfo_t *info, void *context)
{
    (void)number, (void)context;
    last = *info;
    hits++;
}

static const char *who(pid_t pid, pid_t child)
{
    return pid == getpid() ? "self" : pid == child ? "child" : pid == 0 ? "0" : "another";
}

static void show(const char *name, pid_t child)
{
    printf("%s: hits %d signal %d code %d pid %s uid %d\n", name, (int)hits, last.si_signo,
           last.si_code, who(last.si_pid, child), last.si_uid == getuid());
    hits = 0;
}

static void wait_hit(void)
{
    sigset_t none;
    sigemptyset(&none);
    while (hits == 0)
        sigsuspend(&none);
}

static void from_child(const char *name, int way, sigset_t *set)
{
    pid_t parent = getpid(), pid = fork();
    if (pid == 0) {
        if (way == 0)
            kill(parent, SIGUSR1);
        else if (way == 1)
            sigqueue(parent, SIGUSR1, (union sigval){.sival_int = 1});
        else
            syscall(SYS_tgkill, parent, parent, SIGUSR1);
        pause();
    }
    wait_hit();
    show(name, pid);
    kill(pid, SIGKILL);
    wait_hit();
    show("its death", pid);
    CHECK(reap(pid) == 128 + SIGKILL);
    (void)set;
}

static void by_signalfd(sigset_t *set)
{
    int fd = signalfd(-1, set, SFD_CLOEXEC);
    struct signalfd_siginfo records[3];
    pid_t parent = getpid(), pid = fork();
    if (pid == 0) {
        kill(parent, SIGUSR1);
        sigqueue(parent, SIGRTMIN, (union sigval){.sival_int = 33});
        _exit(3);
    }
    CHECK(waitid(P_PID, (id_t)pid, &last, WEXITED | WNOWAIT) == 0);
    ssize_t size = read(fd, records, sizeof records);
    printf("signalfd: %zd records\n", size / (ssize_t)sizeof records[0]);
    for (int i = 0; i < size / (ssize_t)sizeof records[0]; i++)
        printf("  %u code %d pid %s status %d value %d\n", records[i].ssi_signo,
               records[i].ssi_code, who((pid_t)records[i].ssi_pid, pid), records[i].ssi_status,
               records[i].ssi_int);
    CHECK(reap(pid) == 3);
    close(fd);
}

static void owner(const char *name, int sockets[2], int owner_pid, int number)
{
    CHECK(fcntl(sockets[0], F_SETOWN, owner_pid) == 0);
    CHECK(fcntl(sockets[0], F_SETSIG, number) == 0);
    CHECK(fcntl(sockets[0], F_SETFL, O_ASYNC | O_NONBLOCK) == 0);
    printf("%s: owner %d\n", name, fcntl(sockets[0], F_GETOWN) == owner_pid);
    CHECK(write(sockets[1], "x", 1) == 1);
    wait_hit();
    printf("  signal %d code %d", last.si_signo, last.si_code);
    if (number)
        printf(" fd %d band %lx", last.si_fd == sockets[0], (long)last.si_band & 1);
    printf("\n");
    char c;
    CHECK(read(sockets[0], &c, 1) == 1);
    fcntl(sockets[0], F_SETFL, 0);
    hits = 0;
}

static void children(void)
{
    siginfo_t info;
    int pipes[2];
    CHECK(pipe(pipes) == 0);
    pid_t pid = fork();
    if (pid == 0) {
        char c;
        (void)!read(pipes[0], &c, 1);
        abort();
    }
    kill(pid, SIGSTOP);
    wait_hit();
    printf("stopped: code %d status %d, ", last.si_code, last.si_status);
    show("", pid);
    CHECK(waitid(P_PID, (id_t)pid, &info, WSTOPPED) == 0);
    kill(pid, SIGCONT);
    wait_hit();
    printf("continued: code %d status %d, ", last.si_code, last.si_status);
    show("", pid);
    CHECK(waitid(P_PID, (id_t)pid, &info, WCONTINUED) == 0);
    CHECK(write(pipes[1], "x", 1) == 1);
    wait_hit();
    printf("aborted: code %d status %d, ", last.si_code == CLD_DUMPED ? CLD_KILLED : last.si_code,
           last.si_status);
    show("", pid);
    CHECK(reap(pid) == 128 + SIGABRT);
    struct sigaction action = {.sa_sigaction = note, .sa_flags = SA_SIGINFO | SA_NOCLDSTOP};
    CHECK(sigaction(SIGCHLD, &action, NULL) == 0);
    pid = fork();
    if (pid == 0)
        for (;;)
            pause();
    kill(pid, SIGSTOP);
    CHECK(waitid(P_PID, (id_t)pid, &info, WSTOPPED) == 0);
    kill(pid, SIGCONT);
    CHECK(waitid(P_PID, (id_t)pid, &info, WCONTINUED) == 0);
    printf("SA_NOCLDSTOP: hits %d\n", (int)hits);
    kill(pid, SIGKILL);
    wait_hit();
    show("killed", pid);
    CHECK(reap(pid) == 128 + SIGKILL);
    action.sa_flags = SA_SIGINFO | SA_NOCLDWAIT;
    CHECK(sigaction(SIGCHLD, &action, NULL) == 0);
    pid = fork();
    if (pid == 0)
        _exit(9);
    wait_hit();
    printf("SA_NOCLDWAIT: code %d status %d, ", last.si_code, last.si_status);
    show("", pid);
    FAILS(waitpid(pid, NULL, 0));
    signal(SIGCHLD, SIG_IGN);
    pid = fork();
    if (pid == 0)
        _exit(9);
    FAILS(waitpid(-1, NULL, 0));
    signal(SIGCHLD, SIG_DFL);
}

int main(void)
{
    struct sigaction action = {.sa_sigaction = note, .sa_flags = SA_SIGINFO};
    sigset_t set;
    sigemptyset(&set);
    int numbers[] = {SIGUSR1, SIGCHLD, SIGIO, SIGRTMIN, SIGRTMIN + 1, SIGURG, SIGPIPE};
    for (size_t i = 0; i < sizeof numbers / sizeof numbers[0]; i++) {
        sigaction(numbers[i], &action, NULL);
        sigaddset(&set, numbers[i]);
    }
    CHECK(sigprocmask(SIG_BLOCK, &set, NULL) == 0);
    from_child("kill", 0, &set);
    from_child("sigqueue", 1, &set);
    from_child("tgkill", 2, &set);
    by_signalfd(&set);
    int sockets[2];
    CHECK(socketpair(AF_UNIX, SOCK_STREAM, 0, sockets) == 0);
    owner("SIGIO to the process", sockets, getpid(), 0);
    owner("F_SETSIG to the process", sockets, getpid(), SIGRTMIN + 1);
    CHECK(setpgid(0, 0) == 0 || getpgrp() == getpid());
    owner("to the group", sockets, -getpid(), SIGRTMIN + 1);
    struct f_owner_ex ex = {F_OWNER_TID, getpid()}, got = {0};
    CHECK(fcntl(sockets[0], F_SETOWN_EX, &ex) == 0 && fcntl(sockets[0], F_GETOWN_EX, &got) == 0);
    printf("to a thread: type %d pid %d signal %d\n", got.type, got.pid == getpid(),
           fcntl(sockets[0], F_GETSIG) == SIGRTMIN + 1);
    FAILS(fcntl(sockets[0], F_SETOWN, 54321));
    FAILS(fcntl(sockets[0], F_SETSIG, 65));
    close(sockets[1]);
    FAILS(write(sockets[0], "x", 1));
    wait_hit();
    show("SIGPIPE", 0);
    children();
    return finish();
}
