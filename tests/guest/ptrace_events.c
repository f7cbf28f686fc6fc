/* ptrace(2): events, attaching and letting go, group-stops, ends of tracees and tracers. */
#include "check.h"
#include <pthread.h>
#include <sched.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/user.h>

static const char *what(int status)
{
    static char text[80];
    if (WIFEXITED(status))
        snprintf(text, sizeof text, "exited %d", WEXITSTATUS(status));
    else if (WIFSIGNALED(status))
        snprintf(text, sizeof text, "killed by %d", WTERMSIG(status));
    else if (WIFSTOPPED(status))
        snprintf(text, sizeof text, "stopped by %d, event %d", WSTOPSIG(status), status >> 16);
    else
        snprintf(text, sizeof text, "%x", status);
    return text;
}

static int next(pid_t pid)
{
    int status = -1;
    CHECK(waitpid(pid, &status, __WALL) == pid);
    return status;
}

static int go_on(int how, pid_t pid, long sig)
{
    CHECK(ptrace(how, pid, NULL, sig) == 0);
    return next(pid);
}

static pid_t child(int (*body)(void))
{
    pid_t pid = fork();
    if (pid == 0)
        _exit(body());
    return pid;
}

static pid_t traced(int (*body)(void), long options)
{
    pid_t pid = fork();
    if (pid == 0) {
        ptrace(PTRACE_TRACEME, 0, NULL, NULL);
        raise(SIGSTOP);
        _exit(body());
    }
    next(pid);
    CHECK(ptrace(PTRACE_SETOPTIONS, pid, NULL, options) == 0);
    return pid;
}

static unsigned long message(pid_t pid)
{
    unsigned long got = 0;
    CHECK(ptrace(PTRACE_GETEVENTMSG, pid, NULL, &got) == 0);
    return got;
}

static int forks(void)
{
    return reap(fork() ?: (_exit(7), 0));
}

static int vforks(void)
{
    pid_t pid = vfork();
    if (pid == 0)
        _exit(8);
    return reap(pid);
}

static int executes(void)
{
    return execl("/proc/self/exe", "ptrace_events", "exit", NULL);
}

static int vforks_and_executes(void)
{
    pid_t pid = vfork();
    if (pid == 0) {
        execl("/proc/self/exe", "ptrace_events", "exit", NULL);
        _exit(1);
    }
    return reap(pid);
}

static int hangs(void)
{
    for (;;)
        pause();
}

/* A fork whose child is traced too: it is seen, goes on, ends. */
static void births(const char *name, int (*body)(void))
{
    pid_t pid = traced(body, PTRACE_O_TRACEFORK | PTRACE_O_TRACEVFORK | PTRACE_O_TRACEVFORKDONE);
    printf("%s: %s\n", name, what(go_on(PTRACE_CONT, pid, 0)));
    pid_t born = (pid_t)message(pid);
    printf("  born: %s\n", what(next(born)));
    ptrace(PTRACE_CONT, pid, NULL, NULL);
    int status = go_on(PTRACE_CONT, born, 0);
    printf("  goes on: %s\n", what(status));
    if (WIFSTOPPED(status))
        printf("  goes on: %s\n", what(go_on(PTRACE_CONT, born, 0)));
    status = next(pid);
    printf("  maker: %s\n", what(status));
    while (WIFSTOPPED(status)) {
        int sig = status >> 16 == 0 ? WSTOPSIG(status) : 0;
        status = go_on(PTRACE_CONT, pid, sig);
        printf("  maker: %s\n", what(status));
    }
}

static void unfollowed(void)
{
    pid_t pid = traced(forks, 0);
    int status = go_on(PTRACE_CONT, pid, 0);
    printf("unfollowed: %s\n", what(status));
    if (WIFSTOPPED(status))
        printf("unfollowed: %s\n", what(go_on(PTRACE_CONT, pid, 0)));
}

static void exec_and_exit(void)
{
    pid_t pid = traced(executes, 0);
    printf("exec: %s\n", what(go_on(PTRACE_CONT, pid, 0)));
    siginfo_t info;
    CHECK(ptrace(PTRACE_GETSIGINFO, pid, NULL, &info) == 0);
    printf("  code %d, itself %d\n", info.si_code, info.si_pid == pid);
    printf("  end: %s\n", what(go_on(PTRACE_CONT, pid, 0)));
    pid = traced(executes, PTRACE_O_TRACEEXEC | PTRACE_O_TRACEEXIT | PTRACE_O_TRACESYSGOOD);
    printf("exec: %s\n", what(go_on(PTRACE_CONT, pid, 0)));
    CHECK(message(pid) == (unsigned long)pid);
    struct user_regs_struct regs;
    printf("  its end: %s\n", what(go_on(PTRACE_SYSCALL, pid, 0)));
    CHECK(ptrace(PTRACE_GETREGS, pid, NULL, &regs) == 0);
    printf("  nr %d, rax %d, rbx %d\n", (int)regs.orig_rax, (int)regs.rax, (int)regs.rbx);
    printf("  exit: %s\n", what(go_on(PTRACE_CONT, pid, 0)));
    printf("  message %lx\n", message(pid));
    printf("  end: %s\n", what(go_on(PTRACE_CONT, pid, 0)));
}

static void attach(void)
{
    pid_t pid = child(hangs);
    CHECK(ptrace(PTRACE_ATTACH, pid, NULL, NULL) == 0);
    printf("attach: %s\n", what(next(pid)));
    siginfo_t info;
    CHECK(ptrace(PTRACE_GETSIGINFO, pid, NULL, &info) == 0);
    printf("  signal %d\n", info.si_signo);
    CHECK(ptrace(PTRACE_DETACH, pid, NULL, NULL) == 0);
    FAILS(ptrace(PTRACE_CONT, pid, NULL, NULL));
    CHECK(ptrace(PTRACE_ATTACH, pid, NULL, NULL) == 0); /* again */
    next(pid);
    CHECK(ptrace(PTRACE_CONT, pid, NULL, NULL) == 0);
    CHECK(waitpid(pid, NULL, WNOHANG) == 0);
    kill(pid, SIGSTOP);
    printf("  SIGSTOP: %s\n", what(next(pid)));
    printf("  passed on: %s\n", what(go_on(PTRACE_CONT, pid, SIGSTOP)));
    FAILS(ptrace(PTRACE_GETSIGINFO, pid, NULL, &info)); /* a group-stop */
    CHECK(ptrace(PTRACE_CONT, pid, NULL, NULL) == 0);
    kill(pid, SIGTERM);
    printf("  SIGTERM: %s\n", what(next(pid)));
    CHECK(ptrace(PTRACE_DETACH, pid, NULL, SIGTERM) == 0);
    printf("  end: %s\n", what(next(pid)));
}

static void seize(void)
{
    pid_t pid = child(hangs);
    siginfo_t info;
    CHECK(setpgid(pid, pid) == 0); /* SIGTSTP does not stop an orphaned process group */
    CHECK(ptrace(PTRACE_SEIZE, pid, NULL, PTRACE_O_TRACEEXIT) == 0);
    CHECK(waitpid(pid, NULL, WNOHANG) == 0);
    CHECK(ptrace(PTRACE_INTERRUPT, pid, NULL, NULL) == 0);
    printf("interrupt: %s\n", what(next(pid)));
    CHECK(ptrace(PTRACE_GETSIGINFO, pid, NULL, &info) == 0);
    printf("  code %x\n", info.si_code);
    CHECK(ptrace(PTRACE_CONT, pid, NULL, NULL) == 0);
    kill(pid, SIGTSTP);
    printf("  SIGTSTP: %s\n", what(next(pid)));
    printf("  passed on: %s\n", what(go_on(PTRACE_CONT, pid, SIGTSTP)));
    CHECK(ptrace(PTRACE_LISTEN, pid, NULL, NULL) == 0);
    FAILS(ptrace(PTRACE_CONT, pid, NULL, NULL));
    CHECK(waitpid(pid, NULL, WNOHANG) == 0);
    kill(pid, SIGCONT);
    int status = next(pid);
    printf("  SIGCONT: %s\n", what(status));
    status = go_on(PTRACE_CONT, pid, 0);
    printf("  goes on: %s\n", what(status));
    CHECK(ptrace(PTRACE_CONT, pid, NULL, NULL) == 0);
    kill(pid, SIGINT);
    next(pid);
    printf("  SIGINT: %s\n", what(go_on(PTRACE_CONT, pid, SIGINT)));
    printf("  message %lx\n", message(pid));
    printf("  end: %s\n", what(go_on(PTRACE_CONT, pid, 0)));
}

/* waitid(2) and the options of both. */
static void waiting(void)
{
    pid_t pid = traced(hangs, 0);
    siginfo_t info = {0};
    FAILS(ptrace(PTRACE_CONT, pid, NULL, SIGUSR1 + 100L));
    CHECK(ptrace(PTRACE_CONT, pid, NULL, NULL) == 0);
    kill(pid, SIGUSR1);
    CHECK(waitid(P_PID, pid, &info, WSTOPPED | WNOWAIT) == 0);
    printf("waitid: signal %d, code %d, status %d\n", info.si_signo, info.si_code, info.si_status);
    CHECK(waitid(P_ALL, 0, &info, WSTOPPED) == 0 && info.si_pid == pid);
    info.si_pid = 1;
    CHECK(waitid(P_ALL, 0, &info, WSTOPPED | WNOHANG) == 0);
    printf("  none left: %d\n", info.si_pid);
    CHECK(wait4(-1, NULL, WNOHANG, NULL) == 0);
    CHECK(ptrace(PTRACE_CONT, pid, NULL, SIGUSR1) == 0);
    CHECK(waitid(P_PGID, getpgrp(), &info, WEXITED) == 0);
    printf("  end: code %d, status %d\n", info.si_code, info.si_status);
    FAILS(wait4(-1, NULL, 0, NULL));
}

static volatile int children;

static void on_child(int sig)
{
    children++;
}

static void notices(void)
{
    struct sigaction action = {.sa_handler = on_child, .sa_flags = SA_RESTART};
    sigaction(SIGCHLD, &action, NULL);
    pid_t pid = traced(hangs, 0);
    CHECK(children > 0);
    children = 0;
    CHECK(ptrace(PTRACE_CONT, pid, NULL, NULL) == 0);
    kill(pid, SIGUSR1);
    while (children == 0)
        sched_yield();
    next(pid);
    printf("SIGCHLD for a stop\n");
    kill(pid, SIGKILL);
    printf("  end: %s\n", what(next(pid)));
    signal(SIGCHLD, SIG_DFL);
}

/* The tracer is not the parent: it hears of the end first, then the parent. */
static void stranger(void)
{
    int ready[2], word[2], status;
    char byte;
    CHECK(pipe(ready) == 0 && pipe(word) == 0);
    pid_t tracee = child(hangs);
    pid_t tracer = fork();
    if (tracer == 0) {
        ptrace(PTRACE_SEIZE, tracee, NULL, NULL);
        write(ready[1], "r", 1);
        status = next(tracee);
        printf("tracer: %s\n", what(status));
        status = go_on(PTRACE_CONT, tracee, SIGTERM);
        printf("tracer: %s\n", what(status));
        FAILS(waitpid(tracee, &status, __WALL));
        _exit(0);
    }
    read(ready[0], &byte, 1);
    kill(tracee, SIGTERM);
    reap(tracer);
    printf("parent: %s\n", what(next(tracee)));
    close(ready[0]), close(ready[1]), close(word[0]), close(word[1]);
}

/* A tracer that dies lets go, or kills. */
static void deaths(long options, int how)
{
    pid_t tracee = child(hangs);
    int ready[2];
    char byte;
    CHECK(pipe(ready) == 0);
    pid_t tracer = fork();
    if (tracer == 0) {
        ptrace(PTRACE_ATTACH, tracee, NULL, NULL);
        next(tracee);
        ptrace(PTRACE_SETOPTIONS, tracee, NULL, options);
        write(ready[1], "r", 1);
        if (how == 0)
            _exit(0);
        pause();
    }
    read(ready[0], &byte, 1);
    if (how != 0)
        kill(tracer, how);
    reap(tracer);
    if (options == 0) {
        kill(tracee, SIGUSR1);
        printf("tracer's end %d: ", how);
    } else {
        printf("tracer's end %d kills: ", how);
    }
    printf("%s\n", what(next(tracee)));
    close(ready[0]), close(ready[1]);
}

/* The same while the tracee runs. */
static void deaths_running(long options)
{
    pid_t tracee = child(hangs);
    pid_t tracer = fork();
    if (tracer == 0) {
        _exit(ptrace(PTRACE_SEIZE, tracee, NULL, options));
    }
    reap(tracer);
    if (options == 0)
        kill(tracee, SIGUSR1);
    printf("running: %s\n", what(next(tracee)));
}

static void *thread_body(void *argument)
{
    return argument;
}

static int makes_thread(void)
{
    pthread_t thread;
    pthread_create(&thread, NULL, thread_body, NULL);
    pthread_join(thread, NULL);
    return 4;
}

static void threads(void)
{
    pid_t pid = traced(makes_thread, PTRACE_O_TRACECLONE);
    printf("thread: %s\n", what(go_on(PTRACE_CONT, pid, 0)));
    pid_t tid = (pid_t)message(pid);
    printf("  new: %s\n", what(next(tid)));
    printf("  new: %s\n", what(go_on(PTRACE_CONT, tid, 0)));
    printf("  first: %s\n", what(go_on(PTRACE_CONT, pid, 0)));
    FAILS(waitpid(-1, NULL, __WALL));
}

int main(int argc, char **argv)
{
    if (argc > 1)
        return 6;
    signal(SIGINT, SIG_DFL); /* ignored in a shell's background jobs */
    births("fork", forks);
    births("vfork", vforks);
    births("vfork and exec", vforks_and_executes);
    unfollowed();
    exec_and_exit();
    attach();
    seize();
    waiting();
    notices();
    stranger();
    deaths(0, 0);
    deaths(0, SIGKILL);
    deaths(0, SIGTERM);
    deaths(PTRACE_O_EXITKILL, 0);
    deaths(PTRACE_O_EXITKILL, SIGKILL);
    deaths_running(0);
    deaths_running(PTRACE_O_EXITKILL);
    threads();
    return finish();
}
