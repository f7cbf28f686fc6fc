/* Room at an AF_UNIX datagram socket: who waits for some puts so much into its twin that the own twin is no
 * longer writable; whoever makes room takes that out. So the host wakes who waits, also if the receiver goes,
 * and poll(2) and epoll may wait beside anything else.
 */
#include "../core/watch.h"
#include "patience.h"
#include "poll.h"
#include "signal.h"
#include "sockdgram.h"
#include "translate.h"

#define PIECE 4096
#define PIECES 16 /* of a message that is more than a quarter of what may be on its way */

/* What rings, and more behind it: bytes, or -errno. */
static long send_heavy(const struct exo_sock_end *end, long flags)
{
    static uint8_t padding[PIECE];
    uint64_t vector[1 + PIECES][2] = {{(uint64_t)KR->bell, sizeof(KR->bell)}};
    uint64_t left = load_relaxed(&end->sock->limit) / 2, count = 1;
    for (; left != 0 && count <= PIECES; count++) {
        uint64_t size = left < PIECE ? left : PIECE;
        vector[count][0] = (uint64_t)padding;
        vector[count][1] = size;
        left -= size;
    }
    struct k_msghdr message = {.iov = (uint64_t)vector, .iov_count = count};
    if (end->to != NULL) {
        message.name = (uint64_t)end->to;
        message.name_size = (uint32_t)end->to_size;
    }
    return HOST_3(__NR_sendmsg, end->fd.host, &message, flags | MSG_NOSIGNAL_ | MSG_DONTWAIT_);
}

static bool is_writable(const struct exo_sock_end *end)
{
    struct k_pollfd poll = {.fd = end->fd.host, .events = POLLOUT_};
    int64_t now[2] = {0};
    return HOST_5(__NR_ppoll, &poll, 1, now, 0, 0) > 0;
}

/* Nobody is there any more: the next send(2) is told so. */
static void lose(const struct exo_sock_end *end)
{
    if (end->to == NULL)
        fetch_or(&end->sock->shut, (uint32_t)EXO_SHUT_GONE);
}

void exo_dgram_fill(const struct exo_sock_end *end, struct exo_sock *to)
{
    store_relaxed(&end->sock->no_room, 1);
    store_release(&to->crowd, 1);
    full_fence();
    if (!exo_dgram_has_room(KR, end->sock, to) && is_writable(end) &&
        send_heavy(end, 0) == -ECONNREFUSED)
        lose(end);
}

void exo_dgram_ease(const struct exo_sock_end *end)
{
    struct exo_sock *sock = end->sock;
    full_fence();
    if (!load_relaxed(&sock->crowd) || !exo_dgram_eases(KR, sock))
        return;
    store_release(&sock->crowd, 0);
    store_relaxed(&sock->litter, (uint16_t)1);
    exo_sock_take_bells(end);
    if (load_relaxed(&sock->litter)) /* who sleeps there is to be woken first */
        store_release(&sock->crowd, 1);
}

struct waited {
    const struct exo_sock *from, *to;
    uint64_t generation;
    uint32_t size;
};

static bool may_go_on(const void *by, UNUSED int what)
{
    const struct waited *at = by;
    return load_acquire(&at->to->generation) != at->generation ||
           exo_dgram_fits(KR, at->from, at->to, at->size) ||
           (load_relaxed(&at->from->shut) & EXO_SHUT_WRITES) ||
           (load_relaxed(&at->to->shut) & EXO_SHUT_READS);
}

/* 0, -EAGAIN when the time is over, or -errno. */
static long await_writable(const struct exo_sock_end *end)
{
    uint64_t ns = load_relaxed(&end->sock->timeout_ns[EXO_SOCK_OUT]);
    int64_t limit[2] = {(int64_t)(ns / 1000000000), (int64_t)(ns % 1000000000)};
    struct k_pollfd poll = {.fd = end->fd.host, .events = POLLOUT_};
    long ready = host_wait(__NR_ppoll, (long)&poll, 1, ns == 0 ? 0 : (long)limit, 0, 0, 0);
    if (ready == -EXO_ERESTARTNOHAND) /* by ptrace */
        ready = ns == 0 ? -EXO_ERESTART : -EINTR;
    if (ready < 0)
        return ns == 0 ? exo_wait_restarts(ready) : ready;
    return ready == 0 ? -EAGAIN : 0;
}

long exo_dgram_wait(const struct exo_sock_end *end, struct exo_sock *to, uint32_t size)
{
    struct exo_sock *sock = end->sock;
    const struct waited at = {sock, to, to->generation, size};
    if (exo_look(&sock->patience[EXO_SOCK_OUT], may_go_on, &at, 0))
        return 0;
    uint32_t since = exo_moment();
    store_release(&to->crowd, 1);
    full_fence();
    if (may_go_on(&at, 0))
        return 0;
    long result = send_heavy(end, 0);
    if (result == -EAGAIN && end->to != NULL && is_writable(end)) /* others have filled it */
        result = host_wait(__NR_sendto, end->fd.host, (long)KR->bell, sizeof(KR->bell),
                           MSG_NOSIGNAL_, (long)end->to, end->to_size);
    else if (result > 0 || result == -EAGAIN)
        result = await_writable(end);
    if (result >= 0)
        exo_slept(&sock->patience[EXO_SOCK_OUT], since);
    if (result == -ECONNREFUSED)
        lose(end);
    return result > 0 || result == -ECONNREFUSED ? 0 : result;
}
