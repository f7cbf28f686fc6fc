/* splice(2), tee(2) and vmsplice(2): who is served where. Between pipes of exo's, and between them and
 * regular files and memory: in the region (splicepipe.c); a pipe and a socket of exo's: sockfile.c;
 * all else is the host's, and so are pipes then.
 */
#include "pipe.h"
#include "process.h"
#include "sock.h"
#include "translate.h"

#define KNOWN_FLAGS 0xfU
#define PIECES 64

static uint64_t at_most(uint64_t size)
{
    return size < MAX_RW_COUNT ? size : MAX_RW_COUNT;
}

/* An end of exo's pipe that this call may use so. */
static bool is_end(const struct exo_fd *at, int side)
{
    uint16_t flags = at == NULL ? 0 : load_relaxed(&at->flags);
    return (flags & EXO_FD_PIPE) &&
           ((flags & EXO_FD_PIPE_WRITES) != 0) == (side == EXO_PIPE_WRITES);
}

static bool is_pipe(const struct exo_fd *at)
{
    return at != NULL && (load_relaxed(&at->flags) & EXO_FD_PIPE);
}

static bool is_wrong(const struct exo_fd *from, const struct exo_fd *to)
{
    return (is_pipe(from) && !is_end(from, EXO_PIPE_READS)) ||
           (is_pipe(to) && !is_end(to, EXO_PIPE_WRITES));
}

static bool is_offset_wrong(const struct exo_fd *from, const struct exo_fd *to,
                            const uint64_t offset_at[2])
{
    return (is_pipe(from) && offset_at[0] != 0) || (is_pipe(to) && offset_at[1] != 0);
}

/* What is plain about a file: it is one of the host's, and the guest's as it is. */
static bool is_file(const struct exo_fd *at, long *flags)
{
    struct k_stat stat;
    if (at == NULL || (load_relaxed(&at->flags) &
                       (EXO_FD_OBJECT | EXO_FD_DIRECTORY | EXO_FD_SIGNALS | EXO_FD_TEXT)))
        return false;
    int host = load_relaxed(&at->host);
    *flags = HOST_2(__NR_fcntl, host, F_GETFL_);
    return host >= 0 && *flags >= 0 && !(*flags & (O_PATH_ | O_DIRECT_)) &&
           HOST_2(__NR_fstat, host, &stat) == 0 && (stat.mode & S_IFMT_) == S_IFREG_;
}

static long with_file(struct exo_fd *from, struct exo_fd *to, uint64_t offset_at, uint64_t size,
                      long flags)
{
    bool reads = is_pipe(to);
    struct exo_fd *other = reads ? from : to;
    int64_t offset;
    struct exo_splice_file file = {.host = load_relaxed(&other->host)};
    long mode;
    if (!is_file(other, &mode))
        return EXO_PIPE_AGAIN;
    if (offset_at != 0 && guest_get(&offset, offset_at) != 0)
        return -EFAULT;
    file.offset = offset_at != 0 ? &offset : NULL;
    if ((mode & O_ACCMODE_) == (reads ? O_WRONLY_ : O_RDONLY_))
        return -EBADF;
    if ((!reads && ((mode & O_APPEND_) || (int64_t)size < 0)) || (offset_at != 0 && offset < 0))
        return -EINVAL;
    size = at_most(size);
    long done = reads ? exo_pipe_from_file(to, &file, size, flags)
                      : exo_pipe_to_file(from, &file, size, flags);
    if (offset_at != 0 && done > 0 && guest_put(offset_at, &offset) != 0)
        return -EFAULT;
    return done;
}

/* At least one of both is a pipe of exo's, and the other no socket of its. */
static long splice(struct exo_fd *from, struct exo_fd *to, const uint64_t offset_at[2],
                   uint64_t size, long flags)
{
    if (is_offset_wrong(from, to, offset_at))
        return -ESPIPE;
    if (!is_pipe(from) || !is_pipe(to))
        return with_file(from, to, offset_at[is_pipe(from) ? 1 : 0], size, flags);
    if (load_relaxed(&from->stamp) == load_relaxed(&to->stamp))
        return -EINVAL;
    return exo_pipe_splice(from, to, at_most(size), flags, false);
}

SYSCALL(splice)
{
    struct exo_fd *from = exo_fd_entry((int)a), *to = exo_fd_entry((int)c);
    const uint64_t offset_at[2] = {(uint64_t)b, (uint64_t)d};
    uint64_t size = (uint64_t)e;
    uint32_t flags = (uint32_t)f;
    if (exo_sock_is((int)a) || exo_sock_is((int)c))
        return exo_sock_splice(a, b, c, d, e, f);
    long error = flags & ~KNOWN_FLAGS ? -EINVAL : from == NULL || to == NULL ? -EBADF : 0;
    if (size == 0 || error != 0)
        return size == 0 ? 0 : error;
    while (is_pipe(from) || is_pipe(to)) {
        if (is_wrong(from, to))
            return is_offset_wrong(from, to, offset_at) ? -ESPIPE : -EBADF;
        long result = splice(from, to, offset_at, size, flags);
        if (likely(result != EXO_PIPE_AGAIN))
            return result;
        if (!is_pipe(from) || !is_pipe(to))
            break;
    }
    return exo_pass(a, b, c, d, e, f);
}

SYSCALL(tee)
{
    struct exo_fd *from = exo_fd_entry((int)a), *to = exo_fd_entry((int)b);
    uint64_t size = at_most((uint64_t)c);
    uint32_t flags = (uint32_t)d;
    long error = flags & ~KNOWN_FLAGS ? -EINVAL : 0;
    if (size == 0 || error != 0)
        return error;
    if (from == NULL || to == NULL || is_wrong(from, to))
        return -EBADF;
    while (is_pipe(from) && is_pipe(to)) {
        if (load_relaxed(&from->stamp) == load_relaxed(&to->stamp))
            return -EINVAL;
        long result = exo_pipe_splice(from, to, size, flags, true);
        if (likely(result != EXO_PIPE_AGAIN))
            return result;
    }
    return exo_pass(a, b, c, d, e, f);
}

/* The vector, if it is a plain one: bytes, or -1. */
static long get_vector(uint64_t (*vector)[2], uint64_t from, uint64_t count)
{
    uint64_t size = 0;
    if (count > PIECES || guest_read(vector, from, count * sizeof(vector[0])) != 0)
        return -1;
    for (uint64_t i = 0; i < count; i++) {
        if (vector[i][1] > MAX_RW_COUNT || vector[i][0] >= EXO_USER_END)
            return -1;
        size += vector[i][1];
    }
    return size > MAX_RW_COUNT ? -1 : (long)size;
}

SYSCALL(vmsplice)
{
    struct exo_fd *at = exo_fd_entry((int)a);
    uint64_t vector[PIECES][2];
    uint32_t flags = (uint32_t)d;
    long size =
        is_pipe(at) && !(flags & ~KNOWN_FLAGS) ? get_vector(vector, (uint64_t)b, (uint64_t)c) : -1;
    while (size > 0 && is_pipe(at)) {
        const uint64_t(*pieces)[2] = (const uint64_t(*)[2])vector;
        struct exo_span span = {.vector = pieces, .left = (uint64_t)size};
        long result = is_end(at, EXO_PIPE_WRITES)
                          ? exo_pipe_from_memory(at, pieces, (uint64_t)c, flags)
                          : exo_pipe_to_memory(at, &span, flags);
        if (likely(result != EXO_PIPE_AGAIN))
            return result;
    }
    return exo_pass(a, b, c, d, e, f);
}
