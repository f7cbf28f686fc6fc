/* udp(7): loopback datagrams by IPv4 and IPv6, ports, connected sockets, errors, options. */
#include "check.h"
#include <arpa/inet.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/uio.h>

union name {
    struct sockaddr any;
    struct sockaddr_in in;
    struct sockaddr_in6 in6;
};

static char text[64], big[70000];
static uint16_t ports[64];
static int port_count;

static int number_of(uint16_t port)
{
    for (int i = 0; i < port_count; i++)
        if (ports[i] == port)
            return i + 1;
    ports[port_count++ % 64] = port;
    return port_count;
}

static void say_name(const union name *name)
{
    char address[INET6_ADDRSTRLEN];
    bool four = name->any.sa_family == AF_INET;
    uint16_t port = four ? name->in.sin_port : name->in6.sin6_port;
    inet_ntop(name->any.sa_family, four ? (void *)&name->in.sin_addr : (void *)&name->in6.sin6_addr,
              address, sizeof address);
    printf("%s port %d\n", address, port == 0 ? 0 : number_of(port));
}

static void say_names(int fd)
{
    union name name;
    socklen_t size = sizeof name;
    CHECK(getsockname(fd, &name.any, &size) == 0);
    say_name(&name);
    size = sizeof name;
    if (getpeername(fd, &name.any, &size) == 0)
        say_name(&name);
    else
        printf("no peer: %s\n", error_name(errno));
}

static void say_poll(int fd)
{
    struct pollfd poll_fd = {fd, POLLIN | POLLOUT | POLLRDHUP, 0};
    int ready = poll(&poll_fd, 1, 0);
    printf("poll %d %x\n", ready, (unsigned)poll_fd.revents);
}

static union name address(int family, const char *text, uint16_t port)
{
    union name name = {.any.sa_family = (sa_family_t)family};
    inet_pton(family, text, family == AF_INET ? (void *)&name.in.sin_addr : &name.in6.sin6_addr);
    name.in.sin_port = port;
    return name;
}

static socklen_t size_of(const union name *name)
{
    return name->any.sa_family == AF_INET ? sizeof name->in : sizeof name->in6;
}

static uint16_t port_of(int fd)
{
    union name name;
    socklen_t size = sizeof name;
    CHECK(getsockname(fd, &name.any, &size) == 0);
    return name.in.sin_port;
}

static int bound(int family, const char *text)
{
    int fd = socket(family, SOCK_DGRAM, 0);
    union name name = address(family, text, 0);
    CHECK(fd >= 0 && bind(fd, &name.any, size_of(&name)) == 0);
    return fd;
}

static long send_there(int fd, int family, const char *where, uint16_t port, const char *what)
{
    union name name = address(family, where, port);
    return sendto(fd, what, strlen(what), 0, &name.any, size_of(&name));
}

static void receive(int fd, int flags, size_t room)
{
    union name from;
    struct iovec part = {text, room};
    struct msghdr message = {
        .msg_name = &from, .msg_namelen = sizeof from, .msg_iov = &part, .msg_iovlen = 1};
    ssize_t got = recvmsg(fd, &message, flags | MSG_DONTWAIT);
    if (got < 0) {
        printf("nothing: %s\n", error_name(errno));
        return;
    }
    printf("got %zd flags %x %.*s from ", got, (unsigned)message.msg_flags,
           (int)(got < (ssize_t)room ? got : (ssize_t)room), text);
    say_name(&from);
}

static void plain(int family, const char *loopback, const char *any)
{
    int server = bound(family, loopback), client = socket(family, SOCK_DGRAM, 0), waiting = -1;
    uint16_t port = port_of(server);
    say_names(client);
    FAILS(send(client, "x", 1, 0));
    FAILS(recv(client, text, 1, MSG_DONTWAIT));
    say_poll(client);
    CHECK(send_there(client, family, loopback, port, "first") == 5);
    CHECK(send_there(client, family, any, port, "second") == 6);
    CHECK(send_there(client, family, loopback, port, "") == 0);
    say_names(client);
    CHECK(ioctl(server, FIONREAD, &waiting) == 0);
    printf("waiting %d\n", waiting);
    say_poll(server);
    receive(server, MSG_PEEK, 2);
    receive(server, MSG_TRUNC, 3);
    receive(server, 0, 60);
    receive(server, 0, 60);
    receive(server, 0, 60);
    FAILS(send_there(client, family, loopback, 0, "x"));
    union name name = address(family, loopback, port);
    FAILS(sendto(client, "x", 1, 0, &name.any, 5));
    if (family == AF_INET)
        FAILS(sendto(client, "x", 1, MSG_OOB, &name.any, size_of(&name)));
    FAILS(sendto(client, big, sizeof big, 0, &name.any, size_of(&name)));
    CHECK(sendto(client, big, 60000, 0, &name.any, size_of(&name)) == 60000);
    CHECK(recv(server, big, sizeof big, 0) == 60000);
    FAILS(listen(client, 1));
    FAILS(accept(client, NULL, NULL));
    close(server);
    CHECK(send_there(client, family, loopback, port, "nobody") == 6);
    CHECK(send_there(client, family, loopback, port, "nobody") == 6);
    close(client);
}

static void connected(int family, const char *loopback)
{
    int server = bound(family, loopback), client = socket(family, SOCK_DGRAM, 0);
    int other = bound(family, loopback);
    union name name = address(family, loopback, port_of(server)), none = {.any.sa_family = AF_UNSPEC};
    CHECK(connect(client, &name.any, size_of(&name)) == 0);
    say_names(client);
    CHECK(send(client, "hello", 5, 0) == 5);
    receive(server, 0, 60);
    uint16_t port = port_of(client);
    CHECK(send_there(other, family, loopback, port, "stranger") == 8);
    receive(client, 0, 60);
    CHECK(send_there(server, family, loopback, port, "answer") == 6);
    receive(client, 0, 60);
    CHECK(send_there(client, family, loopback, port_of(other), "aside") == 5);
    receive(other, 0, 60);
    close(server);
    CHECK(send(client, "x", 1, 0) == 1);
    say_poll(client);
    FAILS(send(client, "x", 1, 0));
    CHECK(send(client, "x", 1, 0) == 1);
    FAILS(recv(client, text, 1, 0));
    CHECK(send(client, "x", 1, 0) == 1);
    int error = 0;
    socklen_t size = sizeof error;
    CHECK(getsockopt(client, SOL_SOCKET, SO_ERROR, &error, &size) == 0);
    printf("error %s\n", error_name(error));
    CHECK(connect(client, &none.any, sizeof none) == 0);
    say_names(client);
    FAILS(send(client, "x", 1, 0));
    CHECK(connect(other, &none.any, sizeof none) == 0);
    say_names(other);
    close(client);
    close(other);
}

static void ports_shared(void)
{
    int one = socket(AF_INET, SOCK_DGRAM, 0), two = socket(AF_INET, SOCK_DGRAM, 0), on = 1;
    int six = socket(AF_INET6, SOCK_DGRAM, 0);
    union name name = address(AF_INET, "127.0.0.1", 0);
    CHECK(bind(one, &name.any, sizeof name.in) == 0);
    name.in.sin_port = port_of(one);
    FAILS(bind(one, &name.any, sizeof name.in));
    FAILS(bind(two, &name.any, sizeof name.in));
    CHECK(setsockopt(one, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on) == 0);
    FAILS(bind(two, &name.any, sizeof name.in));
    CHECK(setsockopt(two, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on) == 0);
    CHECK(bind(two, &name.any, sizeof name.in) == 0);
    CHECK(send_there(one, AF_INET, "127.0.0.1", name.in.sin_port, "later") == 5);
    receive(two, 0, 60);
    close(two);
    union name any = address(AF_INET6, "::", name.in.sin_port);
    FAILS(bind(six, &any.any, sizeof any.in6));
    CHECK(setsockopt(six, IPPROTO_IPV6, IPV6_V6ONLY, &on, sizeof on) == 0);
    CHECK(bind(six, &any.any, sizeof any.in6) == 0);
    CHECK(send_there(six, AF_INET6, "::1", name.in.sin_port, "six") == 3);
    receive(six, 0, 60);
    FAILS(send_there(six, AF_INET6, "::ffff:127.0.0.1", name.in.sin_port, "four"));
    close(six);
    close(one);
    six = bound(AF_INET6, "::");
    one = socket(AF_INET, SOCK_DGRAM, 0);
    CHECK(send_there(one, AF_INET, "127.0.0.1", port_of(six), "to six") == 6);
    receive(six, 0, 60);
    CHECK(send_there(six, AF_INET6, "::ffff:127.0.0.1", port_of(one), "to four") == 7);
    receive(one, 0, 60);
    close(six);
    close(one);
}

static void full(void)
{
    int server = bound(AF_INET, "127.0.0.1"), client = socket(AF_INET, SOCK_DGRAM, 0), count = 0;
    for (int i = 0; i < 1000; i++)
        CHECK(send_there(client, AF_INET, "127.0.0.1", port_of(server), "x") == 1);
    while (recv(server, text, 1, MSG_DONTWAIT) == 1)
        count++;
    printf("most are lost: %d\n", count > 200 && count < 300);
    FAILS(shutdown(server, SHUT_RD));
    CHECK(recv(server, text, 1, 0) == 0);
    say_poll(server);
    union name name = address(AF_INET, "127.0.0.1", port_of(server));
    CHECK(connect(client, &name.any, sizeof name.in) == 0 && shutdown(client, SHUT_WR) == 0);
    FAILS(send(client, "x", 1, MSG_NOSIGNAL));
    close(server);
    close(client);
}

static void many(void)
{
    int server = bound(AF_INET, "127.0.0.1"), client = socket(AF_INET, SOCK_DGRAM, 0);
    union name name = address(AF_INET, "127.0.0.1", port_of(server)), from[4];
    struct mmsghdr out[4] = {0}, in[4] = {0};
    struct iovec parts[4], rooms[4];
    char room[4][8];
    for (int i = 0; i < 4; i++) {
        parts[i] = (struct iovec){"message", (size_t)(2 * i)};
        rooms[i] = (struct iovec){room[i], 5};
        out[i].msg_hdr = (struct msghdr){&name, sizeof name.in, &parts[i], 1, NULL, 0, 0};
        in[i].msg_hdr = (struct msghdr){&from[i], sizeof from[i], &rooms[i], 1, NULL, 0, 0};
    }
    CHECK(sendmmsg(client, out, 4, 0) == 4);
    CHECK(recvmmsg(server, in, 4, MSG_WAITFORONE, NULL) == 4);
    for (int i = 0; i < 4; i++)
        printf("%u of %u flags %x\n", in[i].msg_len, out[i].msg_len,
               (unsigned)in[i].msg_hdr.msg_flags);
    CHECK(sendmmsg(client, out, 2, 0) == 2);
    CHECK(recvmmsg(server, in, 4, MSG_WAITFORONE, NULL) == 2);
    close(server);
    close(client);
}

static void options(void)
{
    int server = bound(AF_INET, "127.0.0.1"), on = 1, value = -1;
    socklen_t size = sizeof value;
    struct timeval brief = {0, 20000};
    CHECK(setsockopt(server, SOL_SOCKET, SO_RCVTIMEO, &brief, sizeof brief) == 0);
    FAILS(recv(server, text, 1, 0));
    CHECK(setsockopt(server, IPPROTO_IP, IP_PKTINFO, &on, sizeof on) == 0);
    CHECK(getsockopt(server, IPPROTO_IP, IP_PKTINFO, &value, &size) == 0);
    printf("IP_PKTINFO %d", value);
    CHECK(getsockopt(server, SOL_SOCKET, SO_TYPE, &value, &size) == 0);
    printf(" type %d", value);
    CHECK(getsockopt(server, SOL_SOCKET, SO_PROTOCOL, &value, &size) == 0);
    printf(" protocol %d", value);
    CHECK(getsockopt(server, SOL_SOCKET, SO_DOMAIN, &value, &size) == 0);
    printf(" domain %d\n", value);
    FAILS(setsockopt(server, IPPROTO_TCP, 1, &on, sizeof on));
    int client = socket(AF_INET, SOCK_DGRAM, 0);
    CHECK(send_there(client, AF_INET, "127.0.0.1", port_of(server), "x") == 1);
    _Alignas(struct cmsghdr) char control[64];
    struct iovec part = {text, sizeof text};
    struct msghdr message = {.msg_iov = &part, .msg_iovlen = 1, .msg_control = control, .msg_controllen = 64};
    CHECK(recvmsg(server, &message, 0) == 1);
    struct cmsghdr *header = CMSG_FIRSTHDR(&message);
    struct in_pktinfo info = {0};
    CHECK(header != NULL && header->cmsg_type == IP_PKTINFO);
    if (header != NULL)
        memcpy(&info, CMSG_DATA(header), sizeof info);
    printf("by %d to %x\n", info.ipi_ifindex, ntohl(info.ipi_addr.s_addr));
    close(server);
    close(client);
}

/* Both ways between processes, asleep in each of the ways there are. */
static void wait_for(int fd, int how)
{
    struct pollfd poll_fd = {fd, POLLIN, 0};
    struct epoll_event event = {.events = how == 3 ? EPOLLIN | EPOLLET : EPOLLIN};
    static int set = -1;
    fd_set fds;
    FD_ZERO(&fds);
    FD_SET(fd, &fds);
    if (how == 1)
        CHECK(poll(&poll_fd, 1, -1) == 1);
    if (how == 2 || how == 3) {
        if (set < 0) {
            set = epoll_create1(0);
            CHECK(epoll_ctl(set, EPOLL_CTL_ADD, fd, &event) == 0);
        }
        CHECK(epoll_wait(set, &event, 1, -1) == 1);
    }
    if (how == 4)
        CHECK(select(fd + 1, &fds, NULL, NULL, NULL) == 1);
}

static void ping(int how)
{
    int server = bound(AF_INET, "127.0.0.1");
    union name name = address(AF_INET, "127.0.0.1", port_of(server)), from;
    pid_t pid = fork();
    if (pid == 0) {
        int client = socket(AF_INET, SOCK_DGRAM, 0);
        CHECK(connect(client, &name.any, sizeof name.in) == 0);
        for (int i = 0; i < 2000; i++) {
            CHECK(send(client, &i, sizeof i, 0) == sizeof i);
            wait_for(client, how);
            int back = -1;
            CHECK(recv(client, &back, sizeof back, 0) == sizeof back && back == i);
        }
        _exit(failures != 0);
    }
    for (int i = 0; i < 2000; i++) {
        socklen_t size = sizeof from;
        int got = -1;
        wait_for(server, how);
        CHECK(recvfrom(server, &got, sizeof got, 0, &from.any, &size) == sizeof got && got == i);
        CHECK(sendto(server, &got, sizeof got, 0, &from.any, size) == sizeof got);
    }
    printf("ping %d: %d\n", how, reap(pid));
    close(server);
}

/* Each arrival is told, though none is read. */
static void edges(void)
{
    int server = bound(AF_INET, "127.0.0.1"), set = epoll_create1(0), told[2];
    uint16_t port = port_of(server);
    struct epoll_event event = {.events = EPOLLIN | EPOLLET};
    CHECK(epoll_ctl(set, EPOLL_CTL_ADD, server, &event) == 0 && pipe(told) == 0);
    pid_t pid = fork();
    if (pid == 0) {
        int client = socket(AF_INET, SOCK_DGRAM, 0);
        for (int i = 0; i < 40; i++) {
            until_asleep(getppid(), getppid());
            CHECK(send_there(client, AF_INET, "127.0.0.1", port, "edge") == 4);
            CHECK(read(told[0], text, 1) == 1);
        }
        _exit(failures != 0);
    }
    int count = 0;
    for (int i = 0; i < 40; i++) {
        count += epoll_wait(set, &event, 1, 5000);
        CHECK(write(told[1], "x", 1) == 1);
    }
    printf("edges %d: %d\n", count, reap(pid));
    close(set);
    close(server);
    close(told[0]);
    close(told[1]);
}

int main(void)
{
    edges();
    plain(AF_INET, "127.0.0.1", "0.0.0.0");
    plain(AF_INET6, "::1", "::");
    connected(AF_INET, "127.0.0.1");
    connected(AF_INET6, "::1");
    ports_shared();
    full();
    many();
    options();
    for (int how = 0; how < 5; how++) {
        pid_t pid = fork(); /* with a set of its own */
        if (pid == 0) {
            ping(how);
            _exit(failures != 0);
        }
        CHECK(reap(pid) == 0);
    }
    return finish();
}
