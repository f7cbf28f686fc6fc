/* execve(2): which descriptors, handlers, masks, timers and mappings survive. */
#include "check.h"
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/time.h>

static void second(void)
{
    printf("open:");
    for (int fd = 0; fd < 64; fd++)
        if (fcntl(fd, F_GETFD) >= 0)
            printf(" %d", fd);
    char text[16] = "";
    printf("\noffset %ld, pipe %zd %s", (long)lseek(10, 0, SEEK_CUR), read(11, text, 15), text);
    uint64_t value = 0;
    CHECK(read(13, &value, 8) == 8);
    printf(", eventfd %lu, append %d\n", (unsigned long)value,
           (fcntl(10, F_GETFL) & O_APPEND) != 0);
    struct epoll_event event;
    printf("epoll %d", epoll_wait(14, &event, 1, 0));
    printf(" %u\n", event.data.u32);
    CHECK(send(15, "s", 1, 0) == 1 && recv(16, text, 1, 0) == 1);
    struct sigaction action;
    sigset_t mask, pending;
    sigaction(SIGUSR1, NULL, &action);
    printf("handled now default %d", action.sa_handler == SIG_DFL);
    sigaction(SIGUSR2, NULL, &action);
    sigprocmask(SIG_BLOCK, NULL, &mask);
    sigpending(&pending);
    printf(", ignored %d, blocked %d, pending %d\n", action.sa_handler == SIG_IGN,
           sigismember(&mask, SIGWINCH), sigismember(&pending, SIGWINCH));
    struct itimerval timer;
    getitimer(ITIMER_REAL, &timer);
    printf("timer runs %d, umask %o\n", timer.it_value.tv_sec > 0, umask(0));
    stack_t stack;
    sigaltstack(NULL, &stack);
    struct rlimit limit;
    getrlimit(RLIMIT_NOFILE, &limit);
    printf("altstack off %d, limit %lu\n", stack.ss_flags == SS_DISABLE, limit.rlim_cur);
    exit(finish());
}

static void place(int fd, int at, int flags)
{
    CHECK(fd >= 0 && dup3(fd, at, flags) == at);
    close(fd);
}

int main(int argc, char **argv)
{
    if (argc > 1)
        second();
    int pipes[2], pair[2];
    place(open("file", O_RDWR | O_CREAT | O_TRUNC | O_APPEND, 0600), 10, 0);
    CHECK(write(10, "12345", 5) == 5);
    CHECK(pipe(pipes) == 0 && write(pipes[1], "kept", 4) == 4);
    place(pipes[0], 11, 0);
    place(pipes[1], 12, O_CLOEXEC);
    place(eventfd(7, 0), 13, 0);
    int epoll = epoll_create1(EPOLL_CLOEXEC);
    CHECK(epoll_ctl(epoll, EPOLL_CTL_ADD, 11,
                    &(struct epoll_event){.events = EPOLLHUP, .data.u32 = 8}) == 0);
    place(epoll, 14, 0);
    CHECK(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) == 0);
    place(pair[0], 15, 0);
    place(pair[1], 16, 0);
    place(open(".", O_DIRECTORY), 17, O_CLOEXEC);
    sigset_t mask;
    sigemptyset(&mask);
    sigaddset(&mask, SIGWINCH);
    signal(SIGUSR1, (void (*)(int))abs);
    signal(SIGUSR2, SIG_IGN);
    signal(SIGWINCH, (void (*)(int))abs);
    sigprocmask(SIG_BLOCK, &mask, NULL);
    raise(SIGWINCH);
    setitimer(ITIMER_REAL, &(struct itimerval){{0, 0}, {600, 0}}, NULL);
    umask(026);
    static char stack[65536];
    sigaltstack(&(stack_t){.ss_sp = stack, .ss_size = sizeof stack}, NULL);
    setrlimit(RLIMIT_NOFILE, &(struct rlimit){128, 256});
    execl("/proc/self/exe", argv[0], "second", NULL);
    return 1;
}
