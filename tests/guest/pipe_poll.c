/* poll(2) and select(2) of pipes: what they say at each step, and what wakes them. */
#include "check.h"

#include <poll.h>
#include <pthread.h>
#include <sys/eventfd.h>
#include <sys/select.h>

static char bytes[1 << 17];

static void make(int *fds)
{
    if (pipe2(fds, O_NONBLOCK) != 0)
        exit(2);
}

static void shut(const int *fds)
{
    close(fds[0]);
    close(fds[1]);
}

/* What each end says, asked for everything and for nothing. */
static void show(const char *when, const int *fds)
{
    struct pollfd all[4] = {{fds[0], ~0, 0}, {fds[1], ~0, 0}, {fds[0], 0, 0}, {fds[1], 0, 0}};
    int count = poll(all, 4, 0);
    printf("%s: %d,", when, count);
    for (int i = 0; i < 4; i++)
        printf(" %x", all[i].revents);
    fd_set in, out, special;
    struct timeval none = {0, 0};
    FD_ZERO(&in);
    FD_ZERO(&out);
    FD_ZERO(&special);
    for (int i = 0; i < 2; i++) {
        if (fds[i] < 0)
            continue;
        FD_SET(fds[i], &in);
        FD_SET(fds[i], &out);
        FD_SET(fds[i], &special);
    }
    count = select(100, &in, &out, &special, &none);
    printf("; select %d,", count);
    for (int i = 0; i < 2; i++)
        if (fds[i] >= 0)
            printf(" %d%d%d", FD_ISSET(fds[i], &in) != 0, FD_ISSET(fds[i], &out) != 0,
                   FD_ISSET(fds[i], &special) != 0);
    printf("\n");
}

static void states(void)
{
    int fds[2];
    make(fds);
    show("empty", fds);
    CHECK(write(fds[1], "x", 1) == 1);
    show("a byte", fds);
    while (write(fds[1], bytes, 4096) > 0)
        ;
    show("full", fds);
    CHECK(read(fds[0], bytes, 1) == 1);
    show("a byte read", fds);
    CHECK(read(fds[0], bytes, 5000) == 5000);
    show("a page read", fds);
    int copy = fds[1];
    close(fds[1]);
    fds[1] = -1;
    show("no writer", fds);
    while (read(fds[0], bytes, sizeof(bytes)) > 0)
        ;
    show("and empty", fds);
    struct pollfd gone = {copy, POLLIN, 0};
    printf("a closed number: %d %x\n", poll(&gone, 1, 0), gone.revents);
    close(fds[0]);
    make(fds);
    close(fds[0]);
    fds[0] = -1;
    show("no reader", fds);
    close(fds[1]);
}

enum act { WRITES, READS, CLOSES_WRITER, CLOSES_READER, SIGNALS_EVENT, DIES };

/* A child that does something once its parent sleeps. */
static pid_t later(enum act act, const int *fds, int event)
{
    pid_t child = fork();
    if (child != 0)
        return child;
    uint64_t one = 1;
    pid_t parent = getppid();
    until_asleep(parent, parent);
    if (act == WRITES && write(fds[1], "x", 1) != 1)
        _exit(1);
    if (act == READS && read(fds[0], bytes, 8192) != 8192)
        _exit(1);
    if (act == SIGNALS_EVENT && write(event, &one, 8) != 8)
        _exit(1);
    if (act == DIES)
        raise(SIGKILL);
    _exit(0);
}

static void show_wait(const char *what, struct pollfd *polls, int count, pid_t child)
{
    int ready = poll(polls, (nfds_t)count, 20000);
    printf("%s: %d,", what, ready);
    for (int i = 0; i < count; i++)
        printf(" %x", polls[i].revents);
    printf(", child %d\n", reap(child));
}

static void waits(void)
{
    int fds[2], other[2], event = eventfd(0, EFD_NONBLOCK);
    make(fds);
    make(other);
    struct pollfd polls[3] = {{other[0], POLLIN, 0}, {fds[0], POLLIN, 0}, {event, POLLIN, 0}};
    show_wait("a write", polls, 3, later(WRITES, fds, event));
    CHECK(read(fds[0], bytes, 10) == 1);
    show_wait("the other file", polls, 3, later(SIGNALS_EVENT, fds, event));
    CHECK(read(event, bytes, 8) == 8);
    printf("time over: %d", poll(polls, 2, 30));
    printf(" %d\n", poll(polls, 3, 30));
    while (write(fds[1], bytes, 4096) > 0)
        ;
    struct pollfd room[2] = {{fds[1], POLLOUT, 0}, {other[0], POLLIN, 0}};
    show_wait("room", room, 2, later(READS, fds, event));
    shut(fds);
    make(fds);
    polls[1].fd = fds[0];
    pid_t child = later(DIES, fds, event);
    close(fds[1]);
    show_wait("the writer's death", polls, 3, child);
    close(fds[0]);
    make(fds);
    while (write(fds[1], bytes, 4096) > 0)
        ;
    room[0].fd = fds[1];
    child = later(DIES, fds, event);
    close(fds[0]);
    show_wait("the reader's death", room, 2, child);
    close(fds[1]);
    shut(other);
    close(event);
}

/* One that reads and one that polls the same pipe, asleep together: both come back. */
static void *read_one(void *fds)
{
    char byte = 0;
    if (read(((int *)fds)[0], &byte, 1) != 1)
        byte = '?';
    return (void *)(long)byte;
}

static void *write_one(void *fds)
{
    return (void *)(long)write(((int *)fds)[1], bytes, 4096);
}

static void together(bool writes)
{
    int fds[2];
    pthread_t thread;
    void *result;
    if (pipe(fds) != 0)
        exit(2);
    if (writes)
        CHECK(write(fds[1], bytes, 65536) == 65536);
    pid_t child = fork();
    if (child == 0) {
        struct pollfd one = {fds[writes ? 1 : 0], writes ? POLLOUT : POLLIN, 0};
        /* The thread may be first; what is there is seen by whoever comes. */
        _exit(poll(&one, 1, 20000) == 1 ? 5 : 6);
    }
    until_asleep(child, child);
    pthread_create(&thread, NULL, writes ? write_one : read_one, fds);
    for (int i = 0; i < 2; i++) { /* enough for the two in any order */
        if (writes)
            CHECK(read(fds[0], bytes, 4096) == 4096);
        else
            CHECK(write(fds[1], "ab", 2) == 2);
    }
    pthread_join(thread, &result);
    printf("together: %ld, %d\n", (long)result, reap(child));
    shut(fds);
}

static void many(void)
{
    static int fds[300][2];
    static struct pollfd polls[600];
    for (int i = 0; i < 300; i++) {
        make(fds[i]);
        polls[2 * i] = (struct pollfd){fds[i][0], POLLIN, 0};
        polls[2 * i + 1] = (struct pollfd){i % 2 ? -1 : 0, 0, 0};
    }
    printf("of many: %d", poll(polls, 600, 0));
    pid_t child = later(WRITES, fds[277], -1);
    printf(" %d", poll(polls, 600, 20000));
    printf(" %x, %d\n", polls[2 * 277].revents, reap(child));
    for (int i = 0; i < 300; i++)
        shut(fds[i]);
}

static void echo(void)
{
    int to[2], from[2];
    make(to);
    make(from);
    pid_t child = fork();
    if (child == 0) {
        struct pollfd one = {to[0], POLLIN, 0};
        close(to[1]);
        for (;;) {
            ssize_t done = poll(&one, 1, -1) < 0 ? -1 : read(to[0], bytes, 100);
            if (done <= 0)
                _exit(done == 0 ? 0 : 1);
            if (write(from[1], bytes, (size_t)done) != done)
                _exit(2);
        }
    }
    close(to[0]);
    long sum = 0;
    for (int i = 0; i < 3000; i++) {
        struct pollfd one = {from[0], POLLIN, 0};
        CHECK(write(to[1], "0123456789", 10) == 10 && poll(&one, 1, 20000) == 1);
        sum += read(from[0], bytes, 100);
    }
    close(to[1]);
    printf("echoed %ld, child %d\n", sum, reap(child));
    shut(from);
}

int main(void)
{
    states();
    waits();
    together(false);
    together(true);
    many();
    echo();
    return finish();
}
