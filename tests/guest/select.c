/* select(2), pselect(2), epoll(7): sets, time-outs, edge and level, one-shot, nesting. */
#include "check.h"
#include <sys/epoll.h>
#include <sys/select.h>
#include <sys/socket.h>

static int pipes[2];

static void with_select(void)
{
    fd_set readable, writable, errors;
    struct timeval none = {0, 0}, brief = {0, 50000};
    FD_ZERO(&readable);
    FD_ZERO(&writable);
    FD_ZERO(&errors);
    FD_SET(pipes[0], &readable);
    FD_SET(pipes[1], &writable);
    printf("select: %d", select(64, &readable, &writable, &errors, &none));
    printf(" %d %d\n", FD_ISSET(pipes[0], &readable), FD_ISSET(pipes[1], &writable));
    FD_SET(pipes[0], &readable);
    int count = select(pipes[0] + 1, &readable, NULL, NULL, &brief);
    printf("time-out: %d, left %ld, cleared %d\n", count, (long)brief.tv_usec,
           !FD_ISSET(pipes[0], &readable));
    CHECK(write(pipes[1], "x", 1) == 1);
    FD_SET(pipes[0], &readable);
    printf("ready: %d\n", select(pipes[0] + 1, &readable, NULL, NULL, NULL));
    FD_SET(60, &readable);
    FAILS(select(61, &readable, NULL, NULL, &none));
    FAILS(select(-1, NULL, NULL, NULL, &none));
    FAILS(select(0, NULL, NULL, NULL, &(struct timeval){-1, 0}));
    FAILS(syscall(SYS_select, 10, 8, 0, 0, &none));
    sigset_t open_mask, block;
    sigemptyset(&open_mask);
    sigemptyset(&block);
    sigaddset(&block, SIGUSR1);
    signal(SIGUSR1, (void (*)(int))abs);
    sigprocmask(SIG_BLOCK, &block, NULL);
    raise(SIGUSR1);
    FAILS(pselect(0, NULL, NULL, NULL, NULL, &open_mask));
}

static int wait_for(int epoll)
{
    struct epoll_event event = {0};
    int count = epoll_wait(epoll, &event, 1, 0);
    return count == 1 ? (int)event.data.u32 * 100 + (int)event.events : count;
}

static void with_epoll(void)
{
    int epoll = epoll_create1(EPOLL_CLOEXEC), outer = epoll_create1(0), sockets[2];
    CHECK(socketpair(AF_UNIX, SOCK_STREAM, 0, sockets) == 0);
    struct epoll_event event = {.events = EPOLLIN, .data.u32 = 7};
    CHECK(epoll_ctl(epoll, EPOLL_CTL_ADD, pipes[0], &event) == 0);
    printf("level: %d", wait_for(epoll));
    printf(" %d\n", wait_for(epoll));
    event.events = EPOLLIN | EPOLLET;
    CHECK(epoll_ctl(epoll, EPOLL_CTL_MOD, pipes[0], &event) == 0);
    printf("edge: %d", wait_for(epoll));
    printf(" %d", wait_for(epoll));
    CHECK(write(pipes[1], "y", 1) == 1);
    printf(" more: %d\n", wait_for(epoll));
    event.events = EPOLLIN | EPOLLONESHOT;
    CHECK(epoll_ctl(epoll, EPOLL_CTL_MOD, pipes[0], &event) == 0);
    printf("one-shot: %d", wait_for(epoll));
    printf(" %d\n", wait_for(epoll));
    event.events = EPOLLIN;
    CHECK(epoll_ctl(epoll, EPOLL_CTL_MOD, pipes[0], &event) == 0);
    CHECK(epoll_ctl(outer, EPOLL_CTL_ADD, epoll, &event) == 0);
    printf("nested: %d\n", wait_for(outer));
    FAILS(epoll_ctl(epoll, EPOLL_CTL_ADD, pipes[0], &event));
    FAILS(epoll_ctl(epoll, EPOLL_CTL_MOD, pipes[1], &event));
    FAILS(epoll_ctl(epoll, EPOLL_CTL_DEL, pipes[1], NULL));
    FAILS(epoll_ctl(epoll, EPOLL_CTL_ADD, epoll, &event));
    FAILS(epoll_ctl(epoll, EPOLL_CTL_ADD, outer, &event));
    FAILS(epoll_ctl(epoll, EPOLL_CTL_ADD, open("file", O_RDWR | O_CREAT, 0600), &event));
    FAILS(epoll_ctl(pipes[0], EPOLL_CTL_ADD, pipes[1], &event));
    FAILS(epoll_wait(epoll, &event, 0, 0));
    int copy = dup(pipes[0]);
    close(pipes[0]);
    printf("closed but duplicated: %d\n", wait_for(epoll));
    close(copy);
    printf("gone with the last: %d\n", wait_for(epoll));
    event.events = EPOLLIN | EPOLLRDHUP | EPOLLET;
    CHECK(epoll_ctl(epoll, EPOLL_CTL_ADD, sockets[0], &event) == 0);
    pid_t pid = fork();
    if (pid == 0) {
        close(sockets[0]);
        sleep_ms(50);
        _exit(0);
    }
    close(sockets[1]);
    printf("peer's exit: %d", epoll_wait(epoll, &event, 1, 5000));
    printf(" %#x, status %d\n", event.events, reap(pid));
}

int main(void)
{
    CHECK(pipe(pipes) == 0);
    with_select();
    with_epoll();
    return finish();
}
