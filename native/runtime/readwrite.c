/* read(2), write(2): the host's; what a signalfd tells is translated. */
#include "translate.h"

#define SIGNALFD_SIGINFO_SIZE 128

/* The fields of struct signalfd_siginfo that translation needs. */
struct signalfd_head {
    uint32_t signo;
    int32_t error, code;
    uint32_t pid;
};

static long translate_signals(uint64_t from, long size)
{
    for (long at = 0; at + SIGNALFD_SIGINFO_SIZE <= size; at += SIGNALFD_SIGINFO_SIZE) {
        struct signalfd_head head;
        if (guest_get(&head, from + (uint64_t)at) != 0)
            return -EFAULT;
        struct k_siginfo info = {
            .signo = (int32_t)head.signo, .code = head.code, .pid = (int32_t)head.pid};
        exo_siginfo_to_guest(&info);
        head.pid = (uint32_t)info.pid;
        if (guest_put(from + (uint64_t)at, &head) != 0)
            return -EFAULT;
    }
    return size;
}

SYSCALL(read)
{
    struct exo_fd *entry = exo_fd_entry((int)a);
    if (entry == NULL)
        return -EBADF;
    bool signals = entry->flags & EXO_FD_SIGNALS;
    long size = host_wait(__NR_read, entry->host, b, c, 0, 0, 0);
    return unlikely(signals) && size > 0 ? translate_signals((uint64_t)b, size) : size;
}

SYSCALL(write)
{
    int host = exo_fd_host((int)a);
    return host < 0 ? -EBADF : host_wait(__NR_write, host, b, c, 0, 0, 0);
}
