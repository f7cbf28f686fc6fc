/* Many small writes to a pipe and to a socket, then whatever may come behind the last one: the writer waits, ends, is
 * killed, executes, forks, closes, or goes on for ever. The reader has all of it, soon and in order; signals end its
 * waiting as ever, and nothing of the waking is seen in other files.
 */
#include "pipes.h"

#include <pthread.h>
#include <stdatomic.h>
#include <sched.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/time.h>

#define LINE 20
#define LINES 1500
#define GAP_NS 4000

static const char *kind;
static _Atomic int *shared; /* 0: what the reader has seen */

static void open_both(int *fds)
{
    if (kind[0] == 'p')
        make(fds, 0);
    else if (socketpair(AF_UNIX, SOCK_STREAM, 0, fds) != 0)
        exit(2);
}

static cpu_set_t all;

/* Where there are two CPUs, each has one: the reader is awake then, and naps. */
static void spread(int which)
{
    cpu_set_t one;
    CPU_ZERO(&one);
    for (int cpu = 0; cpu < CPU_SETSIZE; cpu++)
        if (CPU_ISSET(cpu, &all) && which-- == 0)
            CPU_SET(cpu, &one);
    if (CPU_COUNT(&one) == 1)
        sched_setaffinity(0, sizeof(one), &one);
}

static void pass_ns(long ns)
{
    struct timespec began, now;
    clock_gettime(CLOCK_MONOTONIC, &began);
    do
        clock_gettime(CLOCK_MONOTONIC, &now);
    while ((now.tv_sec - began.tv_sec) * 1000000000 + now.tv_nsec - began.tv_nsec < ns);
}

static void put_line(int fd, int i)
{
    char line[LINE + 1];
    snprintf(line, sizeof(line), "%019d\n", i);
    CHECK(write(fd, line, LINE) == LINE);
}

static void put_lines(int fd)
{
    for (int i = 0; i < LINES; i++) {
        put_line(fd, i);
        pass_ns(GAP_NS);
    }
    put_line(fd, LINES);
}

/* Until line `last` or the end; how many lines. */
static int get_lines(int fd, int first, int last)
{
    static char text[1 << 16];
    long there = 0;
    int next = first;
    while (next <= last) {
        long got = read(fd, text + there, sizeof(text) - (size_t)there);
        if (got <= 0)
            break;
        there += got;
        long at = 0;
        for (; there - at >= LINE; at += LINE) {
            CHECK(atoi(text + at) == next);
            next++;
        }
        memmove(text, text + at, (size_t)(there - at));
        there -= at;
        atomic_store(shared, next);
    }
    return next - first;
}

/* The writer's ends, in a child: what it does after its last line. */
static void wait_for_answer(int to, int answer)
{
    char byte;
    for (int i = 0; i < 20; i++) {
        CHECK(read(answer, &byte, 1) == 1);
        if (i < 19)
            put_line(to, LINES + 1 + i);
    }
}

static void wait_in_memory(int to, int answer)
{
    for (int i = 1; i < 200; i++) {
        while (atomic_load(shared) != LINES + i) /* no call of ours: it must come all the same */
            ;
        put_line(to, LINES + i);
    }
    while (atomic_load(shared) != LINES + 200)
        ;
}

static void be_killed(int to, int answer)
{
    raise(SIGKILL);
}

static void be_killed_computing(int to, int answer)
{
    for (;;)
        ;
}

static void leave_at_once(int to, int answer)
{
    _exit(0);
}

static void execute(int to, int answer)
{
    execl("/bin/sh", "sh", "-c", "exit 0", (char *)NULL);
}

static void sleep_long(int to, int answer)
{
    pause();
}

static void fork_and_wait(int to, int answer)
{
    pid_t pid = fork();
    if (pid == 0)
        pause();
    while (atomic_load(shared) != LINES + 1)
        ;
    kill(pid, SIGKILL);
    CHECK(reap(pid) == 128 + SIGKILL);
}

/* The number is another file's at once: nothing of the pipe's may be written there. */
static void replace(int to, int answer)
{
    int file = memfd_create("other", 0), low[2];
    CHECK(dup2(file, to) == to);
    make(low, 0);
    struct timespec moment = {0, 2000000};
    nanosleep(&moment, NULL);
    CHECK(lseek(file, 0, SEEK_END) == 0 && waiting(low[0]) == 0);
}

static void close_only(int to, int answer)
{
    close(to);
    while (atomic_load(shared) != LINES + 1)
        ;
}

static void hand_to_host(int to, int answer)
{
    char name[64];
    snprintf(name, sizeof(name), "/proc/self/fd/%d", to);
    int again = open(name, O_WRONLY);
    if (kind[0] == 'p')
        CHECK(again >= 0);
    while (atomic_load(shared) != LINES + 1) /* a read may get more than one line */
        ;
    put_line(again >= 0 ? again : to, LINES + 1);
    pause();
}

static void *put_in_thread(void *to)
{
    spread(0);
    put_lines((int)(intptr_t)to);
    return NULL; /* the thread ends, the process does not */
}

static void by_thread(int to, int answer)
{
    pthread_t thread;
    CHECK(pthread_create(&thread, NULL, put_in_thread, (void *)(intptr_t)to) == 0);
    pause();
}

static const struct {
    const char *name;
    void (*then)(int to, int answer);
    int more;   /* lines after the first LINES + 1 */
    bool stays; /* until it is killed */
} cases[] = {
    {"waits for an answer", wait_for_answer, 19, false},
    {"waits in memory", wait_in_memory, 199, false},
    {"is killed", be_killed, 0, false},
    {"computes and is killed", be_killed_computing, 0, true},
    {"leaves at once", leave_at_once, 0, false},
    {"executes", execute, 0, false},
    {"sleeps long", sleep_long, 0, true},
    {"forks and waits", fork_and_wait, 0, false},
    {"replaces the fd", replace, 0, false},
    {"closes only", close_only, 0, false},
    {"hands it to the host", hand_to_host, 1, true},
    {"by a thread", by_thread, 0, true},
};

static void one_case(int i)
{
    int fds[2], answers[2];
    open_both(fds);
    make(answers, 0);
    atomic_store(shared, 0);
    pid_t pid = fork();
    if (pid == 0) {
        spread(0);
        close(fds[0]);
        close(answers[1]);
        if (cases[i].then != by_thread)
            put_lines(fds[1]);
        cases[i].then(fds[1], answers[0]);
        _exit(failures);
    }
    spread(1);
    close(fds[1]);
    close(answers[0]);
    int got = get_lines(fds[0], 0, LINES), more = 0;
    for (; more < cases[i].more; more++) {
        if (cases[i].then == wait_for_answer)
            CHECK(write(answers[1], "", 1) == 1);
        CHECK(get_lines(fds[0], LINES + 1 + more, LINES + 1 + more) == 1);
    }
    if (cases[i].then == wait_for_answer)
        CHECK(write(answers[1], "", 1) == 1);
    if (cases[i].stays)
        kill(pid, SIGKILL);
    char byte;
    printf("%s %s: %d and %d lines, then %ld\n", kind, cases[i].name, got, more,
           (long)read(fds[0], &byte, 1));
    printf("status %d\n", reap(pid));
    shut(fds);
    close(answers[1]);
}

/* A timer's signal ends what waits, or does not, as it is caught. */
static void interrupted(bool restarts)
{
    int fds[2];
    struct sigaction caught = {.sa_handler = count_signal, .sa_flags = restarts ? SA_RESTART : 0};
    sigaction(SIGALRM, &caught, NULL);
    open_both(fds);
    atomic_store(shared, 0);
    pid_t pid = fork();
    if (pid == 0) {
        spread(0);
        close(fds[0]);
        put_lines(fds[1]);
        while (atomic_load(shared) != -1)
            ;
        if (restarts)
            put_line(fds[1], LINES + 1);
        pause();
    }
    spread(1);
    close(fds[1]);
    CHECK(get_lines(fds[0], 0, LINES) == LINES + 1);
    signals = 0;
    struct itimerval soon = {{0, 3000}, {0, 3000}}; /* again, should the first one come too early */
    setitimer(ITIMER_REAL, &soon, NULL);
    char line[LINE];
    long got = 0;
    if (restarts) {
        sigset_t none;
        sigemptyset(&none);
        atomic_store(shared, -1);
        got = read(fds[0], line, sizeof(line));
        while (signals == 0)
            sched_yield();
    } else {
        got = read(fds[0], line, sizeof(line));
    }
    int error = errno;
    setitimer(ITIMER_REAL, &(struct itimerval){0}, NULL);
    printf("%s interrupted: %ld %s, %s\n", kind, got, got < 0 ? error_name(error) : "",
           signals > 0 ? "by a signal" : "by none");
    kill(pid, SIGKILL);
    CHECK(reap(pid) == 128 + SIGKILL);
    shut(fds);
}

/* Of two readers one is killed while it waits: the other has what comes then. */
static void reader_killed(void)
{
    int fds[2];
    open_both(fds);
    pid_t pids[2];
    for (int i = 0; i < 2; i++)
        if ((pids[i] = fork()) == 0) {
            spread(1);
            close(fds[1]);
            char line[LINE];
            while (read(fds[0], line, sizeof(line)) > 0)
                ;
            _exit(7);
        }
    spread(0);
    close(fds[0]);
    put_lines(fds[1]);
    kill(pids[0], SIGKILL);
    CHECK(reap(pids[0]) == 128 + SIGKILL);
    put_lines(fds[1]);
    close(fds[1]);
    printf("%s a reader killed, the other ends with %d\n", kind, reap(pids[1]));
}

int main(void)
{
    static const char *const kinds[] = {"pipe", "socket"};
    CHECK(sched_getaffinity(0, sizeof(all), &all) == 0);
    shared = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    for (int i = 0; i < 2; i++) {
        kind = kinds[i];
        for (size_t j = 0; j < sizeof(cases) / sizeof(cases[0]); j++)
            one_case((int)j);
        interrupted(false);
        interrupted(true);
        reader_killed();
    }
    return finish();
}
