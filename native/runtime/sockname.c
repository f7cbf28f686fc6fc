/* bind(2), getsockname(2), getpeername(2), and addresses; see sockname.h. */
#include "process.h"
#include "sock.h"
#include "sockdgram.h"
#include "sockhost.h"
#include "sockpacket.h"
#include "sockunix.h"
#include "translate.h"

#define UNPRIVILEGED_PORT 1024

struct exo_twin_name exo_twin_name(uint8_t kind, uint32_t number, uint64_t generation)
{
    return (struct exo_twin_name){.family = AF_UNIX_,
                                  .mark = {'e', 'x', 'o'},
                                  .kind = kind,
                                  .instance = KR->instance,
                                  .generation = generation,
                                  .number = number};
}

bool exo_twin_is(const struct exo_twin_name *name, long size, uint8_t kind)
{
    struct exo_twin_name own = exo_twin_name(kind, name->number, name->generation);
    return size == sizeof(own) && memcmp(&own, name, sizeof(own)) == 0 &&
           name->number > EXO_SOCK_FIRST && name->number < EXO_SOCK_FIRST + EXO_SOCK_COUNT;
}

long exo_sockaddr_get(struct exo_sockaddr *name, uint64_t at, long size)
{
    memset(name, 0, sizeof(*name));
    if (size < 0 || size > (long)sizeof(*name))
        return -EINVAL;
    return size != 0 && guest_read(name, at, (uint64_t)size) != 0 ? -EFAULT : 0;
}

long exo_sockaddr_put(const struct exo_sockaddr *name, int32_t size, uint64_t to, uint64_t size_at)
{
    int32_t room;
    if (to == 0)
        return 0;
    if (guest_get(&room, size_at) != 0)
        return -EFAULT;
    if (room < 0)
        return -EINVAL;
    int32_t part = room < size ? room : size;
    if (guest_put(size_at, &size) != 0) /* first, as Linux has it now */
        return -EFAULT;
    return part > 0 && guest_write(to, name, (uint64_t)part) != 0 ? -EFAULT : 0;
}

int32_t exo_sockaddr_of(const struct exo_sock_name *name, struct exo_sockaddr *out)
{
    *out = (struct exo_sockaddr){.family = name->family};
    memcpy(out->data, &name->port, 2);
    if (name->family == AF_INET_) {
        memcpy(out->data + 2, name->address, 4);
        return 16;
    }
    if (name->family != AF_INET6_)
        return 2;
    memcpy(out->data + 6, name->address, 16);
    memcpy(out->data + 22, &name->scope, 4);
    return 28;
}

long exo_sock_tell(const struct exo_sock_name *name, uint64_t to, uint64_t size_at)
{
    struct exo_sockaddr out;
    int32_t size = exo_sockaddr_of(name, &out);
    return exo_sockaddr_put(&out, size, to, size_at);
}

long exo_sock_name_from(struct exo_sock_name *name, const struct exo_sockaddr *from, long size,
                        uint16_t family)
{
    *name = (struct exo_sock_name){.family = family};
    if (size < (family == AF_INET_ ? 16 : 24))
        return -EINVAL;
    if (from->family != family)
        return -EAFNOSUPPORT;
    memcpy(&name->port, from->data, 2);
    if (family == AF_INET_) {
        memcpy(name->address, from->data + 2, 4);
        return 0;
    }
    memcpy(name->address, from->data + 6, 16);
    memcpy(&name->scope, from->data + 22, 4);
    return 0;
}

static bool is_reserved(const struct exo_sock_name *name)
{
    uint32_t port = (uint32_t)(name->port >> 8 | (name->port & 0xff) << 8);
    return port != 0 && port < UNPRIVILEGED_PORT && HOST_0(__NR_geteuid) != 0;
}

static long bind_own(struct exo_sock_end *end, uint64_t at, long size, bool *foreign)
{
    struct exo_sock *sock = end->sock;
    struct exo_sockaddr from;
    struct exo_sock_name name;
    *foreign = false;
    long error = exo_sockaddr_get(&from, at, size);
    if (error == 0)
        error = exo_sock_name_from(&name, &from, size, sock->family);
    if (error != 0)
        return error;
    if (!exo_sock_is_any(&name) && !exo_sock_is_loopback(&name)) {
        *foreign = true; /* an address of the host's, or none at all */
        return 0;
    }
    if (is_reserved(&name))
        return -EACCES;
    exo_lock_acquire(&KR->net_lock);
    error = load_acquire(&sock->mode) != EXO_SOCK_FRESH || sock->bound != 0
                ? -EINVAL
                : exo_sock_bind_locked(KR, sock, &name);
    if (error == 0)
        fetch_or(&sock->udp, (uint32_t)((name.port != 0 ? EXO_UDP_PORT : 0) |
                                        (exo_sock_is_any(&name) ? 0 : EXO_UDP_ADDRESS)));
    exo_lock_release(&KR->net_lock);
    return error;
}

static long bind_unix(const struct exo_sock_end *end, uint64_t at, long size)
{
    struct exo_sockaddr name;
    long error = exo_sockaddr_get(&name, at, size);
    bool is_unix = error == 0 && size >= 2 && name.family == AF_UNIX_;
    if (is_unix && exo_unix_is_client(end))
        return exo_unix_bind_client(end, &name, size);
    if (is_unix && exo_unix_is_taken(&name, size))
        return exo_unix_is_named(end) ? -EINVAL : -EADDRINUSE;
    if (error == 0 && exo_sock_is_unix_dgram(end->sock))
        return exo_dgram_bind(end, &name, size);
    if (error == 0)
        error = HOST_3(__NR_bind, end->fd.host, &name, size);
    int32_t whole = sizeof(name);
    if (error == 0 && size == sizeof(name.family) && /* the host has chosen a name */
        HOST_3(__NR_getsockname, end->fd.host, &name, &whole) == 0)
        size = whole;
    if (error == 0)
        exo_unix_bound(end->fd.host, &name, size);
    return error;
}

SYSCALL(bind)
{
    struct exo_fd *entry = exo_fd_entry((int)a);
    struct exo_sock_end end;
    bool foreign;
    if (entry == NULL || !exo_sock_enter(&end, entry)) {
        long error = exo_pass(a, b, c, d, e, f);
        if (error == 0 && entry != NULL)
            exo_udp_note_host(load_relaxed(&entry->host));
        return error;
    }
    if (end.sock->family == AF_UNIX_)
        return bind_unix(&end, (uint64_t)b, (int)c);
    long error = bind_own(&end, (uint64_t)b, (int)c, &foreign);
    if (foreign)
        error = exo_sock_to_host(&end);
    if (foreign && error == 0) {
        error = exo_pass(a, b, c, d, e, f);
        exo_udp_note_host(load_relaxed(&entry->host));
    }
    return error;
}

/* A twin's own name is none of the guest's: a client may have another. */
static int32_t guests_name(const struct exo_sock *sock, struct exo_sockaddr *name, int32_t size)
{
    return exo_twin_is((const struct exo_twin_name *)name, size, 'c')
               ? exo_unix_client_name(sock, name)
               : size;
}

static long tell_unix(long nr, const struct exo_sock_end *end, uint64_t to, uint64_t size_at)
{
    struct exo_sockaddr name;
    int32_t size = sizeof(name);
    long error = HOST_3(nr, end->fd.host, &name, &size);
    if (error != 0)
        return error;
    return exo_sockaddr_put(&name, guests_name(end->sock, &name, size), to, size_at);
}

SYSCALL(getsockname)
{
    struct exo_fd *entry = exo_fd_entry((int)a);
    struct exo_sock_end end;
    if (entry == NULL || !exo_sock_enter(&end, entry) || b == 0)
        return exo_pass(a, b, c, d, e, f);
    if (end.sock->family == AF_UNIX_)
        return tell_unix(__NR_getsockname, &end, (uint64_t)b, (uint64_t)c);
    return exo_sock_tell(&end.sock->local, (uint64_t)b, (uint64_t)c);
}

static int32_t name_of(const struct exo_rights *rights, struct exo_sockaddr *name)
{
    memcpy(name, rights->name, sizeof(rights->name));
    return rights->record.name_size;
}

void exo_sock_sender(const struct exo_fd *entry, const struct exo_rights *rights, uint64_t to,
                     uint32_t *size)
{
    struct exo_sockaddr name;
    int32_t whole = sizeof(name);
    uint32_t room = *size;
    const struct exo_sock *sock = exo_sock_at(KR, entry->stamp);
    *size = 0;
    if (exo_sock_is_udp(sock) && rights != NULL)
        whole = exo_sockaddr_of(&rights->record.from, &name);
    else if (exo_sock_is_unix_dgram(sock) && rights != NULL)
        whole = name_of(rights, &name);
    else if (sock->family != AF_UNIX_ ||
             HOST_3(__NR_getpeername, entry->host, &name, &whole) != 0 || whole <= 2 ||
             (whole = guests_name(sock, &name, whole)) <= 2)
        return;
    uint32_t part = room < (uint32_t)whole ? room : (uint32_t)whole;
    if (part == 0 || guest_write(to, &name, part) == 0)
        *size = (uint32_t)whole;
}

SYSCALL(getpeername)
{
    struct exo_fd *entry = exo_fd_entry((int)a);
    struct exo_sock_end end;
    if (entry == NULL || !exo_sock_enter(&end, entry) || b == 0)
        return exo_pass(a, b, c, d, e, f);
    if (end.sock->family == AF_UNIX_)
        return tell_unix(__NR_getpeername, &end, (uint64_t)b, (uint64_t)c);
    if (load_acquire(&end.sock->mode) != EXO_SOCK_CONNECTED || exo_sock_is_closed(end.sock) ||
        exo_sock_is_connecting(KR, end.sock))
        return -ENOTCONN;
    return exo_sock_tell(&end.sock->remote, (uint64_t)b, (uint64_t)c);
}
