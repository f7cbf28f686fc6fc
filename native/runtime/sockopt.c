/* setsockopt(2) and getsockopt(2) of sockets whose contents are in the kernel region.
 *
 * What socket(7) has for all families, the twin keeps, but for what its family has otherwise. What ip(7),
 * ipv6(7) and tcp(7) have are numbers that are remembered: bytes are never held back here, nor can they
 * be lost, so there is nothing for most of them to do.
 */
#include "process.h"
#include "sockhost.h"
#include "sockpacket.h"
#include "translate.h"

#define IPPROTO_IPV6_ 41
#define SO_REUSEADDR_ 2
#define SO_ERROR_ 4
#define SO_REUSEPORT_ 15
#define SO_RCVTIMEO_ 20
#define SO_SNDTIMEO_ 21
#define SO_RCVTIMEO_NEW_ 66
#define SO_SNDTIMEO_NEW_ 67
#define SO_PROTOCOL_ 38
#define SO_DOMAIN_ 39
#define SO_PEERPIDFD_ 77
#define TCP_MAXSEG_ 2
#define TCP_INFO_ 11

struct row {
    uint8_t level, name;
    uint16_t flag; /* 1: any number means 1 */
    uint32_t initial;
};

/* Row by row, exo_sock.options: what was set, less what it is at first. */
static const struct row rows[] = {
    {SOL_SOCKET_, SO_REUSEADDR_, 1, 0}, /* EXO_SOCK_REUSEADDR ... */
    {SOL_SOCKET_, SO_REUSEPORT_, 1, 0},
    {IPPROTO_IPV6_, 26, 1, 0}, /* IPV6_V6ONLY */
    {IPPROTO_TCP_, 1, 1, 0},   /* TCP_NODELAY */
    {IPPROTO_TCP_, 3, 1, 0},   /* TCP_CORK */
    {IPPROTO_TCP_, 4, 0, 7200},
    {IPPROTO_TCP_, 5, 0, 75},
    {IPPROTO_TCP_, 6, 0, 9}, /* TCP_KEEPIDLE, KEEPINTVL, KEEPCNT */
    {IPPROTO_TCP_, 7, 0, 6}, /* TCP_SYNCNT */
    {IPPROTO_TCP_, 8, 0, 60},
    {IPPROTO_TCP_, 9, 0, 0}, /* TCP_DEFER_ACCEPT */
    {IPPROTO_TCP_, 10, 0, 65536},
    {IPPROTO_TCP_, 12, 1, 1},          /* TCP_QUICKACK */
    {IPPROTO_TCP_, 18, 0, 0},          /* TCP_USER_TIMEOUT */
    {IPPROTO_TCP_, 23, 0, 0},          /* TCP_FASTOPEN */
    {IPPROTO_TCP_, 25, 0, 0xffffffff}, /* TCP_NOTSENT_LOWAT */
    {0, 1, 0, 0},                      /* IP_TOS */
    {0, 2, 0, 64},                     /* IP_TTL */
    {0, 10, 0, 1},                     /* IP_MTU_DISCOVER */
    {0, 11, 1, 0},                     /* IP_RECVERR */
    {0, 15, 1, 0},                     /* IP_FREEBIND */
    {IPPROTO_IPV6_, 25, 1, 0},         /* IPV6_RECVERR */
    {IPPROTO_IPV6_, 67, 0, 0},         /* IPV6_TCLASS */
    {IPPROTO_IPV6_, 16, 0, 64},        /* IPV6_UNICAST_HOPS */
};

#define ROW_COUNT (sizeof(rows) / sizeof(rows[0]))
_Static_assert(ROW_COUNT <= sizeof(((struct exo_sock *)0)->options) / 4, "exo_sock.options");

static int row_of(const struct exo_sock *sock, long level, long name)
{
    if (sock->family == AF_UNIX_)
        return -1;
    for (uint32_t i = 0; i < ROW_COUNT; i++)
        if (rows[i].level == level && rows[i].name == name)
            return (int)i;
    return -1;
}

static bool is_generic(long level)
{
    return level == SOL_SOCKET_;
}

static bool is_timeout(long name)
{
    return name == SO_RCVTIMEO_ || name == SO_SNDTIMEO_ || name == SO_RCVTIMEO_NEW_ ||
           name == SO_SNDTIMEO_NEW_;
}

/* The twin has taken it, so it is a good one; 0 is none. */
static void note_timeout(struct exo_sock *sock, long name, uint64_t at)
{
    int64_t value[2] = {0};
    int what = name == SO_SNDTIMEO_ || name == SO_SNDTIMEO_NEW_ ? EXO_SOCK_OUT : EXO_SOCK_IN;
    if (guest_get(&value, at) != 0 || value[0] < 0)
        return;
    uint64_t seconds = value[0] < 1000000000 ? (uint64_t)value[0] : 1000000000;
    store_release(&sock->timeout_ns[what], seconds * 1000000000 + (uint64_t)value[1] * 1000);
}

static void note_cred(struct exo_sock *sock, uint32_t value)
{
    store_release(&sock->cred_from, load_acquire(&sock->head));
    store_release(&sock->passes_cred, value);
}

/* SO_PASSCRED, SO_PASSSEC, SO_PASSPIDFD */
static bool passes(long name)
{
    return name == SO_PASSCRED_ || name == 34 || name == 76;
}

SYSCALL(setsockopt)
{
    struct exo_fd *entry = exo_fd_entry((int)a);
    struct exo_sock_end end;
    uint32_t value;
    if (entry == NULL || !exo_sock_enter(&end, entry))
        return exo_pass(a, b, c, d, e, f);
    long result;
    if (exo_sock_is_udp(end.sock) &&
        exo_udp_set_option(entry, (int)b, (int)c, (uint64_t)d, (int)e, &result))
        return result;
    int row = row_of(end.sock, (int)b, (int)c);
    if ((int)b == SOL_SOCKET_ && end.sock->family != AF_UNIX_ && passes((int)c))
        return -EOPNOTSUPP;
    if (row < 0) {
        bool own = end.sock->family != AF_UNIX_ && !is_generic((int)b);
        long error = own ? -ENOPROTOOPT : exo_pass(a, b, c, d, e, f);
        if (error == 0 && (int)b == SOL_SOCKET_ && is_timeout((int)c))
            note_timeout(end.sock, (int)c, (uint64_t)d);
        if (error == 0 && (int)b == SOL_SOCKET_ && (int)c == SO_PASSCRED_ &&
            guest_get(&value, (uint64_t)d) == 0)
            note_cred(end.sock, value);
        if (error == 0 && end.sock->type != 0)
            exo_packet_note_limit(end.sock, end.fd.host);
        return error;
    }
    if ((int)e < (int)sizeof(value))
        return -EINVAL;
    if (guest_get(&value, (uint64_t)d) != 0)
        return -EFAULT;
    end.sock->options[row] = (rows[row].flag ? value != 0 : value) - rows[row].initial;
    return 0;
}

void exo_sock_replay(const struct exo_sock *sock, int host)
{
    uint32_t on = 1;
    if (sock->udp & EXO_UDP_PKTINFO)
        HOST_5(__NR_setsockopt, host, 0, 8, &on, sizeof(on)); /* IP_PKTINFO */
    if (sock->udp & EXO_UDP_PKTINFO6)
        HOST_5(__NR_setsockopt, host, IPPROTO_IPV6_, 49, &on, sizeof(on)); /* IPV6_RECVPKTINFO */
    for (uint32_t i = 0; i < ROW_COUNT; i++) {
        uint32_t value = sock->options[i] + rows[i].initial;
        if (sock->options[i] != 0)
            HOST_5(__NR_setsockopt, host, rows[i].level, rows[i].name, &value, sizeof(value));
    }
}

/* A value of `size` bytes to a guest that has room for as many as stand at size_at. */
static long give(const void *value, uint32_t size, uint64_t to, uint64_t size_at)
{
    int32_t room;
    if (guest_get(&room, size_at) != 0)
        return -EFAULT;
    if (room < 0)
        return -EINVAL;
    uint32_t part = (uint32_t)room < size ? (uint32_t)room : size;
    if (part != 0 && guest_write(to, value, part) != 0)
        return -EFAULT;
    return guest_put(size_at, &part);
}

static long give_number(uint32_t value, uint64_t to, uint64_t size_at)
{
    return give(&value, sizeof(value), to, size_at);
}

static long give_info(const struct exo_sock *sock, uint64_t to, uint64_t size_at)
{
    uint8_t info[104] = {0};
    uint32_t mode = load_acquire(&sock->mode);
    bool closing = sock->shut & (EXO_SHUT_END | EXO_SHUT_WRITES);
    info[0] = mode == EXO_SOCK_LISTENS     ? 10
              : mode == EXO_SOCK_FRESH     ? 7
              : sock->peer == 0 || closing ? 8
                                           : 1; /* TCP_LISTEN, CLOSE, CLOSE_WAIT, ESTABLISHED */
    return give(info, sizeof(info), to, size_at);
}

/* What is not the twin's. */
static bool get_own(struct exo_sock *sock, long level, long name, uint64_t to, uint64_t size_at,
                    long *result)
{
    static const uint32_t nobody[3] = {0, ~0U, ~0U};
    bool tcp = sock->family != AF_UNIX_;
    int row = row_of(sock, level, name);
    uint32_t value;
    if (exo_sock_is_udp(sock) && exo_udp_option(sock, level, name, &value))
        *result = give_number(value, to, size_at);
    else if (row >= 0)
        *result = give_number(sock->options[row] + rows[row].initial, to, size_at);
    else if (level == SOL_SOCKET_ && name == SO_ERROR_)
        *result = give_number(exchange(&sock->error, 0), to, size_at);
    else if (level == SOL_SOCKET_ && name == SO_DOMAIN_ && tcp)
        *result = give_number(sock->family, to, size_at);
    else if (level == SOL_SOCKET_ && name == SO_PROTOCOL_ && tcp)
        *result = give_number(sock->protocol, to, size_at);
    else if (level == SOL_SOCKET_ && name == SO_PEERCRED_ && tcp)
        *result = give(nobody, sizeof(nobody), to, size_at);
    else if (level == IPPROTO_TCP_ && name == TCP_INFO_ && tcp)
        *result = give_info(sock, to, size_at);
    else if (level == IPPROTO_TCP_ && name == TCP_MAXSEG_ && tcp)
        *result = give_number(sock->peer != 0 ? 65483 : 536, to, size_at);
    else if (level != SOL_SOCKET_ && tcp)
        *result = -ENOPROTOOPT;
    else
        return false;
    return true;
}

SYSCALL(getsockopt)
{
    int32_t number;
    int host = exo_fd_host((int)a);
    if (host < 0)
        return -EBADF;
    struct exo_fd *entry = exo_fd_entry((int)a);
    struct exo_sock_end end;
    long own_result;
    if (entry != NULL && exo_sock_enter(&end, entry) &&
        get_own(end.sock, (int)b, (int)c, (uint64_t)d, (uint64_t)e, &own_result))
        return own_result;
    long error = host_wait(__NR_getsockopt, host, b, c, d, e, 0);
    if (error != 0 || b != SOL_SOCKET_ || (c != SO_PEERCRED_ && c != SO_PEERPIDFD_) ||
        guest_get(&number, d) != 0)
        return error;
    number = c == SO_PEERCRED_ ? (int32_t)exo_tid_of((uint32_t)number)
                               : (int32_t)exo_fd_made(number, true);
    return guest_put(d, &number);
}
