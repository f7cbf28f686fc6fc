/* signalfd(2): all that waits blocked is there to be read and polled for, what the CPU raises too. */
#include "check.h"
#include <poll.h>
#include <sys/epoll.h>
#include <sys/select.h>
#include <sys/signalfd.h>

static const int all[] = {SIGUSR1, SIGTRAP, SIGBUS, SIGSEGV, SIGSYS, 40};
#define COUNT (int)(sizeof all / sizeof all[0])
static int fd, set;
static volatile sig_atomic_t handled;

static void handler(int number)
{
    handled = number;
}

static void ready(const char *what)
{
    fd_set reads;
    struct epoll_event event;
    FD_ZERO(&reads);
    FD_SET(fd, &reads);
    int polled = poll(&(struct pollfd){fd, POLLIN, 0}, 1, 0);
    int selected = select(fd + 1, &reads, NULL, NULL, &(struct timeval){0, 0});
    int waited = epoll_wait(set, &event, 1, 0);
    int masked = epoll_pwait(set, &event, 1, 0, &(sigset_t){{~0UL}});
    int masked_poll = ppoll(&(struct pollfd){fd, POLLIN, 0}, 1, &(struct timespec){0, 0},
                            &(sigset_t){{~0UL}});
    printf("%s: %d %d %d %d %d\n", what, polled, selected, waited, masked, masked_poll);
}

static void get(pid_t from)
{
    struct signalfd_siginfo info = {0};
    errno = 0;
    ssize_t size = read(fd, &info, sizeof info);
    printf("read %zd %s: signal %d code %d value %d\n", size, error_name(size < 0 ? errno : 0),
           info.ssi_signo, info.ssi_code, info.ssi_code == SI_QUEUE ? info.ssi_int : 0);
    CHECK(size < 0 || info.ssi_pid == (uint32_t)from);
}

static void pending(void)
{
    sigset_t now;
    sigpending(&now);
    printf("pending:");
    for (int i = 0; i < COUNT; i++)
        printf(" %d", sigismember(&now, all[i]));
    printf("\n");
}

/* One is sent from a child while we wait. */
static void waiting(int number, bool polls)
{
    pid_t parent = getpid(), pid = fork();
    if (pid == 0) {
        sleep_ms(20);
        kill(parent, number);
        _exit(0);
    }
    if (polls)
        CHECK(poll(&(struct pollfd){fd, POLLIN, 0}, 1, -1) == 1);
    get(pid);
    CHECK(reap(pid) == 0);
}

int main(void)
{
    sigset_t full;
    sigemptyset(&full);
    for (int i = 0; i < COUNT; i++)
        sigaddset(&full, all[i]);
    CHECK(sigprocmask(SIG_SETMASK, &full, NULL) == 0);
    for (int i = 0; i < COUNT; i++)
        signal(all[i], handler);
    kill(getpid(), SIGSEGV); /* before there is one */
    fd = signalfd(-1, &full, SFD_CLOEXEC);
    set = epoll_create1(0);
    struct epoll_event event = {.events = EPOLLIN};
    CHECK(epoll_ctl(set, EPOLL_CTL_ADD, fd, &event) == 0);
    ready("before");
    get(getpid());
    ready("read");
    for (int i = 0; i < COUNT; i++) {
        CHECK(sigqueue(getpid(), all[i], (union sigval){.sival_int = i}) == 0);
        ready("sent");
        pending();
        get(getpid());
        ready("read");
        waiting(all[i], i & 1);
        waiting(all[i], !(i & 1));
    }
    for (int i = 0; i < COUNT; i++)
        kill(getpid(), all[i]);
    for (int i = 0; i < COUNT; i++)
        get(getpid());
    pending();
    CHECK(fcntl(fd, F_SETFL, O_NONBLOCK) == 0);
    get(getpid());
    /* A wait whose mask would let it through: news come first. */
    for (int i = 0; i < COUNT; i++) {
        kill(getpid(), all[i]);
        int polled = ppoll(&(struct pollfd){fd, POLLIN, 0}, 1, NULL, &(sigset_t){0});
        printf("%d: polled %d, handled %d\n", all[i], polled, (int)handled);
        get(getpid());
    }
    close(fd);
    kill(getpid(), SIGSEGV);
    FAILS(read(fd, &event, sizeof event));
    FAILS(poll(NULL, 0, 0));
    pending();
    FAILS(sigsuspend(&(sigset_t){0}));
    printf("handled %d\n", (int)handled);
    return finish();
}
