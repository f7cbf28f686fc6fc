/* sendmsg(2) and sendmmsg(2): the host's sockets, with control messages translated, and exo's. */
#include "control.h"
#include "sockdgram.h"
#include "translate.h"

/* False: it is another's. */
static bool send_own(int fd, const struct k_msghdr *message, uint8_t *control, long flags,
                     long *result)
{
    struct exo_rights rights = {.control = control, .size = message->control_size};
    return exo_sock_is(fd) &&
           exo_sock_message(fd, EXO_PIPE_WRITES, message, flags, &rights, result);
}

/* Who gets what is sent there; 0: who does is the host's affair. */
static uint32_t carrier_of(int fd, const struct k_msghdr *message)
{
    struct exo_sock_end end;
    struct exo_fd *entry = exo_fd_entry(fd);
    if (entry == NULL || !exo_sock_enter(&end, entry))
        return 0;
    if (!exo_sock_is_unix_dgram(end.sock))
        return load_acquire(&end.sock->peer);
    return message->name != 0 && message->name_size != 0 ? 0 : exo_dgram_carrier(end.sock);
}

static long send_translated(int fd, int host, struct k_msghdr *message, uint8_t *control,
                            long flags)
{
    if (guest_read(control, message->control, message->control_size) != 0)
        return -EFAULT;
    uint64_t from = message->control, size = message->control_size;
    uint32_t carrier = carrier_of(fd, message);
    long error = exo_control_to_host(control, size, carrier);
    if (error == 0 && !send_own(fd, message, control, flags, &error)) {
        message->control = (uint64_t)control;
        error = host_wait(__NR_sendmsg, host, (long)message, flags, 0, 0, 0);
    }
    if (error < 0 && guest_read(control, from, size) == 0)
        exo_control_stays(control, size, carrier);
    return error;
}

/* A message of exo's own socket, without control data or where that does not matter; false: another. */
static bool send_plain(int fd, uint64_t from, long flags, long *result)
{
    struct k_msghdr message;
    struct exo_fd *entry = exo_fd_entry(fd);
    if (entry == NULL || !(load_relaxed(&entry->flags) & EXO_FD_SOCKET))
        return false;
    const struct exo_sock *sock = exo_sock_at(KR, entry->stamp);
    bool is_unix = sock->family == AF_UNIX_;
    *result = -EFAULT;
    if (guest_get(&message, from) != 0)
        return true;
    *result = -EINVAL;
    if ((int32_t)message.name_size < 0)
        return true;
    *result = load_acquire(&sock->mode) == EXO_SOCK_CONNECTED ? -EISCONN : -EOPNOTSUPP;
    if (is_unix && sock->type == 0 && message.name != 0 && message.name_size != 0)
        return true;
    if (is_unix && message.control != 0 && message.control_size != 0)
        return false;
    return exo_sock_message(fd, EXO_PIPE_WRITES, &message, flags, NULL, result);
}

static long send_one(int fd, uint64_t from, long flags)
{
    struct k_msghdr message;
    long own_result;
    if (send_plain(fd, from, flags, &own_result))
        return own_result;
    int host = exo_fd_or_bad(fd);
    uint8_t own[CONTROL_SIZE] __attribute__((aligned(8)));
    if (host < 0 || guest_get(&message, from) != 0 || message.control == 0 ||
        message.control_size == 0)
        return host_wait(__NR_sendmsg, host, (long)from, flags, 0, 0, 0);
    if (message.control_size > CONTROL_MAX_SIZE) /* refused, but for what is wrong before that */
        return host_wait(__NR_sendmsg, host, (long)&message, flags, 0, 0, 0);
    uint64_t size = message.control_size;
    uint8_t *control = exo_control_create(own, size);
    long result = control == NULL ? -ENOBUFS : send_translated(fd, host, &message, control, flags);
    exo_control_free(control, own, size);
    return result;
}

SYSCALL(sendmsg)
{
    if (c & MSG_CMSG_COMPAT_)
        return -EINVAL;
    return send_one((int)a, (uint64_t)b, c);
}

SYSCALL(sendmmsg)
{
    int host = exo_fd_twin((int)a);
    long count = (uint32_t)c > MESSAGE_LIMIT ? MESSAGE_LIMIT : (uint32_t)c;
    if (d & MSG_CMSG_COMPAT_)
        return -EINVAL;
    if (host < 0)
        return -EBADF;
    for (long i = 0; i < count; i++) {
        uint64_t at = (uint64_t)b + (uint64_t)i * sizeof(struct k_mmsghdr);
        long sent = send_one((int)a, at, d);
        if (sent < 0)
            return i > 0 ? i : sent;
        uint32_t size = (uint32_t)sent;
        if (guest_put(at + offsetof(struct k_mmsghdr, size), &size) != 0)
            return -EFAULT;
    }
    return count;
}
