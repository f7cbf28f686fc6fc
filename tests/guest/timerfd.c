/* timerfd_create(2): times, expirations, intervals, waiting in read, poll, select and epoll, alone and with others who
 * set it meanwhile; dup, fork, exec, sending; what is wrong.
 */
#include "epoll_show.h"
#include "rights.h"

#include <poll.h>
#include <pthread.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <sys/select.h>
#include <sys/time.h>
#include <sys/timerfd.h>
#include <sys/uio.h>

#define MS 1000000L

static struct itimerspec times(long value_ns, long interval_ns)
{
    return (struct itimerspec){{interval_ns / 1000000000, interval_ns % 1000000000},
                               {value_ns / 1000000000, value_ns % 1000000000}};
}

static void set(int fd, long value_ns, long interval_ns)
{
    struct itimerspec new = times(value_ns, interval_ns);
    CHECK(timerfd_settime(fd, 0, &new, NULL) == 0);
}

static long now_ns(int clock)
{
    struct timespec now;
    clock_gettime(clock, &now);
    return now.tv_sec * 1000000000 + now.tv_nsec;
}

static void set_at(int fd, int clock, long away_ns, long interval_ns)
{
    struct itimerspec new = times(now_ns(clock) + away_ns, interval_ns);
    CHECK(timerfd_settime(fd, TFD_TIMER_ABSTIME, &new, NULL) == 0);
}

/* What is there to be read. */
static long take(int fd)
{
    uint64_t count = 0;
    ssize_t size = read(fd, &count, 8);
    return size == 8 ? (long)count : size == -1 ? -errno : -1000;
}

static void take_twice(int fd)
{
    long first = take(fd), then = take(fd);
    printf("read %ld, then %ld\n", first, then);
}

static void await_moment(int clock, long moment)
{
    while (now_ns(clock) < moment)
        ;
}

static int created(int clock)
{
    int fd = timerfd_create(clock, TFD_NONBLOCK | TFD_CLOEXEC);
    CHECK(fd >= 0);
    return fd;
}

static void tell(const char *what, int fd)
{
    struct itimerspec left;
    struct pollfd look = {fd, POLLIN | POLLOUT | POLLRDNORM, 0};
    CHECK(timerfd_gettime(fd, &left) == 0);
    int ready = poll(&look, 1, 0);
    printf("%s: runs %d, every %ld.%09ld, poll %d %x\n", what,
           left.it_value.tv_sec != 0 || left.it_value.tv_nsec != 0, (long)left.it_interval.tv_sec,
           left.it_interval.tv_nsec, ready, look.revents);
}

/* Each step of a timer's life. */
static void lives(int clock)
{
    struct itimerspec old, new = times(100000 * MS, 7 * MS);
    printf("-- clock %d\n", clock);
    int fd = created(clock);
    tell("new", fd);
    printf("read %ld\n", take(fd));
    CHECK(timerfd_settime(fd, 0, &new, &old) == 0);
    tell("set", fd);
    printf("before %ld %ld\n", (long)old.it_value.tv_sec, old.it_value.tv_nsec);
    new = times(0, 5 * MS);
    CHECK(timerfd_settime(fd, 0, &new, &old) == 0);
    printf("before: %d %ld\n", old.it_value.tv_sec > 98 && old.it_value.tv_sec < 101,
           old.it_interval.tv_nsec);
    tell("unset", fd);
    set(fd, 1, 0);
    await_moment(CLOCK_MONOTONIC, now_ns(CLOCK_MONOTONIC) + MS);
    tell("expired", fd);
    take_twice(fd);
    tell("read", fd);
    set_at(fd, clock, -10 * MS, 0);
    tell("set to the past", fd);
    printf("read %ld\n", take(fd));
    set_at(fd, clock, -10 * MS, 5000 * MS);
    tell("to the past, with an interval", fd);
    take_twice(fd);
    set_at(fd, clock, -52500 * MS, 5000 * MS);
    take_twice(fd);
    set_at(fd, clock, -52500 * MS, 5000 * MS);
    tell("several", fd);
    tell("several", fd);
    printf("read %ld\n", take(fd));
    set_at(fd, clock, -52500 * MS, 5000 * MS);
    set(fd, 0, 0);
    tell("expired and unset", fd);
    printf("read %ld\n", take(fd));
    new = times(INT64_MAX, INT64_MAX);
    CHECK(timerfd_settime(fd, TFD_TIMER_ABSTIME, &new, NULL) == 0);
    tell("far away", fd);
    new.it_value.tv_sec = INT64_MAX;
    CHECK(timerfd_settime(fd, 0, &new, NULL) == 0);
    tell("further", fd);
    close(fd);
}

/* It never expires before the clock says so, and is there at once when it does. */
static void exact(int clock)
{
    int fd = created(clock);
    for (int i = 0; i < 300; i++) {
        long began = now_ns(clock), away = 20000 + i * 100;
        set(fd, away, 0);
        while (take(fd) != 1)
            ;
        CHECK(now_ns(clock) - began >= away);
    }
    for (int i = 0; i < 50; i++) {
        long moment = now_ns(clock) + 30000;
        struct itimerspec new = times(moment, 0);
        CHECK(timerfd_settime(fd, TFD_TIMER_ABSTIME, &new, NULL) == 0);
        while (take(fd) != 1)
            ;
        CHECK(now_ns(clock) >= moment);
        long left = 0;
        set(fd, 50000, 0);
        struct itimerspec now;
        do {
            long before = left;
            CHECK(timerfd_gettime(fd, &now) == 0);
            left = now.it_value.tv_nsec;
            CHECK(left <= 50000 && (before == 0 || left <= before));
        } while (left != 0);
        while (take(fd) != 1)
            ;
    }
    close(fd);
}

static void by_read(int fd)
{
    uint64_t count;
    CHECK(read(fd, &count, 8) == 8 && count == 1);
}

static void by_poll(int fd)
{
    struct pollfd look[2] = {{fd, POLLIN, 0}, {-1, 0, 0}};
    CHECK(poll(look, 2, -1) == 1 && look[0].revents == POLLIN);
    by_read(fd);
}

static void by_select(int fd)
{
    fd_set in;
    FD_ZERO(&in);
    FD_SET(fd, &in);
    CHECK(select(fd + 1, &in, NULL, NULL, NULL) == 1 && FD_ISSET(fd, &in));
    by_read(fd);
}

static void by_set(int fd, uint32_t flags, int depth, int with)
{
    int sets[4];
    struct epoll_event event;
    for (int i = 0; i <= depth; i++) {
        sets[i] = epoll_create1(EPOLL_CLOEXEC);
        add(sets[i], i == 0 ? fd : sets[i - 1], EPOLLIN | flags, (uint64_t)i);
    }
    if (with >= 0)
        add(sets[0], with, EPOLLIN, 9);
    CHECK(epoll_wait(sets[depth], &event, 1, -1) == 1 && event.data.u64 == (uint64_t)depth);
    if (depth > 0)
        CHECK(epoll_wait(sets[0], &event, 1, 0) == 1 && event.data.u64 == 0);
    by_read(fd);
    CHECK(epoll_wait(sets[depth], &event, 1, 0) == 0);
    for (int i = 0; i <= depth; i++)
        close(sets[i]);
}

enum { WAYS = 9 };

/* Blocks until the timer expires, and takes that. */
static void wait_by(int fd, int way)
{
    int pipes[2];
    CHECK(pipe(pipes) == 0);
    if (way == 0)
        by_read(fd);
    else if (way == 1)
        by_poll(fd);
    else if (way == 2)
        by_select(fd);
    else if (way < 8)
        by_set(fd, way % 2 ? (uint32_t)EPOLLET : 0, (way - 3) / 2, pipes[0]);
    else {
        int set = epoll_create1(0);
        add(set, fd, EPOLLIN, 1);
        by_poll(set > 0 ? fd : -1);
        close(set);
    }
    close(pipes[0]);
    close(pipes[1]);
}

/* Asleep until it expires. */
static void sleeps(int clock)
{
    int fd = timerfd_create(clock, 0);
    for (int way = 0; way < WAYS; way++) {
        long began = now_ns(CLOCK_MONOTONIC);
        set(fd, 3 * MS, 0);
        wait_by(fd, way);
        long passed = now_ns(CLOCK_MONOTONIC) - began;
        CHECK(passed >= 3 * MS);
        long until = now_ns(clock) + 2 * MS;
        struct itimerspec new = times(until, 0);
        CHECK(timerfd_settime(fd, TFD_TIMER_ABSTIME, &new, NULL) == 0);
        wait_by(fd, way);
        CHECK(now_ns(clock) >= until);
    }
    printf("slept by clock %d\n", clock);
    close(fd);
}

struct sleeper {
    int fd, way;
    volatile pid_t tid;
};

static void *sleeper(void *argument)
{
    struct sleeper *mine = argument;
    mine->tid = (pid_t)syscall(SYS_gettid);
    wait_by(mine->fd, mine->way);
    return NULL;
}

/* Set for the first time, earlier, later, while somebody sleeps: a thread or another process. */
static void set_asleep(int way, bool forked)
{
    int fd = timerfd_create(CLOCK_MONOTONIC, 0);
    pthread_t thread;
    struct sleeper other = {.fd = fd, .way = way};
    pid_t child = 0;
    if (way % 2)
        set(fd, 100000 * MS, 0);
    if (forked && (child = fork()) == 0) {
        wait_by(fd, way);
        _exit(failures);
    }
    if (!forked) {
        CHECK(pthread_create(&thread, NULL, sleeper, &other) == 0);
        while (other.tid == 0)
            sleep_ms(1);
    }
    until_asleep(forked ? child : getpid(), forked ? child : other.tid);
    set(fd, 50000 * MS, 0);
    set(fd, 0, 0);
    sleep_ms(1);
    set(fd, MS, 0);
    if (forked)
        CHECK(reap(child) == 0);
    else
        CHECK(pthread_join(thread, NULL) == 0);
    close(fd);
}

/* Those that ask for edges are told once for each expiration. */
static void edges(void)
{
    printf("-- edges\n");
    int fd = created(CLOCK_MONOTONIC), level = epoll_create1(0), edge = epoll_create1(0);
    int once = epoll_create1(0), outer = epoll_create1(0);
    add(level, fd, EPOLLIN, 1);
    add(edge, fd, EPOLLIN | EPOLLET, 2);
    add(once, fd, EPOLLIN | EPOLLONESHOT, 3);
    add(outer, edge, EPOLLIN, 4);
    for (int i = 0; i < 6; i++) {
        const char *whens[] = {"unset", "expired", "again", "set and read", "read", "once more"};
        if (i == 1 || i == 5)
            set_at(fd, CLOCK_MONOTONIC, -MS, 0);
        if (i == 3) {
            set_at(fd, CLOCK_MONOTONIC, -MS, 0);
            CHECK(take(fd) == 1);
        }
        printf("%s\n", whens[i]);
        show("outer", outer);
        show("level", level);
        show("edge", edge);
        show("once", once);
    }
    CHECK(control(once, EPOLL_CTL_MOD, fd, EPOLLIN | EPOLLONESHOT, 5) == 0);
    show("modified", once);
    CHECK(control(edge, EPOLL_CTL_MOD, fd, EPOLLIN | EPOLLET, 6) == 0);
    show("modified", edge);
    CHECK(control(level, EPOLL_CTL_DEL, fd, 0, 0) == 0);
    show("removed", level);
    add(level, fd, EPOLLIN, 7);
    show("added", level);
    long began = now_ns(CLOCK_MONOTONIC);
    set_at(fd, CLOCK_MONOTONIC, -500 * MS, 3000 * MS);
    show("by interval", edge);
    tell("asked", fd);
    show("asked", edge);
    CHECK(now_ns(CLOCK_MONOTONIC) - began < 2000 * MS);
    int copy = dup(fd);
    close(fd);
    show("closed, and left in a copy", level);
    close(copy);
    show("gone", level);
    close(level);
    close(edge);
    close(once);
    close(outer);
}

/* A set that is never empty hears of the timer, too. */
static void busy(void)
{
    int fd = created(CLOCK_MONOTONIC), set_fd = epoll_create1(0), pipes[2];
    struct epoll_event events[4];
    CHECK(pipe(pipes) == 0 && write(pipes[1], "x", 1) == 1);
    add(set_fd, pipes[0], EPOLLIN, 1);
    add(set_fd, fd, EPOLLIN | EPOLLET, 2);
    for (int i = 0; i < 100; i++) {
        long began = now_ns(CLOCK_MONOTONIC);
        int count = 0;
        set(fd, 100000, 0);
        while (count != 2) {
            count = epoll_wait(set_fd, events, 4, -1);
            CHECK(count >= 1);
        }
        CHECK(now_ns(CLOCK_MONOTONIC) - began >= 100000 && take(fd) == 1);
    }
    long began = now_ns(CLOCK_MONOTONIC), ticks = 0;
    set(fd, 200000, 200000);
    for (int rounds = 0; ticks < 20;) {
        int count = epoll_wait(set_fd, events, 4, 0);
        for (int i = 0; i < count; i++)
            ticks += events[i].data.u64 == 2 ? take(fd) : 0;
        rounds++;
    }
    CHECK(ticks <= (now_ns(CLOCK_MONOTONIC) - began) / 200000);
    close(fd);
    close(set_fd);
    close(pipes[0]);
    close(pipes[1]);
}

enum { MANY = 200 };

/* Of many timers the earliest wakes. */
static void many(void)
{
    int fds[MANY], set_fd = epoll_create1(0);
    struct epoll_event event;
    for (int i = 0; i < MANY; i++) {
        fds[i] = created(CLOCK_MONOTONIC);
        add(set_fd, fds[i], EPOLLIN, (uint64_t)i);
        set(fds[i], (10000 + i) * MS, 0);
    }
    for (int i = 0; i < 20; i++) {
        int which = i * 37 % MANY;
        set(fds[which], MS, 0);
        set(fds[(which + 1) % MANY], 20000 * MS, 0);
        CHECK(epoll_wait(set_fd, &event, 1, -1) == 1 && event.data.u64 == (uint64_t)which);
        CHECK(take(fds[which]) == 1 && epoll_wait(set_fd, &event, 1, 0) == 0);
    }
    CHECK(epoll_wait(set_fd, &event, 1, 5) == 0);
    for (int i = 0; i < MANY; i++)
        close(fds[i]);
    close(set_fd);
}

static void nothing(int number)
{
    (void)number;
}

/* A signal, and a timeout that comes first. */
static void ended(void)
{
    struct sigaction action = {.sa_handler = nothing};
    int fd = timerfd_create(CLOCK_MONOTONIC, 0), set_fd = epoll_create1(0);
    struct epoll_event event;
    add(set_fd, fd, EPOLLIN, 1);
    set(fd, 100000 * MS, 0);
    CHECK(epoll_wait(set_fd, &event, 1, 3) == 0);
    struct pollfd look = {fd, POLLIN, 0};
    CHECK(poll(&look, 1, 3) == 0);
    struct itimerval often = {{0, 5000}, {0, 5000}}, never = {{0, 0}, {0, 0}};
    for (int restarts = 0; restarts < 2; restarts++) {
        action.sa_flags = restarts ? SA_RESTART : 0;
        CHECK(sigaction(SIGALRM, &action, NULL) == 0);
        CHECK(setitimer(ITIMER_REAL, &often, NULL) == 0);
        set(fd, restarts ? 20 * MS : 100000 * MS, 0);
        printf("interrupted: %ld\n", take(fd));
        set(fd, 100000 * MS, 0);
        FAILS(epoll_wait(set_fd, &event, 1, -1));
        CHECK(setitimer(ITIMER_REAL, &never, NULL) == 0);
    }
    close(fd);
    close(set_fd);
}

/* Set here, read there: a child's, one that was sent, one that is executed with. */
static void shared(const char *self)
{
    int fd = timerfd_create(CLOCK_MONOTONIC, 0), pair[2];
    char number[16];
    set_at(fd, CLOCK_MONOTONIC, -52500 * MS, 5000 * MS);
    pid_t child = fork();
    if (child == 0)
        _exit((int)take(fd));
    printf("child read %d\n", reap(child));
    CHECK(fcntl(fd, F_SETFL, O_NONBLOCK) == 0);
    long left = take(fd);
    printf("left %ld, flags %x\n", left, fcntl(fd, F_GETFL));
    CHECK(fcntl(fd, F_SETFL, 0) == 0);
    set_at(fd, CLOCK_MONOTONIC, -52500 * MS, 5000 * MS);
    snprintf(number, sizeof number, "%d", fd);
    child = fork();
    if (child == 0) {
        execl(self, "timerfd", number, NULL);
        _exit(99);
    }
    printf("executed read %d\n", reap(child));
    CHECK(socketpair(AF_UNIX, SOCK_STREAM, 0, pair) == 0);
    int set_fd = epoll_create1(0);
    add(set_fd, fd, EPOLLIN, 1);
    set_at(fd, CLOCK_MONOTONIC, -102500 * MS, 5000 * MS);
    show("before", set_fd);
    send_fd(pair[0], fd);
    int got = receive_fd(pair[1], 0);
    show("sent", set_fd);
    printf("received read %ld\n", take(got));
    show("read", set_fd);
    set(got, MS, 0);
    struct epoll_event event;
    CHECK(epoll_wait(set_fd, &event, 1, -1) == 1);
    printf("here read %ld\n", take(fd));
    child = fork(); /* set by who alone has it, waited for by who has only the set */
    if (child == 0) {
        close(fd);
        close(got);
        _exit(epoll_wait(set_fd, &event, 1, -1) == 1 ? 7 : 8);
    }
    set(fd, 10 * MS, 0);
    printf("child's set %d\n", reap(child));
    close(got);
    close(fd);
    fd = created(CLOCK_MONOTONIC);
    add(set_fd, fd, EPOLLIN, 2);
    int ready[2];
    CHECK(pipe(ready) == 0);
    child = fork();
    if (child == 0) {
        char byte;
        close(fd);
        CHECK(read(ready[0], &byte, 1) == 1);
        CHECK(epoll_wait(set_fd, &event, 1, -1) == 1 && event.data.u64 == 2);
        _exit(failures);
    }
    set(fd, 20 * MS, 0);
    CHECK(write(ready[1], "x", 1) == 1 && reap(child) == 0);
    close(fd);
    close(set_fd);
}

static void wrong(void)
{
    uint64_t count = 1;
    struct itimerspec time = times(1, 0), bad = times(1, 0);
    int fd = created(CLOCK_MONOTONIC), other = eventfd(0, EFD_NONBLOCK);
    printf("-- wrong\n");
    FAILS(timerfd_create(CLOCK_MONOTONIC, 1));
    FAILS(timerfd_create(CLOCK_PROCESS_CPUTIME_ID, 0));
    FAILS(timerfd_create(12, 0));
    FAILS(timerfd_settime(-1, 0, &time, NULL));
    FAILS(timerfd_settime(0, 0, &time, NULL));
    FAILS(timerfd_settime(other, 0, &time, NULL));
    FAILS(timerfd_gettime(other, &time));
    FAILS(timerfd_gettime(-1, &time));
    FAILS(timerfd_gettime(fd, (void *)8));
    FAILS(timerfd_settime(fd, 0, NULL, NULL));
    FAILS(timerfd_settime(fd, 4, &time, NULL));
    bad.it_value.tv_nsec = 1000000000;
    FAILS(timerfd_settime(fd, 0, &bad, NULL));
    bad = times(1, 0);
    bad.it_interval.tv_sec = -1;
    FAILS(timerfd_settime(-1, 0, &bad, NULL));
    FAILS(timerfd_settime(fd, 0, &time, (void *)8));
    await_moment(CLOCK_MONOTONIC, now_ns(CLOCK_MONOTONIC) + MS);
    FAILS(read(fd, &count, 7));
    FAILS(read(fd, (void *)8, 8));
    printf("lost: %ld\n", take(fd));
    FAILS(write(fd, &count, 8));
    FAILS(write(fd, &count, 4));
    FAILS(pread(fd, &count, 8, 0));
    FAILS(lseek(fd, 0, SEEK_SET));
    set_at(fd, CLOCK_MONOTONIC, -52500 * MS, 5000 * MS);
    struct iovec vector = {&count, 8};
    CHECK(readv(fd, &vector, 1) == 8);
    printf("readv %llu\n", (unsigned long long)count);
    close(fd);
    fd = created(CLOCK_REALTIME);
    time = times(now_ns(CLOCK_REALTIME) + 1000000 * MS, 0);
    CHECK(timerfd_settime(fd, TFD_TIMER_ABSTIME | TFD_TIMER_CANCEL_ON_SET, &time, NULL) == 0);
    tell("cancelled on a set clock", fd);
    set(fd, 1, 0);
    await_moment(CLOCK_MONOTONIC, now_ns(CLOCK_MONOTONIC) + MS);
    printf("read %ld\n", take(fd));
    close(fd);
    close(other);
}

/* What /proc tells. */
static void named(void)
{
    char path[64], text[128];
    int fd = created(CLOCK_MONOTONIC);
    snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
    ssize_t size = readlink(path, text, sizeof text - 1);
    text[size < 0 ? 0 : size] = 0;
    printf("%s\n", text);
    set_at(fd, CLOCK_MONOTONIC, -52500 * MS, 5000 * MS);
    snprintf(path, sizeof path, "/proc/self/fdinfo/%d", fd);
    FILE *info = fopen(path, "r");
    while (info != NULL && fgets(text, sizeof text, info) != NULL)
        if (strncmp(text, "clockid", 7) == 0 || strncmp(text, "ticks", 5) == 0 ||
            strncmp(text, "it_interval", 11) == 0)
            fputs(text, stdout);
    fclose(info);
    printf("read %ld\n", take(fd));
    close(fd);
}

int main(int argc, char **argv)
{
    static const int clocks[] = {CLOCK_MONOTONIC, CLOCK_REALTIME, CLOCK_BOOTTIME};
    if (argc > 1)
        return (int)take(atoi(argv[1]));
    for (int i = 0; i < 3; i++) {
        lives(clocks[i]);
        exact(clocks[i]);
        sleeps(clocks[i]);
    }
    for (int way = 0; way < WAYS; way++)
        for (int forked = 0; forked < 2; forked++)
            set_asleep(way, forked);
    edges();
    busy();
    many();
    ended();
    shared(argv[0][0] == '/' ? argv[0] : "/proc/self/exe");
    wrong();
    named();
    return finish();
}
