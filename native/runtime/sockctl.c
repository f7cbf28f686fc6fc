/* fcntl(2) and ioctl(2) of sockets whose contents are in the kernel region. */
#include "process.h"
#include "sockhost.h"
#include "sockpacket.h"
#include "translate.h"

#define FIONREAD_ 0x541b
#define FIONBIO_ 0x5421
#define FIOASYNC_ 0x5452
#define SIOCOUTQ_ 0x5411
#define SIOCATMARK_ 0x8905

static void set_flags(struct exo_sock *sock, long flags)
{
    store_release(&sock->nonblock, flags & O_NONBLOCK_ ? 1U : 0U);
    store_release(&sock->signals, flags & O_ASYNC_ ? 1U : 0U);
}

bool exo_sock_fcntl(struct exo_fd *at, int command, long argument, long *result)
{
    struct exo_sock_end end;
    if (command != F_SETFL_ || !exo_sock_enter(&end, at))
        return false;
    *result = HOST_3(__NR_fcntl, end.fd.host, command, argument);
    if (*result == 0)
        set_flags(end.sock, argument);
    return true;
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
        value = exo_sock_size(end.sock);
        break;
    case SIOCOUTQ_:
        value =
            end.sock->family == AF_UNIX_ && peer != 0 ? exo_sock_size(exo_sock_at(KR, peer)) : 0;
        break;
    case SIOCATMARK_:
        break;
    default:
        return false;
    }
    *result = mode == EXO_SOCK_LISTENS ? -EINVAL : guest_put(argument, &value);
    return true;
}
