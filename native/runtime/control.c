/* Control messages: the fds and pids in them translated, on their way to the host and back. sendmsg.c and
 * recvmsg.c call this. Source: cmsg(3), unix(7).
 */
#include "control.h"
#include "epoll.h"
#include "sock.h"
#include "translate.h"

#define SCM_PIDFD_ 4

/* Calls act on every control message in [at, end) of runtime memory. */
static long each_message(uint8_t *at, uint8_t *end, long (*act)(struct k_cmsghdr *, uint32_t),
                         uint32_t carrier)
{
    while (at + sizeof(struct k_cmsghdr) <= end) {
        struct k_cmsghdr *header = (struct k_cmsghdr *)at;
        if (header->size < sizeof(*header) || header->size > (uint64_t)(end - at))
            break;
        long error = header->level == SOL_SOCKET_ ? act(header, carrier) : 0;
        if (error != 0)
            return error;
        at += (header->size + 7) & ~7UL;
    }
    return 0;
}

static long to_host(struct k_cmsghdr *header, uint32_t carrier)
{
    int32_t *numbers = (int32_t *)(header + 1);
    uint64_t count = (header->size - sizeof(*header)) / 4;
    if (header->type == SCM_CREDENTIALS_ && count >= 3 && numbers[0] > 0)
        numbers[0] = (int32_t)exo_host_of_or_none((uint32_t)numbers[0]);
    for (uint64_t i = 0; header->type == SCM_RIGHTS_ && i < count; i++) {
        struct exo_fd *entry = exo_fd_entry(numbers[i]);
        if (entry != NULL && (entry->flags & EXO_FD_SOCKET))
            exo_sock_leave(entry, carrier);
        bool set = entry != NULL && exo_set_leave(entry, carrier);
        numbers[i] = set ? exo_fd_twin(numbers[i]) : exo_fd_host(numbers[i]);
        if (numbers[i] < 0)
            return -EBADF;
    }
    return 0;
}

/* Sockets and sets that were to leave, and have not. */
static long stay(struct k_cmsghdr *header, uint32_t carrier)
{
    const int32_t *numbers = (const int32_t *)(header + 1);
    uint64_t count = (header->size - sizeof(*header)) / 4;
    for (uint64_t i = 0; header->type == SCM_RIGHTS_ && i < count; i++) {
        struct exo_fd *entry = exo_fd_entry(numbers[i]);
        if (entry != NULL && (entry->flags & EXO_FD_SOCKET))
            exo_sock_stay(entry, carrier);
        if (entry != NULL)
            exo_set_stay(entry, carrier);
    }
    return 0;
}

long exo_control_to_host(uint8_t *control, uint64_t size, uint32_t carrier)
{
    return each_message(control, control + size, to_host, carrier);
}

void exo_control_stays(uint8_t *control, uint64_t size, uint32_t carrier)
{
    each_message(control, control + size, stay, carrier);
}

uint8_t *exo_control_create(uint8_t *own, uint64_t size)
{
    if (size <= CONTROL_SIZE)
        return own;
    long got =
        HOST_6(__NR_mmap, 0, size, PROT_READ_ | PROT_WRITE_, MAP_PRIVATE_ | MAP_ANONYMOUS_, -1, 0);
    return got < 0 ? NULL : (uint8_t *)got;
}

void exo_control_free(const uint8_t *control, const uint8_t *own, uint64_t size)
{
    if (control != own && control != NULL)
        HOST_2(__NR_munmap, control, size);
}

/* Installs received fds. Those from the first on that finds no number are closed; how many stay. */
static uint64_t install_fds(int32_t *numbers, uint64_t count, uint32_t carrier, bool cloexec)
{
    uint64_t kept = 0;
    for (uint64_t i = 0; i < count; i++) {
        if (kept < i) {
            exo_sock_crash(numbers[i], carrier);
            continue;
        }
        long fd = exo_sock_land(numbers[i], carrier, cloexec);
        if (fd >= 0)
            numbers[kept++] = (int32_t)fd;
    }
    return kept;
}

/* Makes one control message the guest's: how many of its bytes stay. */
static uint64_t receive_message(struct k_cmsghdr *header, uint32_t carrier, bool cloexec,
                                uint32_t *flags)
{
    int32_t *numbers = (int32_t *)(header + 1);
    uint64_t count = (header->size - sizeof(*header)) / 4;
    if (header->level != SOL_SOCKET_)
        return header->size;
    if (header->type == SCM_CREDENTIALS_ && count >= 1) /* cut short, too */
        numbers[0] = (int32_t)exo_tid_of((uint32_t)numbers[0]);
    if (header->type == SCM_PIDFD_ && count >= 1 && numbers[0] >= 0)
        numbers[0] = (int32_t)exo_fd_made(numbers[0], true);
    if (header->type != SCM_RIGHTS_)
        return header->size;
    uint64_t kept = install_fds(numbers, count, carrier, cloexec);
    *flags |= kept < count ? MSG_CTRUNC_ : 0;
    header->size = sizeof(*header) + kept * 4;
    return kept == 0 ? 0 : header->size;
}

long exo_control_receive(uint64_t to, uint8_t *at, const uint8_t *end, bool cloexec,
                         uint32_t *flags)
{
    uint64_t used = 0;
    while (at + sizeof(struct k_cmsghdr) <= end) {
        struct k_cmsghdr *header = (struct k_cmsghdr *)at;
        uint64_t size = header->size, left = (uint64_t)(end - at);
        if (size < sizeof(*header) || size > left)
            break;
        uint64_t kept = receive_message(header, 0, cloexec, flags);
        if (kept > 0 && guest_write(to + used, at, kept) != 0)
            return -EFAULT;
        uint64_t step = (size + 7) & ~7UL, room = (kept + 7) & ~7UL;
        step = step < left ? step : left;
        used += room < step ? room : step;
        at += step;
    }
    return (long)used;
}

/* Cuts fds to the room there is: those that find none are closed; size 0: there is none. */
static void fit_fds(struct k_cmsghdr *header, uint64_t room, uint32_t carrier, uint32_t *flags)
{
    const int32_t *numbers = (const int32_t *)(header + 1);
    uint64_t count = (header->size - sizeof(*header)) / 4;
    uint64_t fits = room < sizeof(*header) ? 0 : (room - sizeof(*header)) / 4;
    for (uint64_t i = fits; i < count; i++)
        exo_sock_crash(numbers[i], carrier);
    header->size = fits > 0 ? sizeof(*header) + fits * 4 : 0;
    *flags |= MSG_CTRUNC_;
}

/* Makes a message the guest's, as much of it as there is room for: how many bytes. */
static uint64_t fit_message(struct k_cmsghdr *header, uint64_t room, uint32_t carrier, bool cloexec,
                            uint32_t *flags)
{
    bool fds = header->level == SOL_SOCKET_ && header->type == SCM_RIGHTS_;
    if (fds && header->size > room)
        fit_fds(header, room, carrier, flags);
    uint64_t kept = header->size == 0 ? 0 : receive_message(header, carrier, cloexec, flags);
    if (kept <= room)
        return kept;
    *flags |= MSG_CTRUNC_;
    header->size = room;
    return room < sizeof(*header) ? 0 : room;
}

long exo_rights_give(struct exo_rights *rights, uint64_t to, uint64_t room, bool cloexec,
                     uint32_t *flags)
{
    uint64_t used = 0, at = 0;
    while (at + sizeof(struct k_cmsghdr) <= rights->size) {
        struct k_cmsghdr *header = (struct k_cmsghdr *)(rights->control + at);
        uint64_t size = header->size, step = (size + 7) & ~7UL;
        if (size < sizeof(*header) || size > rights->size - at)
            break;
        uint64_t kept = fit_message(header, room - used, rights->carrier, cloexec, flags);
        if (kept > 0 && guest_write(to + used, header, kept) != 0)
            return -EFAULT;
        uint64_t taken = (kept + 7) & ~7UL;
        used += taken < room - used ? taken : room - used;
        at += step;
    }
    return (long)used;
}
