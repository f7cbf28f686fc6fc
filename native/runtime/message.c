/* sendmsg(2), recvmsg(2), getsockopt(2): the host's sockets, with the fds and pids that control
 * messages and SO_PEERCRED hold translated.
 */
#include "sockhost.h"
#include "sockmsg.h"
#include "sockname.h"
#include "translate.h"

#define SCM_CREDENTIALS_ 2
#define SCM_PIDFD_ 4
#define SO_PEERPIDFD_ 77
#define MSG_CMSG_COMPAT_ 0x80000000L
#define MSG_WAITFORONE_ 0x10000
#define NOBODY 65534               /* the overflow ids */
#define CONTROL_SIZE 8192          /* on the stack; more is mapped */
#define CONTROL_MAX_SIZE (1 << 24) /* more than the host takes (net.core.optmem_max) */
#define MESSAGE_LIMIT 1024         /* UIO_MAXIOV: most messages in one sendmmsg */

struct k_mmsghdr {
    struct k_msghdr header;
    uint32_t size, pad;
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
        struct exo_fd *entry = exo_fd_entry(numbers[i]);
        if (entry != NULL && (entry->flags & EXO_FD_SOCKET))
            exo_sock_fly(entry);
        numbers[i] = exo_fd_host(numbers[i]);
        if (numbers[i] < 0)
            return -EBADF;
    }
    return 0;
}

/* Sockets that were to leave, and have not. */
static long stay(struct k_cmsghdr *header, UNUSED bool flag)
{
    const int32_t *numbers = (const int32_t *)(header + 1);
    uint64_t count = (header->size - sizeof(*header)) / 4;
    for (uint64_t i = 0; header->type == SCM_RIGHTS_ && i < count; i++) {
        struct exo_fd *entry = exo_fd_entry(numbers[i]);
        if (entry != NULL && (entry->flags & EXO_FD_SOCKET))
            exo_sock_unfly(entry);
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

static bool is_own(int fd)
{
    const struct exo_fd *entry = exo_fd_entry(fd);
    return entry != NULL && (load_relaxed(&entry->flags) & EXO_FD_SOCKET);
}

static long send_own(int fd, const struct k_msghdr *message, uint8_t *control, long flags)
{
    struct exo_rights rights = {.control = control, .size = message->control_size};
    long result;
    return exo_sock_message(fd, EXO_PIPE_WRITES, message, flags, &rights, &result) ? result
                                                                                   : -EBADF;
}

static long send_translated(int fd, int host, struct k_msghdr *message, uint8_t *control,
                            long flags)
{
    if (guest_read(control, message->control, message->control_size) != 0)
        return -EFAULT;
    uint64_t from = message->control, size = message->control_size;
    long error = each_message(control, control + size, to_host, false);
    if (error == 0 && is_own(fd)) {
        error = send_own(fd, message, control, flags);
    } else if (error == 0) {
        message->control = (uint64_t)control;
        error = host_wait(__NR_sendmsg, host, (long)message, flags, 0, 0, 0);
    }
    if (error < 0 && guest_read(control, from, size) == 0)
        each_message(control, control + size, stay, false);
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
    if (is_unix && message.name != 0 && message.name_size != 0)
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
    uint8_t *control = control_create(own, size);
    long result = control == NULL ? -ENOBUFS : send_translated(fd, host, &message, control, flags);
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
        long fd = exo_sock_land(numbers[i], cloexec);
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

/* Cuts a message to the room there is: fds that find none are closed; size 0: it is left out. */
static void fit_message(struct k_cmsghdr *header, uint64_t room, uint32_t *flags)
{
    const int32_t *numbers = (const int32_t *)(header + 1);
    if (header->size <= room)
        return;
    bool fds = header->level == SOL_SOCKET_ && header->type == SCM_RIGHTS_;
    uint64_t count = (header->size - sizeof(*header)) / 4;
    uint64_t fits = room < sizeof(*header) ? 0 : (room - sizeof(*header)) / 4;
    for (uint64_t i = fits; fds && i < count; i++)
        HOST_1(__NR_close, numbers[i]);
    header->size = fds && fits > 0 ? sizeof(*header) + fits * 4 : 0;
    *flags |= MSG_CTRUNC_;
}

/* The same of a socket of exo's, cut to the room that the guest has. */
static long exo_rights_give(struct exo_rights *rights, uint64_t to, uint64_t room, bool cloexec,
                            uint32_t *flags)
{
    uint64_t used = 0, at = 0;
    while (at + sizeof(struct k_cmsghdr) <= rights->size) {
        struct k_cmsghdr *header = (struct k_cmsghdr *)(rights->control + at);
        uint64_t size = header->size, step = (size + 7) & ~7UL;
        if (size < sizeof(*header) || size > rights->size - at)
            break;
        fit_message(header, room - used, flags);
        uint64_t kept = header->size == 0 ? 0 : receive_message(header, cloexec, flags);
        if (kept > 0 && guest_write(to + used, header, kept) != 0)
            return -EFAULT;
        uint64_t taken = (kept + 7) & ~7UL;
        used += taken < room - used ? taken : room - used;
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
    return send_one((int)a, (uint64_t)b, c);
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
    if (!is_own(fd))
        return false;
    *result = -EFAULT;
    if (guest_get(&message, at) != 0)
        return true;
    if (!exo_sock_message(fd, EXO_PIPE_READS, &message, flags, &rights, result))
        return false;
    if (*result < 0)
        return true;
    if (*result > 0)
        add_cred(fd, &rights);
    message.flags = (uint32_t)(flags & MSG_CMSG_CLOEXEC_) | (rights.cut ? MSG_CTRUNC_ : 0);
    if (message.name == 0 || *result == 0)
        message.name_size = 0;
    else
        exo_sock_sender(exo_fd_entry(fd), message.name, &message.name_size);
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
    return receive_one((int)a, (uint64_t)b, c);
}

/* recvmmsg of exo's own socket: waits for the first, as for all if MSG_WAITFORONE is not given.
 * DIFFERS: a timeout is looked at by nobody, as a stream has its own. */
static long receive_many(int fd, uint64_t at, long count, long flags, uint64_t timeout)
{
    int64_t limit[2];
    if (timeout != 0 && guest_get(&limit, timeout) != 0)
        return -EFAULT;
    if (timeout != 0 && (limit[0] < 0 || (uint64_t)limit[1] >= 1000000000))
        return -EINVAL;
    long all = (uint32_t)count > MESSAGE_LIMIT ? MESSAGE_LIMIT : (uint32_t)count;
    for (long i = 0; i < all; i++) {
        uint64_t header = at + (uint64_t)i * sizeof(struct k_mmsghdr);
        long got = receive_one(fd, header,
                               i > 0 && (flags & MSG_WAITFORONE_) ? flags | MSG_DONTWAIT_ : flags);
        if (got < 0)
            return i > 0 ? i : got;
        uint32_t size = (uint32_t)got;
        if (guest_put(header + offsetof(struct k_mmsghdr, size), &size) != 0)
            return -EFAULT;
        if (got == 0)
            return i + 1;
    }
    return timeout != 0 && guest_put(timeout, &limit) != 0 ? -EFAULT : all; /* what is left */
}

SYSCALL(recvmmsg)
{
    if (d & MSG_CMSG_COMPAT_)
        return -EINVAL;
    if (is_own((int)a))
        return receive_many((int)a, (uint64_t)b, c, d, (uint64_t)e);
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

SYSCALL(getsockopt)
{
    int32_t number;
    int host = exo_fd_host((int)a);
    if (host < 0)
        return -EBADF;
    struct exo_fd *entry = exo_fd_entry((int)a);
    long own_result;
    if (entry != NULL && (entry->flags & EXO_FD_SOCKET) &&
        exo_sock_option(entry, (int)b, (int)c, (uint64_t)d, (uint64_t)e, &own_result))
        return own_result;
    long error = host_wait(__NR_getsockopt, host, b, c, d, e, 0);
    if (error != 0 || b != SOL_SOCKET_ || (c != SO_PEERCRED_ && c != SO_PEERPIDFD_) ||
        guest_get(&number, d) != 0)
        return error;
    number = c == SO_PEERCRED_ ? (int32_t)exo_tid_of((uint32_t)number)
                               : (int32_t)exo_fd_made(number, true);
    return guest_put(d, &number);
}
