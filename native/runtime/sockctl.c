/* fcntl(2) and ioctl(2) of sockets whose contents are in the kernel region. */
#include "process.h"
#include "sockhost.h"
#include "sockpacket.h"
#include "translate.h"

#define FIONBIO_ 0x5421
#define FIOASYNC_ 0x5452
#define SIOCATMARK_ 0x8905
#define F_SETOWN_ 8
#define F_SETOWN_EX_ 15
#define SO_OOBINLINE_ 10

static void set_flags(struct exo_sock *sock, long flags)
{
    store_release(&sock->nonblock, flags & O_NONBLOCK_ ? 1U : 0U);
    store_release(&sock->signals, flags & O_ASYNC_ ? 1U : 0U);
}

/* Who sends urgent data is to have the host send SIGURG: its byte must come out of the twin as others do. */
static void note_owner(const struct exo_sock_end *end)
{
    uint32_t on = 1;
    HOST_5(__NR_setsockopt, end->fd.host, SOL_SOCKET_, SO_OOBINLINE_, &on, sizeof(on));
    store_release(&end->sock->owner, 1);
}

bool exo_sock_fcntl(struct exo_fd *at, int command, long argument, long *result)
{
    struct exo_sock_end end;
    if ((command == F_SETOWN_ || command == F_SETOWN_EX_) && exo_sock_enter(&end, at))
        note_owner(&end);
    if (command != F_SETFL_ || !exo_sock_enter(&end, at))
        return false;
    *result = HOST_3(__NR_fcntl, end.fd.host, command, argument);
    if (*result == 0)
        set_flags(end.sock, argument);
    return true;
}

/* FIONREAD: of TCP up to urgent data only, unless that is read as any other. */
static uint32_t waiting(const struct exo_sock *sock)
{
    uint32_t size = exo_sock_size(sock), urgent = exo_sock_to_urgent(sock);
    if (sock->family == AF_UNIX_)
        return size - (load_relaxed(&sock->urgent) == EXO_URGENT_READ && urgent < size);
    return !sock->options[EXO_SOCK_OOBINLINE] && urgent < size ? urgent : size;
}

bool exo_sock_ioctl(struct exo_fd *at, uint32_t command, uint64_t argument, long *result)
{
    struct exo_sock_end end;
    uint32_t value = 0;
    if (!exo_sock_enter(&end, at))
        return false;
    uint32_t peer = load_acquire(&end.sock->peer), mode = load_acquire(&end.sock->mode);
    if (end.sock->type != 0 && exo_packet_ioctl(&end, command, argument, result))
        return true;
    switch (command) {
    case FIONBIO_:
        *result = HOST_3(__NR_ioctl, end.fd.host, FIONBIO_, argument);
        if (*result == 0 && guest_get(&value, argument) == 0)
            store_release(&end.sock->nonblock, value != 0 ? 1U : 0U);
        return true;
    case FIOASYNC_:
        *result = HOST_3(__NR_ioctl, end.fd.host, FIOASYNC_, argument);
        if (*result == 0 && guest_get(&value, argument) == 0)
            store_release(&end.sock->signals, value != 0 ? 1U : 0U);
        return true;
    case FIONREAD_:
        value = waiting(end.sock);
        break;
    case FIOSETOWN_:
    case SIOCSPGRP_:
        note_owner(&end);
        return false;
    case SIOCOUTQ_:
        value =
            end.sock->family == AF_UNIX_ && peer != 0 ? exo_sock_size(exo_sock_at(KR, peer)) : 0;
        break;
    case SIOCATMARK_:
        value = exo_sock_to_urgent(end.sock) == 0;
        break;
    default:
        return false;
    }
    *result = mode == EXO_SOCK_LISTENS ? -EINVAL : guest_put(argument, &value);
    return true;
}
