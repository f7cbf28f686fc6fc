/* Making sockets, connecting them, and what is left when one goes.
 *
 * Rules: peers change under net_lock, both sides' at once, so neither leads to a socket that has become
 * another one. Who writes to a peer holds the peer's input lock and looks whether it is the peer still;
 * who goes takes that lock once after it has been parted, and is then alone.
 */
#include "sock.h"
#include "sockrecord.h"
#include "watch.h"

#include <asm-generic/errno.h>
#include <asm/unistd.h>
#include <linux/futex.h>

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

/* Linux counts buffers with what they are made of, and lets those of both sides fill; where one is not
 * bounded, that is none. Of AF_UNIX the sender's counts. */
void exo_sock_set_limit_locked(struct exo_sock *to, const struct exo_sock *from)
{
    bool is_unix = to->family == AF_UNIX_;
    uint32_t out = from->options[EXO_SOCK_SNDBUF], in = to->options[EXO_SOCK_RCVBUF];
    uint32_t low = to->options[EXO_SOCK_RCVLOWAT], both = out / 2 + in / 2;
    uint32_t limit = is_unix ? out : out != 0 && in != 0 ? both : 0;
    store_release(&to->window, limit);
    uint32_t half = exo_sock_limit(to) / 2;
    store_release(&to->low_water, is_unix ? 0 : low < half ? low : half);
}

void exo_sock_set_limits(struct exo_kr *kr, struct exo_sock *sock)
{
    exo_lock_acquire(&kr->net_lock);
    struct exo_sock none = {.family = sock->family}, *peer = &none;
    if (load_relaxed(&sock->peer) != 0)
        peer = exo_sock_at(kr, sock->peer);
    exo_sock_set_limit_locked(sock, peer);
    exo_sock_set_limit_locked(peer, sock);
    exo_lock_release(&kr->net_lock);
}

bool exo_sock_join(struct exo_kr *kr, uint32_t one, uint32_t other)
{
    struct exo_sock *a = exo_sock_at(kr, one), *b = exo_sock_at(kr, other);
    exo_lock_acquire(&kr->net_lock);
    bool free = a->peer == 0 && b->peer == 0;
    if (free) {
        a->peer_generation = b->generation;
        b->peer_generation = a->generation;
        store_release(&a->peer, other);
        store_release(&b->peer, one);
    }
    exo_lock_release(&kr->net_lock);
    return free;
}

/* SO_LINGER with 0, of a connection that has not come to its end on both sides. */
static bool lingers_not(const struct exo_sock *goes)
{
    uint32_t shut = load_relaxed(&goes->shut);
    return goes->family != AF_UNIX_ && load_relaxed(&goes->linger) == 1 &&
           !((shut & EXO_SHUT_WRITES) && (shut & EXO_SHUT_END));
}

/* A first message of no bytes is none to Linux. */
static bool is_unread(struct exo_kr *kr, const struct exo_sock *goes)
{
    struct exo_record first;
    uint32_t size = exo_sock_size(goes);
    if (goes->type == 0 || !exo_record_look(kr, goes, &first))
        return size != 0;
    return first.size != 0 || size > exo_record_stride(0);
}

/* What the side that stays learns: as Linux, a reset if the other has left something unread. */
static void tell_locked(struct exo_kr *kr, struct exo_sock *stays, const struct exo_sock *goes)
{
    if (stays->type == EXO_SOCK_DGRAM) { /* who sends there again learns it */
        fetch_or(&stays->shut, (uint32_t)EXO_SHUT_GONE);
        return;
    }
    bool embryo = goes->listener != 0 && !(load_relaxed(&goes->shut) & EXO_SHUT_TOLD);
    uint32_t shut = load_relaxed(&stays->shut);
    bool reset = is_unread(kr, goes) || embryo || lingers_not(goes);
    if (reset)
        store_release(&stays->error, (uint32_t)(embryo && (shut & EXO_SHUT_SYN) ? ECONNREFUSED
                                                : stays->family != AF_UNIX_ && (shut & EXO_SHUT_FIN)
                                                    ? EPIPE
                                                    : ECONNRESET));
    if (embryo)
        fetch_and(&stays->shut, ~(uint32_t)EXO_SHUT_SYN);
    fetch_or(&stays->shut, (uint32_t)(EXO_SHUT_END | EXO_SHUT_GONE | (reset ? 0 : EXO_SHUT_FIN) |
                                      (reset || stays->family == AF_UNIX_ ? EXO_SHUT_DEAF : 0)));
}

/* Who connects and waits for room looks again. */
static void hail(struct exo_sock *listener)
{
    exo_host_call(__NR_futex, (long)&listener->accepted, FUTEX_WAKE, INT32_MAX, 0, 0, 0);
}

/* A third party's connection; it was dropped, or accepted. */
bool exo_sock_is_connecting(struct exo_kr *kr, const struct exo_sock *sock)
{
    if (!(load_relaxed(&sock->shut) & EXO_SHUT_SYN))
        return false;
    const struct exo_sock *there = exo_sock_at(kr, sock->listener_of);
    uint32_t ahead = load_acquire(&sock->ticket) - load_acquire(&there->accepted);
    return (int32_t)ahead > 0 && ahead > load_relaxed(&there->backlog);
}

/* Who has come into the backlog by that can be told so. */
static void tell_connecting(struct exo_kr *kr, uint32_t listener)
{
    for (uint32_t i = 1; i <= kr->object_high[EXO_KIND_SOCK] && i < EXO_SOCK_COUNT; i++) {
        const struct exo_sock *sock = &kr->socks[i];
        if (load_acquire(&sock->mode) == EXO_SOCK_CONNECTED && sock->listener_of == listener &&
            (load_relaxed(&sock->shut) & EXO_SHUT_SYN) && exo_watched(&sock->watch))
            exo_watch_note(kr, &sock->watch, EXO_POLL_OUTS);
    }
}

void exo_sock_advance(struct exo_kr *kr, uint32_t listener)
{
    struct exo_sock *sock = exo_sock_at(kr, listener);
    fetch_add(&sock->accepted, 1);
    if ((uint32_t)exo_sock_pending(sock) <= load_relaxed(&sock->backlog))
        return;
    hail(sock);
    tell_connecting(kr, listener);
}

/* Before it is in the host's queue, which wakes who waits: so whoever wakes finds it counted. */
void exo_sock_announce(struct exo_kr *kr, struct exo_sock *sock, uint32_t listener)
{
    struct exo_sock *there = exo_sock_at(kr, listener);
    sock->listener_of = listener;
    store_release(&sock->ticket, fetch_add(&there->announced, 1));
    if (exo_watched(&there->watch))
        exo_watch_note(kr, &there->watch, EXO_POLL_INS);
}

void exo_sock_recount(struct exo_kr *kr, uint32_t listener, uint32_t pending)
{
    uint32_t count = 0;
    for (uint32_t i = 1; i <= kr->object_high[EXO_KIND_SOCK] && i < EXO_SOCK_COUNT; i++) {
        const struct exo_sock *sock = &kr->socks[i];
        count += load_acquire(&sock->mode) == EXO_SOCK_EMBRYO && sock->listener == listener &&
                 sock->family != AF_UNIX_;
    }
    struct exo_sock *there = exo_sock_at(kr, listener);
    uint32_t accepted = load_relaxed(&there->accepted);
    if (count < pending && load_relaxed(&there->announced) - accepted == pending &&
        compare_exchange(&there->accepted, &accepted, accepted + pending - count))
        hail(there);
}

/* TIME_WAIT, for who ended it first; the other's end begins it anew. */
static void leave_port_locked(struct exo_kr *kr, const struct exo_sock *goes,
                              const struct exo_sock *stays)
{
    uint32_t shut = load_relaxed(&goes->shut);
    bool ended_there = shut & (EXO_SHUT_END | EXO_SHUT_GONE);
    if (load_relaxed(&goes->error) != 0 || (shut & EXO_SHUT_DEAF) ||
        (ended_there && !(shut & EXO_SHUT_FIN)) ||
        (stays != NULL && load_relaxed(&stays->error) != 0))
        return; /* it was reset */
    if ((shut & EXO_SHUT_FIRST) || !ended_there)
        exo_sock_wait_locked(kr, goes);
    else
        exo_sock_wait_again_locked(kr, &goes->remote);
}

/* An AF_UNIX datagram socket: who is connected to it learns it from its generation. */
static struct exo_sock *part_dgram_locked(struct exo_kr *kr, struct exo_sock *goes)
{
    uint32_t peer = exo_dgram_peer(kr, goes);
    struct exo_sock *stays = peer == 0 ? NULL : exo_sock_at(kr, peer);
    bool mutual = stays != NULL && exo_dgram_is_mutual(kr, goes, stays);
    store_release(&goes->generation, 0);
    store_release(&goes->peer, 0);
    return mutual ? stays : NULL;
}

static void part_pair(struct exo_kr *kr, struct exo_sock *goes)
{
    struct exo_sock *stays = NULL;
    exo_lock_acquire(&kr->net_lock);
    uint32_t peer = goes->peer;
    if (exo_sock_is_unix_dgram(goes)) {
        stays = part_dgram_locked(kr, goes);
    } else if (peer >= EXO_SOCK_FIRST) {
        stays = exo_sock_at(kr, peer);
        if (exo_sock_is_connecting(kr, goes))
            fetch_or(&stays->shut, (uint32_t)EXO_SHUT_NEVER);
        tell_locked(kr, stays, goes);
        store_release(&stays->peer, 0);
        store_release(&goes->peer, 0);
    }
    if (load_relaxed(&goes->mode) == EXO_SOCK_CONNECTED && goes->family != AF_UNIX_ &&
        goes->type == 0)
        leave_port_locked(kr, goes, stays);
    exo_sock_unbind_locked(kr, goes);
    if (load_relaxed(&kr->flying) != 0)
        exo_sock_drop_flights_locked(kr, exo_sock_number(kr, goes));
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
    store_release(&sock->accepted, load_relaxed(&sock->announced));
    hail(sock);
    if (exo_watched(&sock->watch))
        exo_watch_note(kr, &sock->watch, EXO_SOCK_ALL_EVENTS);
}

static void part_one(struct exo_kr *kr, uint32_t number)
{
    struct exo_sock *sock = exo_sock_at(kr, number);
    uint32_t listens = EXO_SOCK_LISTENS;
    bool listened = compare_exchange(&sock->mode, &listens, (uint32_t)EXO_SOCK_FRESH);
    part_pair(kr, sock);
    if (listened) {
        drop_embryos(kr, number);
        hail(exo_sock_at(kr, number));
    }
}

/* Sockets and sets that were on their way to it go as well, one after the other. */
void exo_sock_part(struct exo_kr *kr, uint32_t number)
{
    part_one(kr, number);
    while ((number = exo_sock_take_lost(kr)) != 0) {
        exo_object_leave(kr, number);
        if (exo_object_kind(number) == EXO_KIND_SOCK)
            part_one(kr, number);
        exo_object_free(kr, number);
    }
}

void exo_sock_lose_peer(struct exo_kr *kr, struct exo_sock *sock)
{
    exo_lock_acquire(&kr->net_lock);
    uint32_t peer = load_acquire(&sock->mode) == EXO_SOCK_CONNECTED ? sock->peer : 0;
    bool news = peer >= EXO_SOCK_FIRST && !(load_relaxed(&sock->shut) & EXO_SHUT_GONE);
    if (news)
        tell_locked(kr, sock, exo_sock_at(kr, peer));
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
