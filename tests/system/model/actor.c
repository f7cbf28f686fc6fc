/* An actor makes the system calls that it is told to, one per line, and says what came of each:
 *
 *     write 4 100        100 | 3:1 | 0
 *
 * the result or the errno's name, more where there is more to say; the fds that poll(2) finds ready,
 * with their events; how often SIGPIPE came. "@K ..." is for child K, which "fork K" makes. A call
 * that waits ends by SIGALRM. Two of them, native and in exo-um, are compared by test_model_sockets.py.
 */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <unistd.h>

#include "actor.h"

#define CHILDREN 4
#define ARGUMENTS 10

const char *tag;
static char reply[1 << 16];
static size_t reply_size;
static volatile int pipes_broken;
static uint32_t sequence; /* of what was written so far */
static FILE *in, *out;
static pid_t self, main_pid, children[CHILDREN];
static char *program;

void tell(const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    size_t left = sizeof(reply) - reply_size;
    int size = vsnprintf(reply + reply_size, left, format, arguments);
    va_end(arguments);
    reply_size += (size_t)size < left ? (size_t)size : left - 1;
}

long result(long done)
{
    return done == -1 ? -errno : done;
}

char *pattern(size_t count)
{
    static char data[MAX_DATA];
    for (size_t i = 0; i < count && i < sizeof(data); i++)
        data[i] = (char)('a' + (sequence + i) % 23);
    return data;
}

long written(long done)
{
    if (done > 0)
        sequence += (uint32_t)done;
    return result(done);
}

long tell_data(const char *data, long done)
{
    uint32_t hash = 2166136261;
    for (long i = 0; i < done; i++)
        hash = (hash ^ (uint8_t)data[i]) * 16777619;
    if (done > 0)
        tell(" %08x", hash);
    return result(done);
}

const char *who(pid_t pid)
{
    static char name[16];
    if (pid == 0)
        return "nobody";
    if (pid == main_pid)
        return "main";
    if (pid == self)
        return "self";
    for (int i = 0; i < CHILDREN; i++)
        if (pid == children[i])
            return snprintf(name, sizeof(name), "child%d", i), name;
    return "other";
}

static void on_pipe(int signal)
{
    (void)signal;
    pipes_broken++;
}

static void on_alarm(int signal)
{
    (void)signal;
}

static void tell_ready(void)
{
    struct pollfd fds[LAST_FD + 1];
    nfds_t count = 0;
    for (int fd = 3; fd <= LAST_FD; fd++)
        fds[count++] = (struct pollfd){.fd = fd, .events = POLLIN | POLLPRI | POLLOUT | POLLRDHUP};
    while (poll(fds, count, 0) < 0)
        ;
    tell(" |");
    for (nfds_t i = 0; i < count; i++)
        if (fds[i].revents != 0 && fds[i].revents != POLLNVAL)
            tell(" %d:%x", fds[i].fd, (unsigned)fds[i].revents);
}

static const struct command *find(const struct command *commands, const char *name)
{
    while (commands->name != NULL && strcmp(commands->name, name) != 0)
        commands++;
    return commands->name != NULL ? commands : NULL;
}

/* Runs a line's command, with signals coming again and again lest it wait. */
static void run(char *line)
{
    long a[ARGUMENTS] = {0};
    char *rest = line, *name = strsep(&rest, " ");
    for (int i = 0; i < ARGUMENTS && rest != NULL; i++)
        a[i] = strtol(strsep(&rest, " "), NULL, 0);
    const struct command *command = find(file_commands, name);
    if (command == NULL && (command = find(socket_commands, name)) == NULL)
        _exit(9);
    struct itimerval soon = {{0, TRIED_US}, {0, TRIED_US}}, never = {{0, 0}, {0, 0}};
    setitimer(ITIMER_REAL, &soon, NULL);
    char *mark = reply + reply_size;
    reply_size += 24; /* the result comes first, but last to be known */
    long done = command->run(a);
    setitimer(ITIMER_REAL, &never, NULL);
    char words[25];
    const char *error = done < 0 ? strerrorname_np((int)-done) : NULL;
    int size = error != NULL ? snprintf(words, sizeof(words), "%s", error)
                             : snprintf(words, sizeof(words), "%ld", done);
    memset(mark, ' ', 24);
    memcpy(mark, words, (size_t)size);
    tell_ready();
    tell(" | %d", pipes_broken);
}

static void answer(FILE *to)
{
    fprintf(to, "%.*s\n", (int)reply_size, reply);
    fflush(to);
    reply_size = 0;
}

static FILE *control(int child, int side, const char *mode)
{
    return fdopen(dup(CONTROL + 4 * child + side), mode); /* closed by fclose() */
}

static void be_child(int child)
{
    self = getpid();
    in = fdopen(CONTROL + 4 * child, "r");
    out = fdopen(CONTROL + 4 * child + 3, "w");
    for (int i = 0; i < 4 * CHILDREN; i++)
        if (i != 4 * child && i != 4 * child + 3)
            close(CONTROL + i);
}

static void start_child(int child)
{
    for (int i = 0; i < 2; i++) {
        int fds[2];
        if (pipe(fds) != 0)
            _exit(7);
        for (int j = 0; j < 2; j++) {
            dup2(fds[j], CONTROL + 4 * child + 2 * i + j);
            close(fds[j]);
        }
    }
    children[child] = fork();
    if (children[child] == 0)
        return be_child(child);
    close(CONTROL + 4 * child);
    close(CONTROL + 4 * child + 3);
    tell("%d", children[child] > 0);
}

/* Has a child do something, and passes its answer on. */
static void pass_on(int child, const char *line)
{
    FILE *to = control(child, 1, "w"), *from = control(child, 2, "r");
    setvbuf(from, NULL, _IONBF, 0); /* what was read ahead would be lost */
    fprintf(to, "%s\n", line);
    fclose(to);
    if (fgets(reply, sizeof(reply), from) != NULL)
        reply_size = strcspn(reply, "\n");
    fclose(from);
    tell_ready();
}

static void end_child(int child, int signal)
{
    int status = 0;
    if (signal != 0)
        kill(children[child], signal);
    close(CONTROL + 4 * child + 1); /* without a signal it ends with its input */
    close(CONTROL + 4 * child + 2);
    while (waitpid(children[child], &status, 0) < 0)
        ;
    children[child] = 0;
    tell("%x", (unsigned)status);
    tell_ready();
}

static void execute(void)
{
    char from[16], to[16];
    snprintf(from, sizeof(from), "%d", fileno(in));
    snprintf(to, sizeof(to), "%d", fileno(out));
    execl(program, program, tag, from, to, NULL);
    _exit(8);
}

static void serve(char *line)
{
    int child = -1, number = 0;
    char *text = line;
    if (sscanf(line, "@%d", &child) == 1 && (text = strchr(line, ' ')) != NULL)
        pass_on(child, text + 1);
    else if (sscanf(line, "fork %d", &child) == 1)
        start_child(child);
    else if (sscanf(line, "end %d %d", &child, &number) == 2)
        end_child(child, number);
    else if (strcmp(line, "exec") == 0)
        execute();
    else
        run(line);
}

int main(int argc, char **argv)
{
    struct sigaction broken = {.sa_handler = on_pipe, .sa_flags = SA_RESTART};
    struct sigaction late = {.sa_handler = on_alarm};
    sigaction(SIGPIPE, &broken, NULL);
    sigaction(SIGALRM, &late, NULL);
    program = realpath("/proc/self/exe", NULL);
    tag = argc > 1 ? argv[1] : "";
    self = getpid();
    main_pid = argc > 3 ? getppid() : self;
    in = argc > 3 ? fdopen(atoi(argv[2]), "r") : stdin;
    out = argc > 3 ? fdopen(atoi(argv[3]), "w") : stdout;
    if (argc > 3) {
        tell("executed");
        answer(out);
    }
    char line[256];
    while (fgets(line, sizeof(line), in) != NULL) {
        line[strcspn(line, "\n")] = 0;
        serve(line);
        if (reply_size > 0)
            answer(out);
    }
    _exit(0); /* without a look back at the input that a child shares */
}
