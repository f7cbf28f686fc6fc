/* Sleeping on a socket's twin, and waking who does.
 *
 * Who waits, for bytes or for room, sleeps until there is a byte in the own twin. Who brings news sees
 * in `sleeping` that somebody does, and writes a byte into the twin of its own side, where it comes out.
 * Bytes are taken out only by who goes to sleep and finds, under the lock, that nobody who sleeps has
 * reason to wake. When the last one at the other side goes or is killed, the host ends all sleeps.
 */
#include "../core/asleep.h"
#include "../core/watch.h"
#include "epoll.h"
#include "nap.h"
#include "patience.h"
#include "poll.h"
#include "sock.h"
#include "sockdgram.h"
#include "sockname.h"
#include "translate.h"

#define IN (POLLIN_ | POLLRDNORM_)
#define OUT (POLLOUT_ | POLLWRNORM_)

#define DEAF_LOOK_NS 1000000 /* how often who waits at a deaf twin looks */

static uint8_t garbage[4096]; /* comes out of twins */

static bool is_ready(const void *sock, int what)
{
    return exo_sock_is_ready(KR, sock, what);
}

/* A poller that is to be woken. One bell does, whichever of its sockets' twins it comes out of. */
struct polling {
    struct exo_task *task; /* NULL: none */
    uint32_t
        polls; /* ... as it was while it lay down: what rings for that is too late for the next time */
};

/* Whether somebody has rung for it already. */
static bool note_poller_locked(const struct exo_sock *other, int what, struct polling *it)
{
    uint32_t slot = other->poller[what];
    if (slot == 0 || slot >= EXO_TASK_COUNT || other->sleeping[what] != 1)
        return false;
    it->task = &KR->tasks[slot];
    it->polls = load_acquire(&it->task->polls);
    return load_acquire(&it->task->polls_rung) == it->polls;
}

static bool wakes_locked(struct exo_sock *other, int what, struct polling *it)
{
    uint32_t now = exo_moment(), before = other->rung;
    if (other->sleeping[what] == 0 || !exo_sock_is_ready(KR, other, what) ||
        note_poller_locked(other, what, it))
        return false;
    if (before != 0) {
        if (now - before < EXO_WAKE_AGAIN)
            return false;
        other->sleeping[what] =
            exo_sleepers(KR, exo_sock_number(KR, other), what == EXO_SOCK_OUT, true);
    }
    other->rung = other->sleeping[what] != 0 ? now : 0;
    return other->sleeping[what] != 0;
}

/* A twin that is connected has but its peer to ring; UDP's have names. */
long exo_sock_ring_bell(const struct exo_sock_end *end, const struct exo_sock *other)
{
    bool udp = exo_sock_is_udp(other);
    struct exo_twin_name name;
    if (exo_sock_is_unix_dgram(other)) /* to be known among messages */
        return HOST_6(__NR_sendto, end->fd.host, KR->bell, sizeof(KR->bell),
                      MSG_DONTWAIT_ | MSG_NOSIGNAL_, end->to, end->to != NULL ? end->to_size : 0);
    if (udp)
        name = exo_twin_name('d', exo_sock_number(KR, other), other->generation);
    return HOST_6(__NR_sendto, end->fd.host, garbage, 1, MSG_DONTWAIT_ | MSG_NOSIGNAL_,
                  udp ? &name : NULL, udp ? sizeof(name) : 0);
}

/* Of room only who has found none is told, when there is enough of it. */
static bool tell_watchers(struct exo_sock *other, int what)
{
    if (what == EXO_SOCK_IN)
        return exo_watch_tell(KR, &other->watch, EXO_POLL_INS);
    if (!load_relaxed(&other->no_room) || !exo_sock_is_ready(KR, other, what))
        return false;
    store_relaxed(&other->no_room, 0);
    return exo_watch_tell(KR, &other->watch, EXO_POLL_OUTS);
}

/* The twin has room for some 270 bytes, one by one: who receives or sends takes them out in time. */
static void count_bell(struct exo_sock *other)
{
    fetch_add(&other->bells, 1);
}

/* Until much has come there is no need to wake who naps while we go on. */
static void spare_napper(const struct exo_sock_end *end, struct exo_sock *other)
{
    exo_nap_owe(&other->nap, end->at, end->fd);
    if (exo_sock_size(other) >= (load_relaxed(&other->nap.spared) + 1) * EXO_NAP_LITTLE ||
        exo_sock_size(other) > EXO_SOCK_SIZE / 16)
        exo_nap_pay();
}

void exo_sock_ring(const struct exo_sock_end *end, struct exo_sock *other, int what)
{
    if (unlikely(load_relaxed(&other->nap.napper) != 0) && what == EXO_SOCK_IN)
        spare_napper(end, other);
    bool wakes = exo_watched(&other->watch) && tell_watchers(other, what);
    if (wakes)
        count_bell(other);
    wakes |= load_relaxed(&other->signals) != 0;
    struct polling it = {0};
    if (unlikely(load_relaxed(&other->sleeping[what]) != 0)) {
        exo_lock_acquire(&other->lock);
        wakes |= wakes_locked(other, what, &it);
        exo_lock_release(&other->lock);
    }
    if (wakes && exo_sock_ring_bell(end, other) > 0 && it.task != NULL)
        store_release(&it.task->polls_rung, it.polls);
}

/* Who has called F_SETOWN hears it from the host, as SIGURG. */
void exo_sock_alarm(const struct exo_sock_end *end, struct exo_sock *other)
{
    bool owned = load_acquire(&other->owner), asleep = load_relaxed(&other->sleeping[EXO_SOCK_IN]);
    bool wakes =
        exo_watched(&other->watch) && exo_watch_tell(KR, &other->watch, EXO_POLL_INS | EXO_POLLPRI);
    if (!owned && !asleep && !wakes)
        return;
    count_bell(other);
    HOST_6(__NR_sendto, end->fd.host, garbage, 1,
           MSG_DONTWAIT_ | MSG_NOSIGNAL_ | (owned ? MSG_OOB_ : 0), 0, 0);
}

void exo_sock_stir(const struct exo_sock_end *end, uint32_t peer)
{
    if (peer == 0)
        return;
    struct exo_sock *other = exo_sock_at(KR, peer);
    bool watched =
        exo_watched(&other->watch) && exo_watch_tell(KR, &other->watch, EXO_SOCK_ALL_EVENTS);
    exo_sock_ring(end, other, EXO_SOCK_IN);
    exo_sock_ring(end, other, EXO_SOCK_OUT);
    exo_nap_pay();
    if (watched) {
        count_bell(other);
        exo_sock_ring_bell(end, other);
    }
    if (exo_watched(&end->sock->watch))
        exo_watchers_wake(&end->sock->watch, EXO_SOCK_ALL_EVENTS);
}

void exo_sock_rouse(const struct exo_sock_end *end, bool in, bool out)
{
    struct exo_sock *sock = end->sock;
    full_fence(); /* who lies down after this sees what has changed */
    if (!(in && load_relaxed(&sock->sleeping[EXO_SOCK_IN]) != 0) &&
        !(out && load_relaxed(&sock->sleeping[EXO_SOCK_OUT]) != 0))
        return;
    store_release(&sock->deaf, (uint16_t)1);
    HOST_2(__NR_shutdown, end->fd.host, 0);
}

/* The twin has come to its end: with its peer, or is it only deaf? */
static bool has_lost_peer(const struct exo_sock_end *end)
{
    struct k_pollfd poll = {.fd = end->fd.host};
    int64_t now[2] = {0};
    return !load_acquire(&end->sock->deaf) ||
           (HOST_5(__NR_ppoll, &poll, 1, now, 0, 0) > 0 && (poll.revents & POLLHUP_));
}

/* Nothing has rung since it was emptied. If something is on its way yet, it wakes who sleeps once for nothing,
 * and is taken the next time. */
static bool is_twin_empty(const struct exo_sock *sock)
{
    return !(load_relaxed(&sock->rung) | load_relaxed(&sock->bells) | load_relaxed(&sock->litter) |
             load_relaxed(&sock->signals));
}

static void empty_twin_locked(const struct exo_sock_end *end)
{
    struct exo_sock *sock = end->sock;
    if (is_twin_empty(sock))
        return;
    uint32_t sender = load_relaxed(&sock->sending);
    if (sender != 0 && sender < EXO_TASK_COUNT && exo_alive_test(&KR->tasks[sender]))
        return;
    if (load_acquire(&sock->mark_head) != load_acquire(&sock->mark_tail))
        return; /* there are fds in it */
    for (int what = 0; what < 2; what++)
        if (sock->sleeping[what] != 0 && exo_sock_is_ready(KR, sock, what))
            return;
    store_release(&sock->rung, 0);
    store_relaxed(&sock->bells, 0);
    store_relaxed(&sock->litter, (uint16_t)0);
    if (exo_dgram_is_mixed(sock)) {
        exo_dgram_sift_locked(end);
        return;
    }
    long got;
    do
        got = HOST_6(__NR_recvfrom, end->fd.host, garbage, sizeof(garbage), MSG_DONTWAIT_, 0, 0);
    while (got == sizeof(garbage) || (got > 0 && sock->type != 0));
}

/* What was taken out may have been to wake who watches: whoever has news rings for them again. */
static void wake_watchers_again(struct exo_sock *sock)
{
    if (exo_watched(&sock->watch))
        exo_watch_again(KR, &sock->watch);
}

void exo_sock_take_bells(const struct exo_sock_end *end)
{
    struct exo_sock *sock = end->sock;
    exo_lock_acquire(&sock->lock);
    empty_twin_locked(end);
    exo_lock_release(&sock->lock);
    wake_watchers_again(sock);
}

/* Nobody else can take from the twin what it is to be woken by. */
static bool has_it_alone(const struct exo_sock *sock)
{
    return exo_alone() && load_relaxed(&sock->ends) % EXO_ENDS_CHANGE == 1;
}

static void say_asleep_locked(struct exo_sock *sock, int what, bool polls)
{
    bool only = ++sock->sleeping[what] == 1 && polls && has_it_alone(sock);
    sock->poller[what] = only ? (uint16_t)area()->slot : 0;
}

/* Whether there is a reason to sleep; then it has been said that we do. */
static bool lie_down(const struct exo_sock_end *end, bool in, bool out, bool urgent, bool polls)
{
    struct exo_sock *sock = end->sock;
    exo_lock_acquire(&sock->lock);
    if (in)
        say_asleep_locked(sock, EXO_SOCK_IN, polls);
    if (out)
        say_asleep_locked(sock, EXO_SOCK_OUT, polls);
    full_fence();
    bool ready = (in && exo_sock_is_ready(KR, sock, EXO_SOCK_IN)) ||
                 (out && exo_sock_is_ready(KR, sock, EXO_SOCK_OUT)) ||
                 (urgent && load_acquire(&sock->urgent) == EXO_URGENT_THERE) || !exo_sock_same(end);
    if (!ready)
        empty_twin_locked(end);
    ready = ready || (in && (load_relaxed(&sock->udp) & EXO_UNIX_FOREIGN) &&
                      exo_sock_is_ready(KR, sock, EXO_SOCK_IN));
    exo_lock_release(&sock->lock);
    if (!ready)
        wake_watchers_again(sock);
    return !ready;
}

static void say_awake_locked(struct exo_sock *sock, int what)
{
    if (sock->sleeping[what] != 0)
        sock->sleeping[what]--;
    sock->poller[what] = 0;
}

static void get_up(struct exo_sock *sock, bool in, bool out, bool rang)
{
    exo_lock_acquire(&sock->lock);
    if (rang)
        store_relaxed(&sock->litter, (uint16_t)1);
    if (in)
        say_awake_locked(sock, EXO_SOCK_IN);
    if (out)
        say_awake_locked(sock, EXO_SOCK_OUT);
    exo_lock_release(&sock->lock);
}

/* 1 for any of the events, 0 when the other side has gone, -EAGAIN when the time is over, or -errno. */
static long poll_twin(const struct exo_sock_end *end, int16_t events, uint64_t timeout_ns)
{
    struct k_pollfd poll = {.fd = end->fd.host, .events = events};
    int64_t left[2] = {(int64_t)(timeout_ns / 1000000000), (int64_t)(timeout_ns % 1000000000)};
    long ready = host_wait(__NR_ppoll, (long)&poll, 1, (long)left, 0, 0, 0);
    if (ready <= 0)
        return ready == 0 ? -EAGAIN : ready == -EXO_ERESTARTNOHAND ? -EINTR : ready;
    return poll.revents & (POLLHUP_ | POLLERR_) ? 0 : 1;
}

/* A deaf twin hears of nothing but its peer's end: who waits there looks again and again. */
static long sleep_deaf(const struct exo_sock_end *end, int what, uint64_t timeout_ns)
{
    for (uint64_t waited = 0; timeout_ns == 0 || waited < timeout_ns; waited += DEAF_LOOK_NS) {
        if (is_ready(end->sock, what))
            return 1;
        long result = poll_twin(end, 0, DEAF_LOOK_NS);
        if (result != -EAGAIN)
            return result;
    }
    return -EAGAIN;
}

static long sleep_on(const struct exo_sock_end *end, int what, uint64_t timeout_ns)
{
    uint8_t byte;
    if (load_acquire(&end->sock->deaf))
        return sleep_deaf(end, what, timeout_ns);
    if (timeout_ns != 0)
        return poll_twin(end, POLLIN_, timeout_ns);
    return host_wait(__NR_recvfrom, end->fd.host, (long)&byte, 1, MSG_PEEK_, 0, 0);
}

/* As pipes' readers: pipewait.c. */
static bool doze_off(const struct exo_sock_end *end)
{
    struct exo_sock *sock = end->sock;
    exo_lock_acquire(&sock->lock);
    bool naps = sock->sleeping[EXO_SOCK_IN] == 0 && !exo_watched(&sock->watch) &&
                exo_nap_begin_locked(&sock->nap);
    full_fence(); /* who writes after this sees it */
    if (naps && (is_ready(sock, EXO_SOCK_IN) || !exo_sock_same(end))) {
        store_release(&sock->nap.napper, 0);
        naps = false;
    }
    if (naps)
        empty_twin_locked(end);
    exo_lock_release(&sock->lock);
    return naps;
}

static bool nap(const struct exo_sock_end *end)
{
    struct exo_sock *sock = end->sock;
    if (sock->type != 0 || load_relaxed(&sock->timeout_ns[EXO_SOCK_IN]) != 0 ||
        load_relaxed(&sock->signals) || load_acquire(&sock->deaf) ||
        !exo_nap_is_worth(&sock->habit) || !doze_off(end))
        return false;
    long rang = poll_twin(end, POLLIN_, EXO_NAP_NS);
    exo_lock_acquire(&sock->lock);
    exo_nap_end_locked(&sock->nap, &sock->habit);
    if (rang > 0)
        store_relaxed(&sock->litter, (uint16_t)1);
    exo_lock_release(&sock->lock);
    return is_ready(sock, EXO_SOCK_IN);
}

/* What a reader's waiting has brought. */
static void learn(struct exo_sock *sock, int what, uint32_t since)
{
    if (what == EXO_SOCK_IN)
        exo_nap_learn(&sock->habit, since, exo_sock_size(sock) < EXO_NAP_LITTLE);
}

void exo_sock_end_nap(struct exo_fd *at)
{
    struct exo_sock_end end;
    uint32_t peer;
    if (!exo_sock_enter(&end, at) || (peer = load_acquire(&end.sock->peer)) == 0)
        return;
    struct exo_sock *other = exo_sock_at(KR, peer);
    exo_lock_acquire(&other->lock);
    bool naps = other->nap.napper != 0 && exo_sock_same(&end);
    if (naps)
        store_relaxed(&other->litter,
                      1); /* who sleeps next takes it out if it has got up meanwhile */
    exo_lock_release(&other->lock);
    if (!naps)
        return;
    fetch_add(&KR->stats.bells_owed, 1);
    exo_sock_ring_bell(&end, other);
}

long exo_sock_wait(const struct exo_sock_end *end, int what)
{
    struct exo_sock *sock = end->sock;
    bool in = what == EXO_SOCK_IN;
    uint32_t there = in || !exo_sock_is_unix_dgram(sock) ? 0 : exo_dgram_peer(KR, sock);
    if (there != 0)
        return exo_dgram_wait(end, exo_sock_at(KR, there), 0);
    uint32_t since = exo_moment();
    if (in && nap(end))
        return 0;
    if (exo_look(&sock->patience[what], is_ready, sock, what)) {
        learn(sock, what, since);
        return 0;
    }
    long result = 1;
    since = exo_moment();
    bool slept = lie_down(end, in, !in, false, false);
    if (slept) {
        uint32_t number = end->fd.stamp | (in ? 0 : EXO_ASLEEP_WRITES);
        store_release(&area()->task->asleep_on, number);
        result = sleep_on(end, what, load_relaxed(&sock->timeout_ns[what]));
        store_release(&area()->task->asleep_on, 0);
        if (result > 0)
            exo_slept(&sock->patience[what], since);
        learn(sock, what, since);
    }
    get_up(sock, in, !in, slept && result > 0);
    if (exo_sock_is_unix_dgram(sock)) { /* whose peer has nothing to do with that */
        if (result == -ECONNRESET)
            store_release(&sock->error, (uint32_t)ECONNRESET);
    } else if (result == -ECONNRESET || (result == 0 && has_lost_peer(end))) {
        exo_sock_lose_peer(KR, sock);
    }
    return result > 0 || result == -ECONNRESET ? 0 : result;
}

bool exo_sock_check_peer(const struct exo_sock_end *end)
{
    struct exo_sock *sock = end->sock;
    uint32_t peer = load_acquire(&sock->peer);
    uint32_t slot = peer == 0 ? 0 : load_relaxed(&exo_sock_at(KR, peer)->used);
    if (peer == 0 || (slot != 0 && slot < EXO_TASK_COUNT && exo_alive_test(&KR->tasks[slot])))
        return peer == 0;
    uint8_t byte;
    long got = HOST_6(__NR_recvfrom, end->fd.host, &byte, 1, MSG_PEEK_ | MSG_DONTWAIT_, 0, 0);
    if (got != -ECONNRESET && (got != 0 || !has_lost_peer(end)))
        return false;
    exo_sock_lose_peer(KR, sock);
    return true;
}

bool exo_sock_settle(struct exo_fd *at, int16_t events)
{
    struct exo_sock_end end;
    if (!exo_sock_enter(&end, at))
        return false;
    bool in = events & (IN | POLLRDHUP_ | POLLPRI_), out = events & OUT;
    uint32_t there = out && exo_sock_is_unix_dgram(end.sock) ? exo_dgram_peer(KR, end.sock) : 0;
    if (there != 0)
        exo_dgram_fill(&end, exo_sock_at(KR, there));
    if (lie_down(&end, in, out, events & POLLPRI_, true))
        return true;
    get_up(end.sock, in, out, false);
    return false;
}

void exo_sock_rise(uint32_t number, int16_t events, bool rang)
{
    get_up(exo_sock_at(KR, number), events & (IN | POLLRDHUP_ | POLLPRI_), events & OUT, rang);
}
