/* Options of TCP sockets that are numbers to be remembered: which there are, what they are at first, and
 * which values they take. Bytes are never held back here, nor can they be lost, so there is nothing
 * for most of them to do. Source: socket(7), ip(7), ipv6(7), tcp(7).
 */
#include "sockrows.h"
#include "translate.h"

#define ANY_MAX 0x7fffffff
#define TCP_FASTOPEN_ 23
#define RTO_MAX_S 120

enum {
    FLAG = 1,   /* any number means 1 */
    CLAMPS = 2, /* what is less than least is initial; more than most, most */
    ROUNDS = 4, /* TCP_DEFER_ACCEPT: to the seconds of a number of tries */
    MASKS = 8,  /* only the bits of most */
    FALLS = 16, /* -1 is initial */
};

struct row {
    uint8_t level, name;
    uint16_t how;
    int32_t initial, least, most;
};

/* Row by row, exo_sock.options: what was set, less what it is at first. */
static const struct row rows[] = {
    {SOL_SOCKET_, 2, FLAG, 0, 0, 1}, /* SO_REUSEADDR: EXO_SOCK_REUSEADDR ... */
    {SOL_SOCKET_, 15, FLAG, 0, 0, 1},
    {IPPROTO_IPV6_, 26, FLAG, 0, 0, 1},       /* IPV6_V6ONLY */
    {SOL_SOCKET_, 10, FLAG, 0, 0, 1},         /* SO_OOBINLINE */
    {SOL_SOCKET_, 7, 0, 0, 0, ANY_MAX},       /* SO_SNDBUF */
    {SOL_SOCKET_, 8, 0, 0, 0, ANY_MAX},       /* SO_RCVBUF; both as the host has rounded them */
    {SOL_SOCKET_, 9, FLAG, 0, 0, 1},          /* SO_KEEPALIVE */
    {SOL_SOCKET_, 18, CLAMPS, 1, 1, 4194304}, /* SO_RCVLOWAT */
    {IPPROTO_TCP_, 1, FLAG, 0, 0, 1},         /* TCP_NODELAY */
    {IPPROTO_TCP_, 2, 0, 536, 88, 32767},     /* TCP_MAXSEG */
    {IPPROTO_TCP_, 3, FLAG, 0, 0, 1},         /* TCP_CORK */
    {IPPROTO_TCP_, 4, 0, 7200, 1, 32767},     /* TCP_KEEPIDLE */
    {IPPROTO_TCP_, 5, 0, 75, 1, 32767},       /* TCP_KEEPINTVL */
    {IPPROTO_TCP_, 6, 0, 9, 1, 127},          /* TCP_KEEPCNT */
    {IPPROTO_TCP_, 7, 0, 6, 1, 127},          /* TCP_SYNCNT */
    {IPPROTO_TCP_, 8, 0, 60, -1, 120},        /* TCP_LINGER2 */
    {IPPROTO_TCP_, 9, ROUNDS, 0, 0, ANY_MAX}, /* TCP_DEFER_ACCEPT */
    {IPPROTO_TCP_, 10, 0, 0, 0, ANY_MAX},     /* TCP_WINDOW_CLAMP */
    {IPPROTO_TCP_, 12, FLAG, 1, 0, 1},        /* TCP_QUICKACK */
    {IPPROTO_TCP_, 16, FLAG, 0, 0, 1},        /* TCP_THIN_LINEAR_TIMEOUTS */
    {IPPROTO_TCP_, 18, 0, 0, 0, ANY_MAX},     /* TCP_USER_TIMEOUT */
    {IPPROTO_TCP_, TCP_FASTOPEN_, 0, 0, 0, ANY_MAX},
    {IPPROTO_TCP_, 25, 0, 0, -ANY_MAX - 1, ANY_MAX}, /* TCP_NOTSENT_LOWAT */
    {IPPROTO_TCP_, 30, FLAG, 0, 0, 1},               /* TCP_FASTOPEN_CONNECT */
    {IPPROTO_TCP_, 36, 0, 0, 0, 1},                  /* TCP_INQ */
    {0, 1, MASKS, 0, 0, 0xfc},                       /* IP_TOS */
    {0, 2, FALLS, 64, 1, 255},                       /* IP_TTL */
    {0, 10, 0, 1, 0, 5},                             /* IP_MTU_DISCOVER */
    {0, 11, FLAG, 0, 0, 1},                          /* IP_RECVERR */
    {0, 15, FLAG, 0, 0, 1},                          /* IP_FREEBIND */
    {IPPROTO_IPV6_, 25, FLAG, 0, 0, 1},              /* IPV6_RECVERR */
    {IPPROTO_IPV6_, 67, FALLS, 0, 0, 255},           /* IPV6_TCLASS */
    {IPPROTO_IPV6_, 16, FALLS, 64, 0, 255},          /* IPV6_UNICAST_HOPS */
};

#define ROW_COUNT (sizeof(rows) / sizeof(rows[0]))
_Static_assert(ROW_COUNT <= sizeof(((struct exo_sock *)0)->options) / 4, "exo_sock.options");

static bool has_row(const struct exo_sock *sock, uint32_t row)
{
    if (sock->family == AF_UNIX_)
        return row == EXO_SOCK_OOBINLINE && sock->type == 0;
    return sock->type == 0 || row <= EXO_SOCK_V6ONLY || rows[row].level == 0 ||
           rows[row].level == IPPROTO_IPV6_;
}

int exo_sock_row(const struct exo_sock *sock, long level, long name)
{
    for (uint32_t i = 0; i < ROW_COUNT; i++)
        if (rows[i].level == level && rows[i].name == name)
            return has_row(sock, i) ? (int)i : -1;
    return -1;
}

/* The seconds that as many tries take as are needed for those. */
static int32_t rounded(int32_t seconds)
{
    int32_t period = 1, step = 1;
    for (int tries = 1; seconds > period && tries < 255; tries++) {
        step = step * 2 < RTO_MAX_S ? step * 2 : RTO_MAX_S;
        period += step;
    }
    return seconds > 0 ? period : 0;
}

static bool is_allowed(const struct exo_sock *sock, const struct row *row, int32_t *value)
{
    bool idle = load_acquire(&sock->mode) != EXO_SOCK_CONNECTED;
    if (row->level == IPPROTO_TCP_ && row->name == TCP_FASTOPEN_ && !idle)
        return false;
    if (row->how & FLAG)
        *value = *value != 0;
    if (row->how & MASKS)
        *value &= row->most;
    if (row->how & ROUNDS)
        *value = rounded(*value);
    if ((row->how & FALLS) && *value == -1)
        *value = row->initial;
    if (row->how & CLAMPS)
        *value = *value < 0 || *value > row->most ? row->most : *value;
    if ((row->how & CLAMPS) && *value < row->least)
        *value = row->initial;
    return *value >= row->least && *value <= row->most;
}

/* What tcp(7) has beyond that. */
static int32_t adjusted(const struct row *row, int32_t value)
{
    bool tcp = row->level == IPPROTO_TCP_;
    if (tcp && row->name == 8) /* TCP_LINGER2 */
        return value < 0 ? -1 : value == 0 ? row->initial : value > row->most ? row->most : value;
    if (tcp && row->name == 10) /* TCP_WINDOW_CLAMP */
        return value > 0 && value < 1152 ? 1152 : value;
    return tcp && row->name == 2 && value == 0 ? row->initial : value; /* TCP_MAXSEG */
}

long exo_sock_set_row(struct exo_sock *sock, int row, uint32_t value)
{
    int32_t number = adjusted(&rows[row], (int32_t)value);
    if (!is_allowed(sock, &rows[row], &number))
        return -EINVAL;
    sock->options[row] = (uint32_t)number - (uint32_t)rows[row].initial;
    return 0;
}

uint32_t exo_sock_get_row(const struct exo_sock *sock, int row)
{
    return sock->options[row] + (uint32_t)rows[row].initial;
}

void exo_sock_replay(const struct exo_sock *sock, int host)
{
    uint32_t on = 1;
    if (sock->udp & EXO_UDP_PKTINFO)
        HOST_5(__NR_setsockopt, host, 0, 8, &on, sizeof(on)); /* IP_PKTINFO */
    if (sock->udp & EXO_UDP_PKTINFO6)
        HOST_5(__NR_setsockopt, host, IPPROTO_IPV6_, 49, &on, sizeof(on)); /* IPV6_RECVPKTINFO */
    for (uint32_t i = 0; i < ROW_COUNT; i++) {
        uint32_t value = exo_sock_get_row(sock, (int)i);
        if (i == EXO_SOCK_SNDBUF || i == EXO_SOCK_RCVBUF)
            value /= 2; /* the host doubles them */
        if (sock->options[i] != 0)
            HOST_5(__NR_setsockopt, host, rows[i].level, rows[i].name, &value, sizeof(value));
    }
    int32_t linger[2] = {1, (int32_t)sock->linger - 1};
    if (sock->linger != 0)
        HOST_5(__NR_setsockopt, host, SOL_SOCKET_, SO_LINGER_, linger, sizeof(linger));
}
