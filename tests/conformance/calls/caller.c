/* Makes the calls of the cases in a file, each case in a process of its own, and prints a line for
 * each: results, errnos, what was written to memory, and what else has changed. Run natively and
 * under exo-um by test_calls.py; cases.py writes the file.
 *
 *   line: FLAGS ; RESULT NR ARGUMENT... ; ...
 *
 * FLAGS: c for a sleeping child. RESULT: how a result is shown; d as a number, p as a process, ~
 * only whether there was an error, z also whether it is 0, - not at all.
 */
#define _GNU_SOURCE
#include "world.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#define STEP_LIMIT_S 20 /* far more than any case needs, as none is meant to block */
#define SCANNED_FDS 64

static char line[65536];
static size_t line_size;
static uint16_t fd_flags[SCANNED_FDS];

void say(const char *format, ...)
{
    va_list rest;
    va_start(rest, format);
    if (line_size < sizeof(line) - 4096)
        line_size += (size_t)vsnprintf(line + line_size, 4096, format, rest);
    va_end(rest);
}

/* Past libc, which would serve or refuse some calls itself; the number may be any. */
long raw_call(long nr, const int64_t *args)
{
    register long r10 __asm__("r10") = args[3];
    register long r8 __asm__("r8") = args[4];
    register long r9 __asm__("r9") = args[5];
    long result;
    __asm__ volatile("syscall"
                     : "=a"(result)
                     : "0"(nr), "D"(args[0]), "S"(args[1]), "d"(args[2]), "r"(r10), "r"(r8), "r"(r9)
                     : "rcx", "r11", "memory");
    return result;
}

/* A process by its name, a group with a minus. */
static bool show_process(long number)
{
    for (size_t i = 0; i < VAR_COUNT; i++)
        if (labs(number) == variables[i] && (number > 0 || number < -SMALL_NUMBERS)) {
            say(number < 0 ? " -%s" : " %s", variable_names[i]);
            return true;
        }
    return false;
}

static void show_result(char how, long result)
{
    if (how == 'p' && show_process(result))
        return;
    if (result < 0 && result > -4096) {
        const char *name = strerrorname_np((int)-result);
        say(" %s", name != NULL ? name : "strange error");
    } else if (how == 'd') {
        say(" %ld", result);
    } else if (how == 'p') {
        say(result > 0 ? " number" : " %ld", result);
    } else if (how == 'z') {
        say(result == 0 ? " 0" : " number");
    } else {
        say(" ok");
    }
}

static void flush(void)
{
    if (line_size > 0 && write(FD_OUT, line, line_size) < 0)
        _Exit(95);
    line_size = 0;
}

static const char *run_step(const char *text, size_t step)
{
    int64_t args[6] = {0};
    while (*text == ' ')
        text++;
    char how = *text++;
    long nr = strtol(text, (char **)&text, 10);
    for (int i = 0; i < 6 && *text != ';' && *text != '\0'; i++) {
        args[i] = read_argument(&text);
        while (*text == ' ')
            text++;
    }
    memory_mark();
    flush(); /* what is known, should the call be the end */
    long result = raw_call(nr, args);
    if (step < 32)
        variables[VAR_COUNT + step] = result;
    if (how != '-')
        show_result(how, result);
    memory_show(how == 'd' ? result : 0);
    flush();
    return text;
}

/* Is what it stays when this returns: what it does late would be in the way of the case's calls. */
static pid_t sleeping_child(void)
{
    int ready[2];
    if (pipe(ready) != 0)
        _exit(96);
    pid_t parent = getpid(), pid = fork();
    if (pid != 0) {
        close(ready[1]);
        setpgid(pid, pid);
        if (read(ready[0], &(char){0}, 1) != 0) /* the end, as the child has closed it too */
            _exit(97);
        close(ready[0]);
        return pid;
    }
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    struct pollfd death = {(int)syscall(SYS_pidfd_open, parent, 0), POLLIN, 0};
    close(ready[0]);
    close(ready[1]);
    while (death.fd >= 0 && poll(&death, 1, -1) < 1)
        ;
    _exit(0); /* its parent had lost the right to kill it */
}

static void read_fd_flags(uint16_t *flags)
{
    for (int fd = 0; fd < SCANNED_FDS; fd++)
        flags[fd] = (uint16_t)fcntl(fd, F_GETFD);
}

/* Which numbers the case has opened, closed or changed. */
static void show_fds(void)
{
    uint16_t now[SCANNED_FDS];
    read_fd_flags(now);
    for (int fd = 0; fd < SCANNED_FDS; fd++)
        if (now[fd] != fd_flags[fd])
            say(" | fd%d %s", fd,
                now[fd] == 0xffff ? "closed" : now[fd] ? "open, close-on-exec" : "open");
}

static void run_case(const char *text)
{
    setpgid(0, 0);
    variables[VAR_SELF] = getpid();
    variables[VAR_PARENT] = getppid();
    variables[VAR_GROUP] = getpgrp();
    variables[VAR_SESSION] = getsid(0);
    variables[VAR_CHILD] = *text == 'c' ? sleeping_child() : 0;
    alarm(STEP_LIMIT_S);
    for (size_t step = 0; (text = strchr(text, ';')) != NULL; step++)
        text = run_step(text + 1, step);
    show_fds();
    flush();
    if (variables[VAR_CHILD] > 0 && kill((pid_t)variables[VAR_CHILD], SIGKILL) == 0)
        waitpid((pid_t)variables[VAR_CHILD], NULL, 0);
    _exit(100);
}

static void show_end(int status)
{
    if (WIFSIGNALED(status))
        say(WTERMSIG(status) == SIGALRM ? " | blocks" : " | died of signal %d", WTERMSIG(status));
    else if (WEXITSTATUS(status) != 100)
        say(" | exit %d", WEXITSTATUS(status));
}

static void run_line(const char *text)
{
    char changes[4096];
    int status;
    line_size = 0;
    memory_reset();
    pid_t pid = fork();
    if (pid == 0)
        run_case(text);
    while (waitpid(pid, &status, 0) == -1 && errno == EINTR)
        ;
    show_end(status);
    enum change change = world_report(changes, sizeof(changes));
    if (change != CHANGED_NOTHING) {
        say(" |%s", changes);
        world_build(change == CHANGED_FILES);
    }
    say("\n");
    flush();
}

/* Pids below SMALL_NUMBERS: where they stand, something else is meant. */
static void use_up_numbers(void)
{
    pid_t pid;
    while ((pid = fork()) != 0 && pid < SMALL_NUMBERS)
        waitpid(pid, NULL, 0);
    if (pid == 0)
        _exit(0);
    waitpid(pid, NULL, 0);
}

/* The cases as text, from a file that is closed again: no fd of ours is in a case's way. */
static char *read_cases(const char *name)
{
    struct stat stat;
    int fd = open(name, O_RDONLY);
    if (fd < 0 || fstat(fd, &stat) != 0)
        return NULL;
    char *text = calloc(1, (size_t)stat.st_size + 1);
    ssize_t size = text == NULL ? -1 : read(fd, text, (size_t)stat.st_size);
    close(fd);
    return size == stat.st_size ? text : NULL;
}

int main(int argc, char **argv)
{
    char *text = argc > 1 ? read_cases(argv[1]) : NULL, *rest;
    if (text == NULL || dup2(1, FD_OUT) != FD_OUT)
        return 1;
    use_up_numbers();
    pid_t runner = fork(); /* with a number above those */
    if (runner != 0)
        return waitpid(runner, NULL, 0) == runner ? 0 : 1;
    setpgid(0, 0);
    world_enter();
    world_build(true);
    read_fd_flags(fd_flags);
    for (text = strtok_r(text, "\n", &rest); text != NULL; text = strtok_r(NULL, "\n", &rest))
        run_line(text);
    return 0;
}
