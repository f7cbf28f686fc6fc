/* epoll(7) sets that are polled, selected, or in other sets: pipes, sockets, eventfds and files of the
 * host's in them, level- and edge-triggered and once; several processes that wait.
 */
#include "check.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <poll.h>
#include <pthread.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/select.h>
#include <sys/socket.h>

static char bytes[1 << 16];

/* What a set tells now. */
static void show(const char *when, int set)
{
    struct epoll_event events[8];
    int count = epoll_wait(set, events, 8, 0);
    printf("  %s:", when);
    if (count < 0)
        printf(" %s", error_name(errno));
    for (int i = 0; i < count; i++) /* in the order of data */
        for (int k = i + 1; k < count; k++)
            if (events[k].data.u64 < events[i].data.u64) {
                struct epoll_event other = events[k];
                events[k] = events[i];
                events[i] = other;
            }
    for (int i = 0; i < count; i++)
        printf(" %llu=%x", (unsigned long long)events[i].data.u64, events[i].events);
    printf("\n");
}

/* What poll(2) and select(2) say of it, which changes nothing. */
static void look(const char *when, int set)
{
    struct pollfd in = {set, POLLIN | POLLRDNORM | POLLOUT, 0}, none = {set, 0, 0};
    struct timeval now = {0, 0};
    fd_set reads, writes;
    FD_ZERO(&reads);
    FD_ZERO(&writes);
    FD_SET(set, &reads);
    FD_SET(set, &writes);
    int polled = poll(&in, 1, 0), nothing = poll(&none, 1, 0);
    int count = select(set + 1, &reads, &writes, NULL, &now);
    printf("  %s: %d %x %d; select %d %d\n", when, polled, in.revents, nothing, count,
           FD_ISSET(set, &reads) != 0);
}

static int control(int set, int op, int fd, uint32_t events, uint64_t data)
{
    struct epoll_event event = {.events = events, .data.u64 = data};
    return epoll_ctl(set, op, fd, &event);
}

static void add(int set, int fd, uint32_t events, uint64_t data)
{
    CHECK(control(set, EPOLL_CTL_ADD, fd, events, data) == 0);
}

static void drain(int fd)
{
    while (read(fd, bytes, sizeof(bytes)) > 0)
        ;
}

enum kind { PIPE, STREAM, TCP, COUNTER, DATAGRAMS, KINDS };
static const char *const names[] = {"pipe", "stream", "tcp", "eventfd", "datagrams"};

static void connect_tcp(int *fds)
{
    struct sockaddr_in at = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t size = sizeof(at);
    int door = socket(AF_INET, SOCK_STREAM, 0);
    CHECK(bind(door, (struct sockaddr *)&at, size) == 0 && listen(door, 8) == 0);
    CHECK(getsockname(door, (struct sockaddr *)&at, &size) == 0);
    fds[1] = socket(AF_INET, SOCK_STREAM, 0);
    CHECK(connect(fds[1], (struct sockaddr *)&at, size) == 0);
    fds[0] = accept4(door, NULL, NULL, SOCK_NONBLOCK);
    CHECK(fds[0] >= 0);
    close(door);
}

/* fds[0] to read, fds[1] to write; those of datagrams are the host's. */
static void make(enum kind kind, int *fds)
{
    if (kind == PIPE)
        CHECK(pipe2(fds, O_NONBLOCK) == 0);
    else if (kind == TCP)
        connect_tcp(fds);
    else if (kind == COUNTER)
        fds[1] = dup(fds[0] = eventfd(0, EFD_NONBLOCK));
    else
        CHECK(socketpair(AF_UNIX, (kind == STREAM ? SOCK_STREAM : SOCK_DGRAM) | SOCK_NONBLOCK, 0,
                         fds) == 0);
}

static void put(int fd)
{
    CHECK(write(fd, &(uint64_t){1}, 8) == 8);
}

static void look_at_all(const char *when, int outer, int inner)
{
    printf("%s\n", when);
    look("outer", outer);
    look("inner", inner);
}

/* Each step looked at by poll and select, of the inner set and of the one that it is in. */
static void polled(enum kind kind, uint32_t flags)
{
    int fds[2], inner = epoll_create1(0), outer = epoll_create1(0);
    printf("-- polled: %s %x\n", names[kind], flags);
    make(kind, fds);
    add(inner, fds[0], EPOLLIN | EPOLLRDHUP | flags, 1);
    add(outer, inner, EPOLLIN, 2);
    look_at_all("empty", outer, inner);
    put(fds[1]);
    look_at_all("something", outer, inner);
    look_at_all("again", outer, inner);
    show("inner", inner);
    look_at_all("told", outer, inner);
    drain(fds[0]);
    look_at_all("drained", outer, inner);
    put(fds[1]);
    look_at_all("once more", outer, inner);
    CHECK(control(inner, EPOLL_CTL_MOD, fds[0], EPOLLIN | flags, 3) == 0);
    look_at_all("modified", outer, inner);
    show("inner", inner);
    drain(fds[0]);
    CHECK(control(inner, EPOLL_CTL_MOD, fds[0], EPOLLIN | EPOLLOUT | flags, 4) == 0);
    look_at_all("out", outer, inner);
    CHECK(control(inner, EPOLL_CTL_DEL, fds[0], 0, 0) == 0);
    look_at_all("removed", outer, inner);
    add(inner, fds[0], EPOLLIN, 5);
    put(fds[1]);
    close(fds[0]);
    if (kind != COUNTER)
        look_at_all("closed", outer, inner);
    close(fds[1]);
    close(inner);
    look("inner gone", outer);
    close(outer);
}

/* What is told of a set in a set. */
static void nested(enum kind kind, uint32_t flags, uint32_t outer_flags)
{
    int fds[2], inner = epoll_create1(0), outer = epoll_create1(0);
    printf("-- nested: %s %x in %x\n", names[kind], flags, outer_flags);
    make(kind, fds);
    add(outer, inner, EPOLLIN | outer_flags, 2);
    show("nothing", outer);
    add(inner, fds[0], EPOLLIN | EPOLLRDHUP | flags, 1);
    show("added", outer);
    put(fds[1]);
    show("something", outer);
    show("again", outer);
    put(fds[1]);
    show("more", outer);
    show("again", outer);
    show("inner", inner);
    show("told", outer);
    drain(fds[0]);
    show("drained", outer);
    show("inner", inner);
    put(fds[1]);
    show("once more", outer);
    CHECK(control(outer, EPOLL_CTL_MOD, inner, EPOLLIN | outer_flags, 3) == 0);
    show("modified", outer);
    CHECK(control(inner, EPOLL_CTL_MOD, fds[0], EPOLLIN | flags, 3) == 0);
    show("inner modified", outer);
    drain(fds[0]);
    show("drained", outer);
    if (kind != COUNTER) {
        CHECK(control(inner, EPOLL_CTL_MOD, fds[0], EPOLLIN | EPOLLRDHUP | flags, 3) == 0);
        close(fds[1]);
        if (kind != DATAGRAMS && kind != TCP)
            show("peer gone", outer);
    }
    CHECK(control(outer, EPOLL_CTL_DEL, inner, 0, 0) == 0);
    show("removed", outer);
    close(fds[0]);
    if (kind == COUNTER)
        close(fds[1]);
    close(inner);
    close(outer);
}

/* Of exo's and of the host's in one set, which is polled and in another. */
static void mixed(uint32_t flags)
{
    int fds[KINDS][2], inner = epoll_create1(0), outer = epoll_create1(0);
    printf("-- mixed %x\n", flags);
    add(outer, inner, EPOLLIN, 9);
    for (int kind = 0; kind < KINDS; kind++) {
        make((enum kind)kind, fds[kind]);
        add(inner, fds[kind][0], EPOLLIN | flags, (uint64_t)kind);
    }
    look_at_all("nothing", outer, inner);
    for (int kind = KINDS - 1; kind >= 0; kind--) {
        printf("%s\n", names[kind]);
        put(fds[kind][1]);
        look_at_all("something", outer, inner);
        show("outer", outer);
        show("inner", inner);
        look_at_all("told", outer, inner);
        drain(fds[kind][0]);
        look_at_all("drained", outer, inner);
        show("outer", outer);
        show("inner", inner);
    }
    for (int kind = 0; kind < KINDS; kind++)
        put(fds[kind][1]);
    look_at_all("all", outer, inner);
    show("outer", outer);
    show("inner", inner);
    show("inner", inner);
    for (int kind = 0; kind < KINDS; kind++) {
        close(fds[kind][0]);
        close(fds[kind][1]);
    }
    look_at_all("closed", outer, inner);
    close(inner);
    close(outer);
}

enum { DEEP = 8 };

/* How deep, and no loops. */
static void deep(void)
{
    int sets[DEEP], fds[2];
    struct epoll_event event;
    printf("-- deep\n");
    CHECK(pipe2(fds, O_NONBLOCK) == 0);
    for (int i = 0; i < DEEP; i++)
        sets[i] = epoll_create1(0);
    for (int i = 0; i + 1 < DEEP; i++) {
        int error = control(sets[i + 1], EPOLL_CTL_ADD, sets[i], EPOLLIN, (uint64_t)i);
        printf("%d: %s\n", i, error == 0 ? "good" : error_name(errno));
    }
    FAILS(control(sets[0], EPOLL_CTL_ADD, sets[1], EPOLLIN, 1));
    FAILS(control(sets[0], EPOLL_CTL_ADD, sets[2], EPOLLIN, 1));
    FAILS(control(sets[0], EPOLL_CTL_ADD, sets[0], EPOLLIN, 1));
    FAILS(control(sets[1], EPOLL_CTL_ADD, sets[0], EPOLLIN, 1));
    FAILS(control(sets[1], EPOLL_CTL_MOD, sets[2], EPOLLIN, 1));
    FAILS(control(sets[1], EPOLL_CTL_DEL, sets[2], EPOLLIN, 1));
    FAILS(control(sets[5], EPOLL_CTL_ADD, sets[6], EPOLLIN | EPOLLEXCLUSIVE, 1));
    add(sets[0], fds[0], EPOLLIN, 1);
    for (int i = 0; i < DEEP; i++)
        show("nothing", sets[i]);
    put(fds[1]);
    for (int i = DEEP - 1; i >= 0; i--)
        show("something", sets[i]);
    pid_t child = fork();
    if (child == 0) {
        CHECK(usleep(20000) == 0);
        put(fds[1]);
        _exit(failures);
    }
    drain(fds[0]);
    int count = epoll_wait(sets[3], &event, 1, -1), status;
    printf("asleep: %d %llu=%x\n", count, (unsigned long long)event.data.u64, event.events);
    CHECK(waitpid(child, &status, 0) == child && status == 0);
    for (int i = 0; i < DEEP; i++)
        close(sets[i]);
    close(fds[0]);
    close(fds[1]);
}

enum { ROUNDS = 300 };

static void wait_for(int set, int how)
{
    struct pollfd look = {set, POLLIN, 0};
    struct epoll_event event;
    fd_set reads;
    FD_ZERO(&reads);
    FD_SET(set, &reads);
    if (how == 0)
        CHECK(poll(&look, 1, -1) == 1);
    else if (how == 1)
        CHECK(select(set + 1, &reads, NULL, NULL, NULL) == 1);
    else
        CHECK(epoll_wait(set, &event, 1, -1) == 1);
}

/* Two processes answer each other, and wait in ways. */
static void ping(enum kind kind, uint32_t flags, int how)
{
    int there[2], back[2];
    make(kind, there);
    make(kind, back);
    pid_t child = fork();
    int from = child == 0 ? there[0] : back[0], to = child == 0 ? back[1] : there[1];
    int set = epoll_create1(0), outer = epoll_create1(0), idle[2];
    make(DATAGRAMS, idle);
    add(set, idle[0], EPOLLIN, 0);
    add(set, from, EPOLLIN | flags, 1);
    add(outer, set, EPOLLIN | (how == 3 ? (uint32_t)EPOLLET : 0), 2);
    if (child != 0)
        put(to);
    for (int done = 0; done < ROUNDS; done++) {
        wait_for(how >= 2 ? outer : set, how);
        struct epoll_event event;
        CHECK(epoll_wait(set, &event, 1, 0) == 1 && event.data.u64 == 1);
        CHECK(read(from, bytes, 8) == 8);
        if (child == 0 || done + 1 < ROUNDS)
            put(to);
    }
    if (child == 0)
        _exit(failures);
    int status;
    CHECK(waitpid(child, &status, 0) == child && status == 0);
    printf("ping %s %x by %d\n", names[kind], flags, how);
    int all[] = {there[0], there[1], back[0], back[1], idle[0], idle[1], set, outer};
    for (int i = 0; i < 8; i++)
        close(all[i]);
}

/* Several processes sleep until the same thing happens, each in its way. */
static void everybody(enum kind kind)
{
    int fds[2], set = epoll_create1(0), outer = epoll_create1(0), good = 0, status;
    pid_t children[6];
    make(kind, fds);
    add(set, fds[0], EPOLLIN, 1);
    add(outer, set, EPOLLIN, 2);
    for (int i = 0; i < 6; i++) {
        children[i] = fork();
        if (children[i] == 0) {
            wait_for(i % 2 ? outer : set, i / 2);
            _exit(failures);
        }
    }
    CHECK(usleep(30000) == 0);
    put(fds[1]);
    for (int i = 0; i < 6; i++)
        good += waitpid(children[i], &status, 0) == children[i] && status == 0;
    printf("everybody %s: %d\n", names[kind], good);
    close(fds[0]);
    close(fds[1]);
    close(set);
    close(outer);
}

/* The only one that could write is killed while we poll the set. */
static void killed(enum kind kind, int how)
{
    int fds[2], set = epoll_create1(0), outer = epoll_create1(0);
    make(kind, fds);
    add(set, fds[0], EPOLLIN | EPOLLRDHUP, 1);
    add(outer, set, EPOLLIN, 2);
    pid_t child = fork();
    if (child == 0) {
        close(fds[0]);
        put(fds[1]);
        for (;;)
            pause();
    }
    close(fds[1]);
    wait_for(how % 2 ? outer : set, how);
    drain(fds[0]);
    pid_t killer = fork();
    if (killer == 0) {
        CHECK(usleep(20000) == 0);
        kill(child, SIGKILL);
        _exit(0);
    }
    wait_for(how % 2 ? outer : set, how);
    CHECK(waitpid(child, NULL, 0) == child && waitpid(killer, NULL, 0) == killer);
    printf("killed %s by %d: %zd\n", names[kind], how, read(fds[0], bytes, 1));
    look_at_all("killed", outer, set);
    close(fds[0]);
    close(set);
    close(outer);
}

int main(void)
{
    static const uint32_t hows[] = {0, EPOLLET, EPOLLONESHOT, EPOLLET | EPOLLONESHOT};
    for (int kind = 0; kind < KINDS; kind++)
        for (int i = 0; i < 4; i++) {
            polled((enum kind)kind, hows[i]);
            for (int k = 0; k < 3; k++)
                nested((enum kind)kind, hows[i], hows[k]);
        }
    mixed(0);
    mixed(EPOLLET);
    deep();
    for (int kind = 0; kind < KINDS; kind++) {
        for (int how = 0; how < 4; how++)
            ping((enum kind)kind, how % 2 ? (uint32_t)EPOLLET : 0, how);
        everybody((enum kind)kind);
    }
    for (int how = 0; how < 3; how++) {
        killed(PIPE, how);
        killed(STREAM, how);
    }
    return finish();
}
