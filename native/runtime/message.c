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
#define MSG_CTRUNC_ 8
#define MSG_CMSG_COMPAT_ 0x80000000L
#define CONTROL_SIZE 8192          /* on the stack; more is mapped */
#define CONTROL_MAX_SIZE (1 << 24) /* more than the host takes (net.core.optmem_max) */
#define MESSAGE_LIMIT 1024         /* UIO_MAXIOV: most messages in one sendmmsg */

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
    if (header->type == SCM_CREDENTIALS_ && count >= 3 && numbers[0] > 0)
        numbers[0] = (int32_t)exo_host_of_or_none((uint32_t)numbers[0]);
    for (uint64_t i = 0; header->type == SCM_RIGHTS_ && i < count; i++) {
        numbers[i] = exo_fd_host(numbers[i]);
        if (numbers[i] < 0)
            return -EBADF;
    }
    return 0;
}

/* Memory for control data of any size; NULL if there is none. */
static uint8_t *control_create(uint8_t *own, uint64_t size)
{
    if (size <= CONTROL_SIZE)
        return own;
    long got =
        HOST_6(__NR_mmap, 0, size, PROT_READ_ | PROT_WRITE_, MAP_PRIVATE_ | MAP_ANONYMOUS_, -1, 0);
    return got < 0 ? NULL : (uint8_t *)got;
}

static void control_free(const uint8_t *control, const uint8_t *own, uint64_t size)
{
    if (control != own && control != NULL)
        HOST_2(__NR_munmap, control, size);
}

static long send_translated(int host, struct k_msghdr *message, uint8_t *control, long flags)
{
    if (guest_read(control, message->control, message->control_size) != 0)
        return -EFAULT;
    long error = each_message(control, control + message->control_size, to_host, false);
    if (error != 0)
        return error;
    message->control = (uint64_t)control;
    return host_wait(__NR_sendmsg, host, (long)message, flags, 0, 0, 0);
}

static long send_one(int host, uint64_t from, long flags)
{
    struct k_msghdr message;
    uint8_t own[CONTROL_SIZE] __attribute__((aligned(8)));
    if (host < 0 || guest_get(&message, from) != 0 || message.control == 0 ||
        message.control_size == 0)
        return host_wait(__NR_sendmsg, host, (long)from, flags, 0, 0, 0);
    if (message.control_size > CONTROL_MAX_SIZE) /* refused, but for what is wrong before that */
        return host_wait(__NR_sendmsg, host, (long)&message, flags, 0, 0, 0);
    uint64_t size = message.control_size;
    uint8_t *control = control_create(own, size);
    long result = control == NULL ? -ENOBUFS : send_translated(host, &message, control, flags);
    control_free(control, own, size);
    return result;
}

/* Installs received fds. Those from the first on that finds no number are closed; how many stay. */
static uint64_t install_fds(int32_t *numbers, uint64_t count, bool cloexec)
{
    uint64_t kept = 0;
    for (uint64_t i = 0; i < count; i++) {
        if (kept < i) {
            HOST_1(__NR_close, numbers[i]);
            continue;
        }
        long fd = exo_fd_made(numbers[i], cloexec);
        if (fd >= 0)
            numbers[kept++] = (int32_t)fd;
    }
    return kept;
}

/* Makes one control message the guest's: how many of its bytes stay. */
static uint64_t receive_message(struct k_cmsghdr *header, bool cloexec, uint32_t *flags)
{
    int32_t *numbers = (int32_t *)(header + 1);
    uint64_t count = (header->size - sizeof(*header)) / 4;
    if (header->level != SOL_SOCKET_)
        return header->size;
    if (header->type == SCM_CREDENTIALS_ && count >= 3)
        numbers[0] = (int32_t)exo_tid_of((uint32_t)numbers[0]);
    if (header->type == SCM_PIDFD_ && count >= 1 && numbers[0] >= 0)
        numbers[0] = (int32_t)exo_fd_made(numbers[0], true);
    if (header->type != SCM_RIGHTS_)
        return header->size;
    uint64_t kept = install_fds(numbers, count, cloexec);
    *flags |= kept < count ? MSG_CTRUNC_ : 0;
    header->size = sizeof(*header) + kept * 4;
    return kept == 0 ? 0 : header->size;
}

/* Hands the control messages in [at, end) to the guest, at `to` in its memory. Where fds found no
 * number a message is cut short, or left out, as Linux does: MSG_CTRUNC in *flags. The space they
 * take, or -EFAULT. */
static long receive_control(uint64_t to, uint8_t *at, const uint8_t *end, bool cloexec,
                            uint32_t *flags)
{
    uint64_t used = 0;
    while (at + sizeof(struct k_cmsghdr) <= end) {
        struct k_cmsghdr *header = (struct k_cmsghdr *)at;
        uint64_t size = header->size, left = (uint64_t)(end - at);
        if (size < sizeof(*header) || size > left)
            break;
        uint64_t kept = receive_message(header, cloexec, flags);
        if (kept > 0 && guest_write(to + used, at, kept) != 0)
            return -EFAULT;
        uint64_t step = (size + 7) & ~7UL, room = (kept + 7) & ~7UL;
        step = step < left ? step : left;
        used += room < step ? room : step;
        at += step;
    }
    return (long)used;
}

static long receive_into(uint64_t at, struct k_msghdr *message, uint8_t *control, bool cloexec)
{
    uint64_t size = message->control_size;
    uint32_t flags = message->flags;
    if (guest_read(control, message->control, size) != 0)
        return -EFAULT;
    long left = receive_control(message->control, control, control + size, cloexec, &flags);
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
    uint8_t *control = size > CONTROL_MAX_SIZE ? NULL : control_create(own, size);
    if (control == NULL)
        return -ENOBUFS;
    long error = receive_into(at, &message, control, flags & MSG_CMSG_CLOEXEC_);
    control_free(control, own, size);
    return error;
}

SYSCALL(sendmsg)
{
    if (c & MSG_CMSG_COMPAT_)
        return -EINVAL;
    return send_one(exo_fd_or_bad((int)a), (uint64_t)b, c);
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
    long used = receive_control(guest_control, control, control + message->control_size,
                                flags & MSG_CMSG_CLOEXEC_, &message->flags);
    if (used < 0)
        return used;
    message->control_size = (uint64_t)used;
    return put_header(at, message) ? -EFAULT : got;
}

static long receive_one(int host, uint64_t at, long flags)
{
    struct k_msghdr message;
    uint8_t own[CONTROL_SIZE] __attribute__((aligned(8)));
    if (host < 0 || guest_get(&message, at) != 0 || message.control == 0 ||
        message.control_size == 0)
        return host_wait(__NR_recvmsg, host, (long)at, flags, 0, 0, 0);
    if (message.control_size > CONTROL_MAX_SIZE)
        message.control_size = CONTROL_MAX_SIZE;
    uint64_t size = message.control_size;
    uint8_t *control = control_create(own, size);
    if (control == NULL)
        return -ENOBUFS;
    long result = receive_copied(host, at, &message, control, flags);
    control_free(control, own, size);
    return result;
}

SYSCALL(recvmsg)
{
    if (c & MSG_CMSG_COMPAT_)
        return -EINVAL;
    return receive_one(exo_fd_or_bad((int)a), (uint64_t)b, c);
}

SYSCALL(recvmmsg)
{
    if (d & MSG_CMSG_COMPAT_)
        return -EINVAL;
    long count = host_wait(__NR_recvmmsg, exo_fd_or_bad((int)a), b, c, d, e, 0);
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
    if (d & MSG_CMSG_COMPAT_)
        return -EINVAL;
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
