/* exit_group(2), execve(2) and deadly signals while other threads wait in calls: the process ends at
 * once, whoever ends it, with the right status and nothing left open or locked.
 */
#include "check.h"
#include <linux/futex.h>
#include <poll.h>
#include <pthread.h>
#include <sys/epoll.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/msg.h>
#include <sys/select.h>
#include <sys/sem.h>
#include <sys/socket.h>

static int pipes[2], full[2], sockets[2], epoll_fd, queue, semaphore, lock_fd, zero;
static char big[65536];
static pthread_mutex_t *mutex;
static volatile int started, expected;

#define CALL(name, expression)                                                                     \
    static void *name(void *unused)                                                                \
    {                                                                                              \
        char c[8];                                                                                 \
        __atomic_fetch_add(&started, 1, __ATOMIC_SEQ_CST);                                         \
        for (;;)                                                                                   \
            (void)c, (void)!(expression);                                                          \
        return unused;                                                                             \
    }

CALL(do_futex, syscall(SYS_futex, &zero, FUTEX_WAIT, 0, NULL, NULL, 0))
CALL(do_read, read(pipes[0], c, 1))
CALL(do_write, write(full[1], big, sizeof big))
CALL(do_recv, recv(sockets[0], c, 1, 0))
CALL(do_poll, poll(&(struct pollfd){pipes[0], POLLIN, 0}, 1, -1))
CALL(do_ppoll, ppoll(&(struct pollfd){pipes[0], POLLIN, 0}, 1, NULL, &(sigset_t){0}))
CALL(do_select, select(0, NULL, NULL, NULL, NULL))
CALL(do_epoll, epoll_wait(epoll_fd, &(struct epoll_event){0}, 1, -1))
CALL(do_nanosleep, nanosleep(&(struct timespec){1000, 0}, NULL))
CALL(do_wait4, wait4(-1, NULL, 0, NULL))
CALL(do_waitid, waitid(P_ALL, 0, NULL, WEXITED))
CALL(do_flock, flock(lock_fd, LOCK_EX))
CALL(do_msgrcv, msgrcv(queue, c, 1, 0, 0))
CALL(do_semop, semop(semaphore, &(struct sembuf){0, -1, 0}, 1))
CALL(do_sigsuspend, sigsuspend(&(sigset_t){0}))
CALL(do_sigwaitinfo, sigwaitinfo(&(sigset_t){{1UL << (SIGTERM - 1)}}, NULL))
CALL(do_open, open("fifo", O_RDONLY))

static void *do_robust(void *unused)
{
    pthread_mutex_lock(mutex);
    return do_futex(unused);
}

static void *(*const calls[])(void *) = {
    do_futex, do_read,   do_write, do_recv,   do_poll,   do_ppoll,      do_select,      do_epoll,
    do_nanosleep, do_wait4, do_waitid, do_flock, do_msgrcv, do_semop, do_sigsuspend, do_sigwaitinfo,
    do_open, do_robust};
#define COUNT (int)(sizeof calls / sizeof calls[0])

/* All run, and most likely wait by now. */
static void wait_for_others(void)
{
    while (started < expected)
        sleep_ms(1);
    sleep_ms(20);
}

static void *end_by_exit_group(void *code)
{
    wait_for_others();
    _exit((int)(long)code);
}

static void *end_by_signal(void *number)
{
    wait_for_others();
    kill(getpid(), (int)(long)number);
    return do_futex(NULL);
}

static void *end_by_exec(void *code)
{
    wait_for_others();
    execl("/bin/sh", "sh", "-c", code ? "exit 9" : "exit 0", NULL);
    return NULL;
}

static void *end_by_fault(void *unused)
{
    wait_for_others();
    *(volatile int *)8 = 0;
    return unused;
}

static void start(void *(*call)(void *), void *argument)
{
    pthread_t thread;
    CHECK(pthread_create(&thread, NULL, call, argument) == 0);
}

/* The first thread ends the process itself, or waits or leaves while another one does. */
enum first { ENDS, WAITS, LEAVES };

static void run(const char *name, void *(*end)(void *), long argument, enum first first, int from,
                int to)
{
    int ends[2], status;
    char c;
    pthread_mutexattr_t robust;
    pthread_mutexattr_init(&robust);
    pthread_mutexattr_setrobust(&robust, PTHREAD_MUTEX_ROBUST);
    pthread_mutexattr_setpshared(&robust, PTHREAD_PROCESS_SHARED);
    CHECK(pthread_mutex_init(mutex, &robust) == 0 && pipe2(ends, O_CLOEXEC) == 0);
    pid_t pid = fork();
    if (pid == 0) {
        close(ends[0]);
        pid_t child = from == to ? 0 : fork();
        if (child == 0 && from != to) {
            close(ends[1]);
            for (;;)
                pause();
        }
        (void)!write(ends[1], &child, sizeof child);
        expected = to - from;
        for (int i = from; i < to; i++)
            start(calls[i], NULL);
        if (first != ENDS)
            start(end, (void *)argument);
        if (first == LEAVES)
            pthread_exit(NULL);
        first == ENDS ? end((void *)argument) : do_read(NULL);
    }
    pid_t child;
    close(ends[1]);
    CHECK(read(ends[0], &child, sizeof child) == sizeof child);
    CHECK(read(ends[0], &c, 1) == 0);
    CHECK(waitpid(pid, &status, 0) == pid);
    printf("%s, first %s: %s %d", name,
           first == ENDS    ? "ends it"
           : first == WAITS ? "waits"
                            : "left",
           WIFEXITED(status) ? "exit" : "signal", WIFEXITED(status) ? WEXITSTATUS(status) : WTERMSIG(status));
    int error = pthread_mutex_trylock(mutex);
    printf(", mutex %s\n", error_name(error));
    if (child > 0)
        CHECK(kill(child, SIGKILL) == 0);
    close(ends[0]);
}

int main(void)
{
    mutex = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    struct epoll_event event = {.events = EPOLLIN};
    CHECK(pipe(pipes) == 0 && pipe(full) == 0 && mkfifo("fifo", 0600) == 0);
    CHECK(socketpair(AF_UNIX, SOCK_STREAM, 0, sockets) == 0);
    fcntl(full[1], F_SETFL, O_NONBLOCK);
    while (write(full[1], big, 4096) > 0)
        ;
    fcntl(full[1], F_SETFL, 0);
    epoll_fd = epoll_create1(0);
    CHECK(epoll_ctl(epoll_fd, EPOLL_CTL_ADD, pipes[0], &event) == 0);
    lock_fd = open("lock", O_RDWR | O_CREAT, 0600);
    int other = open("lock", O_RDWR);
    CHECK(flock(other, LOCK_EX) == 0);
    queue = msgget(IPC_PRIVATE, 0600);
    semaphore = semget(IPC_PRIVATE, 1, 0600);
    static const enum first firsts[] = {ENDS, WAITS, LEAVES};
    for (int i = 0; i < 3; i++) {
        run("exit_group", end_by_exit_group, 7, firsts[i], 0, COUNT);
        run("SIGHUP", end_by_signal, SIGHUP, firsts[i], 0, COUNT);
        run("SIGKILL", end_by_signal, SIGKILL, firsts[i], 0, COUNT);
        run("fault", end_by_fault, 0, firsts[i], 0, COUNT);
        run("exec", end_by_exec, 1, firsts[i], 0, COUNT);
        run("alone", end_by_exit_group, 8, firsts[i], 0, 0);
    }
    for (int i = 0; i < COUNT; i++) {
        run("one call", end_by_exit_group, i, WAITS, i, i + 1);
        run("one call", end_by_exec, 1, WAITS, i, i + 1);
    }
    msgctl(queue, IPC_RMID, NULL);
    semctl(semaphore, 0, IPC_RMID);
    return finish();
}
