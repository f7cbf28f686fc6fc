/* setsockopt(2) and getsockopt(2) of sockets whose contents are in the kernel region.
 *
 * What socket(7) has for all families, the twin keeps, but for what its family has otherwise. Those of
 * sockrows.c are remembered.
 */
#include "process.h"
#include "sockhost.h"
#include "sockinfo.h"
#include "sockpacket.h"
#include "sockrows.h"
#include "translate.h"

#define SO_ERROR_ 4
#define SO_RCVTIMEO_ 20
#define SO_SNDTIMEO_ 21
#define SO_RCVTIMEO_NEW_ 66
#define SO_SNDTIMEO_NEW_ 67
#define SO_PROTOCOL_ 38
#define SO_DOMAIN_ 39
#define SO_PEERPIDFD_ 77
#define TCP_CONGESTION_ 13
#define TCP_INFO_ 11

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

static void note_linger(struct exo_sock *sock, uint64_t at)
{
    int32_t value[2];
    if (guest_get(&value, at) == 0)
        store_release(&sock->linger, value[0] == 0  ? 0
                                     : value[1] < 0 ? ~0U
                                                    : (uint32_t)value[1] + 1);
}

/* AF_UNIX: the twin has it as the host rounds it. */
static void note_room(const struct exo_sock_end *end)
{
    uint32_t value = 0, size = sizeof(value);
    HOST_5(__NR_getsockopt, end->fd.host, SOL_SOCKET_, SO_SNDBUF_, &value, &size);
    end->sock->options[EXO_SOCK_SNDBUF] = value;
    exo_sock_set_limits(KR, end->sock);
}

/* What the host would make of a buffer's size; the twin keeps its own. */
static uint32_t rounded_by_host(int host, int name, uint32_t value)
{
    uint32_t was = 0, now = 0, size = sizeof(was);
    HOST_5(__NR_getsockopt, host, SOL_SOCKET_, name, &was, &size);
    HOST_5(__NR_setsockopt, host, SOL_SOCKET_, name, &value, sizeof(value));
    HOST_5(__NR_getsockopt, host, SOL_SOCKET_, name, &now, &size);
    was /= 2;
    HOST_5(__NR_setsockopt, host, SOL_SOCKET_, name, &was, sizeof(was));
    return now;
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
    int row = exo_sock_row(end.sock, (int)b, (int)c);
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
        if (error == 0 && (int)b == SOL_SOCKET_ && (int)c == SO_LINGER_)
            note_linger(end.sock, (uint64_t)d);
        if (error == 0 && end.sock->type != 0)
            exo_packet_note_limit(end.sock, end.fd.host);
        else if (error == 0 && (int)b == SOL_SOCKET_ && (int)c == SO_SNDBUF_) /* of AF_UNIX */
            note_room(&end);
        return error;
    }
    if ((int)e < (int)sizeof(value))
        return -EINVAL;
    if (guest_get(&value, (uint64_t)d) != 0)
        return -EFAULT;
    if (row == EXO_SOCK_SNDBUF || row == EXO_SOCK_RCVBUF)
        value = rounded_by_host(end.fd.host, (int)c, value);
    long error = exo_sock_set_row(end.sock, row, value);
    if (end.sock->family == AF_UNIX_) /* which may become the host's */
        return exo_pass(a, b, c, d, e, f);
    if (row == EXO_SOCK_SNDBUF || row == EXO_SOCK_RCVBUF || row == EXO_SOCK_RCVLOWAT)
        exo_sock_set_limits(KR, end.sock);
    return error;
}

/* A value of `size` bytes to a guest that has room for as many as stand at size_at. */
long exo_sock_give(const void *value, uint32_t size, uint64_t to, uint64_t size_at)
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
    return exo_sock_give(&value, sizeof(value), to, size_at);
}

/* What nobody has set depends on where the socket stands. */
static uint32_t number_of(const struct exo_sock *sock, int row)
{
    bool connected = load_acquire(&sock->mode) == EXO_SOCK_CONNECTED;
    if (row == EXO_SOCK_MAXSEG && connected)
        return LOOPBACK_MSS;
    if (sock->options[row] != 0)
        return exo_sock_get_row(sock, row);
    switch (row) {
    case EXO_SOCK_SNDBUF:
        return connected ? 2626560 : 16384; /* as Linux makes it grow */
    case EXO_SOCK_RCVBUF:
        return 131072;
    case EXO_SOCK_WINDOW_CLAMP:
        return connected ? 65536 : 0;
    default:
        return exo_sock_get_row(sock, row);
    }
}

static long give_linger(const struct exo_sock *sock, uint64_t to, uint64_t size_at)
{
    uint32_t linger = load_acquire(&sock->linger);
    int32_t value[2] = {linger != 0, linger != 0 ? (int32_t)(linger - 1) : 0};
    return exo_sock_give(value, sizeof(value), to, size_at);
}

/* The host's, by name: there is no other here. */
static long give_congestion(const struct exo_sock *sock, uint64_t to, uint64_t size_at)
{
    uint8_t name[16] = {0};
    uint32_t size = sizeof(name);
    long probe = HOST_3(__NR_socket, sock->family, SOCK_STREAM_, IPPROTO_TCP_);
    long error = probe < 0
                     ? probe
                     : HOST_5(__NR_getsockopt, probe, IPPROTO_TCP_, TCP_CONGESTION_, name, &size);
    if (probe >= 0)
        HOST_1(__NR_close, probe);
    return error != 0 ? error : exo_sock_give(name, sizeof(name), to, size_at);
}

/* What is not the twin's. */
static bool get_own(struct exo_sock *sock, long level, long name, uint64_t to, uint64_t size_at,
                    long *result)
{
    static const uint32_t nobody[3] = {0, ~0U, ~0U};
    bool tcp = sock->family != AF_UNIX_;
    int row = exo_sock_row(sock, level, name);
    uint32_t value;
    if (exo_sock_is_udp(sock) && exo_udp_option(sock, level, name, &value))
        *result = give_number(value, to, size_at);
    else if (row >= 0)
        *result = give_number(number_of(sock, row), to, size_at);
    else if (level == SOL_SOCKET_ && tcp && passes(name))
        *result = -EOPNOTSUPP;
    else if (level == SOL_SOCKET_ && name == SO_LINGER_ && tcp)
        *result = give_linger(sock, to, size_at);
    else if (level == SOL_SOCKET_ && name == SO_ERROR_)
        *result = give_number(exchange(&sock->error, 0), to, size_at);
    else if (level == SOL_SOCKET_ && name == SO_DOMAIN_ && tcp)
        *result = give_number(sock->family, to, size_at);
    else if (level == SOL_SOCKET_ && name == SO_PROTOCOL_ && tcp)
        *result = give_number(sock->protocol, to, size_at);
    else if (level == SOL_SOCKET_ && name == SO_PEERCRED_ && tcp)
        *result = exo_sock_give(nobody, sizeof(nobody), to, size_at);
    else if (level == IPPROTO_TCP_ && name == TCP_INFO_ && tcp)
        *result = exo_sock_give_info(sock, to, size_at);
    else if (level == IPPROTO_TCP_ && name == TCP_CONGESTION_ && tcp)
        *result = give_congestion(sock, to, size_at);
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
