/* AF_UNIX datagram sockets: names and peers, which the twins get first. Source: unix(7). */
#include "../core/watch.h"
#include "epoll.h"
#include "process.h"
#include "sockdgram.h"
#include "sockunix.h"
#include "translate.h"

/* What has come is gone, as on Linux: whether there was anything. */
static bool purge(const struct exo_sock_end *end)
{
    struct exo_sock *sock = end->sock;
    exo_lock_acquire(&sock->output);
    bool any = exo_sock_size(sock) != 0;
    exo_sock_drop_locked(sock, exo_sock_size(sock));
    store_release(&sock->mark_tail, load_acquire(&sock->mark_head));
    exo_lock_release(&sock->output);
    exo_dgram_ease(end);
    return any;
}

static void set_peer(struct exo_sock *sock, struct exo_dgram_target target, bool away)
{
    exo_lock_acquire(&KR->net_lock);
    store_release(&sock->peer, 0);
    sock->peer_generation = target.generation;
    store_release(&sock->peer, target.number);
    fetch_and(&sock->shut, ~(uint32_t)EXO_SHUT_GONE);
    fetch_and(&sock->udp, ~(uint32_t)EXO_UNIX_AWAY);
    fetch_or(&sock->udp, (uint32_t)(away ? EXO_UNIX_AWAY : 0));
    bool any = away || target.number != 0;
    store_release(&sock->mode, (uint32_t)(any ? EXO_SOCK_CONNECTED : EXO_SOCK_FRESH));
    exo_lock_release(&KR->net_lock);
}

void exo_dgram_forget_peer(const struct exo_sock_end *end)
{
    set_peer(end->sock, (struct exo_dgram_target){0}, false);
    purge(end);
}

/* Who asks for credentials is to have a name. */
void exo_dgram_name_oneself(const struct exo_sock_end *end)
{
    struct exo_sockaddr none = {.family = AF_UNIX_};
    if (load_relaxed(&end->sock->passes_cred) && load_relaxed(&end->sock->name_size) == 0)
        exo_dgram_bind(end, &none, sizeof(none.family));
}

/* Who was connected to us and is no more our peer: what it has sent is lost. */
static void reset(uint32_t number, uint64_t generation, const struct exo_sock *by)
{
    struct exo_sock *other = exo_sock_at(KR, number);
    if (number == 0 || other == by || load_acquire(&other->generation) != generation ||
        !exo_dgram_is_mutual(KR, by, other))
        return;
    store_release(&other->error, (uint32_t)ECONNRESET);
    if (exo_watched(&other->watch))
        exo_watch_note(KR, &other->watch, EXO_SOCK_ALL_EVENTS);
}

/* The twin is connected; now the region. */
static void change_peer(const struct exo_sock_end *end, struct exo_dgram_target target, bool away)
{
    struct exo_sock *sock = end->sock;
    struct exo_dgram_target old = {exo_dgram_peer(KR, sock), sock->peer_generation};
    bool had = old.number != 0 || (load_relaxed(&sock->udp) & EXO_UNIX_AWAY) ||
               load_acquire(&sock->peer) != 0;
    bool same = old.number == target.number && old.generation == target.generation && !away;
    if (had && !same) {
        if (purge(end))
            reset(old.number, old.generation, sock);
        store_release(&sock->peer, 0);
    }
    set_peer(sock, target, away);
    if (exo_watched(&sock->watch))
        exo_watchers_wake(&sock->watch, EXO_SOCK_ALL_EVENTS);
}

long exo_dgram_connect(struct exo_sock_end *end, uint64_t at, long size)
{
    struct exo_sockaddr to;
    struct exo_dgram_target before = {0}, after = {0};
    long error = exo_sockaddr_get(&to, at, size);
    if (error != 0)
        return error;
    bool ends = size >= 2 && to.family == AF_UNSPEC_;
    if (!ends)
        before.number = exo_unix_dgram(&to, size, &before.generation);
    exo_sock_take_bells(end); /* which the host would take for what is lost */
    exo_dgram_name_oneself(end);
    error = host_wait(__NR_connect, end->fd.host, (long)&to, size, 0, 0, 0);
    if (error != 0)
        return error;
    if (!ends)
        after.number = exo_unix_dgram(&to, size, &after.generation);
    bool own =
        after.number != 0 && after.number == before.number && after.generation == before.generation;
    change_peer(end, own ? after : (struct exo_dgram_target){0}, !own && !ends);
    return 0;
}

long exo_dgram_bind(const struct exo_sock_end *end, const struct exo_sockaddr *name, long size)
{
    struct exo_sock *sock = end->sock;
    struct exo_sockaddr own = {0};
    int32_t whole = sizeof(own);
    uint64_t key[2];
    uint32_t was = fetch_or(&sock->udp, (uint32_t)EXO_UNIX_NAMED); /* before anybody can send */
    long error = HOST_3(__NR_bind, end->fd.host, name, size);
    if (error != 0 || HOST_3(__NR_getsockname, end->fd.host, &own, &whole) != 0) {
        if (!(was & EXO_UNIX_NAMED))
            fetch_and(&sock->udp, ~(uint32_t)EXO_UNIX_NAMED);
        return error;
    }
    if (whole <= 2 || whole > EXO_UNIX_NAME_MAX)
        return 0;
    bool known = exo_unix_key(key, &own, whole);
    exo_lock_acquire(&KR->net_lock);
    if (sock->name_size == 0) {
        memcpy(sock->name, &own, (uint32_t)whole);
        store_release(&sock->name_size, (uint32_t)whole);
        if (known)
            exo_dgram_name_locked(KR, sock, key);
    }
    exo_lock_release(&KR->net_lock);
    return 0;
}
