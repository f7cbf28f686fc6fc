/* poll(2) and ppoll(2): events of pipes, sockets, files; time-outs; only revents is written. */
#include "check.h"
#include <poll.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/timerfd.h>

static void show(const char *name, int fd, short events)
{
    struct pollfd one = {fd, events, 0x7777};
    int count = poll(&one, 1, 0);
    printf("%s: %d revents %#x\n", name, count, (unsigned)one.revents);
    CHECK(one.fd == fd && one.events == events);
}

int main(void)
{
    int pipes[2], sockets[2];
    CHECK(pipe(pipes) == 0 && socketpair(AF_UNIX, SOCK_STREAM, 0, sockets) == 0);
    show("empty pipe", pipes[0], POLLIN);
    show("writable pipe", pipes[1], POLLOUT | POLLIN);
    CHECK(write(pipes[1], "x", 1) == 1);
    show("full enough pipe", pipes[0], POLLIN | POLLPRI | POLLRDNORM);
    close(pipes[1]);
    show("writer gone, data left", pipes[0], POLLIN);
    char c;
    CHECK(read(pipes[0], &c, 1) == 1);
    show("writer gone", pipes[0], 0);
    close(pipes[0]);
    show("closed", pipes[0], POLLIN);
    show("negative", -1, POLLIN);
    CHECK(pipe(pipes) == 0);
    close(pipes[0]);
    show("reader gone", pipes[1], POLLOUT);
    show("socket", sockets[0], POLLIN | POLLOUT);
    CHECK(write(sockets[1], "y", 1) == 1);
    show("socket with data", sockets[0], POLLIN | POLLOUT);
    CHECK(shutdown(sockets[1], SHUT_WR) == 0);
    show("half closed", sockets[0], POLLIN | POLLRDHUP);
    close(sockets[1]);
    show("closed by peer", sockets[0], POLLIN | POLLOUT | POLLRDHUP);
    show("file", open("file", O_RDWR | O_CREAT, 0600), POLLIN | POLLOUT);
    show("/dev/null", open("/dev/null", O_RDWR), POLLIN | POLLOUT);
    int event = eventfd(0, 0), timer = timerfd_create(CLOCK_MONOTONIC, 0);
    show("eventfd", event, POLLIN | POLLOUT);
    CHECK(eventfd_write(event, 3) == 0);
    show("eventfd set", event, POLLIN);
    struct itimerspec soon = {{0, 0}, {0, 50000000}};
    CHECK(timerfd_settime(timer, 0, &soon, NULL) == 0);
    show("timerfd", timer, POLLIN);
    struct pollfd many[3] = {{timer, POLLIN, 0}, {-5, POLLIN, 7}, {sockets[0], 0, 0}};
    many[2].fd = -1;
    printf("timer fires: %d", poll(many, 3, 5000));
    printf(" %#x %#x\n", (unsigned)many[0].revents, (unsigned)many[1].revents);
    struct timespec begin, end;
    clock_gettime(CLOCK_MONOTONIC, &begin);
    printf("time-out: %d", poll(NULL, 0, 60));
    clock_gettime(CLOCK_MONOTONIC, &end);
    long ms = (end.tv_sec - begin.tv_sec) * 1000 + (end.tv_nsec - begin.tv_nsec) / 1000000;
    printf(" long enough %d\n", ms >= 59);
    sigset_t set;
    sigemptyset(&set);
    signal(SIGUSR1, (void (*)(int))abs);
    sigset_t block;
    sigemptyset(&block);
    sigaddset(&block, SIGUSR1);
    sigprocmask(SIG_BLOCK, &block, NULL);
    raise(SIGUSR1);
    FAILS(ppoll(NULL, 0, NULL, &set));
    FAILS(poll((struct pollfd *)8, 1, 0));
    FAILS(ppoll(NULL, 0, &(struct timespec){0, -1}, NULL));
    struct rlimit limit = {10, 4096};
    getrlimit(RLIMIT_NOFILE, &limit);
    limit.rlim_cur = 10;
    CHECK(setrlimit(RLIMIT_NOFILE, &limit) == 0);
    FAILS(poll(many, 1000, 0));
    /* The list may lie in memory where only revents of ready entries could be told apart. */
    struct pollfd *edge =
        mmap(NULL, 8192, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    mprotect((char *)edge + 4096, 4096, PROT_NONE);
    edge += 511;
    *edge = (struct pollfd){event, POLLIN, 0};
    printf("at the end of a page: %d\n", poll(edge, 1, 0));
    FAILS(poll(edge, 2, 0));
    return finish();
}
