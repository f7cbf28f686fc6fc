/* epoll(7) of pipes, eventfds and files of the host's, in one set and several: what is told at each
 * step, level- and edge-triggered, once, exclusively; forks, killed peers, fds closed and copied.
 */
#include "epoll_show.h"

#include <poll.h>
#include <pthread.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <sys/uio.h>

static char bytes[1 << 17];

static void make(int *fds)
{
    if (pipe2(fds, O_NONBLOCK) != 0)
        exit(2);
}

static void fill(int fd)
{
    while (write(fd, bytes, 4096) > 0)
        ;
}

static void drain(int fd)
{
    while (read(fd, bytes, sizeof(bytes)) > 0)
        ;
}

static void steps(const char *how, uint32_t flags)
{
    int fds[2], set = epoll_create1(EPOLL_CLOEXEC);
    char byte;
    printf("-- %s\n", how);
    make(fds);
    add(set, fds[0], EPOLLIN | EPOLLRDHUP | flags, 1);
    add(set, fds[1], EPOLLOUT | flags, 2);
    show("empty", set);
    show("again", set);
    CHECK(write(fds[1], "ab", 2) == 2);
    show("two bytes", set);
    show("again", set);
    CHECK(write(fds[1], "c", 1) == 1);
    show("one more", set);
    CHECK(read(fds[0], &byte, 1) == 1);
    show("one read", set);
    drain(fds[0]);
    show("drained", set);
    fill(fds[1]);
    show("filled", set);
    show("again", set);
    CHECK(read(fds[0], bytes, 100) == 100);
    show("a little room", set);
    CHECK(read(fds[0], bytes, 4096) == 4096);
    show("a page's room", set);
    drain(fds[0]);
    show("drained", set);
    CHECK(control(set, EPOLL_CTL_MOD, fds[0], EPOLLIN | flags, 3) == 0);
    CHECK(control(set, EPOLL_CTL_MOD, fds[1], EPOLLOUT | flags, 4) == 0);
    show("modified", set);
    CHECK(write(fds[1], "d", 1) == 1);
    show("written", set);
    close(fds[1]);
    show("writer gone", set);
    drain(fds[0]);
    show("end of file", set);
    CHECK(control(set, EPOLL_CTL_DEL, fds[0], 0, 0) == 0);
    show("removed", set);
    close(fds[0]);
    make(fds);
    add(set, fds[1], EPOLLOUT | flags, 5);
    close(fds[0]);
    show("reader gone", set);
    show("again", set);
    close(fds[1]);
    show("both gone", set);
    close(set);
}

static void counters(const char *how, uint32_t flags, int semaphore)
{
    int set = epoll_create1(0), event = eventfd(2, EFD_NONBLOCK | semaphore);
    uint64_t value = 3;
    printf("-- eventfd, %s\n", how);
    add(set, event, EPOLLIN | EPOLLOUT | flags, 1);
    show("two", set);
    show("again", set);
    CHECK(write(event, &value, 8) == 8);
    show("five", set);
    CHECK(read(event, &value, 8) == 8);
    printf("read %llu\n", (unsigned long long)value);
    show("read", set);
    while (read(event, &value, 8) == 8)
        ;
    show("drained", set);
    value = UINT64_MAX - 1;
    CHECK(write(event, &value, 8) == 8);
    show("full", set);
    value = 1;
    FAILS(write(event, &value, 8));
    CHECK(read(event, &value, 8) == 8);
    show("read", set);
    value = UINT64_MAX;
    FAILS(write(event, &value, 8));
    FAILS(write(event, &value, 7));
    FAILS(read(event, &value, 7));
    CHECK(fcntl(event, F_SETFL, 0) == 0 && (fcntl(event, F_GETFL) & O_NONBLOCK) == 0);
    close(event);
    show("closed", set);
    close(set);
}

static void errors(void)
{
    int fds[2], set = epoll_create1(0), other = epoll_create(7), file = open("/dev/null", O_RDONLY);
    int plain = open("/proc/self/exe", O_RDONLY);
    make(fds);
    printf("-- errors\n");
    FAILS(epoll_create(0));
    FAILS(epoll_create1(1));
    add(set, fds[0], EPOLLIN, 1);
    FAILS(control(set, EPOLL_CTL_ADD, fds[0], EPOLLIN, 1));
    FAILS(control(set, EPOLL_CTL_MOD, fds[1], EPOLLIN, 1));
    FAILS(control(set, EPOLL_CTL_DEL, fds[1], EPOLLIN, 1));
    FAILS(control(set, 77, fds[0], EPOLLIN, 1));
    FAILS(control(set, EPOLL_CTL_ADD, 999, EPOLLIN, 1));
    FAILS(control(999, EPOLL_CTL_ADD, fds[1], EPOLLIN, 1));
    FAILS(control(fds[0], EPOLL_CTL_ADD, fds[1], EPOLLIN, 1));
    FAILS(control(set, EPOLL_CTL_ADD, plain, EPOLLIN, 1));
    FAILS(control(set, EPOLL_CTL_ADD, set, EPOLLIN, 1));
    FAILS(epoll_ctl(set, EPOLL_CTL_ADD, fds[1], NULL));
    FAILS(control(set, EPOLL_CTL_ADD, fds[1], EPOLLIN | EPOLLEXCLUSIVE | EPOLLONESHOT, 1));
    FAILS(control(set, EPOLL_CTL_MOD, fds[0], EPOLLIN | EPOLLEXCLUSIVE, 1));
    add(set, fds[1], EPOLLOUT | EPOLLEXCLUSIVE, 2);
    FAILS(control(set, EPOLL_CTL_MOD, fds[1], EPOLLOUT, 1));
    struct epoll_event events[4];
    FAILS(syscall(SYS_epoll_wait, set, events, 0, 0));
    FAILS(syscall(SYS_epoll_wait, set, events, -1, 0));
    FAILS(syscall(SYS_epoll_wait, set, NULL, 4, 0));
    FAILS(syscall(SYS_epoll_wait, 999, events, 4, 0));
    FAILS(syscall(SYS_epoll_wait, fds[0], events, 4, 0));
    FAILS(syscall(SYS_epoll_wait, set, events, INT32_MAX, 0));
    show("exclusive", set);
    FAILS(control(set, EPOLL_CTL_ADD, other, EPOLLIN, 3));
    FAILS(control(other, EPOLL_CTL_ADD, set, EPOLLIN, 3));
    CHECK(write(fds[1], "x", 1) == 1);
    show("host's now", set);
    close(set);
    close(other);
    close(file);
    close(plain);
    close(fds[0]);
    close(fds[1]);
}

/* Pipes, an eventfd and a socket of the host's in one set; copies, and a file that becomes another. */
static void mixed(void)
{
    int fds[2], sockets[2], set = epoll_create1(0), event = eventfd(0, EFD_NONBLOCK);
    uint64_t one = 1;
    printf("-- mixed\n");
    make(fds);
    CHECK(socketpair(AF_UNIX, SOCK_DGRAM, 0, sockets) == 0);
    add(set, fds[0], EPOLLIN, 1);
    add(set, event, EPOLLIN | EPOLLET, 2);
    add(set, sockets[0], EPOLLIN, 3);
    show("nothing", set);
    CHECK(write(fds[1], "x", 1) == 1 && write(event, &one, 8) == 8 &&
          write(sockets[1], "y", 1) == 1);
    show("all", set);
    show("again", set);
    int copy = dup(fds[0]);
    add(set, copy, EPOLLIN | EPOLLONESHOT, 4);
    show("a copy", set);
    show("again", set);
    close(fds[0]);
    show("the first closed", set);
    CHECK(control(set, EPOLL_CTL_MOD, copy, EPOLLIN, 5) == 0);
    show("modified", set);
    int more[2];
    make(more);
    CHECK(splice(copy, NULL, more[1], NULL, 1, SPLICE_F_NONBLOCK) ==
          1); /* the host's from here on */
    show("spliced", set);
    CHECK(write(fds[1], "z", 1) == 1);
    show("written", set);
    CHECK(readv(event, &(struct iovec){&one, 8}, 1) == 8);
    show("read", set);
    CHECK(write(event, &one, 8) == 8);
    show("an event", set);
    close(copy);
    close(fds[1]);
    show("closed", set);
    close(more[0]);
    close(more[1]);
    close(sockets[0]);
    close(sockets[1]);
    close(event);
    close(set);
}

static void nested(void)
{
    int fds[2], inner = epoll_create1(0), outer = epoll_create1(0);
    printf("-- nested\n");
    make(fds);
    add(inner, fds[0], EPOLLIN, 1);
    struct pollfd look = {inner, POLLIN, 0};
    printf("poll %d\n", poll(&look, 1, 0));
    add(outer, inner, EPOLLIN, 2);
    show("nothing", outer);
    CHECK(write(fds[1], "x", 1) == 1);
    printf("poll %d %x\n", poll(&look, 1, 0), look.revents);
    show("outer", outer);
    show("inner", inner);
    drain(fds[0]);
    show("outer", outer);
    close(fds[0]);
    close(fds[1]);
    close(inner);
    close(outer);
}

static int rounds = 2000;

/* A child answers each byte; both wait by epoll. */
static void ping(uint32_t flags, int host)
{
    int there[2], back[2];
    if (host ? socketpair(AF_UNIX, SOCK_STREAM, 0, there) : pipe(there))
        exit(2);
    CHECK(pipe(back) == 0);
    pid_t child = fork();
    int from = child == 0 ? there[0] : back[0], to = child == 0 ? back[1] : there[1];
    int set = epoll_create1(0), done = 0;
    add(set, from, EPOLLIN | flags, (uint64_t)from);
    char byte = 'x';
    if (child != 0)
        CHECK(write(to, &byte, 1) == 1);
    struct epoll_event event;
    while (done < rounds) {
        CHECK(epoll_wait(set, &event, 1, -1) == 1 && event.data.u64 == (uint64_t)from);
        CHECK(read(from, &byte, 1) == 1);
        done++;
        if (child == 0 || done < rounds)
            CHECK(write(to, &byte, 1) == 1);
    }
    if (child == 0)
        _exit(failures);
    int status;
    CHECK(waitpid(child, &status, 0) == child && status == 0);
    printf("ping %x: %d\n", flags, done);
    close(there[0]);
    close(there[1]);
    close(back[0]);
    close(back[1]);
    close(set);
}

/* A writer that fills, and waits for room by epoll; a reader that waits for bytes by epoll. */
static void stream(uint32_t flags)
{
    int fds[2];
    const long all = 8 << 20;
    long sum = 0, size;
    struct epoll_event event;
    make(fds);
    pid_t child = fork();
    int set = epoll_create1(0);
    if (child == 0)
        close(fds[0]);
    else
        close(fds[1]);
    if (child == 0)
        add(set, fds[1], EPOLLOUT | flags, 1);
    else
        add(set, fds[0], EPOLLIN | flags, 1);
    while (child == 0 ? sum < all : 1) {
        CHECK(epoll_wait(set, &event, 1, -1) == 1);
        if (child == 0)
            while (sum < all && (size = write(fds[1], bytes, sizeof(bytes))) > 0)
                sum += size;
        else
            while ((size = read(fds[0], bytes, 5000)) > 0)
                sum += size;
        if (child != 0 && size == 0)
            break;
    }
    if (child == 0)
        _exit(failures);
    int status;
    CHECK(waitpid(child, &status, 0) == child && status == 0);
    printf("stream %x: %d\n", flags, sum >= all);
    close(fds[0]);
    close(set);
}

/* The last writer is killed while the reader waits, or before it looks. */
static void killed(int asleep)
{
    int fds[2], set = epoll_create1(0), tell[2];
    struct epoll_event event;
    make(fds);
    CHECK(pipe(tell) == 0);
    pid_t child = fork();
    if (child == 0) {
        close(fds[0]);
        CHECK(write(tell[1], "x", 1) == 1);
        for (;;)
            pause();
    }
    close(fds[1]);
    add(set, fds[0], EPOLLIN | EPOLLET, 7);
    CHECK(read(tell[0], bytes, 1) == 1);
    pid_t killer = asleep ? fork() : 0;
    if (asleep && killer == 0) {
        struct timespec moment = {0, 20000000};
        nanosleep(&moment, NULL);
        kill(child, SIGKILL);
        _exit(0);
    }
    if (!asleep) {
        kill(child, SIGKILL);
        CHECK(waitpid(child, NULL, 0) == child);
        show("killed", set);
    } else {
        CHECK(epoll_wait(set, &event, 1, -1) == 1);
        printf("killed, asleep: %llu=%x\n", (unsigned long long)event.data.u64, event.events);
        CHECK(waitpid(killer, NULL, 0) == killer);
    }
    CHECK(read(fds[0], bytes, 1) == 0);
    if (asleep)
        CHECK(waitpid(child, NULL, 0) == child);
    show("again", set);
    close(fds[0]);
    close(tell[0]);
    close(tell[1]);
    close(set);
}

/* Several processes wait on one set; each byte is taken by one of them. */
static void shared(void)
{
    int fds[2], taken[2], set = epoll_create1(0);
    pid_t children[4];
    make(fds);
    CHECK(pipe(taken) == 0);
    add(set, fds[0], EPOLLIN, 1);
    for (int i = 0; i < 4; i++) {
        children[i] = fork();
        if (children[i] != 0)
            continue;
        struct epoll_event event;
        char byte;
        for (;;) {
            CHECK(epoll_wait(set, &event, 1, -1) == 1);
            if (read(fds[0], &byte, 1) != 1)
                continue;
            if (byte == 'q')
                _exit(failures);
            CHECK(write(taken[1], &byte, 1) == 1);
        }
    }
    for (int i = 0; i < 500; i++) {
        char byte;
        CHECK(write(fds[1], "x", 1) == 1);
        CHECK(read(taken[0], &byte, 1) == 1 && byte == 'x');
    }
    CHECK(write(fds[1], "qqqq", 4) == 4);
    int status, good = 0;
    for (int i = 0; i < 4; i++)
        good += waitpid(children[i], &status, 0) == children[i] && status == 0;
    printf("shared: %d\n", good);
    close(fds[0]);
    close(fds[1]);
    close(taken[0]);
    close(taken[1]);
    close(set);
}

static void *add_later(void *from)
{
    const int *fds = from;
    struct timespec moment = {0, 20000000};
    nanosleep(&moment, NULL);
    add(fds[2], fds[0], EPOLLIN, 9);
    return NULL;
}

/* Something ready comes into a set on which somebody sleeps; timeouts. */
static void asleep(void)
{
    int fds[3];
    pthread_t thread;
    struct epoll_event event;
    make(fds);
    fds[2] = epoll_create1(0);
    CHECK(epoll_wait(fds[2], &event, 1, 5) == 0);
    struct timespec moment = {0, 5000000};
    CHECK(epoll_pwait2(fds[2], &event, 1, &moment, NULL) == 0);
    CHECK(write(fds[1], "x", 1) == 1);
    CHECK(pthread_create(&thread, NULL, add_later, fds) == 0);
    CHECK(epoll_wait(fds[2], &event, 1, -1) == 1);
    printf("added: %llu=%x\n", (unsigned long long)event.data.u64, event.events);
    pthread_join(thread, NULL);
    CHECK(read(fds[0], bytes, 1) == 1);
    CHECK(epoll_wait(fds[2], &event, 1, 5) == 0);
    close(fds[0]);
    close(fds[1]);
    close(fds[2]);
}

/* All are told in turn, however few are taken at once. */
static void many(void)
{
    enum { COUNT = 200 };
    int fds[COUNT][2], set = epoll_create1(0), told[COUNT] = {0}, least = 1000;
    struct epoll_event events[COUNT];
    for (int i = 0; i < COUNT; i++) {
        make(fds[i]);
        add(set, fds[i][0], EPOLLIN, (uint64_t)i);
        CHECK(write(fds[i][1], "x", 1) == 1);
    }
    CHECK(epoll_wait(set, events, COUNT, -1) == COUNT);
    for (int i = 0; i < COUNT; i++) {
        int count = epoll_wait(set, events, 3, -1);
        CHECK(count == 3);
        for (int k = 0; k < count; k++)
            told[events[k].data.u64]++;
    }
    for (int i = 0; i < COUNT; i++) {
        least = told[i] < least ? told[i] : least;
        close(fds[i][0]);
        close(fds[i][1]);
    }
    printf("many: %d\n", least);
    show("closed", set);
    close(set);
}

int main(void)
{
    steps("level", 0);
    steps("edge", EPOLLET);
    steps("once", EPOLLONESHOT);
    steps("edge, once", EPOLLET | EPOLLONESHOT);
    counters("level", 0, 0);
    counters("edge", EPOLLET, 0);
    counters("semaphore", EPOLLET, EFD_SEMAPHORE);
    errors();
    mixed();
    nested();
    ping(0, 0);
    ping(EPOLLET, 0);
    ping(0, 1);
    stream(0);
    stream(EPOLLET);
    killed(0);
    killed(1);
    shared();
    asleep();
    many();
    return finish();
}
