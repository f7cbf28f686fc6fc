/* connect(2) of AF_UNIX sockets: to a guest that listens, in the kernel region; to others, the host's. And bind(2)
 * of those that are connected.
 * See sockunix.c. */
#include "process.h"
#include "sock.h"
#include "sockhost.h"
#include "sockunix.h"
#include "translate.h"

bool exo_unix_is_named(const struct exo_sock_end *end)
{
    struct exo_sockaddr name;
    int32_t size = sizeof(name);
    return HOST_3(__NR_getsockname, end->fd.host, &name, &size) != 0 || size > 2;
}

/* To a guest that listens; *own is false if it was somebody else, after all. */
static long connect_guest(struct exo_sock_end *end, const struct exo_sockaddr *to, long size,
                          uint32_t listener, bool *own)
{
    struct exo_sock *sock = end->sock;
    uint32_t embryo = exo_sock_create(KR, EXO_SOCK_EMBRYO, AF_UNIX_, 0);
    *own = embryo != 0;
    if (embryo == 0)
        return host_wait(__NR_connect, end->fd.host, (long)to, size, 0, 0, 0);
    exo_sock_at(KR, embryo)->listener = listener;
    exo_sock_at(KR, embryo)->type = sock->type;
    exo_sock_at(KR, embryo)->limit = sock->limit;
    long error = exo_sock_join(KR, end->fd.stamp, embryo)
                     ? exo_sock_join_twins(end, embryo, to, size)
                     : -EISCONN;
    *own = error == 0 && exo_unix_is_listener(end->fd.host, listener);
    if (*own) {
        store_release(&sock->mode, (uint32_t)EXO_SOCK_CONNECTED);
        exo_object_hold(KR, 0);
        return 0;
    }
    if (error != 0 && error != -EISCONN)
        exo_sock_renew_twin(end);
    exo_sock_undo(sock, embryo);
    return error;
}

long exo_unix_connect(struct exo_sock_end *end, uint64_t at, long size)
{
    struct exo_sockaddr to;
    bool own = false;
    long error = exo_sockaddr_get(&to, at, size);
    if (error != 0)
        return error;
    bool fresh = load_acquire(&end->sock->mode) == EXO_SOCK_FRESH;
    uint32_t listener = fresh ? exo_unix_listener(&to, size) : 0, was = EXO_SOCK_FRESH;
    error = listener != 0 && !exo_unix_is_named(end)
                ? connect_guest(end, &to, size, listener, &own)
                : host_wait(__NR_connect, end->fd.host, (long)&to, size, 0, 0, 0);
    if (error == 0 && !own && compare_exchange(&end->sock->mode, &was, (uint32_t)EXO_SOCK_HOST))
        exo_sock_make_plain(end);
    return error;
}

bool exo_unix_is_client(const struct exo_sock_end *end)
{
    struct exo_sockaddr name;
    int32_t size = sizeof(name);
    return end->sock->type != SOCK_DGRAM_ &&
           HOST_3(__NR_getsockname, end->fd.host, &name, &size) == 0 &&
           exo_twin_is((const struct exo_twin_name *)&name, size, 'c');
}

/* Another socket of the host's gets the name, so that it says whether that is free, and the file is there. */
static long bind_other(const struct exo_sock *sock, const struct exo_sockaddr *name, long size,
                       struct exo_sockaddr *own, int32_t *own_size)
{
    long host = HOST_3(__NR_socket, AF_UNIX_, sock->type != 0 ? sock->type : SOCK_STREAM_, 0);
    if (host < 0)
        return host;
    long error = HOST_3(__NR_bind, host, name, size);
    if (error == 0)
        error = HOST_3(__NR_getsockname, host, own, own_size);
    HOST_1(__NR_close, host);
    return error;
}

static void set_name(struct exo_sock *sock, const struct exo_sockaddr *name, uint32_t size)
{
    memcpy(sock->name, name, size);
    store_release(&sock->name_size, size);
}

/* Who has accepted it knows its name from now on. DIFFERS: an abstract name is kept from guests only. */
long exo_unix_bind_client(const struct exo_sock_end *end, const struct exo_sockaddr *name,
                          long size)
{
    struct exo_sock *sock = end->sock;
    struct exo_sockaddr own = {0};
    int32_t whole = sizeof(own);
    uint64_t key[2];
    bool automatic = size == sizeof(name->family), abstract = !automatic && name->data[0] == 0;
    if (load_acquire(&sock->name_size) != 0 && (automatic || abstract))
        return automatic ? 0 : -EINVAL;
    if (abstract && exo_unix_is_taken(name, size))
        return -EADDRINUSE;
    long error = bind_other(sock, name, size, &own, &whole);
    if (error != 0)
        return error;
    bool known = exo_unix_key(key, &own, whole), first = false;
    exo_lock_acquire(&KR->net_lock);
    if (sock->name_size == 0 && whole <= EXO_UNIX_NAME_MAX) {
        set_name(sock, &own, (uint32_t)whole);
        if (sock->peer != 0)
            set_name(exo_sock_at(KR, sock->peer), &own, (uint32_t)whole);
        if (known)
            exo_dgram_name_locked(KR, sock, key);
        first = true;
    }
    exo_lock_release(&KR->net_lock);
    if (!first && own.data[0] != 0)
        HOST_1(__NR_unlink, own.data);
    return first ? 0 : -EINVAL;
}

bool exo_unix_is_taken(const struct exo_sockaddr *name, long size)
{
    uint64_t key[2];
    if (size <= 2 || name->data[0] != 0 || !exo_unix_key(key, name, size))
        return false;
    exo_lock_acquire(&KR->net_lock);
    uint32_t number = exo_dgram_find_locked(KR, key);
    bool taken = number != 0 && exo_sock_at(KR, number)->type != SOCK_DGRAM_;
    exo_lock_release(&KR->net_lock);
    return taken;
}

int32_t exo_unix_client_name(const struct exo_sock *sock, struct exo_sockaddr *name)
{
    uint32_t size = load_acquire(&sock->name_size);
    *name = (struct exo_sockaddr){.family = AF_UNIX_};
    if (size == 0 || size > sizeof(sock->name))
        return sizeof(name->family);
    memcpy(name, sock->name, size);
    return (int32_t)size;
}
