/* Calls on sockets that a signal has cut short: with SO_RCVTIMEO or SO_SNDTIMEO they are never begun
 * again, and tracers are told EINTR at once. Source: signal(7), socket(7). */
#include "record.h"
#include "sock.h"
#include "translate.h"

#define SO_RCVTIMEO_ 20

static bool receives(uint32_t nr)
{
    return nr == __NR_read || nr == __NR_readv || nr == __NR_recvfrom || nr == __NR_recvmsg ||
           nr == __NR_recvmmsg || nr == __NR_accept || nr == __NR_accept4;
}

static bool sends(uint32_t nr)
{
    return nr == __NR_write || nr == __NR_writev || nr == __NR_sendto || nr == __NR_sendmsg ||
           nr == __NR_sendmmsg || nr == __NR_connect;
}

bool exo_record_is_timed(uint32_t nr, int fd)
{
    if (!receives(nr) && !sends(nr))
        return false;
    int what = receives(nr) ? EXO_SOCK_IN : EXO_SOCK_OUT;
    const struct exo_fd *entry = exo_fd_entry(fd);
    const struct exo_fd now = entry != NULL ? exo_fd_now(entry) : (struct exo_fd){.host = -1};
    uint64_t timeout[2] = {0, 0};
    uint32_t size = sizeof(timeout);
    if (now.host < 0)
        return false;
    if (now.flags & EXO_FD_SOCKET) {
        const struct exo_sock *sock = exo_sock_at(KR, now.stamp);
        if (load_acquire(&sock->mode) != EXO_SOCK_HOST)
            return load_relaxed(&sock->timeout_ns[what]) != 0;
    }
    HOST_5(__NR_getsockopt, now.host, SOL_SOCKET_, SO_RCVTIMEO_ + what, timeout, &size);
    return timeout[0] != 0 || timeout[1] != 0;
}
