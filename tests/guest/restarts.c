/* signal(7), "Interruption of system calls": the whole table, with SA_RESTART and without. */
#include "check.h"
#include <linux/futex.h>
#include <mqueue.h>
#include <poll.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/file.h>
#include <sys/inotify.h>
#include <sys/ipc.h>
#include <sys/mman.h>
#include <sys/msg.h>
#include <sys/select.h>
#include <sys/sem.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/timerfd.h>
#include <sys/uio.h>
#include <sys/un.h>

static volatile sig_atomic_t hits;
static int pipes[2], full[2], sockets[2], timed[2], listener, timed_listener, queue, semaphore;
static int full_queue;
static mqd_t empty_mq, full_mq;
static int busy[2], lock_fd, event_fd, inotify_fd, timer_fd, epoll_fd;
static pid_t child, locker;
static int zero;
static volatile bool *calling; /* shared with the children that interrupt */
static char big[1 << 20];

/* The second signal ends calls that were restarted; its handler has no SA_RESTART. */
static void handler(int number)
{
    hits += number == SIGUSR1 ? 1 : 10;
}

#define CALL(name, expression)                                                                     \
    static long name(void)                                                                         \
    {                                                                                              \
        char c[8];                                                                                 \
        (void)c;                                                                                   \
        return (long)(expression);                                                                 \
    }

static struct timespec five = {5, 0}, left;
static struct timeval five_timeval = {5, 0};
CALL(do_read, read(pipes[0], c, 1))
CALL(do_readv, readv(pipes[0], &(struct iovec){c, 1}, 1))
CALL(do_write, write(full[1], c, 1))
CALL(do_eventfd, read(event_fd, c, 8))
CALL(do_inotify, read(inotify_fd, big, 100))
CALL(do_timerfd, read(timer_fd, c, 8))
CALL(do_open, open("fifo", O_RDONLY))
CALL(do_wait4, wait4(child, NULL, 0, NULL))
CALL(do_waitid, waitid(P_PID, (id_t)child, NULL, WEXITED))
CALL(do_recv, recv(sockets[0], c, 1, 0))
CALL(do_recvfrom_timed, recv(timed[0], c, 1, 0))
CALL(do_recvmsg, recvmsg(sockets[0], &(struct msghdr){0}, 0))
CALL(do_recvmmsg, recvmmsg(sockets[0], (struct mmsghdr[1]){0}, 1, 0, NULL))
CALL(do_send, send(busy[0], big, 1, 0))
CALL(do_accept, accept(listener, NULL, NULL))
CALL(do_accept_timed, accept4(timed_listener, NULL, NULL, 0))
CALL(do_flock, flock(lock_fd, LOCK_EX))
CALL(do_setlkw, fcntl(lock_fd, F_SETLKW, &(struct flock){.l_type = F_WRLCK, .l_len = 10}))
CALL(do_ofd_setlkw, fcntl(lock_fd, F_OFD_SETLKW, &(struct flock){.l_type = F_WRLCK, .l_len = 10}))
CALL(do_futex, syscall(SYS_futex, &zero, FUTEX_WAIT, 0, NULL, NULL, 0))
CALL(do_futex_timed, syscall(SYS_futex, &zero, FUTEX_WAIT, 0, &five, NULL, 0))
CALL(do_futex_bitset, syscall(SYS_futex, &zero, FUTEX_WAIT_BITSET, 0, NULL, NULL, 1))
CALL(do_mq_receive, mq_receive(empty_mq, big, 8, NULL))
CALL(do_mq_timedreceive,
     mq_timedreceive(empty_mq, big, 8, NULL, &(struct timespec){0x7fffffff, 0}))
CALL(do_mq_send, mq_send(full_mq, c, 1, 0))
CALL(do_mq_timedsend, mq_timedsend(full_mq, c, 1, 0, &(struct timespec){0x7fffffff, 0}))
CALL(do_msgsnd, msgsnd(full_queue, big, 8000, 0))
CALL(do_msgrcv, msgrcv(queue, big, 10, 0, 0))
CALL(do_semop, semop(semaphore, &(struct sembuf){0, -1, 0}, 1))
CALL(do_semtimedop, semtimedop(semaphore, &(struct sembuf){0, -1, 0}, 1, &five))
CALL(do_nanosleep, nanosleep(&five, &left))
CALL(do_clock_nanosleep, -clock_nanosleep(CLOCK_MONOTONIC, 0, &five, &left))
CALL(do_clock_absolute,
     -clock_nanosleep(CLOCK_REALTIME, TIMER_ABSTIME, &(struct timespec){0x7fffffff, 0}, NULL))
CALL(do_usleep, usleep(5000000))
CALL(do_poll, poll(&(struct pollfd){pipes[0], POLLIN, 0}, 1, 5000))
CALL(do_poll_forever, poll(&(struct pollfd){pipes[0], POLLIN, 0}, 1, -1))
CALL(do_ppoll, ppoll(&(struct pollfd){pipes[0], POLLIN, 0}, 1, &five, NULL))
CALL(do_select, select(0, NULL, NULL, NULL, &five_timeval))
CALL(do_pselect, pselect(0, NULL, NULL, NULL, &five, NULL))
CALL(do_epoll, epoll_wait(epoll_fd, (struct epoll_event *)big, 1, -1))
CALL(do_epoll_pwait, epoll_pwait(epoll_fd, (struct epoll_event *)big, 1, 5000, NULL))
CALL(do_pause, pause())
CALL(do_sigsuspend, sigsuspend(&(sigset_t){0}))
CALL(do_sigtimedwait, sigtimedwait(&(sigset_t){{1UL << (SIGTERM - 1)}}, NULL, &five))
CALL(do_sigwaitinfo, sigwaitinfo(&(sigset_t){{1UL << (SIGTERM - 1)}}, NULL))
CALL(do_restart_syscall, syscall(SYS_restart_syscall))

/* A child that sends both signals, each when its parent waits in the call. */
static pid_t interrupter(void)
{
    pid_t parent = getpid(), pid = fork();
    if (pid != 0)
        return pid;
    while (!*calling)
        sleep_ms(1);
    until_asleep(parent, parent);
    kill(parent, SIGUSR1);
    until_asleep(parent, parent);
    kill(parent, SIGALRM);
    _exit(0);
}

static void row(const char *name, long (*call)(void))
{
    for (int restart = 0; restart < 2; restart++) {
        struct sigaction action = {.sa_handler = handler, .sa_flags = restart ? SA_RESTART : 0};
        sigaction(SIGUSR1, &action, NULL);
        action.sa_flags = 0;
        sigaction(SIGALRM, &action, NULL);
        hits = 0;
        memset(&left, 0, sizeof left);
        five_timeval = (struct timeval){5, 0};
        *calling = false;
        pid_t pid = interrupter();
        errno = 0;
        *calling = true;
        long result = call();
        int error = errno;
        printf("%s, %s: %ld %s after %s", name, restart ? "SA_RESTART" : "no flag", result,
               error_name(result == -1 ? error : 0),
               hits == 0 ? "none" : hits == 1 ? "the first" : "the second");
        if (left.tv_sec || left.tv_nsec)
            printf(", left %d", left.tv_sec == 4 && left.tv_nsec > 0);
        if (five_timeval.tv_sec != 5)
            printf(", left %d", five_timeval.tv_sec == 4);
        printf("\n");
        while (waitpid(pid, NULL, 0) == -1 && errno == EINTR)
            ;
    }
}
#define ROW(name) row(#name + 3, name)

static int bind_listener(const char *path, bool with_timeout)
{
    int fd = socket(AF_UNIX, SOCK_STREAM, 0);
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    strcpy(address.sun_path, path);
    CHECK(bind(fd, (struct sockaddr *)&address, sizeof address) == 0 && listen(fd, 1) == 0);
    struct timeval five = {5, 0};
    if (with_timeout)
        CHECK(setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &five, sizeof five) == 0);
    return fd;
}

static void prepare(void)
{
    struct timeval timeout = {5, 0};
    calling = mmap(NULL, 1, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    CHECK(pipe(pipes) == 0 && pipe(full) == 0 && mkfifo("fifo", 0600) == 0);
    fcntl(full[1], F_SETFL, O_NONBLOCK);
    while (write(full[1], big, 4096) > 0)
        ;
    fcntl(full[1], F_SETFL, 0);
    CHECK(socketpair(AF_UNIX, SOCK_STREAM, 0, sockets) == 0);
    CHECK(socketpair(AF_UNIX, SOCK_STREAM, 0, timed) == 0);
    CHECK(socketpair(AF_UNIX, SOCK_STREAM, 0, busy) == 0);
    CHECK(setsockopt(timed[0], SOL_SOCKET, SO_RCVTIMEO, &timeout, sizeof timeout) == 0);
    while (send(busy[0], big, sizeof big, MSG_DONTWAIT) > 0)
        ;
    while (send(busy[0], big, 1, MSG_DONTWAIT) > 0)
        ;
    listener = bind_listener("l1", false);
    timed_listener = bind_listener("l2", true);
    event_fd = eventfd(0, 0);
    inotify_fd = inotify_init();
    timer_fd = timerfd_create(CLOCK_MONOTONIC, 0);
    epoll_fd = epoll_create1(0);
    lock_fd = open("lock", O_RDWR | O_CREAT, 0600);
    queue = msgget(IPC_PRIVATE, 0600);
    full_queue = msgget(IPC_PRIVATE, 0600);
    *(long *)big = 1;
    while (msgsnd(full_queue, big, 8000, IPC_NOWAIT) == 0)
        ;
    struct mq_attr one = {.mq_maxmsg = 1, .mq_msgsize = 8};
    char path[64];
    snprintf(path, sizeof path, "/restarts-%d", (int)getpid());
    empty_mq = mq_open(path, O_RDWR | O_CREAT | O_EXCL, 0600, &one);
    CHECK(empty_mq != -1 && mq_unlink(path) == 0);
    full_mq = mq_open(path, O_RDWR | O_CREAT | O_EXCL, 0600, &one);
    CHECK(full_mq != -1 && mq_unlink(path) == 0 && mq_send(full_mq, path, 1, 0) == 0);
    semaphore = semget(IPC_PRIVATE, 1, 0600);
    int ready[2];
    CHECK(pipe(ready) == 0);
    locker = fork();
    if (locker == 0) {
        int fd = open("lock", O_RDWR);
        fcntl(fd, F_SETLKW, &(struct flock){.l_type = F_WRLCK, .l_len = 10});
        flock(fd, LOCK_EX);
        (void)!write(ready[1], "r", 1);
        for (;;)
            pause();
    }
    char c;
    CHECK(read(ready[0], &c, 1) == 1);
    child = locker;
}

int main(void)
{
    prepare();
    ROW(do_read);
    ROW(do_readv);
    ROW(do_write);
    ROW(do_eventfd);
    ROW(do_inotify);
    ROW(do_timerfd);
    ROW(do_open);
    ROW(do_wait4);
    ROW(do_waitid);
    ROW(do_recv);
    ROW(do_recvfrom_timed);
    ROW(do_recvmsg);
    ROW(do_recvmmsg);
    ROW(do_send);
    ROW(do_accept);
    ROW(do_accept_timed);
    ROW(do_flock);
    ROW(do_setlkw);
    ROW(do_ofd_setlkw);
    ROW(do_futex);
    ROW(do_futex_timed);
    ROW(do_futex_bitset);
    ROW(do_mq_receive);
    ROW(do_mq_timedreceive);
    ROW(do_mq_send);
    ROW(do_mq_timedsend);
    ROW(do_msgsnd);
    ROW(do_msgrcv);
    ROW(do_semop);
    ROW(do_semtimedop);
    ROW(do_nanosleep);
    ROW(do_clock_nanosleep);
    ROW(do_clock_absolute);
    ROW(do_usleep);
    ROW(do_poll);
    ROW(do_poll_forever);
    ROW(do_ppoll);
    ROW(do_select);
    ROW(do_pselect);
    ROW(do_epoll);
    ROW(do_epoll_pwait);
    ROW(do_pause);
    ROW(do_sigsuspend);
    ROW(do_sigtimedwait);
    ROW(do_sigwaitinfo);
    ROW(do_restart_syscall);
    msgctl(queue, IPC_RMID, NULL);
    msgctl(full_queue, IPC_RMID, NULL);
    semctl(semaphore, 0, IPC_RMID);
    kill(locker, SIGKILL);
    CHECK(reap(locker) == 128 + SIGKILL);
    return finish();
}
