/* setsockopt(2) and getsockopt(2) of TCP: what is there at first, what comes of values, what an accepted
 * socket has of its listener's.
 */
#include "tcp_pairs.h"

struct option {
    int level, name;
};

static const struct option all[] = {
    {SOL_SOCKET, SO_REUSEADDR}, {SOL_SOCKET, SO_TYPE},       {SOL_SOCKET, SO_ERROR},
    {SOL_SOCKET, SO_DONTROUTE}, {SOL_SOCKET, SO_KEEPALIVE},  {SOL_SOCKET, SO_OOBINLINE},
    {SOL_SOCKET, SO_REUSEPORT}, {SOL_SOCKET, SO_PASSCRED},   {SOL_SOCKET, SO_RCVLOWAT},
    {SOL_SOCKET, SO_SNDLOWAT},  {SOL_SOCKET, SO_ACCEPTCONN}, {SOL_SOCKET, SO_PROTOCOL},
    {SOL_SOCKET, SO_DOMAIN},    {IPPROTO_TCP, TCP_NODELAY},  {IPPROTO_TCP, TCP_CORK},
    {IPPROTO_TCP, TCP_KEEPIDLE}, {IPPROTO_TCP, TCP_KEEPINTVL}, {IPPROTO_TCP, TCP_KEEPCNT},
    {IPPROTO_TCP, TCP_SYNCNT},  {IPPROTO_TCP, TCP_LINGER2},  {IPPROTO_TCP, TCP_DEFER_ACCEPT},
    {IPPROTO_TCP, TCP_QUICKACK}, {IPPROTO_TCP, TCP_USER_TIMEOUT}, {IPPROTO_TCP, TCP_FASTOPEN},
    {IPPROTO_TCP, TCP_INQ},     {IPPROTO_IP, IP_TOS},        {IPPROTO_IP, IP_TTL},
    {IPPROTO_IP, IP_MTU_DISCOVER}, {IPPROTO_IP, IP_RECVERR},
};

static void show(const char *what, int fd)
{
    printf("%s:", what);
    for (size_t i = 0; i < sizeof(all) / sizeof(all[0]); i++) {
        int value = -1;
        socklen_t size = sizeof(value);
        int done = getsockopt(fd, all[i].level, all[i].name, &value, &size);
        if (done == 0)
            printf(" %d.%d=%d", all[i].level, all[i].name, value);
        else
            printf(" %d.%d:%s", all[i].level, all[i].name, error_name(errno));
    }
    struct linger linger = {-1, -1};
    socklen_t size = sizeof(linger);
    CHECK(getsockopt(fd, SOL_SOCKET, SO_LINGER, &linger, &size) == 0);
    printf(" linger %d %d\n", linger.l_onoff, linger.l_linger);
}

static void set(int fd, int level, int name, int value)
{
    int now = -1;
    socklen_t size = sizeof(now);
    int done = setsockopt(fd, level, name, &value, sizeof(value));
    printf("%d.%d := %d: %s", level, name, value, done == 0 ? "" : error_name(errno));
    CHECK(getsockopt(fd, level, name, &now, &size) == 0);
    printf(" %d\n", now);
}

static void values(int fd)
{
    static const int tries[] = {-5, -1, 0, 1, 5, 7, 100, 127, 128, 300, 40000, 10000000};
    static const struct option of[] = {
        {SOL_SOCKET, SO_RCVBUF},      {SOL_SOCKET, SO_SNDBUF},       {SOL_SOCKET, SO_OOBINLINE},
        {IPPROTO_TCP, TCP_KEEPIDLE},  {IPPROTO_TCP, TCP_KEEPINTVL},  {IPPROTO_TCP, TCP_KEEPCNT},
        {IPPROTO_TCP, TCP_SYNCNT},    {IPPROTO_TCP, TCP_LINGER2},    {IPPROTO_TCP, TCP_DEFER_ACCEPT},
        {IPPROTO_TCP, TCP_NODELAY},   {IPPROTO_TCP, TCP_USER_TIMEOUT}, {IPPROTO_TCP, TCP_INQ},
        {IPPROTO_IP, IP_TOS},         {IPPROTO_IP, IP_TTL},          {IPPROTO_IP, IP_MTU_DISCOVER},
        {SOL_SOCKET, SO_RCVLOWAT},
    };
    for (size_t i = 0; i < sizeof(of) / sizeof(of[0]); i++)
        for (size_t k = 0; k < sizeof(tries) / sizeof(tries[0]); k++)
            set(fd, of[i].level, of[i].name, tries[k]);
}

/* Fewer bytes than asked for are not worth waking for. */
static void low_water(void)
{
    int fds[2], least = 10;
    connected(1, fds);
    CHECK(setsockopt(fds[1], SOL_SOCKET, SO_RCVLOWAT, &least, sizeof(least)) == 0);
    CHECK(write(fds[0], "123456789", 9) == 9);
    sleep_ms(20);
    printf("9 of 10: %x\n", (unsigned)polled(fds[1], 0));
    CHECK(write(fds[0], "0", 1) == 1);
    show_poll("10 of 10", fds[1], POLLIN);
    close(fds[0]);
    close(fds[1]);
}

static void state(const char *what, int fd)
{
    struct tcp_info info = {0};
    socklen_t size = sizeof(info);
    CHECK(getsockopt(fd, IPPROTO_TCP, TCP_INFO, &info, &size) == 0);
    printf("%s: TCP_INFO %d, %u bytes\n", what, info.tcpi_state, size);
}

int main(void)
{
    struct sockaddr_in at;
    struct linger linger = {1, 9};
    int door = listener(5, &at), client = socket(AF_INET, SOCK_STREAM, 0);
    show("fresh", client);
    state("fresh", client);
    values(client);
    set(door, IPPROTO_TCP, TCP_NODELAY, 1);
    set(door, SOL_SOCKET, SO_KEEPALIVE, 1);
    set(door, SOL_SOCKET, SO_OOBINLINE, 1);
    set(door, IPPROTO_TCP, TCP_KEEPIDLE, 99);
    set(door, SOL_SOCKET, SO_RCVLOWAT, 3);
    set(door, IPPROTO_TCP, TCP_FASTOPEN, 3);
    CHECK(setsockopt(door, SOL_SOCKET, SO_LINGER, &linger, sizeof(linger)) == 0);
    client = socket(AF_INET, SOCK_STREAM, 0);
    CHECK(connect(client, (struct sockaddr *)&at, sizeof(at)) == 0);
    int server = accept(door, NULL, NULL);
    show("listener", door);
    show("client", client);
    show("accepted", server);
    state("listener", door);
    state("client", client);
    set(client, IPPROTO_TCP, TCP_FASTOPEN, 3);
    shutdown(client, SHUT_WR);
    show_poll("half", server, POLLRDHUP);
    sleep_ms(20);
    state("half", client);
    state("other half", server);
    close(server);
    show_poll("closed", client, POLLHUP);
    state("closed", client);
    low_water();
    return finish();
}
