/* epoll(7) of stream sockets: what is told at each step of a connection's life, level- and
 * edge-triggered; a small server with many clients; killed peers.
 */
#include "epoll_show.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>

static char bytes[1 << 16];

static int listener(struct sockaddr_in *at)
{
    socklen_t size = sizeof(*at);
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
    *at = (struct sockaddr_in){.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    CHECK(bind(fd, (struct sockaddr *)at, size) == 0 && listen(fd, 64) == 0);
    CHECK(getsockname(fd, (struct sockaddr *)at, &size) == 0);
    return fd;
}

/* A connected pair, the first of which has been accepted. */
static void make(int tcp, int *fds)
{
    struct sockaddr_in at;
    if (!tcp) {
        CHECK(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, fds) == 0);
        return;
    }
    int door = listener(&at);
    fds[1] = socket(AF_INET, SOCK_STREAM, 0);
    CHECK(connect(fds[1], (struct sockaddr *)&at, sizeof(at)) == 0);
    fds[0] = accept4(door, NULL, NULL, SOCK_NONBLOCK);
    CHECK(fds[0] >= 0 && fcntl(fds[1], F_SETFL, O_NONBLOCK) == 0);
    close(door);
}

static void drain(int fd)
{
    while (read(fd, bytes, sizeof(bytes)) > 0)
        ;
}

static void steps(int tcp, uint32_t flags)
{
    int fds[2], set = epoll_create1(0);
    const uint32_t all = EPOLLIN | EPOLLOUT | EPOLLRDHUP | flags;
    printf("-- %s %x\n", tcp ? "tcp" : "unix", flags);
    make(tcp, fds);
    add(set, fds[0], all, 1);
    show("fresh", set);
    show("again", set);
    CHECK(write(fds[1], "ab", 2) == 2);
    show("two bytes", set);
    show("again", set);
    CHECK(write(fds[1], "c", 1) == 1);
    show("one more", set);
    CHECK(read(fds[0], bytes, 1) == 1);
    show("one read", set);
    drain(fds[0]);
    show("drained", set);
    while (write(fds[0], bytes, sizeof(bytes)) > 0)
        ;
    show("filled", set);
    drain(fds[1]);
    show("room", set);
    CHECK(shutdown(fds[1], SHUT_WR) == 0);
    show("half closed", set);
    CHECK(read(fds[0], bytes, 1) == 0);
    show("end of file", set);
    close(fds[1]);
    if (!tcp)
        show("closed", set);
    close(fds[0]);
    show("all closed", set);
    close(set);
}

enum { CLIENTS = 40, ROUNDS = 50 };

/* Each client sends numbers and gets each back. */
static void clients(const struct sockaddr_in *at)
{
    int fds[CLIENTS], got[CLIENTS] = {0}, left = CLIENTS, set = epoll_create1(0);
    char byte = 'x';
    for (int i = 0; i < CLIENTS; i++) {
        fds[i] = socket(AF_INET, SOCK_STREAM, 0);
        CHECK(connect(fds[i], (const struct sockaddr *)at, sizeof(*at)) == 0);
        add(set, fds[i], EPOLLIN, (uint64_t)i);
        CHECK(write(fds[i], &byte, 1) == 1);
    }
    while (left > 0) {
        struct epoll_event events[8];
        int count = epoll_wait(set, events, 8, -1);
        for (int k = 0; k < count; k++) {
            uint64_t i = events[k].data.u64;
            CHECK(read(fds[i], &byte, 1) == 1);
            if (++got[i] < ROUNDS) {
                CHECK(write(fds[i], &byte, 1) == 1);
            } else {
                CHECK(epoll_ctl(set, EPOLL_CTL_DEL, fds[i], NULL) == 0);
                close(fds[i]);
                left--;
            }
        }
    }
    _exit(failures);
}

static void serve(uint32_t flags)
{
    struct sockaddr_in at;
    int door = listener(&at), set = epoll_create1(0), closed = 0;
    long sum = 0;
    add(set, door, EPOLLIN | flags, (uint64_t)door);
    pid_t child = fork();
    if (child == 0)
        clients(&at);
    while (closed < CLIENTS) {
        struct epoll_event events[8];
        int count = epoll_wait(set, events, 8, -1);
        for (int k = 0; k < count; k++) {
            int fd = (int)events[k].data.u64, fresh;
            if (fd == door) {
                while ((fresh = accept4(door, NULL, NULL, SOCK_NONBLOCK)) >= 0)
                    add(set, fresh, EPOLLIN | EPOLLRDHUP | flags, (uint64_t)fresh);
                continue;
            }
            ssize_t size;
            while ((size = read(fd, bytes, 64)) > 0) {
                CHECK(write(fd, bytes, (size_t)size) == size);
                sum += size;
            }
            if (size == 0) {
                close(fd);
                closed++;
            }
        }
    }
    int status;
    CHECK(waitpid(child, &status, 0) == child && status == 0);
    printf("served %x: %ld\n", flags, sum);
    close(door);
    close(set);
}

/* A peer is killed while we sleep. */
static void killed(int tcp)
{
    int fds[2], set = epoll_create1(0);
    struct epoll_event event;
    make(tcp, fds);
    add(set, fds[0], EPOLLIN | EPOLLRDHUP | EPOLLET, 7);
    pid_t child = fork();
    if (child == 0) {
        close(fds[0]);
        CHECK(write(fds[1], "x", 1) == 1);
        for (;;)
            pause();
    }
    close(fds[1]);
    CHECK(epoll_wait(set, &event, 1, -1) == 1 && read(fds[0], bytes, 8) == 1);
    pid_t killer = fork();
    if (killer == 0) {
        struct timespec moment = {0, 20000000};
        nanosleep(&moment, NULL);
        kill(child, SIGKILL);
        _exit(0);
    }
    CHECK(epoll_wait(set, &event, 1, -1) == 1);
    printf("killed: %llu %d\n", (unsigned long long)event.data.u64,
           (event.events & EPOLLRDHUP) != 0);
    CHECK(read(fds[0], bytes, 1) == 0);
    CHECK(waitpid(child, NULL, 0) == child && waitpid(killer, NULL, 0) == killer);
    close(fds[0]);
    close(set);
}

int main(void)
{
    steps(0, 0);
    steps(0, EPOLLET);
    steps(1, 0);
    steps(1, EPOLLET);
    serve(0);
    serve(EPOLLET);
    killed(0);
    killed(1);
    return finish();
}
