/* SCM_RIGHTS of epoll(7) sets: who receives one waits for what is in it, though it has none of it open; sent and closed a set
 * lives on in the message, and unreceived it ends with what carries it.
 */
#include "epoll_show.h"
#include "rights.h"

#include <poll.h>
#include <sys/eventfd.h>
#include <sys/timerfd.h>

enum { PIPE, STREAM, COUNTER, TIMER, KINDS };
static const char *const names[] = {"pipe", "stream", "eventfd", "timerfd"};

/* fds[0] to read, fds[1] to write. */
static void make(int kind, int fds[2])
{
    if (kind == PIPE)
        CHECK(pipe2(fds, O_NONBLOCK) == 0);
    else if (kind == STREAM)
        CHECK(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, fds) == 0);
    else if (kind == COUNTER)
        fds[1] = dup(fds[0] = eventfd(0, EFD_NONBLOCK));
    else
        fds[1] = dup(fds[0] = timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK));
}

static void put(int kind, int fd)
{
    uint64_t one = 1;
    const struct itimerspec soon = {.it_value = {0, 1}};
    if (kind == TIMER)
        CHECK(timerfd_settime(fd, 0, &soon, NULL) == 0);
    else
        CHECK(write(fd, &one, 8) == 8);
}

static void drain(int fd)
{
    char room[64];
    while (read(fd, room, 8) > 0)
        ;
}

static int await(int set)
{
    struct epoll_event event;
    return epoll_wait(set, &event, 1, -1) == 1 ? (int)event.data.u64 : -1;
}

static void answer(int to)
{
    CHECK(write(to, "!", 1) == 1);
}

static void hear(int from)
{
    char byte;
    CHECK(read(from, &byte, 1) == 1);
}

/* A child that was there before gets the set, and never has what is in it. */
static void child_waits(int carrier, int back, uint32_t flags)
{
    int set = receive_fd(carrier, 0);
    for (int kind = 0; kind < KINDS; kind++) {
        int asleep = await(set);
        answer(back);
        hear(carrier); /* it is still there */
        struct pollfd look = {set, POLLIN, 0};
        int ready = poll(&look, 1, 0), again = flags & EPOLLET ? 0 : await(set);
        printf("  %s: told %d, polled %d, again %d\n", names[kind], asleep, ready, again);
        answer(back);
        hear(carrier); /* it is not */
        show("  empty", set);
        answer(back);
    }
    struct pollfd look = {set, POLLIN, 0};
    CHECK(poll(&look, 1, -1) == 1);
    printf("  the other end has gone: %d\n", await(set));
    _exit(failures);
}

static void sent(uint32_t flags, bool closes, bool inner)
{
    int carrier[2], fds[KINDS][2], set = epoll_create1(0), outer = epoll_create1(0);
    printf("-- sent, %x, %s%s\n", flags, closes ? "closed" : "kept", inner ? ", in a set" : "");
    CHECK(socketpair(AF_UNIX, SOCK_STREAM, 0, carrier) == 0);
    pid_t child = fork();
    if (child == 0) {
        close(set);
        close(outer);
        close(carrier[1]);
        child_waits(carrier[0], carrier[0], flags);
    }
    for (int kind = 0; kind < KINDS; kind++) {
        make(kind, fds[kind]);
        add(set, fds[kind][0], EPOLLIN | flags, (uint64_t)kind);
    }
    if (inner)
        add(outer, set, EPOLLIN, 9);
    send_fd(carrier[1], inner ? outer : set);
    if (closes) {
        if (!inner)
            close(set);
        close(outer);
    }
    for (int kind = 0; kind < KINDS; kind++) {
        until_asleep(child, child);
        put(kind, fds[kind][1]);
        hear(carrier[1]);
        answer(carrier[1]);
        hear(carrier[1]);
        drain(fds[kind][0]);
        answer(carrier[1]);
        hear(carrier[1]);
    }
    until_asleep(child, child);
    close(fds[STREAM][1]);
    CHECK(reap(child) == 0);
    if (!closes)
        show("here", set);
    close(carrier[0]);
    close(carrier[1]);
    for (int kind = 0; kind < KINDS; kind++) {
        close(fds[kind][0]);
        if (kind != STREAM)
            close(fds[kind][1]);
    }
    if (!closes || inner)
        close(set);
    if (!closes)
        close(outer);
}

/* What was ready before is ready there; what has come there is told to both. */
static void before(bool peeks)
{
    int carrier[2], fds[2], set = epoll_create1(0);
    CHECK(socketpair(AF_UNIX, SOCK_STREAM, 0, carrier) == 0);
    make(STREAM, fds);
    add(set, fds[0], EPOLLIN | EPOLLOUT, 1);
    put(STREAM, fds[1]);
    send_fd(carrier[0], set);
    int other = receive_fd(carrier[1], peeks ? MSG_PEEK : 0);
    show("there", other);
    show("here", set);
    drain(fds[0]);
    show("there", other);
    CHECK(control(other, EPOLL_CTL_MOD, fds[0], EPOLLIN, 2) == 0);
    show("here", set);
    put(STREAM, fds[1]);
    show("here", set);
    CHECK(control(other, EPOLL_CTL_DEL, fds[0], 0, 0) == 0);
    show("here", set);
    add(other, fds[0], EPOLLIN, 3);
    show("here", set);
    close(set);
    int last = peeks ? receive_fd(carrier[1], 0) : dup(other);
    close(other);
    show("the last", last);
    send_fd(carrier[0], last);
    close(last);
    close(carrier[1]);
    close(carrier[0]);
    close(fds[0]);
    close(fds[1]);
}

int main(void)
{
    for (int way = 0; way < 8; way++)
        sent(way & 1 ? (uint32_t)EPOLLET : 0, way & 2, way & 4);
    before(false);
    before(true);
    return finish();
}
