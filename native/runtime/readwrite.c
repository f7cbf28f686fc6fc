/* read(2), write(2) and their like: the host's; what a signalfd tells is translated, and text below
 * /proc made anew.
 */
#include "proctext.h"
#include "signal.h"
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

/* -1 as fd for the host to refuse, in its own order. */
static long read_at(long a, long b, long c, long d, long e, long f, long offset)
{
    long nr = (long)area()->regs.nr;
    struct exo_fd *entry = exo_fd_entry((int)a);
    if (entry == NULL)
        return host_wait(nr, -1, b, c, d, e, f);
    uint16_t flags = entry->flags;
    if (unlikely(flags & EXO_FD_TEXT)) {
        long error = exo_text_before_read(entry, offset);
        if (error != 0)
            return error;
    }
    return host_wait(nr, entry->host, b, c, d, e, f);
}

SYSCALL(read)
{
    struct exo_fd *entry = exo_fd_entry((int)a);
    if (entry == NULL)
        return -EBADF;
    uint16_t flags = entry->flags;
    if (likely(!(flags & (EXO_FD_SIGNALS | EXO_FD_TEXT))))
        return host_wait(__NR_read, entry->host, b, c, 0, 0, 0);
    if (!(flags & EXO_FD_SIGNALS))
        return read_at(a, b, c, 0, 0, 0, -1);
    long size = EXO_WAIT(NULL, __NR_read, entry->host, b, c, 0, 0, 0);
    return size > 0 ? translate_signals((uint64_t)b, size) : size;
}

SYSCALL(pread64)
{
    return read_at(a, b, c, d, 0, 0, d < 0 ? 1 : d);
}

SYSCALL(readv)
{
    return read_at(a, b, c, 0, 0, 0, -1);
}

SYSCALL(preadv)
{
    return read_at(a, b, c, d, e, 0, d < 0 ? 1 : d);
}

SYSCALL(preadv2)
{
    return read_at(a, b, c, d, e, f, d < -1 ? 1 : d);
}

SYSCALL(write)
{
    int host = exo_fd_host((int)a);
    return host < 0 ? -EBADF : host_wait(__NR_write, host, b, c, 0, 0, 0);
}
