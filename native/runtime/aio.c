/* The kernel's asynchronous I/O: io_setup(2), io_submit(2). The host's, with fds translated where
 * they differ; the rest of the family passes (io_pgetevents(2) is in poll.c).
 */
#include <linux/aio_abi.h>

#include "translate.h"

/* A number in a control block that the host has another one for. */
static bool differs(uint32_t fd)
{
    return exo_fd_or_bad((int)fd) != (int)fd;
}

static bool needs_translation(const struct iocb *block)
{
    return differs(block->aio_fildes) ||
           ((block->aio_flags & IOCB_FLAG_RESFD) && differs(block->aio_resfd));
}

static bool some_differ(uint64_t pointers, int64_t count)
{
    struct iocb block;
    uint64_t at;
    for (int64_t i = 0; i < count; i++) {
        if (guest_get(&at, pointers + (uint64_t)i * sizeof(at)) != 0 || guest_get(&block, at) != 0)
            return false; /* the host says EFAULT, having submitted what comes before */
        if (needs_translation(&block))
            return true;
    }
    return false;
}

static void replace(uint64_t at, uint32_t from, uint32_t to)
{
    if (from != to)
        guest_exchange(at, &from, to); /* not if it has been put to another use meanwhile */
}

/* The host knows a request by its block's address, so the block itself has the host's numbers for
 * as long as it reads them. */
static long submit_one(long context, uint64_t pointer)
{
    struct iocb block;
    uint64_t at;
    if (guest_get(&at, pointer) != 0 || guest_get(&block, at) != 0)
        return HOST_3(__NR_io_submit, context, 1, pointer);
    bool notifies = block.aio_flags & IOCB_FLAG_RESFD;
    uint64_t fd_at = at + offsetof(struct iocb, aio_fildes);
    uint64_t notify_at = at + offsetof(struct iocb, aio_resfd);
    uint32_t fd = block.aio_fildes, host = (uint32_t)exo_fd_or_bad((int)fd);
    uint32_t notify = block.aio_resfd;
    uint32_t notify_host = notifies ? (uint32_t)exo_fd_or_bad((int)notify) : notify;
    replace(fd_at, fd, host);
    replace(notify_at, notify, notify_host);
    long result = HOST_3(__NR_io_submit, context, 1, pointer);
    replace(fd_at, host, fd);
    replace(notify_at, notify_host, notify);
    return result;
}

SYSCALL(io_submit)
{
    if (!some_differ((uint64_t)c, b))
        return HOST_3(__NR_io_submit, a, b, c);
    for (int64_t i = 0; i < b; i++) {
        long result = submit_one(a, (uint64_t)c + (uint64_t)i * sizeof(uint64_t));
        if (result != 1)
            return i > 0 ? i : result;
    }
    return b;
}

/* A context is the address of a mapping that the host has made. */
SYSCALL(io_setup)
{
    uint64_t context;
    long result = HOST_2(__NR_io_setup, a, b);
    if (result != 0 || guest_get(&context, b) != 0 || !in_window(context, 1))
        return result;
    HOST_1(__NR_io_destroy, context);
    context = 0;
    guest_put(b, &context);
    return -ENOMEM;
}
