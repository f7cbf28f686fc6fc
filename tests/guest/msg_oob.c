/* Urgent data: MSG_OOB, SO_OOBINLINE, SIOCATMARK, SIGURG, POLLPRI and EPOLLPRI; of TCP and AF_UNIX. */
#include "tcp_pairs.h"

#include <sys/epoll.h>
#include <sys/select.h>

static char text[64];
static volatile sig_atomic_t rung;

static void ring(int signo)
{
    rung += signo == SIGURG;
}

static void show(const char *what, int fd)
{
    int mark = -1, size = -1;
    CHECK(ioctl(fd, SIOCATMARK, &mark) == 0 && ioctl(fd, FIONREAD, &size) == 0);
    printf("%s: mark %d, %d to read, poll %x\n", what, mark, size, (unsigned)polled(fd, 0));
}

static void get(const char *what, int fd, size_t size, int flags)
{
    ssize_t got = recv(fd, text, size, flags | MSG_DONTWAIT);
    if (got < 0)
        printf("%s: %s\n", what, error_name(errno));
    else
        printf("%s: %zd %.*s\n", what, got, (int)got, text);
}

static void put(int fd, const char *what, int flags)
{
    CHECK(send(fd, what, strlen(what), flags) == (ssize_t)strlen(what));
}

/* What has been sent has arrived. */
static void until(int fd, int events)
{
    for (int i = 0; i < 2000 && (polled(fd, 0) & events) != events; i++)
        sleep_ms(1);
}

static void plain(int tcp, int in_line)
{
    int fds[2];
    connected(tcp, fds);
    printf("-- %s, inline %d\n", tcp ? "tcp" : "unix", in_line);
    CHECK(setsockopt(fds[1], SOL_SOCKET, SO_OOBINLINE, &in_line, sizeof(in_line)) == 0);
    get("none", fds[1], 1, MSG_OOB);
    put(fds[0], "abc", 0);
    put(fds[0], "deF", MSG_OOB);
    put(fds[0], "ghi", 0);
    until(fds[1], POLLIN | POLLPRI);
    show("sent", fds[1]);
    get("peeked", fds[1], 1, MSG_OOB | MSG_PEEK);
    get("peeked all", fds[1], 64, MSG_PEEK);
    get("two", fds[1], 2, 0);
    get("up to it", fds[1], 64, 0);
    show("at it", fds[1]);
    get("urgent", fds[1], 1, MSG_OOB);
    get("once more", fds[1], 1, MSG_OOB);
    show("read", fds[1]);
    get("peeked on", fds[1], 64, MSG_PEEK);
    get("on", fds[1], 2, 0);
    show("behind", fds[1]);
    get("rest", fds[1], 64, 0);
    get("nothing", fds[1], 64, 0);
    close(fds[0]);
    close(fds[1]);
}

/* Passed over without having been read; and a second one. */
static void passed(int tcp)
{
    int fds[2];
    connected(tcp, fds);
    put(fds[0], "aB", MSG_OOB);
    until(fds[1], POLLIN | POLLPRI);
    get("first", fds[1], 64, 0);
    show("at it", fds[1]);
    get("over", fds[1], 64, 0);
    printf("over: poll %x\n", (unsigned)polled(fds[1], 0));
    get("late", fds[1], 1, MSG_OOB);
    put(fds[0], "cD", MSG_OOB);
    until(fds[1], POLLIN | POLLPRI);
    put(fds[0], "eF", MSG_OOB);
    sleep_ms(20);
    printf("two: poll %x\n", (unsigned)polled(fds[1], 0));
    get("the last", fds[1], 1, MSG_OOB);
    get("before", fds[1], 64, 0);
    get("behind", fds[1], 64, 0);
    close(fds[0]);
    get("end", fds[1], 64, 0);
    get("end", fds[1], 1, MSG_OOB);
    close(fds[1]);
}

/* Who waits for it, and who is told by a signal. */
static void woken(int tcp)
{
    int fds[2];
    connected(tcp, fds);
    struct sigaction action = {.sa_handler = ring, .sa_flags = SA_RESTART};
    sigaction(SIGURG, &action, NULL);
    rung = 0;
    CHECK(fcntl(fds[1], F_SETOWN, getpid()) == 0);
    put(fds[0], "X", MSG_OOB);
    for (int i = 0; i < 2000 && rung == 0; i++)
        sleep_ms(1);
    printf("rung %d\n", (int)rung);
    get("urgent", fds[1], 1, MSG_OOB);
    get("rest", fds[1], 64, 0);
    pid_t child = fork();
    if (child == 0) {
        until_asleep(getppid(), getppid());
        send(fds[0], "abY", 3, MSG_OOB);
        _exit(0);
    }
    struct pollfd wanted = {.fd = fds[1], .events = POLLPRI};
    int count;
    while ((count = poll(&wanted, 1, 10000)) < 0 && errno == EINTR)
        ;
    printf("poll %d %x\n", count, (unsigned)wanted.revents);
    reap(child);
    fd_set except;
    FD_ZERO(&except);
    FD_SET(fds[1], &except);
    struct timeval moment = {5, 0};
    printf("select %d\n", select(fds[1] + 1, NULL, NULL, &except, &moment));
    int set = epoll_create1(0);
    struct epoll_event event = {.events = EPOLLPRI};
    CHECK(epoll_ctl(set, EPOLL_CTL_ADD, fds[1], &event) == 0);
    CHECK(epoll_wait(set, &event, 1, 5000) == 1);
    printf("epoll %x\n", event.events);
    close(set);
    close(fds[0]);
    close(fds[1]);
}

/* With what messages say. */
static void messages(int tcp)
{
    int fds[2];
    connected(tcp, fds);
    struct iovec piece = {(void *)"abC", 3};
    struct msghdr message = {.msg_iov = &piece, .msg_iovlen = 1};
    CHECK(sendmsg(fds[0], &message, MSG_OOB) == 3);
    until(fds[1], POLLIN | POLLPRI);
    piece = (struct iovec){text, sizeof(text)};
    ssize_t got = recvmsg(fds[1], &message, MSG_OOB);
    printf("message: %zd, flags %x, %.*s\n", got, (unsigned)message.msg_flags, (int)got, text);
    got = recvmsg(fds[1], &message, 0);
    printf("message: %zd, flags %x, %.*s\n", got, (unsigned)message.msg_flags, (int)got, text);
    close(fds[0]);
    close(fds[1]);
}

int main(void)
{
    for (int tcp = 0; tcp < 2; tcp++) {
        plain(tcp, 0);
        plain(tcp, 1);
        passed(tcp);
        woken(tcp);
        messages(tcp);
    }
    return finish();
}
