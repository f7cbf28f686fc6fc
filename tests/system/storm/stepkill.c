/* Kills a process after so many of its instructions: stepkill PID ADDRESS HITS STEPS [follow].
 *
 * Lets the process run until it has come to ADDRESS for the HITS-th time, executes STEPS
 * instructions one by one, and kills it. With "follow", the instructions are those of the next
 * process or thread it makes, or of its next program. Prints where it was, in hex.
 * Exit status 3: it ended before that.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <signal.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ptrace.h>
#include <sys/user.h>
#include <sys/wait.h>
#include <unistd.h>

#define LIMIT_S 20 /* from one stop to the next */
#define EVENT(status) ((status) >> 16)

static void fail(const char *what)
{
    perror(what);
    exit(2);
}

/* The next stop of pid; ends the program if it died. */
static int stop_of(pid_t pid)
{
    int status;
    alarm(LIMIT_S); /* it never comes there */
    if (waitpid(pid, &status, __WALL) < 0)
        fail("waitpid");
    if (!WIFSTOPPED(status))
        exit(3);
    return status;
}

/* Goes on by request until a stop that is ours; other signals are passed on. */
static int next_stop(pid_t pid, enum __ptrace_request request)
{
    long signal = 0;
    for (;;) {
        if (ptrace(request, pid, 0, signal) < 0)
            exit(3);
        int status = stop_of(pid);
        if (EVENT(status) != 0 || WSTOPSIG(status) == SIGTRAP)
            return status;
        signal = WSTOPSIG(status);
    }
}

static void set_debug(pid_t pid, int index, unsigned long value)
{
    if (ptrace(PTRACE_POKEUSER, pid, offsetof(struct user, u_debugreg) + index * sizeof(long),
               value) < 0)
        fail("debug register");
}

static pid_t follow(pid_t pid)
{
    int status;
    do
        status = next_stop(pid, PTRACE_CONT);
    while (EVENT(status) == 0 || EVENT(status) == PTRACE_EVENT_STOP);
    if (EVENT(status) == PTRACE_EVENT_EXEC)
        return pid;
    unsigned long child;
    ptrace(PTRACE_GETEVENTMSG, pid, 0, &child);
    stop_of((pid_t)child);
    ptrace(PTRACE_DETACH, pid, 0, 0);
    return (pid_t)child;
}

int main(int argc, char **argv)
{
    struct user_regs_struct regs;
    pid_t pid = atoi(argv[1]);
    unsigned long address = strtoul(argv[2], NULL, 16);
    long options = argc > 5 ? PTRACE_O_TRACEFORK | PTRACE_O_TRACEVFORK | PTRACE_O_TRACECLONE |
                                  PTRACE_O_TRACEEXEC
                            : 0;
    if (ptrace(PTRACE_SEIZE, pid, 0, 0) < 0 || ptrace(PTRACE_INTERRUPT, pid, 0, 0) < 0)
        exit(3);
    stop_of(pid);
    if (address != 0) {
        set_debug(pid, 0, address);
        set_debug(pid, 7, 1);
        ptrace(PTRACE_SETOPTIONS, pid, 0, PTRACE_O_TRACEEXEC);
        for (int hits = 0; hits < atoi(argv[3]);) {
            int event = EVENT(next_stop(pid, PTRACE_CONT));
            if (event == PTRACE_EVENT_EXEC) { /* which cleared them */
                set_debug(pid, 0, address);
                set_debug(pid, 7, 1);
            }
            hits += event == 0;
        }
        set_debug(pid, 7, 0);
        ptrace(PTRACE_SETOPTIONS, pid, 0, 0);
    }
    if (options != 0 && ptrace(PTRACE_SETOPTIONS, pid, 0, options) == 0)
        pid = follow(pid);
    for (long i = 0; i < atol(argv[4]); i++)
        next_stop(pid, PTRACE_SINGLESTEP);
    if (ptrace(PTRACE_GETREGS, pid, 0, &regs) < 0)
        exit(3);
    printf("%llx\n", regs.rip);
    kill(pid, SIGKILL);
    int status;
    waitpid(pid, &status, __WALL);
    return 0;
}
