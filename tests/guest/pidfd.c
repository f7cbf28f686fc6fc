/* pidfd_open(2), pidfd_send_signal(2), pidfd_getfd(2): polling, signalling, errors. */
#include "check.h"
#include <poll.h>
#include <sys/epoll.h>

static int open_pid(pid_t pid, unsigned flags)
{
    return (int)syscall(SYS_pidfd_open, pid, flags);
}

static long send(int fd, int number)
{
    return syscall(SYS_pidfd_send_signal, fd, number, NULL, 0);
}

static int ready(int fd)
{
    struct pollfd one = {fd, POLLIN, 0};
    return poll(&one, 1, 0) * 100 + one.revents;
}

int main(void)
{
    int pipes[2];
    CHECK(pipe(pipes) == 0);
    pid_t pid = fork();
    if (pid == 0) {
        char c;
        _exit(read(pipes[0], &c, 1) == 1 ? c : 99);
    }
    int fd = open_pid(pid, 0);
    printf("cloexec %d, ready %d\n", fcntl(fd, F_GETFD), ready(fd));
    CHECK(send(fd, 0) == 0);
    CHECK(write(pipes[1], "\5", 1) == 1);
    struct pollfd one = {fd, POLLIN, 0};
    CHECK(poll(&one, 1, 10000) == 1);
    printf("ended: ready %d\n", ready(fd));
    CHECK(send(fd, 0) == 0);
    printf("status %d\n", reap(pid));
    FAILS(send(fd, 0));
    FAILS(send(fd, SIGKILL));
    FAILS(open_pid(pid, 0));
    FAILS(open_pid(-1, 0));
    FAILS(open_pid(getpid(), 12345));
    FAILS(send(pipes[0], 0));
    FAILS(read(fd, &one, 1));
    close(fd);
    pid = fork();
    if (pid == 0)
        for (;;)
            pause();
    fd = open_pid(pid, O_NONBLOCK);
    siginfo_t info;
    FAILS(waitid(P_PIDFD, (id_t)fd, &info, WEXITED));
    int epoll = epoll_create1(0);
    struct epoll_event event = {.events = EPOLLIN, .data.u32 = 3};
    CHECK(epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &event) == 0 && epoll_wait(epoll, &event, 1, 0) == 0);
    CHECK(send(fd, SIGTERM) == 0);
    printf("epoll %d", epoll_wait(epoll, &event, 1, 10000));
    printf(" %u\n", event.data.u32);
    printf("killed %d\n", reap(pid));
    int self = open_pid(getpid(), 0);
    CHECK(write(pipes[1], "q", 1) == 1);
    int copy = (int)syscall(SYS_pidfd_getfd, self, pipes[0], 0);
    char c = 0;
    CHECK(copy >= 0 && read(copy, &c, 1) == 1);
    printf("getfd of ourselves: %c, cloexec %d\n", c, fcntl(copy, F_GETFD));
    FAILS(syscall(SYS_pidfd_getfd, self, 99, 0));
    return finish();
}
