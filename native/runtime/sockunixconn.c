/* connect(2) of AF_UNIX sockets: to a guest that listens, in the kernel region; to others, the host's.
 * See sockunix.c. */
#include "process.h"
#include "sock.h"
#include "sockhost.h"
#include "sockunix.h"
#include "translate.h"

/* Whether the twin has a name that is the guest's affair. */
static bool is_named(const struct exo_sock_end *end)
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
    error = listener != 0 && !is_named(end)
                ? connect_guest(end, &to, size, listener, &own)
                : host_wait(__NR_connect, end->fd.host, (long)&to, size, 0, 0, 0);
    if (error == 0 && !own && compare_exchange(&end->sock->mode, &was, (uint32_t)EXO_SOCK_HOST))
        exo_sock_make_plain(end);
    return error;
}
