/* Pipes of the native API while one end is stopped in the middle of a call, as a debugger or a shell
 * may: the other end sleeps, signals interrupt it, and it goes on whatever becomes of the stopped one.
 */
#include "setup.h"

#include <errno.h>
#include <exo/api.h>
#include <fcntl.h>
#include <poll.h>

#include "api/lane.h"

#define LOOKS 20000 /* for a state that must come; each is a system call */

static int ends[2];

static void make(void)
{
    CHECK_SAME(exo_pipe(ends), 0);
}

static void unmake(void)
{
    exo_close(ends[0]);
    exo_close(ends[1]);
}

static pid_t fork_plain(void)
{
    pid_t pid = fork();
    CHECK(pid >= 0);
    if (pid == 0)
        prctl(PR_SET_PDEATHSIG, SIGKILL);
    return pid;
}

static char state_of(pid_t pid)
{
    char path[64], line[256] = {0};
    snprintf(path, sizeof(path), "/proc/%d/stat", pid);
    int fd = open(path, O_RDONLY);
    CHECK(fd >= 0 && read(fd, line, sizeof(line) - 1) > 0);
    close(fd);
    return strrchr(line, ')')[2];
}

/* Until a process sleeps: two looks, as it may do so for a moment only. */
static void await_sleep(pid_t pid)
{
    for (int i = 0, slept = 0; i < LOOKS; i++) {
        slept = state_of(pid) == 'S' ? slept + 1 : 0;
        if (slept == 20)
            return;
        struct timespec moment = {.tv_nsec = 100000};
        nanosleep(&moment, NULL);
    }
    CHECK(!"it sleeps");
}

static void await_stop(pid_t pid)
{
    int status;
    CHECK(waitpid(pid, &status, WUNTRACED) == pid && WIFSTOPPED(status));
}

/* Bytes go through the lane, and the reader has noted itself. */
static void speed_up(void)
{
    struct lane *lane = exo_lane_of(ends[0], true);
    char byte;
    for (int i = 0; i < 10; i++) {
        CHECK_SAME(exo_write(ends[1], "x", 1), 1);
        CHECK_SAME(exo_read(ends[0], &byte, 1), 1);
    }
    CHECK_SAME(lane->fast, lane->r.tries != 0);
}

/* A child that holds a lock and is stopped, as in the middle of a call; continued, it ends it. */
static pid_t stop_with(pthread_mutex_t *lock, const char *then)
{
    pid_t child = fork_plain();
    if (child == 0) {
        CHECK_SAME(pthread_mutex_lock(lock), 0);
        raise(SIGSTOP);
        pthread_mutex_unlock(lock);
        CHECK_SAME(exo_write(ends[1], then, 1), 1);
        _exit(0);
    }
    await_stop(child);
    return child;
}

static void on_signal(int signal UNUSED) {}

static void take_signals(void)
{
    struct sigaction action = {.sa_handler = on_signal};
    sigaction(SIGUSR1, &action, NULL);
}

/* Reads once: its exit status is the byte, or 128 + the errno; in fast mode, as it has been before. */
static pid_t read_in_child(void)
{
    pid_t child = fork_plain();
    if (child == 0) {
        char byte = 0;
        take_signals();
        ssize_t done = exo_read(ends[0], &byte, 1);
        _exit(done == 1 ? byte : done == 0 ? 0 : 128 + errno);
    }
    return child;
}

static pid_t write_in_child(void)
{
    pid_t child = fork_plain();
    if (child == 0) {
        take_signals();
        _exit(exo_write(ends[1], "w", 1) == 1 ? 0 : 128 + errno);
    }
    return child;
}

static void test_stopped_writer(void)
{
    begin_phase("stopped writer");
    make();
    speed_up();
    pid_t writer = stop_with(&exo_lane_of(ends[1], false)->w.lock, "c");
    pid_t reader = read_in_child();
    await_sleep(reader);
    CHECK(kill(reader, SIGUSR1) == 0);
    CHECK_SAME(reap(reader), 128 + EINTR);
    reader = read_in_child();
    await_sleep(reader);
    CHECK(kill(writer, SIGCONT) == 0);
    CHECK_SAME(reap(reader), 'c');
    CHECK_SAME(reap(writer), 0);
    unmake();
}

static void test_killed_while_stopped(void)
{
    begin_phase("killed while stopped");
    make();
    speed_up();
    pid_t writer = stop_with(&exo_lane_of(ends[1], false)->w.lock, "c");
    pid_t reader = read_in_child();
    await_sleep(reader);
    CHECK(kill(writer, SIGKILL) == 0);
    CHECK_SAME(exo_write(ends[1], "d", 1), 1);
    CHECK_SAME(reap(reader), 'd');
    CHECK_SAME(reap(writer), 128 + SIGKILL);
    unmake();
}

static void test_second_writer(void)
{
    begin_phase("second writer");
    make();
    pid_t first = stop_with(&exo_lane_of(ends[1], false)->w.lock, "c");
    pid_t second = write_in_child(), third = write_in_child();
    await_sleep(second);
    await_sleep(third);
    CHECK(kill(second, SIGUSR1) == 0);
    CHECK_SAME(reap(second), 128 + EINTR);
    CHECK(kill(first, SIGCONT) == 0);
    CHECK_SAME(reap(third), 0);
    CHECK_SAME(reap(first), 0);
    unmake();
}

static void test_second_reader(void)
{
    begin_phase("second reader");
    make();
    pid_t readers[3];
    for (size_t i = 0; i < COUNT(readers); i++) {
        readers[i] = read_in_child();
        await_sleep(readers[i]);
    }
    CHECK(kill(readers[1], SIGUSR1) == 0);
    CHECK_SAME(reap(readers[1]), 128 + EINTR);
    CHECK(kill(readers[0], SIGKILL) == 0);
    CHECK_SAME(reap(readers[0]), 128 + SIGKILL);
    CHECK_SAME(exo_write(ends[1], "e", 1), 1);
    CHECK_SAME(reap(readers[2]), 'e');
    unmake();
}

/* A reader is stopped on its way out of the pipe, and the lane becomes full. */
static void test_stopped_reader(void)
{
    begin_phase("stopped reader");
    make();
    speed_up();
    struct lane *lane = exo_lane_of(ends[1], false);
    pid_t reader = fork_plain();
    if (reader == 0) {
        CHECK_SAME(pthread_mutex_lock(&lane->r.lock), 0);
        store_release(&lane->unbound, 1);
        raise(SIGSTOP);
        exo_lane_set(&lane->unbound, 0, &lane->writer_waits);
        pthread_mutex_unlock(&lane->r.lock);
        static char data[SIZE + 1000];
        for (ssize_t done = 0, more; done < (ssize_t)sizeof(data); done += more)
            CHECK((more = exo_read(ends[0], data, sizeof(data))) > 0);
        _exit(0);
    }
    await_stop(reader);
    pid_t writer = fork_plain();
    if (writer == 0) {
        static char data[SIZE + 1000];
        CHECK_SAME(exo_write(ends[1], data, sizeof(data)), sizeof(data));
        _exit(0);
    }
    await_sleep(writer);
    CHECK(kill(reader, SIGCONT) == 0);
    CHECK_SAME(reap(writer), 0);
    CHECK_SAME(reap(reader), 0);
    unmake();
}

int main(void)
{
    begin(60);
    signal(SIGPIPE, SIG_IGN);
    test_stopped_writer();
    test_killed_while_stopped();
    test_second_writer();
    test_second_reader();
    test_stopped_reader();
    return 0;
}
