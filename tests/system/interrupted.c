/* Waits of many kinds, each of which SIGALRM ends; if it comes too early, the next one does. */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <linux/futex.h>
#include <netinet/in.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/file.h>
#include <sys/msg.h>
#include <sys/select.h>
#include <sys/sem.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/timerfd.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static int ends[2], feeds;
static void handler(int number)
{
    if (feeds) /* what begins again has something to do then */
        (void)!write(ends[1], "12345678", number ? 8 : 0);
}

static void arm(int flags)
{
    struct sigaction act = {.sa_handler = handler, .sa_flags = flags};
    struct itimerval soon = {.it_interval = {0, 50000}, .it_value = {0, 5000}};
    feeds = flags != 0;
    sigaction(SIGALRM, &act, NULL);
    setitimer(ITIMER_REAL, &soon, NULL);
}

int main(void)
{
    char buf[64];
    struct timespec second = {1, 0};
    struct pollfd none = {-1, POLLIN, 0};
    struct epoll_event event;
    sigset_t empty, usr;
    int pair[2], word = 0, epoll = epoll_create1(0), listener = socket(AF_INET, SOCK_STREAM, 0);
    int timer = timerfd_create(CLOCK_MONOTONIC, 0), count = eventfd(0, 0);
    int queue = msgget(IPC_PRIVATE, 0600), sem = semget(IPC_PRIVATE, 1, 0600);
    struct sembuf down = {0, -1, 0};
    struct iovec vec = {buf, 8};
    sigemptyset(&empty);
    sigemptyset(&usr);
    sigaddset(&usr, SIGUSR2);
    pipe(ends);
    socketpair(AF_UNIX, SOCK_STREAM, 0, pair);
    listen(listener, 1);
    arm(0), read(ends[0], buf, 8);
    arm(SA_RESTART), read(ends[0], buf, 8);
    fcntl(ends[0], F_SETFL, O_NONBLOCK);
    arm(0);
    while (read(ends[0], buf, 8) > 0)
        ;
    fcntl(ends[0], F_SETFL, 0);
    arm(0), readv(ends[0], &vec, 1);
    arm(0), pause();
    arm(0), poll(&none, 1, 1000);
    arm(0), ppoll(&none, 1, &second, NULL);
    arm(0), select(0, NULL, NULL, NULL, &(struct timeval){1, 0});
    arm(0), pselect(0, NULL, NULL, NULL, &second, &empty);
    arm(0), nanosleep(&second, NULL);
    arm(0), clock_nanosleep(CLOCK_MONOTONIC, 0, &second, NULL);
    clock_gettime(CLOCK_MONOTONIC, &second), second.tv_sec++;
    arm(0), clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &second, NULL);
    second = (struct timespec){1, 0};
    arm(0), epoll_wait(epoll, &event, 1, 1000);
    arm(0), syscall(SYS_futex, &word, FUTEX_WAIT, 0, NULL, NULL, 0);
    arm(0), syscall(SYS_futex, &word, FUTEX_WAIT, 0, &second, NULL, 0);
    arm(0), recv(pair[0], buf, 8, 0);
    arm(0), accept(listener, NULL, NULL);
    /* With a timeout of its own a socket's call is never begun again: EINTR at once. */
    struct timeval patience = {1, 0};
    setsockopt(pair[0], SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience));
    setsockopt(listener, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience));
    arm(0), recv(pair[0], buf, 8, 0);
    arm(0), read(pair[0], buf, 8);
    arm(SA_RESTART), recvfrom(pair[0], buf, 8, 0, NULL, NULL);
    arm(0), accept(listener, NULL, NULL);
    arm(0), read(timer, buf, 8);
    arm(0), read(count, buf, 8);
    arm(0), sigsuspend(&empty);
    arm(0), sigtimedwait(&usr, NULL, &second);
    arm(0), msgrcv(queue, buf, 8, 0, 0);
    arm(0), semop(sem, &down, 1);
    pid_t child = fork();
    if (child == 0) {
        pause();
        _exit(0);
    }
    arm(0), wait4(-1, NULL, 0, NULL);
    msgctl(queue, IPC_RMID, NULL);
    semctl(sem, 0, IPC_RMID);
    kill(child, SIGKILL);
}
