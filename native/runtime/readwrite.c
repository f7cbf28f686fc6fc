/* read(2), write(2) and their like: the host's, or a pipe's of exo; what a signalfd tells is
 * translated, and text below /proc made anew.
 */
#include "epoll.h"
#include "event.h"
#include "pipe.h"
#include "proctext.h"
#include "signal.h"
#include "sock.h"
#include "translate.h"

#define SIGNALFD_SIGINFO_SIZE 128
#define PIECES 64

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
    if (unlikely(entry->flags & (EXO_FD_PIPE | EXO_FD_EVENT)))
        exo_object_to_host(entry);
    uint16_t flags = entry->flags;
    if (unlikely(flags & EXO_FD_TEXT)) {
        long error = exo_text_before_read(entry, offset);
        if (error != 0)
            return error;
    }
    return host_wait(nr, entry->host, b, c, d, e, f);
}

/* Of an end of exo's pipe or socket; false if it is not that any more. */
static bool object_takes(struct exo_fd *entry, int side, const uint64_t (*vector)[2], uint64_t size,
                         long *result)
{
    uint16_t flags;
    while ((flags = load_relaxed(&entry->flags)) & EXO_FD_STREAM) {
        struct exo_span span = {.vector = vector, .left = size};
        *result = !(flags & EXO_FD_SOCKET)  ? exo_pipe_transfer(entry, side, &span)
                  : side == EXO_PIPE_WRITES ? exo_sock_send(entry, &span, 0)
                  : size == 0               ? 0
                                            : exo_sock_receive(entry, &span, 0, NULL);
        if (likely(*result != EXO_PIPE_AGAIN))
            return true;
    }
    return false;
}

/* What no guest's buffer is: the host has its say about such, or there is nobody to ask. */
static bool is_odd(struct exo_fd *entry, long *result)
{
    *result = -EFAULT;
    if (!(load_relaxed(&entry->flags) & EXO_FD_SOCKET))
        exo_pipe_to_host(entry);
    return load_relaxed(&entry->flags) & EXO_FD_SOCKET;
}

static bool object_takes_one(struct exo_fd *entry, int side, long at, long size, long *result)
{
    if ((uint64_t)size > MAX_RW_COUNT && (size < 0 || !(entry->flags & EXO_FD_SOCKET)))
        return is_odd(entry, result);
    uint64_t whole = (uint64_t)size < MAX_RW_COUNT ? (uint64_t)size : MAX_RW_COUNT;
    const uint64_t vector[1][2] = {{(uint64_t)at, whole}};
    if ((uint64_t)at >= EXO_USER_END)
        return is_odd(entry, result);
    return object_takes(entry, side, vector, whole, result);
}

/* readv, writev: a few pieces of a pipe; more are the host's affair. Of a socket any number. */
static bool object_takes_vector(struct exo_fd *entry, int side, uint64_t from, uint64_t count,
                                long *result)
{
    uint64_t vector[PIECES][2], size = 0;
    if (entry->flags & EXO_FD_SOCKET) {
        *result = exo_sock_vector(entry, side, from, count, EXO_SOCK_FILE, NULL);
        return *result != EXO_SOCK_AGAIN;
    }
    bool plain = count <= PIECES && guest_read(vector, from, count * sizeof(vector[0])) == 0;
    for (uint64_t i = 0; plain && i < count; i++) {
        plain = vector[i][1] <= MAX_RW_COUNT && vector[i][0] < EXO_USER_END;
        size += vector[i][1];
    }
    if (!plain || size > MAX_RW_COUNT) {
        exo_pipe_to_host(entry);
        return false;
    }
    return object_takes(entry, side, (const uint64_t(*)[2])vector, size, result);
}

/* Of an eventfd of exo's, as pipe_takes(). */
static bool event_takes(struct exo_fd *entry, bool writes, long at, long size, long *result)
{
    while (load_relaxed(&entry->flags) & EXO_FD_EVENT) {
        *result = writes ? exo_event_write(entry, (uint64_t)at, (uint64_t)size)
                         : exo_event_read(entry, (uint64_t)at, (uint64_t)size);
        if (likely(*result != EXO_EVENT_AGAIN))
            return true;
    }
    return false;
}

SYSCALL(read)
{
    struct exo_fd *entry = exo_fd_entry((int)a);
    long result;
    if (entry == NULL)
        return -EBADF;
    uint16_t flags = entry->flags;
    if (flags & EXO_FD_STREAM) {
        if (likely(object_takes_one(entry, EXO_PIPE_READS, b, c, &result)))
            return result;
        flags = entry->flags;
    }
    if ((flags & EXO_FD_EVENT) && event_takes(entry, false, b, c, &result))
        return result;
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
    struct exo_fd *entry = exo_fd_entry((int)a);
    long result;
    if (entry != NULL && unlikely(entry->flags & EXO_FD_STREAM) &&
        object_takes_vector(entry, EXO_PIPE_READS, (uint64_t)b, (uint64_t)c, &result))
        return result;
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
    struct exo_fd *entry = exo_fd_entry((int)a);
    long result;
    if (entry == NULL)
        return -EBADF;
    if ((entry->flags & EXO_FD_STREAM) && object_takes_one(entry, EXO_PIPE_WRITES, b, c, &result))
        return result;
    if ((entry->flags & EXO_FD_EVENT) && event_takes(entry, true, b, c, &result))
        return result;
    return host_wait(__NR_write, entry->host, b, c, 0, 0, 0);
}

SYSCALL(writev)
{
    struct exo_fd *entry = exo_fd_entry((int)a);
    long result;
    if (entry == NULL)
        return host_wait(__NR_writev, -1, b, c, 0, 0, 0);
    if (unlikely(entry->flags & EXO_FD_EVENT))
        exo_object_to_host(entry);
    if (unlikely(entry->flags & EXO_FD_STREAM) &&
        object_takes_vector(entry, EXO_PIPE_WRITES, (uint64_t)b, (uint64_t)c, &result))
        return result;
    return host_wait(__NR_writev, entry->host, b, c, 0, 0, 0);
}
