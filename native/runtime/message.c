/* sendmsg(2), recvmsg(2), getsockopt(2): the host's sockets, with the fds and pids that control
 * messages and SO_PEERCRED hold translated.
 */
#include "translate.h"

#define SOL_SOCKET_ 1
#define SCM_RIGHTS_ 1
#define SCM_CREDENTIALS_ 2
#define SCM_PIDFD_ 4
#define SO_PEERCRED_ 17
#define SO_PEERPIDFD_ 77
#define MSG_CMSG_CLOEXEC_ 0x40000000
#define CONTROL_SIZE 8192
#define MESSAGE_LIMIT 1024 /* UIO_MAXIOV: most messages in one sendmmsg */

struct k_msghdr {
    uint64_t name;
    uint32_t name_size, pad;
    uint64_t iov, iov_count, control, control_size;
    uint32_t flags, pad2;
};

struct k_mmsghdr {
    struct k_msghdr header;
    uint32_t size, pad;
};

struct k_cmsghdr {
    uint64_t size;
    int32_t level, type;
};

/* Calls act on every control message in [at, end) of runtime memory. */
static long each_message(uint8_t *at, uint8_t *end, long (*act)(struct k_cmsghdr *, bool),
                         bool flag)
{
    while (at + sizeof(struct k_cmsghdr) <= end) {
        struct k_cmsghdr *header = (struct k_cmsghdr *)at;
        if (header->size < sizeof(*header) || header->size > (uint64_t)(end - at))
            break;
        long error = header->level == SOL_SOCKET_ ? act(header, flag) : 0;
        if (error != 0)
            return error;
        at += (header->size + 7) & ~7UL;
    }
    return 0;
}

static long to_host(struct k_cmsghdr *header, UNUSED bool flag)
{
    int32_t *numbers = (int32_t *)(header + 1);
    uint64_t count = (header->size - sizeof(*header)) / 4;
    if (header->type == SCM_CREDENTIALS_ && count >= 3) {
        uint32_t host = exo_host_of((uint32_t)numbers[0]);
        if (host == 0)
            return -ESRCH;
        numbers[0] = (int32_t)host;
    }
    for (uint64_t i = 0; header->type == SCM_RIGHTS_ && i < count; i++) {
        numbers[i] = exo_fd_host(numbers[i]);
        if (numbers[i] < 0)
            return -EBADF;
    }
    return 0;
}

/* Installs received fds. One that finds no number is closed, and -1 stands in its place. */
static long to_guest(struct k_cmsghdr *header, bool cloexec)
{
    int32_t *numbers = (int32_t *)(header + 1);
    uint64_t count = (header->size - sizeof(*header)) / 4;
    if (header->type == SCM_CREDENTIALS_ && count >= 3)
        numbers[0] = (int32_t)exo_tid_of((uint32_t)numbers[0]);
    bool fds = header->type == SCM_RIGHTS_ || header->type == SCM_PIDFD_;
    for (uint64_t i = 0; fds && i < count; i++)
        if (numbers[i] >= 0) {
            long fd = exo_fd_made(numbers[i], cloexec);
            numbers[i] = fd < 0 ? -1 : (int32_t)fd;
        }
    return 0;
}

static long send_one(int host, uint64_t from, long flags)
{
    struct k_msghdr message;
    uint8_t control[CONTROL_SIZE] __attribute__((aligned(8)));
    if (guest_get(&message, from) != 0)
        return -EFAULT;
    if (message.control == 0 || message.control_size == 0)
        return host_wait(__NR_sendmsg, host, (long)from, flags, 0, 0, 0);
    if (message.control_size > CONTROL_SIZE)
        return -ENOBUFS;
    if (guest_read(control, message.control, message.control_size) != 0)
        return -EFAULT;
    long error = each_message(control, control + message.control_size, to_host, false);
    if (error != 0)
        return error;
    message.control = (uint64_t)control;
    return host_wait(__NR_sendmsg, host, (long)&message, flags, 0, 0, 0);
}

/* The host has filled in the guest's msghdr at `at`: what came beside the data becomes exo's. */
static long translate_received(uint64_t at, long flags)
{
    struct k_msghdr message;
    uint8_t control[CONTROL_SIZE] __attribute__((aligned(8)));
    if (guest_get(&message, at) != 0)
        return -EFAULT;
    if (message.control == 0 || message.control_size == 0)
        return 0;
    uint64_t size = message.control_size < CONTROL_SIZE ? message.control_size : CONTROL_SIZE;
    if (guest_read(control, message.control, size) != 0)
        return -EFAULT;
    each_message(control, control + size, to_guest, flags & MSG_CMSG_CLOEXEC_);
    return guest_write(message.control, control, size);
}

SYSCALL(sendmsg)
{
    int host = exo_fd_host((int)a);
    return host < 0 ? -EBADF : send_one(host, (uint64_t)b, c);
}

SYSCALL(recvmsg)
{
    int host = exo_fd_host((int)a);
    if (host < 0)
        return -EBADF;
    long got = host_wait(__NR_recvmsg, host, b, c, 0, 0, 0);
    if (got < 0)
        return got;
    long error = translate_received((uint64_t)b, c);
    return error ? error : got;
}

SYSCALL(recvmmsg)
{
    int host = exo_fd_host((int)a);
    if (host < 0)
        return -EBADF;
    long count = host_wait(__NR_recvmmsg, host, b, c, d, e, 0);
    for (long i = 0; i < count; i++) {
        long error = translate_received((uint64_t)b + (uint64_t)i * sizeof(struct k_mmsghdr), d);
        if (error != 0)
            return error;
    }
    return count;
}

SYSCALL(sendmmsg)
{
    int host = exo_fd_host((int)a);
    long count = (uint32_t)c > MESSAGE_LIMIT ? MESSAGE_LIMIT : (uint32_t)c;
    if (host < 0)
        return -EBADF;
    for (long i = 0; i < count; i++) {
        uint64_t at = (uint64_t)b + (uint64_t)i * sizeof(struct k_mmsghdr);
        long sent = send_one(host, at, d);
        if (sent < 0)
            return i > 0 ? i : sent;
        uint32_t size = (uint32_t)sent;
        if (guest_put(at + offsetof(struct k_mmsghdr, size), &size) != 0)
            return -EFAULT;
    }
    return count;
}

SYSCALL(getsockopt)
{
    int32_t number;
    int host = exo_fd_host((int)a);
    if (host < 0)
        return -EBADF;
    long error = host_wait(__NR_getsockopt, host, b, c, d, e, 0);
    if (error != 0 || b != SOL_SOCKET_ || (c != SO_PEERCRED_ && c != SO_PEERPIDFD_) ||
        guest_get(&number, d) != 0)
        return error;
    number = c == SO_PEERCRED_ ? (int32_t)exo_tid_of((uint32_t)number)
                               : (int32_t)exo_fd_made(number, true);
    return guest_put(d, &number);
}
