/* What guest programs about stream sockets share: listeners, connected pairs, what poll(2) says. */
#pragma once
#include "check.h"

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/un.h>

static inline struct sockaddr *loopback(struct sockaddr_in *at, int port)
{
    *at = (struct sockaddr_in){.sin_family = AF_INET,
                               .sin_port = htons((uint16_t)port),
                               .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    return (struct sockaddr *)at;
}

/* Bound to a port of the system's choice, and listening. */
static inline int listener(int backlog, struct sockaddr_in *at)
{
    socklen_t size = sizeof(*at);
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    CHECK(bind(fd, loopback(at, 0), size) == 0 && listen(fd, backlog) == 0);
    CHECK(getsockname(fd, (struct sockaddr *)at, &size) == 0);
    return fd;
}

/* Who has connected, and who has accepted; of TCP or AF_UNIX. */
static inline void connected(int tcp, int *fds)
{
    struct sockaddr_in at;
    if (!tcp) {
        CHECK(socketpair(AF_UNIX, SOCK_STREAM, 0, fds) == 0);
        return;
    }
    int door = listener(1, &at);
    fds[0] = socket(AF_INET, SOCK_STREAM, 0);
    CHECK(connect(fds[0], (struct sockaddr *)&at, sizeof(at)) == 0);
    fds[1] = accept(door, NULL, NULL);
    CHECK(fds[1] >= 0);
    close(door);
}

static inline int polled(int fd, int timeout)
{
    struct pollfd poll_ = {.fd = fd, .events = POLLIN | POLLOUT | POLLPRI | POLLRDHUP};
    CHECK(poll(&poll_, 1, timeout) >= 0);
    return poll_.revents;
}

/* What poll says, after the other side's news have arrived: loopback takes a moment natively. */
static inline void show_poll(const char *what, int fd, int until)
{
    for (int i = 0; i < 2000 && !(polled(fd, 0) & until) && until != 0; i++)
        sleep_ms(1);
    printf("%s: poll %x\n", what, (unsigned)polled(fd, 0));
}

static inline void show_error(const char *what, int fd)
{
    int error = -1;
    socklen_t size = sizeof(error);
    CHECK(getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &size) == 0);
    printf("%s: SO_ERROR %s\n", what, error_name(error));
}
