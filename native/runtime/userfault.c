/* ioctl(2) on a userfaultfd(2): the host's, kept off the runtime's window and off what would carry
 * the host's fds and tids in messages.
 */
#include <linux/ioctl.h>
#include <linux/userfaultfd.h>

#include "translate.h"
#include "userfault.h"

#define MOVE 0xc028aa05      /* UFFDIO_MOVE: { to, from, size, ... } */
#define NEW_DEVICE_FD 0xaa00 /* USERFAULTFD_IOC_NEW, of /dev/userfaultfd */
/* DIFFERS: a userfaultfd tells of faults only, and not whose, as before Linux 4.11: messages would hold
 * the host's fds and tids, and a call that waits until its message is read a lock of the runtime. */
#define UNSERVED_FEATURES                                                                          \
    (UFFD_FEATURE_EVENT_FORK | UFFD_FEATURE_EVENT_REMAP | UFFD_FEATURE_EVENT_REMOVE |              \
     UFFD_FEATURE_EVENT_UNMAP | UFFD_FEATURE_THREAD_ID)

static long agree(int host, uint64_t at)
{
    struct uffdio_api wanted;
    if (guest_get(&wanted, at) != 0)
        return HOST_3(__NR_ioctl, host, UFFDIO_API, at);
    if (wanted.features & UNSERVED_FEATURES)
        wanted.features = UINT64_MAX; /* which the host refuses in its order of errors */
    long result = HOST_3(__NR_ioctl, host, UFFDIO_API, &wanted);
    if (result != 0 && result != -EINVAL)
        return result;
    wanted.features &= ~(uint64_t)UNSERVED_FEATURES;
    return guest_put(at, &wanted) != 0 ? -EFAULT : result;
}

static bool names_window(uint64_t start_at, uint64_t size_at)
{
    uint64_t start, size;
    return guest_get(&start, start_at) == 0 && guest_get(&size, size_at) == 0 &&
           in_window(start, size);
}

long exo_userfault_ioctl(int host, uint32_t command, uint64_t at)
{
    switch (command) {
    case UFFDIO_API:
        return agree(host, at);
    case NEW_DEVICE_FD:
        return exo_fd_made(HOST_3(__NR_ioctl, host, command, at), at & O_CLOEXEC_);
    case UFFDIO_REGISTER: /* { start, size, ... } */
        if (names_window(at, at + 8))
            return -EINVAL;
        break;
    case MOVE:
        if (names_window(at + 8, at + 16))
            return -ENOENT;
        break;
    default: /* the others need a range that is registered */
        break;
    }
    return host_wait(__NR_ioctl, host, command, (long)at, 0, 0, 0);
}
