/* bind(2) after a connection has ended: who ended it first keeps the port for a while. */
#include "tcp_pairs.h"

/* Ends a connection whose accepted side has a listener's port; the port. */
static int ended(int server_first, int reuse, int half)
{
    struct sockaddr_in at;
    char byte;
    socklen_t size = sizeof(at);
    int door = socket(AF_INET, SOCK_STREAM, 0), pair[2];
    CHECK(setsockopt(door, SOL_SOCKET, SO_REUSEADDR, &reuse, sizeof(reuse)) == 0);
    CHECK(bind(door, loopback(&at, 0), size) == 0 && listen(door, 1) == 0);
    CHECK(getsockname(door, (struct sockaddr *)&at, &size) == 0);
    pair[0] = socket(AF_INET, SOCK_STREAM, 0);
    CHECK(connect(pair[0], (struct sockaddr *)&at, size) == 0);
    pair[1] = accept(door, NULL, NULL);
    close(door);
    int first = pair[server_first], second = pair[!server_first];
    if (half) {
        shutdown(first, SHUT_WR);
        CHECK(read(second, &byte, 1) == 0);
        close(second);
        CHECK(read(first, &byte, 1) == 0);
        close(first);
    } else {
        close(first);
        CHECK(read(second, &byte, 1) == 0);
        close(second);
    }
    return ntohs(at.sin_port);
}

static void rebind(const char *what, int port, int reuse, uint32_t address)
{
    struct sockaddr_in at;
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    loopback(&at, port);
    at.sin_addr.s_addr = htonl(address);
    CHECK(setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &reuse, sizeof(reuse)) == 0);
    int done = bind(fd, (struct sockaddr *)&at, sizeof(at));
    printf("%s, reuse %d, %x: %s\n", what, reuse, address, done == 0 ? "bound" : error_name(errno));
    if (done == 0)
        printf("listen: %d\n", listen(fd, 1));
    close(fd);
}

int main(void)
{
    for (int half = 0; half < 2; half++)
        for (int reuse = 0; reuse < 2; reuse++) {
            int port = ended(1, reuse, half);
            printf("-- the server ended it, reuse %d, half %d\n", reuse, half);
            rebind("plain", port, 0, INADDR_LOOPBACK);
            rebind("any", port, 0, INADDR_ANY);
            rebind("another", port, 0, INADDR_LOOPBACK + 1);
            rebind("plain", port, 1, INADDR_LOOPBACK);
            rebind("any", port, 1, INADDR_ANY);
            port = ended(0, reuse, half);
            printf("-- the client ended it, reuse %d, half %d\n", reuse, half);
            rebind("plain", port, 0, INADDR_LOOPBACK);
            rebind("plain", port, 1, INADDR_LOOPBACK);
        }
    return finish();
}
