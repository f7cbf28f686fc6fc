/* signal(7), "Interruption of system calls": SA_RESTART or EINTR, call by call. */
#include "check.h"
#include <linux/futex.h>
#include <poll.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/select.h>
#include <sys/socket.h>
#include <sys/time.h>

static volatile sig_atomic_t hits;
static int pipes[2], sockets[2], letters[2];
static volatile bool *calling; /* shared with the children that interrupt */
static void handler(int number)
{
    (void)number, hits++;
}

/* A child that signals us while we wait, and ends the wait later. */
static pid_t interrupter(void)
{
    pid_t parent = getpid(), pid = fork();
    if (pid == 0) {
        while (!*calling)
            sleep_ms(1);
        until_asleep(parent, parent);
        kill(parent, SIGUSR1);
        until_asleep(parent, parent);
        while (recv(letters[1], &(char){0}, 1, MSG_DONTWAIT) == 1)
            ;
        _exit(write(pipes[1], "x", 1) == 1 && write(sockets[1], "y", 1) == 1 ? 0 : 1);
    }
    return pid;
}

static long call_read(void)
{
    char c;
    return read(pipes[0], &c, 1);
}
static long call_recv(void)
{
    char c;
    return recv(sockets[0], &c, 1, 0);
}
static long call_send(void)
{
    while (send(letters[0], "z", 1, MSG_DONTWAIT) == 1)
        ;
    return send(letters[0], "z", 1, 0);
}
static long call_wait(void)
{
    return waitid(P_ALL, 0, &(siginfo_t){0}, WEXITED | WNOWAIT);
}
static long call_poll(void)
{
    return poll(&(struct pollfd){pipes[0], POLLIN, 0}, 1, 5000);
}
static long call_nanosleep(void)
{
    return nanosleep(&(struct timespec){5, 0}, NULL);
}
static long call_select(void)
{
    fd_set set;
    FD_ZERO(&set);
    FD_SET(pipes[0], &set);
    return select(pipes[0] + 1, &set, NULL, NULL, NULL);
}
static long call_epoll(void)
{
    int fd = epoll_create1(0);
    struct epoll_event event = {.events = EPOLLIN};
    epoll_ctl(fd, EPOLL_CTL_ADD, pipes[0], &event);
    long result = epoll_wait(fd, &event, 1, 5000);
    int error = errno;
    close(fd);
    errno = error;
    return result;
}
static long call_futex(void)
{
    int word = 0;
    struct timespec timeout = {5, 0};
    return syscall(SYS_futex, &word, FUTEX_WAIT, 0, &timeout, NULL, 0);
}

static void row(const char *name, long (*call)(void))
{
    for (int restart = 0; restart < 2; restart++) {
        struct sigaction action = {.sa_handler = handler, .sa_flags = restart ? SA_RESTART : 0};
        sigaction(SIGUSR1, &action, NULL);
        hits = 0;
        *calling = false;
        pid_t pid = interrupter();
        errno = 0;
        *calling = true;
        long result = call();
        int error = errno;
        printf("%s, %s: %ld %s, hits %d\n", name, restart ? "SA_RESTART" : "no flag", result,
               error_name(result == -1 ? error : 0), (int)hits);
        CHECK(reap(pid) == 0);
        char rest[8];
        while (recv(sockets[0], rest, sizeof rest, MSG_DONTWAIT) > 0)
            ;
        fcntl(pipes[0], F_SETFL, O_NONBLOCK);
        while (read(pipes[0], rest, sizeof rest) > 0)
            ;
        fcntl(pipes[0], F_SETFL, 0);
    }
}

static void timer(void)
{
    struct sigaction action = {.sa_handler = handler};
    sigaction(SIGALRM, &action, NULL);
    struct itimerval soon = {{0, 0}, {0, 100000}};
    hits = 0;
    CHECK(setitimer(ITIMER_REAL, &soon, NULL) == 0);
    struct timespec left;
    int result = nanosleep(&(struct timespec){5, 0}, &left);
    printf("itimer: %d %s, hits %d, left %d\n", result, error_name(errno), (int)hits,
           left.tv_sec == 4);
    soon.it_interval.tv_usec = 20000;
    hits = 0;
    setitimer(ITIMER_REAL, &soon, NULL);
    char c;
    int interrupted = 0;
    while (hits < 5)
        if (read(pipes[0], &c, 1) == -1 && errno == EINTR)
            interrupted++;
    setitimer(ITIMER_REAL, &(struct itimerval){0}, NULL);
    printf("interval: interrupted %d\n", interrupted >= 1);
}

int main(void)
{
    calling = mmap(NULL, 1, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    CHECK(pipe(pipes) == 0 && socketpair(AF_UNIX, SOCK_STREAM, 0, sockets) == 0);
    CHECK(socketpair(AF_UNIX, SOCK_DGRAM, 0, letters) == 0);
    row("read", call_read);
    row("recv", call_recv);
    row("send", call_send);
    row("waitid", call_wait);
    row("poll", call_poll);
    row("select", call_select);
    row("epoll_wait", call_epoll);
    row("nanosleep", call_nanosleep);
    row("futex", call_futex);
    timer();
    return finish();
}
