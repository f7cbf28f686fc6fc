/* pipe(2), pipe(7): capacity and pages, atomicity, non-blocking, ends that go, dup, fork, other calls. */
#include "pipes.h"

#include <poll.h>
#include <pthread.h>
#include <sys/stat.h>
#include <sys/uio.h>

static char bytes[1 << 18], got[1 << 18];

/* Fills it by writes of one size; how many bytes. */
static long fill(int fd, size_t size)
{
    long sum = 0, done;
    while ((done = write(fd, bytes, size)) > 0)
        sum += done;
    CHECK(errno == EAGAIN);
    return sum;
}

static void capacity(void)
{
    static const size_t sizes[] = {1, 63, 100, 1000, 4095, 4096, 4097, 5000, 10000, 65536, 100000};
    for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
        int fds[2];
        make(fds, O_NONBLOCK);
        long full = fill(fds[1], sizes[i]);
        printf("by %zu: %ld bytes, %d waiting", sizes[i], full, waiting(fds[0]));
        CHECK(read(fds[0], got, 1) == 1);
        printf("; one read, then one more: %zd", write(fds[1], "x", 1));
        CHECK(read(fds[0], got, 4096) == (full < 4097 ? full - 1 : 4096));
        printf("; a page read: %zd, then %zd", write(fds[1], bytes, 4096), write(fds[1], bytes, 1));
        printf("; left %zd\n", read(fds[0], got, sizeof(got)));
        shut(fds);
    }
}

static void contents(void)
{
    int fds[2];
    make(fds, 0);
    for (size_t i = 0; i < sizeof(bytes); i++)
        bytes[i] = (char)(i * 31 + i / 256);
    for (size_t size = 1; size < 20000; size = size * 3 + 1) {
        for (size_t part = 1; part <= size; part = part * 5 + 2) {
            CHECK(write(fds[1], bytes, size) == (ssize_t)size);
            for (size_t at = 0; at < size;) {
                ssize_t done = read(fds[0], got + at, part);
                CHECK(done > 0);
                at += (size_t)done;
            }
            CHECK(memcmp(got, bytes, size) == 0);
        }
    }
    struct iovec out[3] = {{bytes, 10}, {bytes + 10, 0}, {bytes + 10, 5000}};
    struct iovec in[4] = {{got, 1}, {got + 1, 4000}, {got + 4001, 0}, {got + 4001, 9000}};
    CHECK(writev(fds[1], out, 3) == 5010 && readv(fds[0], in, 4) == 5010);
    CHECK(memcmp(got, bytes, 5010) == 0);
    printf("nothing: %zd %zd\n", write(fds[1], bytes, 0), writev(fds[1], out + 1, 1));
    FAILS(write(fds[0], bytes, 1));
    FAILS(read(fds[1], got, 1));
    FAILS(write(fds[1], (void *)8, 5));
    CHECK(write(fds[1], "abcdef", 6) == 6);
    FAILS(read(fds[0], (void *)8, 5));
    printf("after a bad address: %zd\n", read(fds[0], got, 100));
    FAILS(lseek(fds[0], 0, SEEK_CUR));
    FAILS(pread(fds[0], got, 1, 0));
    shut(fds);
}

static void status(void)
{
    int fds[2];
    struct stat one, two;
    make(fds, O_CLOEXEC);
    CHECK(fstat(fds[0], &one) == 0 && fstat(fds[1], &two) == 0);
    printf("fifo %d, same %d, flags %o %o %o\n", S_ISFIFO(one.st_mode), one.st_ino == two.st_ino,
           fcntl(fds[0], F_GETFL), fcntl(fds[1], F_GETFL), fcntl(fds[0], F_GETFD));
    printf("size %d\n", fcntl(fds[1], F_GETPIPE_SZ));
    CHECK(fcntl(fds[0], F_SETFL, O_NONBLOCK) == 0);
    FAILS(read(fds[0], got, 1));
    int copy = dup(fds[0]);
    FAILS(read(copy, got, 1));
    int off = 0;
    CHECK(write(fds[1], "abc", 3) == 3 && read(copy, got, 2) == 2 && waiting(fds[1]) == 1);
    CHECK(ioctl(copy, FIONBIO, &off) == 0);
    printf("flags %o\n", fcntl(fds[0], F_GETFL));
    CHECK(read(fds[0], got, 5) == 1);
    CHECK(fcntl(fds[1], F_SETPIPE_SZ, 8192) == 8192 && write(fds[1], bytes, 8192) == 8192);
    printf("in the smaller: %d\n", waiting(fds[0]));
    close(copy);
    shut(fds);
    FAILS(pipe2(fds, 0x8000000));
    FAILS(pipe((int *)8));
}

static void ends(void)
{
    int fds[2];
    make(fds, 0);
    CHECK(write(fds[1], "last", 4) == 4);
    close(fds[1]);
    printf("after the writer: %zd", read(fds[0], got, 100));
    printf(" %zd %zd\n", read(fds[0], got, 100), read(fds[0], got, 100));
    close(fds[0]);
    signal(SIGPIPE, count_signal);
    make(fds, 0);
    int copy = dup(fds[0]);
    close(fds[0]);
    CHECK(write(fds[1], "x", 1) == 1);
    close(copy);
    FAILS(write(fds[1], "x", 1));
    struct iovec one = {bytes, 10};
    FAILS(writev(fds[1], &one, 1));
    printf("without a reader: %zd, signals %d\n", write(fds[1], "", 0), (int)signals);
    close(fds[1]);
    make(fds, 0);
    CHECK(dup2(fds[0], fds[1]) == fds[1]);
    printf("both ends to read: %zd\n", read(fds[1], got, 1));
    shut(fds);
}

static void family(void)
{
    int to[2], from[2];
    long sum = 0;
    make(to, 0);
    make(from, 0);
    pid_t child = fork();
    if (child == 0) {
        close(to[1]);
        close(from[0]);
        ssize_t done;
        while ((done = read(to[0], got, 3000)) > 0)
            if (write(from[1], got, (size_t)done) != done)
                _exit(3);
        _exit(done == 0 ? 7 : 4);
    }
    close(to[0]);
    close(from[1]);
    pid_t other = fork(); /* who has to[1], too, and lets go of it */
    if (other == 0)
        _exit(0);
    CHECK(reap(other) == 0);
    for (int i = 0; i < 300; i++) {
        size_t size = (size_t)(i * 37 % 5000 + 1);
        CHECK(write(to[1], bytes + i, size) == (ssize_t)size);
        for (size_t at = 0; at < size;) {
            ssize_t done = read(from[0], got + at, size - at);
            CHECK(done > 0);
            at += (size_t)done;
        }
        CHECK(memcmp(got, bytes + i, size) == 0);
        sum += (long)size;
    }
    close(to[1]);
    printf("echoed %ld, end %zd, child %d\n", sum, read(from[0], got, 1), reap(child));
    close(from[0]);
}

static void *write_much(void *fd)
{
    for (int i = 0; i < 200; i++) {
        char line[2000];
        memset(line, 'a' + i % 26, sizeof(line));
        CHECK(write(*(int *)fd, line, sizeof(line)) == sizeof(line));
    }
    return NULL;
}

/* Several writers of less than PIPE_BUF: no line is torn. */
static void atomicity(void)
{
    int fds[2], torn = 0, lines = 0;
    pthread_t threads[4];
    char line[2000];
    make(fds, 0);
    for (int i = 0; i < 4; i++)
        pthread_create(&threads[i], NULL, write_much, &fds[1]);
    for (; lines < 800; lines++) {
        for (size_t at = 0; at < sizeof(line);) {
            ssize_t done = read(fds[0], line + at, sizeof(line) - at);
            if (done <= 0)
                exit(3);
            at += (size_t)done;
        }
        for (size_t i = 1; i < sizeof(line); i++)
            torn += line[i] != line[0];
    }
    for (int i = 0; i < 4; i++)
        pthread_join(threads[i], NULL);
    printf("%d lines, %d torn, %d left\n", lines, torn, waiting(fds[0]));
    shut(fds);
}

static void interrupted(void)
{
    int fds[2];
    struct sigaction action = {.sa_handler = count_signal};
    sigaction(SIGALRM, &action, NULL);
    make(fds, 0);
    signals = 0;
    pid_t child = fork();
    if (child == 0) {
        until_asleep(getppid(), getppid());
        kill(getppid(), SIGALRM);
        _exit(0);
    }
    FAILS(read(fds[0], got, 1));
    reap(child);
    child = fork();
    if (child == 0) {
        until_asleep(getppid(), getppid());
        kill(getppid(), SIGALRM);
        _exit(0);
    }
    printf("cut short: %zd", write(fds[1], bytes, 70000));
    printf(", %d waiting, signals %d\n", waiting(fds[0]), (int)signals);
    reap(child);
    shut(fds);
}

/* A reader, a writer asleep, when the only one at the other end is killed, and not waited for. */
static void killed(bool writes)
{
    int fds[2], ready[2];
    char byte;
    make(fds, 0);
    make(ready, 0);
    signal(SIGPIPE, SIG_IGN);
    pid_t child = fork();
    if (child == 0) {
        close(fds[writes ? 1 : 0]);
        if (write(ready[1], "x", 1) == 1)
            pause();
        _exit(0);
    }
    close(fds[writes ? 0 : 1]);
    CHECK(read(ready[0], &byte, 1) == 1);
    pid_t killer = fork();
    if (killer == 0) {
        until_asleep(getppid(), getppid());
        kill(child, SIGKILL);
        _exit(0);
    }
    long sum = 0, done;
    while (writes && (done = write(fds[1], bytes, 4096)) > 0)
        sum += done;
    if (writes)
        printf("%ld written, then %s\n", sum, error_name(errno));
    else
        printf("read: %zd\n", read(fds[0], got, 1));
    printf("of the killed: %d\n", reap(child));
    reap(killer);
    shut(ready);
    close(fds[writes ? 1 : 0]);
}

/* Calls that know nothing of who serves a pipe. */
static void others(void)
{
    int fds[2], more[2];
    char name[64];
    make(fds, 0);
    make(more, 0);
    CHECK(write(fds[1], "splice me", 9) == 9);
    CHECK(splice(fds[0], NULL, more[1], NULL, 6, 0) == 6);
    printf("spliced: %zd and %zd\n", read(more[0], got, 100), read(fds[0], got, 100));
    CHECK(write(fds[1], "tee", 3) == 3 && tee(fds[0], more[1], 10, 0) == 3);
    printf("teed: %zd and %zd\n", read(more[0], got, 100), read(fds[0], got, 100));
    shut(fds);
    make(fds, 0);
    CHECK(write(fds[1], "first", 5) == 5);
    snprintf(name, sizeof(name), "/proc/self/fd/%d", fds[0]);
    int again = open(name, O_RDONLY | O_NONBLOCK), end = open(name, O_WRONLY);
    CHECK(again >= 0 && end >= 0 && write(end, "second", 6) == 6);
    printf("opened again: %zd", read(again, got, 7));
    printf(" and %zd\n", read(fds[0], got, 100));
    close(again);
    close(end);
    struct pollfd poll_fds[2] = {{fds[0], POLLIN, 0}, {fds[1], POLLOUT, 0}};
    CHECK(poll(poll_fds, 2, 0) == 1);
    printf("poll: %x %x", poll_fds[0].revents, poll_fds[1].revents);
    CHECK(write(fds[1], bytes, 65536) == 65536 && poll(poll_fds, 2, 0) == 1);
    printf(", full: %x %x", poll_fds[0].revents, poll_fds[1].revents);
    close(fds[1]);
    poll_fds[1].fd = -1;
    CHECK(poll(poll_fds, 2, 0) == 1);
    printf(", closed: %x\n", poll_fds[0].revents);
    close(fds[0]);
    shut(more);
}

int main(void)
{
    capacity();
    contents();
    status();
    ends();
    family();
    atomicity();
    interrupted();
    killed(false);
    killed(true);
    others();
    return finish();
}
