/* The actor's calls on sockets. Addresses have numbers: that of the bind that made them. */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "actor.h"

#define NAMES 64

union address {
    struct sockaddr any;
    struct sockaddr_storage room;
    struct sockaddr_un un;
    struct sockaddr_in in;
    struct sockaddr_in6 in6;
};

static struct name {
    union address address;
    socklen_t size;
} names[NAMES];
static int name_count;
static uint16_t ports[256];
static char data[MAX_DATA];

/* Ports are told by the order in which they were seen first. */
static int port_number(uint16_t port)
{
    int i = 0;
    if (port == 0)
        return 0;
    while (i < 255 && ports[i] != 0 && ports[i] != port)
        i++;
    ports[i] = port;
    return i + 1;
}

static void tell_un(const struct sockaddr_un *name, socklen_t size)
{
    char prefix[64];
    int length = snprintf(prefix, sizeof(prefix), "exo-model-%s-", tag);
    int path = (int)size - (int)offsetof(struct sockaddr_un, sun_path);
    if (path <= 0)
        tell(" unnamed");
    else if (name->sun_path[0] != 0)
        tell(" %s(%d)", name->sun_path, path);
    else if (path > length && memcmp(name->sun_path + 1, prefix, (size_t)length) == 0)
        tell(" @%.*s(%d)", path - 1 - length, name->sun_path + 1 + length, path - length);
    else
        tell(" @auto(%d)", path);
}

static void tell_address(const union address *address, socklen_t size)
{
    char text[INET6_ADDRSTRLEN] = "";
    if (size == 0)
        tell(" none");
    else if (address->any.sa_family == AF_UNIX)
        tell_un(&address->un, size);
    else if (address->any.sa_family == AF_INET)
        tell(" %s:%d", inet_ntop(AF_INET, &address->in.sin_addr, text, sizeof(text)),
             port_number(address->in.sin_port));
    else if (address->any.sa_family == AF_INET6)
        tell(" [%s]:%d", inet_ntop(AF_INET6, &address->in6.sin6_addr, text, sizeof(text)),
             port_number(address->in6.sin6_port));
    else
        tell(" family %d", address->any.sa_family);
}

static long do_socket(const long *a)
{
    return result(socket((int)a[0], (int)a[1], 0));
}

static long do_socketpair(const long *a)
{
    int fds[2];
    long done = socketpair((int)a[0], (int)a[1], 0, fds);
    if (done == 0)
        tell(" %d %d", fds[0], fds[1]);
    return result(done);
}

/* What to bind to: 0 an abstract name, 1 one of the system's choice, 2 a path, 3 to 6 the loopback or
 * any address with a port of the system's choice, 7 what an earlier bind has made. */
static struct name wanted(long kind, long number)
{
    struct name name = {.address.un.sun_family = AF_UNIX};
    char *path = name.address.un.sun_path;
    size_t room = sizeof(name.address.un.sun_path);
    name.size = offsetof(struct sockaddr_un, sun_path);
    if (kind == 0)
        name.size += 1 + (socklen_t)snprintf(path + 1, room - 1, "exo-model-%s-%ld", tag, number);
    else if (kind == 2)
        name.size += 1 + (socklen_t)snprintf(path, room, "socket%ld", number);
    else if (kind == 3 || kind == 4) {
        name.address.in = (struct sockaddr_in){.sin_family = AF_INET};
        name.address.in.sin_addr.s_addr = htonl(kind == 3 ? INADDR_LOOPBACK : INADDR_ANY);
        name.size = sizeof(name.address.in);
    } else if (kind == 5 || kind == 6) {
        name.address.in6 = (struct sockaddr_in6){.sin6_family = AF_INET6};
        name.address.in6.sin6_addr = kind == 5 ? in6addr_loopback : in6addr_any;
        name.size = sizeof(name.address.in6);
    } else if (kind == 7)
        name = names[number % NAMES];
    return name;
}

/* Tells the number of the address, for connect and sendto. */
static long do_bind(const long *a)
{
    struct name name = wanted(a[1], a[2]);
    long done = bind((int)a[0], &name.address.any, name.size);
    if (done != 0 || name_count == NAMES)
        return result(done);
    struct name *made = &names[name_count];
    made->size = sizeof(made->address);
    getsockname((int)a[0], &made->address.any, &made->size);
    tell(" name%d", name_count++);
    tell_address(&made->address, made->size);
    return done;
}

static long do_listen(const long *a)
{
    return result(listen((int)a[0], (int)a[1]));
}

static long do_connect(const long *a)
{
    const struct name *name = &names[a[1] % NAMES];
    return result(connect((int)a[0], &name->address.any, name->size));
}

static long do_disconnect(const long *a)
{
    struct sockaddr none = {.sa_family = AF_UNSPEC};
    return result(connect((int)a[0], &none, sizeof(none)));
}

static long do_accept(const long *a)
{
    union address from;
    socklen_t size = sizeof(from);
    long done = accept4((int)a[0], &from.any, &size, (int)a[1]);
    if (done >= 0)
        tell_address(&from, size);
    return result(done);
}

static long do_names(const long *a)
{
    union address address;
    socklen_t size = sizeof(address);
    long done = getsockname((int)a[0], &address.any, &size);
    if (done == 0)
        tell_address(&address, size);
    size = sizeof(address);
    done = result(getpeername((int)a[0], &address.any, &size));
    if (done == 0)
        tell_address(&address, size);
    return done;
}

static long do_send(const long *a)
{
    return written(send((int)a[0], pattern((size_t)a[1]), (size_t)a[1], (int)a[2]));
}

static long do_sendto(const long *a)
{
    const struct name *name = &names[a[3] % NAMES];
    return written(sendto((int)a[0], pattern((size_t)a[1]), (size_t)a[1], (int)a[2],
                          &name->address.any, name->size));
}

static long do_recv(const long *a)
{
    long done = recv((int)a[0], data, (size_t)a[1], (int)a[2]);
    return tell_data(data, done > a[1] ? a[1] : done) < 0 ? result(done) : done;
}

static long do_recvfrom(const long *a)
{
    union address from;
    socklen_t size = sizeof(from);
    long done = recvfrom((int)a[0], data, (size_t)a[1], (int)a[2], &from.any, &size);
    if (done >= 0) {
        tell_address(&from, size);
        tell_data(data, done > a[1] ? a[1] : done);
    }
    return result(done);
}

/* sendmsg FD SIZE FLAGS COUNT FD... */
static long do_sendmsg(const long *a)
{
    union {
        struct cmsghdr header;
        char room[CMSG_SPACE(4 * sizeof(int))];
    } control = {0};
    struct iovec part = {pattern((size_t)a[1]), (size_t)a[1]};
    struct msghdr message = {.msg_iov = &part, .msg_iovlen = 1};
    size_t count = (size_t)a[3] & 3;
    if (count > 0) {
        message.msg_control = control.room;
        message.msg_controllen = CMSG_SPACE(count * sizeof(int));
        control.header.cmsg_level = SOL_SOCKET;
        control.header.cmsg_type = SCM_RIGHTS;
        control.header.cmsg_len = CMSG_LEN(count * sizeof(int));
        for (size_t i = 0; i < count; i++)
            memcpy(CMSG_DATA(&control.header) + i * sizeof(int), &(int){(int)a[4 + i]},
                   sizeof(int));
    }
    return written(sendmsg((int)a[0], &message, (int)a[2]));
}

static void tell_control(struct msghdr *message)
{
    struct cmsghdr *part = CMSG_FIRSTHDR(message);
    for (; part != NULL; part = CMSG_NXTHDR(message, part)) {
        size_t size = part->cmsg_len - CMSG_LEN(0);
        tell(" control %d", part->cmsg_type);
        if (part->cmsg_type == SCM_RIGHTS)
            for (size_t i = 0; i < size / sizeof(int); i++)
                tell(" %d", ((int *)(void *)CMSG_DATA(part))[i]);
        else if (part->cmsg_type == SCM_CREDENTIALS) {
            struct ucred *from = (void *)CMSG_DATA(part);
            tell(" %s %d %d", who(from->pid), (int)from->uid, (int)from->gid);
        }
    }
}

/* recvmsg FD SIZE FLAGS CONTROL */
static long do_recvmsg(const long *a)
{
    _Alignas(struct cmsghdr) char control[256];
    union address from;
    struct iovec part = {data, (size_t)a[1]};
    struct msghdr message = {.msg_name = &from,
                             .msg_namelen = sizeof(from),
                             .msg_iov = &part,
                             .msg_iovlen = 1,
                             .msg_control = control,
                             .msg_controllen = (size_t)a[3]};
    long done = result(recvmsg((int)a[0], &message, (int)a[2]));
    if (done < 0)
        return done;
    tell(" flags %x", (unsigned)message.msg_flags);
    tell_address(&from, message.msg_namelen);
    tell_data(data, done > a[1] ? a[1] : done);
    tell_control(&message);
    return done;
}

static long do_shutdown(const long *a)
{
    return result(shutdown((int)a[0], (int)a[1]));
}

static long do_getsockopt(const long *a)
{
    int value[4] = {0};
    socklen_t size = sizeof(value);
    long done = getsockopt((int)a[0], (int)a[1], (int)a[2], value, &size);
    if (done == 0 && a[1] == SOL_SOCKET && a[2] == SO_PEERCRED)
        tell(" %s %d %d", who(value[0]), value[1], value[2]);
    else if (done == 0)
        tell(" %d(%u)", value[0], size);
    return result(done);
}

static long do_setsockopt(const long *a)
{
    int value[2] = {(int)a[3], (int)a[4]};
    socklen_t size = a[1] == SOL_SOCKET && a[2] == SO_LINGER ? sizeof(value) : sizeof(value[0]);
    return result(setsockopt((int)a[0], (int)a[1], (int)a[2], value, size));
}

const struct command socket_commands[] = {
    {"socket", do_socket},
    {"socketpair", do_socketpair},
    {"bind", do_bind},
    {"listen", do_listen},
    {"connect", do_connect},
    {"disconnect", do_disconnect},
    {"accept", do_accept},
    {"names", do_names},
    {"send", do_send},
    {"sendto", do_sendto},
    {"recv", do_recv},
    {"recvfrom", do_recvfrom},
    {"sendmsg", do_sendmsg},
    {"recvmsg", do_recvmsg},
    {"shutdown", do_shutdown},
    {"getsockopt", do_getsockopt},
    {"setsockopt", do_setsockopt},
    {NULL, NULL},
};
