/* TCP_INFO: the state, what has been sent and received, and what loopback TCP of Linux says where nothing
 * is ever lost or late. Bytes are told modulo 2^32. Source: tcp(7), include/uapi/linux/tcp.h.
 */
#include "sockinfo.h"
#include "sock.h"
#include "translate.h"

enum { ESTABLISHED = 1, SYN_SENT = 2, FIN_WAIT2 = 5, CLOSED = 7, CLOSE_WAIT = 8, LISTEN = 10 };

struct k_tcp_info {
    uint8_t state, ca_state, retransmits, probes, backoff, options, scales, limited;
    uint32_t rto_us, ato_us, send_mss, receive_mss;
    uint32_t unacked, sacked, lost, retransmitted, forward;
    uint32_t last[4]; /* ms */
    uint32_t path_mtu, receive_threshold, rtt_us, rtt_variance_us, send_threshold, window,
        advised_mss;
    uint32_t reordering, receive_rtt_us, receive_space, all_retransmitted;
    uint64_t pacing_rate, pacing_rate_most, acked, received;
    uint32_t segments[2];
    uint8_t rest[136];
};
_Static_assert(sizeof(struct k_tcp_info) == 280, "struct tcp_info of Linux 6.18");

static uint8_t state_of(const struct exo_sock *sock)
{
    uint32_t shut = load_acquire(&sock->shut), mode = load_acquire(&sock->mode);
    bool ended = shut & EXO_SHUT_FIN, ends = shut & EXO_SHUT_WRITES;
    if (mode == EXO_SOCK_LISTENS)
        return LISTEN;
    if (mode != EXO_SOCK_CONNECTED || exo_sock_is_closed(sock))
        return CLOSED;
    if (exo_sock_is_connecting(KR, sock))
        return SYN_SENT;
    return ended ? CLOSE_WAIT : ends ? FIN_WAIT2 : ESTABLISHED;
}

long exo_sock_give_info(const struct exo_sock *sock, uint64_t to, uint64_t size_at)
{
    struct k_tcp_info info = {.state = state_of(sock), .send_threshold = 0x7fffffff, .window = 10};
    uint32_t peer = load_acquire(&sock->peer);
    if (info.state == LISTEN) {
        info.unacked = (uint32_t)exo_sock_pending(sock);
        info.sacked = load_relaxed(&sock->backlog);
    } else if (load_relaxed(&sock->mode) == EXO_SOCK_CONNECTED) {
        info.options = 7; /* timestamps, selective acknowledgements, window scale */
        info.rto_us = 200000;
        info.send_mss = info.advised_mss = LOOPBACK_MSS;
        info.receive_mss = 536;
        info.path_mtu = 65535;
        info.reordering = 3;
        info.acked = peer != 0 ? load_relaxed(&exo_sock_at(KR, peer)->head) : 0;
        info.received = load_relaxed(&sock->head);
    }
    return exo_sock_give(&info, sizeof(info), to, size_at);
}
