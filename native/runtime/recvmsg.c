/* recvmsg(2) and recvmmsg(2): the host's sockets, with control messages translated, and exo's. */
#include "control.h"
#include "sockhost.h"
#include "sockname.h"
#include "sockpacket.h"
#include "translate.h"

#define MSG_WAITFORONE_ 0x10000
#define NOBODY 65534 /* the overflow ids */

static long receive_into(uint64_t at, struct k_msghdr *message, uint8_t *control, bool cloexec)
{
    uint64_t size = message->control_size;
    uint32_t flags = message->flags;
    if (guest_read(control, message->control, size) != 0)
        return -EFAULT;
    long left = exo_control_receive(message->control, control, control + size, cloexec, &flags);
    if (left < 0 || flags == message->flags)
        return left < 0 ? left : 0;
    message->flags = flags;
    message->control_size = (uint64_t)left;
    return guest_put(at + offsetof(struct k_msghdr, control_size), &message->control_size) ||
                   guest_put(at + offsetof(struct k_msghdr, flags), &message->flags)
               ? -EFAULT
               : 0;
}

/* The host has filled in the guest's msghdr at `at`: what came beside the data becomes exo's. */
static long translate_received(uint64_t at, long flags)
{
    struct k_msghdr message;
    uint8_t own[CONTROL_SIZE] __attribute__((aligned(8)));
    if (guest_get(&message, at) != 0)
        return -EFAULT;
    if (message.control == 0 || message.control_size == 0)
        return 0;
    uint64_t size = message.control_size;
    uint8_t *control = size > CONTROL_MAX_SIZE ? NULL : exo_control_create(own, size);
    if (control == NULL)
        return -ENOBUFS;
    long error = receive_into(at, &message, control, flags & MSG_CMSG_CLOEXEC_);
    exo_control_free(control, own, size);
    return error;
}

/* Writes back what recvmsg changes in the guest's header. */
static long put_header(uint64_t at, const struct k_msghdr *message)
{
    return guest_put(at + offsetof(struct k_msghdr, name_size), &message->name_size) ||
                   guest_put(at + offsetof(struct k_msghdr, control_size),
                             &message->control_size) ||
                   guest_put(at + offsetof(struct k_msghdr, flags), &message->flags)
               ? -EFAULT
               : 0;
}

/* The host fills a copy of the guest's control buffer: what the guest shall not see never gets into
 * the guest's own. */
static long receive_copied(int host, uint64_t at, struct k_msghdr *message, uint8_t *control,
                           long flags)
{
    uint64_t guest_control = message->control;
    message->control = (uint64_t)control;
    long got = host_wait(__NR_recvmsg, host, (long)message, flags, 0, 0, 0);
    if (got < 0)
        return got;
    long used = exo_control_receive(guest_control, control, control + message->control_size,
                                    flags & MSG_CMSG_CLOEXEC_, &message->flags);
    if (used < 0)
        return used;
    message->control_size = (uint64_t)used;
    return put_header(at, message) ? -EFAULT : got;
}

/* Credentials of the other side, for who has asked for them and got none. */
static void add_cred(int fd, struct exo_rights *rights)
{
    const struct exo_fd *entry = exo_fd_entry(fd);
    struct {
        struct k_cmsghdr header;
        uint32_t cred[3], pad;
    } message = {.header = {.size = 28, .level = SOL_SOCKET_, .type = SCM_CREDENTIALS_}};
    uint32_t size = sizeof(message.cred);
    if (entry == NULL || !exo_sock_at(KR, entry->stamp)->passes_cred || rights->size != 0 ||
        rights->room < sizeof(message) ||
        HOST_5(__NR_getsockopt, entry->host, SOL_SOCKET_, SO_PEERCRED_, message.cred, &size) != 0)
        return;
    const struct exo_sock *sock = exo_sock_at(KR, entry->stamp);
    uint32_t peer = load_acquire(&sock->peer);
    uint32_t slot = peer == 0 ? 0 : load_relaxed(&exo_sock_at(KR, peer)->used) % EXO_TASK_COUNT;
    if ((int32_t)(load_relaxed(&sock->tail) - sock->cred_from) <=
        0) { /* sent before it was asked */
        message.cred[0] = 0;
        message.cred[1] = message.cred[2] = NOBODY;
    } else if (slot != 0 && KR->tasks[slot].host_tgid != 0) /* who has written last */
        message.cred[0] = KR->tasks[slot].host_tgid;
    memcpy(rights->control, &message, sizeof(message));
    rights->size = sizeof(message);
}

/* A message for exo's own socket; false: it is another. */
static bool receive_own(int fd, uint64_t at, long flags, long *result)
{
    struct k_msghdr message;
    uint8_t own[EXO_RIGHTS_ROOM] __attribute__((aligned(8)));
    struct exo_rights rights = {.control = own, .room = sizeof(own)};
    if (!exo_sock_is(fd))
        return false;
    *result = -EFAULT;
    if (guest_get(&message, at) != 0)
        return true;
    if (!exo_sock_message(fd, EXO_PIPE_READS, &message, flags, &rights, result))
        return false;
    if (*result < 0)
        return true;
    const struct exo_sock *sock = exo_sock_at(KR, exo_fd_entry(fd)->stamp);
    bool came = *result > 0 || rights.whole; /* and not the end */
    if (came && sock->type != 0)
        exo_packet_control(sock, &rights);
    else if (came)
        add_cred(fd, &rights);
    message.flags =
        (uint32_t)(flags & MSG_CMSG_CLOEXEC_) | (rights.cut ? MSG_CTRUNC_ : 0) | rights.flags;
    if (sock->type == 0)
        message.flags |= (uint32_t)(flags & MSG_OOB_);
    if (message.name == 0 || !came)
        message.name_size = 0;
    else
        exo_sock_sender(exo_fd_entry(fd), sock->type != 0 ? &rights : NULL, message.name,
                        &message.name_size);
    uint64_t room = message.control == 0 ? 0 : message.control_size;
    long used =
        exo_rights_give(&rights, message.control, room, flags & MSG_CMSG_CLOEXEC_, &message.flags);
    message.control_size = used < 0 ? 0 : (uint64_t)used;
    if (used < 0 || put_header(at, &message) != 0)
        *result = -EFAULT;
    return true;
}

static long receive_one(int fd, uint64_t at, long flags)
{
    struct k_msghdr message;
    long own_result;
    if (receive_own(fd, at, flags, &own_result))
        return own_result;
    int host = exo_fd_or_bad(fd);
    uint8_t own[CONTROL_SIZE] __attribute__((aligned(8)));
    if (host < 0 || guest_get(&message, at) != 0 || message.control == 0 ||
        message.control_size == 0)
        return host_wait(__NR_recvmsg, host, (long)at, flags, 0, 0, 0);
    if (message.control_size > CONTROL_MAX_SIZE)
        message.control_size = CONTROL_MAX_SIZE;
    uint64_t size = message.control_size;
    uint8_t *control = exo_control_create(own, size);
    if (control == NULL)
        return -ENOBUFS;
    long result = receive_copied(host, at, &message, control, flags);
    exo_control_free(control, own, size);
    return result;
}

SYSCALL(recvmsg)
{
    if (c & MSG_CMSG_COMPAT_)
        return -EINVAL;
    return receive_one((int)a, (uint64_t)b, c);
}

static int64_t now_ns(void)
{
    int64_t now[2] = {0};
    HOST_2(__NR_clock_gettime, 1, now);
    return now[0] * 1000000000 + now[1];
}

static int64_t limit_ns(const int64_t *limit)
{
    return (limit[0] < 1000000000 ? limit[0] : 1000000000) * 1000000000 + limit[1];
}

static long tell_left(uint64_t timeout, int64_t end)
{
    int64_t left = timeout == 0 ? 0 : end - now_ns();
    left = left > 0 ? left : 0;
    int64_t limit[2] = {left / 1000000000, left % 1000000000};
    return timeout == 0 ? 0 : guest_put(timeout, &limit);
}

static bool is_stream(int fd)
{
    return exo_sock_is(fd) && exo_sock_at(KR, exo_fd_entry(fd)->stamp)->type == 0;
}

/* recvmmsg of exo's own socket: waits for the first, as for all if MSG_WAITFORONE is not given.
 * As on Linux, the timeout is looked at after each message only. */
static long receive_many(int fd, uint64_t at, long count, long flags, uint64_t timeout)
{
    int64_t limit[2];
    if (timeout != 0 && guest_get(&limit, timeout) != 0)
        return -EFAULT;
    if (timeout != 0 && (limit[0] < 0 || (uint64_t)limit[1] >= 1000000000))
        return -EINVAL;
    long all = (uint32_t)count > MESSAGE_LIMIT ? MESSAGE_LIMIT : (uint32_t)count;
    int64_t end = timeout != 0 ? now_ns() + limit_ns(limit) : 0;
    for (long i = 0; i < all; i++) {
        uint64_t header = at + (uint64_t)i * sizeof(struct k_mmsghdr);
        long got = receive_one(fd, header,
                               i > 0 && (flags & MSG_WAITFORONE_) ? flags | MSG_DONTWAIT_ : flags);
        if (got < 0)
            return i > 0 ? i : got;
        uint32_t size = (uint32_t)got;
        if (guest_put(header + offsetof(struct k_mmsghdr, size), &size) != 0)
            return -EFAULT;
        if ((got == 0 && is_stream(fd)) || (timeout != 0 && now_ns() >= end))
            return tell_left(timeout, end) != 0 ? -EFAULT : i + 1;
    }
    return tell_left(timeout, end) != 0 ? -EFAULT : all;
}

SYSCALL(recvmmsg)
{
    if (d & MSG_CMSG_COMPAT_)
        return -EINVAL;
    if (exo_sock_is((int)a))
        return receive_many((int)a, (uint64_t)b, c, d, (uint64_t)e);
    long count = host_wait(__NR_recvmmsg, exo_fd_or_bad((int)a), b, c, d, e, 0);
    for (long i = 0; i < count; i++) {
        long error = translate_received((uint64_t)b + (uint64_t)i * sizeof(struct k_mmsghdr), d);
        if (error != 0)
            return error;
    }
    return count;
}
