/* ioctl(2): the host's, but for commands whose argument or result is an fd, a pid or a group. */
#include "translate.h"

#define TIOCGPGRP_ 0x540f
#define TIOCSPGRP_ 0x5410
#define TIOCGSID_ 0x5429
#define TIOCGPTPEER_ 0x5441
#define FIONCLEX_ 0x5450
#define FIOCLEX_ 0x5451
#define FIOSETOWN_ 0x8901
#define SIOCSPGRP_ 0x8902
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

static long set_group(int host, long command, uint64_t from)
{
    int32_t group;
    if (guest_get(&group, from) != 0)
        return -EFAULT;
    if (group < 0 && command == TIOCSPGRP_)
        return -EINVAL;
    uint32_t number = group < 0               ? exo_host_pgid((uint32_t)-group)
                      : command == TIOCSPGRP_ ? exo_host_pgid((uint32_t)group)
                                              : exo_host_of((uint32_t)group);
    if (number == 0 && group != 0)
        return -ESRCH;
    int32_t host_group = group < 0 ? -(int32_t)number : (int32_t)number;
    return host_wait(__NR_ioctl, host, command, (long)&host_group, 0, 0, 0);
}

static long clone_range(int host, uint64_t from)
{
    int64_t range[4];
    if (guest_get(&range, from) != 0)
        return -EFAULT;
    range[0] = exo_fd_host((int)range[0]);
    return range[0] < 0 ? -EBADF : host_wait(__NR_ioctl, host, FICLONERANGE_, (long)range, 0, 0, 0);
}

SYSCALL(ioctl)
{
    struct exo_fd *entry = exo_fd_entry((int)a);
    uint32_t command = (uint32_t)b;
    if (entry == NULL)
        return -EBADF;
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
        entry->flags |= EXO_FD_CLOEXEC;
        return 0;
    case FIONCLEX_:
        entry->flags &= (uint16_t)~EXO_FD_CLOEXEC;
        return 0;
    case FICLONE_: {
        int source = exo_fd_host((int)c);
        return source < 0 ? -EBADF : host_wait(__NR_ioctl, entry->host, command, source, 0, 0, 0);
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
    return host_wait(__NR_ioctl, entry->host, command, c, 0, 0, 0);
}
