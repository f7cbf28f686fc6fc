/* Ends of connections: SO_LINGER, unread data, half closes; what poll(2), SO_ERROR and calls say then. */
#include "tcp_pairs.h"

static char byte;

static void linger(int fd, int on, int seconds)
{
    struct linger value = {on, seconds};
    CHECK(setsockopt(fd, SOL_SOCKET, SO_LINGER, &value, sizeof(value)) == 0);
}

static void tell(const char *what, int fd, int until)
{
    struct sockaddr_storage name;
    socklen_t size = sizeof(name);
    printf("-- %s\n", what);
    show_poll(what, fd, until);
    FAILS(getpeername(fd, (struct sockaddr *)&name, &size));
    FAILS(recv(fd, &byte, 1, MSG_DONTWAIT));
    FAILS(recv(fd, &byte, 1, MSG_DONTWAIT));
    show_error(what, fd);
    FAILS(send(fd, "x", 1, MSG_NOSIGNAL | MSG_DONTWAIT));
    FAILS(shutdown(fd, SHUT_WR));
    show_poll(what, fd, 0);
}

int main(void)
{
    int fds[2];
    for (int tcp = 0; tcp < 2; tcp++) {
        printf("---- %s\n", tcp ? "tcp" : "unix");
        connected(tcp, fds);
        linger(fds[0], 1, 0);
        close(fds[0]);
        tell("reset", fds[1], POLLHUP);
        close(fds[1]);

        connected(tcp, fds);
        linger(fds[0], 1, 0);
        CHECK(write(fds[0], "ab", 2) == 2 && polled(fds[1], 1000) != 0);
        close(fds[0]);
        tell("reset with data", fds[1], POLLHUP);
        close(fds[1]);

        connected(tcp, fds);
        CHECK(write(fds[1], "ab", 2) == 2 && (polled(fds[0], 1000) & POLLIN));
        close(fds[0]);
        tell("unread", fds[1], POLLHUP);
        close(fds[1]);

        connected(tcp, fds);
        linger(fds[0], 1, 1);
        CHECK(write(fds[0], "a", 1) == 1);
        close(fds[0]);
        tell("lingers", fds[1], POLLRDHUP);
        close(fds[1]);

        connected(tcp, fds);
        linger(fds[0], 1, 0);
        CHECK(shutdown(fds[0], SHUT_WR) == 0);
        show_poll("half", fds[1], POLLRDHUP);
        close(fds[0]);
        tell("half, reset", fds[1], POLLHUP);
        close(fds[1]);

        connected(tcp, fds);
        linger(fds[0], 1, 0);
        CHECK(shutdown(fds[1], SHUT_WR) == 0);
        show_poll("other half", fds[0], POLLRDHUP);
        close(fds[0]);
        tell("other half, reset", fds[1], POLLHUP);
        close(fds[1]);

        connected(tcp, fds);
        linger(fds[0], 1, 0);
        CHECK(shutdown(fds[1], SHUT_WR) == 0 && shutdown(fds[0], SHUT_WR) == 0);
        show_poll("both halves", fds[1], POLLHUP);
        close(fds[0]);
        tell("both halves, closed", fds[1], 0);
        close(fds[1]);
    }
    return finish();
}
