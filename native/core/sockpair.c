/* Making sockets, connecting them, and what is left when one goes.
 *
 * Rules: peers change under net_lock, both sides' at once, so neither leads to a socket that has become
 * another one. Who writes to a peer holds the peer's input lock and looks whether it is the peer still;
 * who goes takes that lock once after it has been parted, and is then alone.
 */
#include "sock.h"
#include "watch.h"

#include <asm-generic/errno.h>

uint32_t exo_sock_create(struct exo_kr *kr, enum exo_sock_mode mode, uint16_t family,
                         uint16_t protocol)
{
    uint64_t ends = mode == EXO_SOCK_EMBRYO ? 0 : 1;
    uint32_t number = exo_object_create(kr, EXO_KIND_SOCK, mode, ends);
    if (number == 0)
        return 0;
    struct exo_sock *sock = exo_sock_at(kr, number);
    sock->generation = fetch_add(&kr->next_generation, 1) + 1;
    sock->family = family;
    sock->protocol = protocol;
    sock->local.family = sock->remote.family = family;
    return number;
}

bool exo_sock_join(struct exo_kr *kr, uint32_t one, uint32_t other)
{
    struct exo_sock *a = exo_sock_at(kr, one), *b = exo_sock_at(kr, other);
    exo_lock_acquire(&kr->net_lock);
    bool free = a->peer == 0 && b->peer == 0;
    if (free) {
        store_release(&a->peer, other);
        store_release(&b->peer, one);
    }
    exo_lock_release(&kr->net_lock);
    return free;
}

/* What the side that stays learns: as Linux, a reset if the other has left something unread. */
static void tell_locked(struct exo_sock *stays, const struct exo_sock *goes)
{
    if (stays->type == EXO_SOCK_DGRAM) { /* who sends there again learns it */
        fetch_or(&stays->shut, (uint32_t)EXO_SHUT_GONE);
        return;
    }
    bool reset = exo_sock_size(goes) != 0 || load_relaxed(&goes->mode) == EXO_SOCK_EMBRYO;
    if (reset)
        store_release(&stays->error, (uint32_t)ECONNRESET);
    fetch_or(&stays->shut, (uint32_t)(EXO_SHUT_END | EXO_SHUT_GONE | (reset ? 0 : EXO_SHUT_FIN) |
                                      (reset || stays->family == AF_UNIX_ ? EXO_SHUT_DEAF : 0)));
}

/* Before it is in the host's queue, which wakes who waits: so whoever wakes finds it counted. */
void exo_sock_announce(struct exo_kr *kr, uint32_t listener)
{
    struct exo_sock *sock = exo_sock_at(kr, listener);
    fetch_add(&sock->pending, 1);
    if (exo_watched(&sock->watch))
        exo_watch_note(kr, &sock->watch, EXO_POLL_INS);
}

void exo_sock_recount(struct exo_kr *kr, uint32_t listener, uint32_t pending)
{
    uint32_t count = 0;
    for (uint32_t i = 1; i <= kr->object_high[EXO_KIND_SOCK] && i < EXO_SOCK_COUNT; i++) {
        const struct exo_sock *sock = &kr->socks[i];
        count += load_acquire(&sock->mode) == EXO_SOCK_EMBRYO && sock->listener == listener &&
                 sock->family != AF_UNIX_;
    }
    if (count < pending)
        compare_exchange(&exo_sock_at(kr, listener)->pending, &pending, count);
}

static void part_pair(struct exo_kr *kr, struct exo_sock *goes)
{
    struct exo_sock *stays = NULL;
    exo_lock_acquire(&kr->net_lock);
    uint32_t peer = goes->peer;
    if (peer >= EXO_SOCK_FIRST) {
        stays = exo_sock_at(kr, peer);
        tell_locked(stays, goes);
        store_release(&stays->peer, 0);
        store_release(&goes->peer, 0);
    }
    exo_sock_unbind_locked(kr, goes);
    exo_lock_release(&kr->net_lock);
    exo_lock_acquire(&goes->input); /* who writes to it has gone, or sees that */
    exo_lock_release(&goes->input);
    exo_sock_forget(kr, goes);
    if (stays == NULL)
        return;
    if (exo_watched(&stays->watch)) /* who sleeps is woken by the host when the twin is closed */
        exo_watch_note(kr, &stays->watch, EXO_SOCK_ALL_EVENTS);
}

/* The connections that nobody has accepted. */
static void drop_embryos(struct exo_kr *kr, uint32_t listener)
{
    for (uint32_t i = 1; i <= kr->object_high[EXO_KIND_SOCK] && i < EXO_SOCK_COUNT; i++) {
        struct exo_sock *sock = &kr->socks[i];
        uint32_t embryo = EXO_SOCK_EMBRYO;
        if (load_relaxed(&sock->listener) != listener || sock->family == AF_UNIX_ ||
            !compare_exchange(&sock->mode, &embryo, (uint32_t)EXO_SOCK_CONNECTED))
            continue;
        part_pair(kr, sock);
        exo_object_free(kr, i + EXO_SOCK_FIRST);
    }
}

void exo_sock_unlisten(struct exo_kr *kr, uint32_t number)
{
    struct exo_sock *sock = exo_sock_at(kr, number);
    uint32_t listens = EXO_SOCK_LISTENS;
    if (!compare_exchange(&sock->mode, &listens, (uint32_t)EXO_SOCK_FRESH))
        return;
    drop_embryos(kr, number);
    store_release(&sock->pending, 0);
    if (exo_watched(&sock->watch))
        exo_watch_note(kr, &sock->watch, EXO_SOCK_ALL_EVENTS);
}

void exo_sock_part(struct exo_kr *kr, uint32_t number)
{
    struct exo_sock *sock = exo_sock_at(kr, number);
    uint32_t listens = EXO_SOCK_LISTENS;
    bool listened = compare_exchange(&sock->mode, &listens, (uint32_t)EXO_SOCK_FRESH);
    part_pair(kr, sock);
    if (listened)
        drop_embryos(kr, number);
}

void exo_sock_lose_peer(struct exo_kr *kr, struct exo_sock *sock)
{
    exo_lock_acquire(&kr->net_lock);
    uint32_t peer = load_acquire(&sock->mode) == EXO_SOCK_CONNECTED ? sock->peer : 0;
    bool news = peer >= EXO_SOCK_FIRST && !(load_relaxed(&sock->shut) & EXO_SHUT_GONE);
    if (news)
        tell_locked(sock, exo_sock_at(kr, peer));
    exo_lock_release(&kr->net_lock);
    if (news && exo_watched(&sock->watch))
        exo_watch_note(kr, &sock->watch, EXO_SOCK_ALL_EVENTS);
}

bool exo_sock_is_stray(struct exo_kr *kr, uint32_t number)
{
    const struct exo_sock *sock = exo_sock_at(kr, number);
    if (load_acquire(&sock->mode) != EXO_SOCK_EMBRYO)
        return true;
    bool listens = sock->family == AF_UNIX_
                       ? exo_task_find_host(kr, sock->listener) != 0 || sock->peer != 0
                       : load_acquire(&exo_sock_at(kr, sock->listener)->mode) == EXO_SOCK_LISTENS;
    bool queued = load_relaxed(&sock->shut) & EXO_SHUT_QUEUED;
    return !listens || (!queued && load_relaxed(&sock->peer) == 0);
}
