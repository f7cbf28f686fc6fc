/* ioctl(2): the host's, but for commands whose argument or result is an fd, a pid or a group. */
#include "epoll.h"
#include "pipe.h"
#include "sock.h"
#include "translate.h"
#include "userfault.h"

#define TIOCGPGRP_ 0x540f
#define TIOCSPGRP_ 0x5410
#define TIOCGSID_ 0x5429
#define TIOCGPTPEER_ 0x5441
#define FIONCLEX_ 0x5450
#define TCGETS_ 0x5401
#define FIOCLEX_ 0x5451
#define FIOGETOWN_ 0x8903
#define SIOCGPGRP_ 0x8904
#define FICLONE_ 0x40049409
#define FICLONERANGE_ 0x4020940d
#define FIDEDUPERANGE_ 0xc0189436
#define NSFS_TYPE 0xb7
#define KVM_TYPE 0xae

static long get_group(int host, long command, uint64_t to)
{
    uint32_t number;
    long error = HOST_3(__NR_ioctl, host, command, &number);
    if (error != 0)
        return error;
    int32_t group = (int32_t)number < 0
                        ? -(int32_t)exo_task_pgid_of_host(KR, (uint32_t) - (int32_t)number)
                        : (int32_t)exo_task_pgid_of_host(KR, number);
    return guest_put(to, &group);
}

/* The host's number of a group, or one that it has no group for. */
static int32_t host_group(uint32_t group)
{
    uint32_t host = exo_host_pgid(group);
    return host == 0 ? EXO_NO_HOST_PID : (int32_t)host;
}

/* TIOCSPGRP takes a group, the others a process or, negative, a group. What the host says of bad
 * ones depends on the file. */
static long set_group(int host, long command, uint64_t from)
{
    int32_t number;
    if (guest_get(&number, from) != 0)
        return host_wait(__NR_ioctl, host, command, (long)from, 0, 0, 0);
    if (number > 0 && command == TIOCSPGRP_) {
        int32_t group = host_group((uint32_t)number);
        /* The number of a process without a group: the host looks at its session. */
        number = group != EXO_NO_HOST_PID ? group : (int32_t)exo_host_of_or_none((uint32_t)number);
    } else if (number > 0)
        number = (int32_t)exo_host_of_or_none((uint32_t)number);
    else if (number < 0 && number != INT32_MIN && command != TIOCSPGRP_)
        number = -host_group((uint32_t)-number);
    return host_wait(__NR_ioctl, host, command, (long)&number, 0, 0, 0);
}

static long clone_range(int host, uint64_t from)
{
    int64_t range[4];
    if (guest_get(&range, from) != 0)
        return host_wait(__NR_ioctl, host, FICLONERANGE_, (long)from, 0, 0, 0);
    range[0] = exo_fd_or_bad((int)range[0]);
    return host_wait(__NR_ioctl, host, FICLONERANGE_, (long)range, 0, 0, 0);
}

/* The host knows whether the file takes ioctls at all: not if it was opened with O_PATH. */
static long set_cloexec(struct exo_fd *entry, bool on)
{
    if (HOST_3(__NR_ioctl, entry->host, FIONCLEX_, 0) != 0)
        return -EBADF;
    entry->flags &= (uint16_t) ~(EXO_FD_CLOEXEC | EXO_FD_HOST_CLOEXEC);
    entry->flags |= on ? EXO_FD_CLOEXEC : 0;
    return 0;
}

static long pipe_waiting(struct exo_fd *entry, uint64_t to)
{
    long size;
    while ((size = exo_pipe_waiting(entry)) == EXO_PIPE_AGAIN)
        if (!(load_relaxed(&entry->flags) & EXO_FD_PIPE))
            return host_wait(__NR_ioctl, entry->host, FIONREAD_, (long)to, 0, 0, 0);
    int32_t count = (int32_t)size;
    return guest_put(to, &count);
}

SYSCALL(ioctl)
{
    struct exo_fd *entry = exo_fd_entry((int)a);
    uint32_t command = (uint32_t)b;
    if (entry == NULL)
        return -EBADF;
    if (unlikely(entry->flags & EXO_FD_PIPE)) {
        if (command == FIONREAD_)
            return pipe_waiting(entry, (uint64_t)c);
        if (command != FIOCLEX_ && command != FIONCLEX_ && command != TCGETS_)
            exo_pipe_to_host(entry);
    }
    long result;
    if (unlikely(entry->flags & EXO_FD_SOCKET) &&
        exo_sock_ioctl(entry, command, (uint64_t)c, &result))
        return result;
    if (unlikely(entry->flags & EXO_FD_EVENT) && command != FIOCLEX_ && command != FIONCLEX_)
        exo_object_to_host(entry); /* FIONBIO */
    switch (command) {
    case TIOCGPGRP_:
    case TIOCGSID_:
    case FIOGETOWN_:
    case SIOCGPGRP_:
        return get_group(entry->host, command, (uint64_t)c);
    case TIOCSPGRP_:
    case FIOSETOWN_:
    case SIOCSPGRP_:
        return set_group(entry->host, command, (uint64_t)c);
    case FIOCLEX_:
    case FIONCLEX_:
        return set_cloexec(entry, command == FIOCLEX_);
    case FICLONE_: {
        return host_wait(__NR_ioctl, entry->host, command, exo_fd_or_bad((int)c), 0, 0, 0);
    }
    case FICLONERANGE_:
        return clone_range(entry->host, (uint64_t)c);
    case FIDEDUPERANGE_: /* DIFFERS: holds an array of fds; not translated yet: ENOTTY */
        return -ENOTTY;
    case TIOCGPTPEER_:
        return exo_fd_made(HOST_3(__NR_ioctl, entry->host, command, c), c & O_CLOEXEC_);
    default:
        break;
    }
    if (((command >> 8) & 0xff) == KVM_TYPE) /* DIFFERS: makes fds and maps of its own: ENOTTY */
        return -ENOTTY;
    if (((command >> 8) & 0xff) == NSFS_TYPE && (command & 0xff) <= 2)
        return exo_fd_made(HOST_3(__NR_ioctl, entry->host, command, c), true);
    if (((command >> 8) & 0xff) == EXO_USERFAULT_TYPE)
        return exo_userfault_ioctl(entry->host, command, (uint64_t)c);
    return host_wait(__NR_ioctl, entry->host, command, c, 0, 0, 0);
}
