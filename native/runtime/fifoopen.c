/* mknod(2) of FIFOs, and opening them: what a guest has made is served in the region (fifo.c), others stay the host's.
 *
 * The host opens: it finds the name, judges permissions, and waits for the other end. A FIFO is known by its
 * inode. Who opens it by a name that is known joins its pipe before the host's call, so that the other end
 * finds it there when the host's waiting ends; by another name, afterwards, and then what was written
 * in between has gone to the host. O_RDWR makes a FIFO the host's: who has both ends waits for nobody, so
 * nothing would tell that a process outside the instance is there to read.
 */
#include "fifo.h"
#include "process.h"
#include "translate.h"

#define LONGEST_NAME 255
#define STATX_BTIME_ 0x800U
#define STATX_INO_TYPE_BTIME 0x901U

struct k_statx {
    uint32_t mask, rest1[6];
    uint16_t mode, rest2;
    uint64_t ino, rest3[5];
    int64_t born_s; /* behind the time of access */
    uint32_t born_ns, rest4[11];
    uint32_t dev_major, dev_minor;
    uint64_t rest5[14];
};
_Static_assert(sizeof(struct k_statx) == 256 && offsetof(struct k_statx, mode) == 28 &&
                   offsetof(struct k_statx, ino) == 32 && offsetof(struct k_statx, born_s) == 80 &&
                   offsetof(struct k_statx, dev_major) == 136,
               "struct statx");

/* What it is known by; false if it is no FIFO. */
static bool get_key(uint64_t key[3], int dirfd, const char *path, long flags)
{
    struct k_statx stat;
    if (HOST_5(__NR_statx, dirfd, path, flags, STATX_INO_TYPE_BTIME, &stat) != 0 ||
        (stat.mode & S_IFMT_) != S_IFIFO_)
        return false;
    key[0] = stat.ino;
    key[1] = (uint64_t)stat.dev_major << 32 | stat.dev_minor;
    key[2] = stat.mask & STATX_BTIME_ ? (uint64_t)stat.born_s * 1000000000 + stat.born_ns : 0;
    return true;
}

/* Of the last component; 0: none, or too long to be one. */
static uint32_t hash_name(uint64_t path)
{
    uint32_t hash = 2166136261U;
    long byte, size = 0;
    for (uint64_t i = 0; (byte = guest_byte(path + i)) > 0 && i < EXO_PATH_SIZE; i++) {
        hash = byte == '/' ? 2166136261U : (hash ^ (uint32_t)byte) * 16777619U;
        size = byte == '/' ? 0 : size + 1;
    }
    return byte < 0 || size == 0 || size > LONGEST_NAME ? 0 : hash | 1;
}

static long note_made(long result, int dirfd, uint64_t path, long mode)
{
    uint64_t key[3];
    if (result == 0 && (mode & S_IFMT_) == S_IFIFO_ &&
        get_key(key, exo_dirfd_host(dirfd), (const char *)path, AT_SYMLINK_NOFOLLOW_))
        exo_fifo_note(KR, key, hash_name(path));
    return result;
}

SYSCALL(mknod)
{
    return note_made(exo_pass(a, b, c, d, e, f), AT_FDCWD_, (uint64_t)a, b);
}

SYSCALL(mknodat)
{
    return note_made(exo_pass(a, b, c, d, e, f), (int)a, (uint64_t)b, c);
}

/* Which end; negative: neither, or both. */
static int side_of(uint64_t flags)
{
    uint64_t mode = flags & (O_ACCMODE_ | O_PATH_);
    return mode == O_RDONLY_ ? EXO_PIPE_READS : mode == O_WRONLY_ ? EXO_PIPE_WRITES : -1;
}

void exo_fifo_expect(struct exo_fifo_open *open, int dirfd, const char *path, uint64_t flags)
{
    uint32_t name = hash_name((uint64_t)path);
    long links = flags & O_NOFOLLOW_ ? AT_SYMLINK_NOFOLLOW_ : 0;
    open->side = side_of(flags);
    if (open->side < 0 || name == 0 || exo_fifo_named(KR, name) == EXO_FIFO_NONE ||
        (area()->leader->flags & EXO_TASK_CHROOTED) || !get_key(open->key, dirfd, path, links))
        return;
    open->row = exo_fifo_find(KR, open->key);
    if (open->row != EXO_FIFO_NONE)
        open->pipe = exo_fifo_join(KR, open->row, open->key, open->side);
}

void exo_fifo_not_opened(const struct exo_fifo_open *open)
{
    if (open->pipe != 0)
        exo_fifo_part(KR, open->pipe, open->side);
}

/* The twin is to be as small as can be. Strangers may have put more into it already. */
static bool make_small(struct exo_pipe *pipe, int host)
{
    if (load_acquire(&pipe->nonblock) & EXO_FIFO_SMALL)
        return true;
    if (HOST_3(__NR_fcntl, host, F_SETPIPE_SZ_, EXO_PIPE_PAGE) != EXO_PIPE_PAGE)
        return false;
    fetch_or(&pipe->nonblock, EXO_FIFO_SMALL);
    return true;
}

/* It is not the FIFO that was expected, or none was. */
static bool join_late(struct exo_fifo_open *open, int host, uint64_t flags)
{
    exo_fifo_not_opened(open);
    *open = (struct exo_fifo_open){.side = side_of(flags)};
    if ((flags & O_PATH_) || !get_key(open->key, host, "", AT_EMPTY_PATH_))
        return false;
    open->row = exo_fifo_find(KR, open->key);
    if (open->row == EXO_FIFO_NONE)
        return false;
    if (open->side >= 0 && !(area()->leader->flags & EXO_TASK_CHROOTED))
        open->pipe = exo_fifo_join(KR, open->row, open->key, open->side);
    if (open->pipe != 0)
        return true;
    uint32_t pipe = exo_fifo_give_up(KR, open->row, open->key);
    if (pipe != 0)
        exo_pipe_leave(pipe, host);
    return false;
}

static bool is_expected(const struct exo_fifo_open *open, int host)
{
    uint64_t key[3];
    return open->pipe != 0 && get_key(key, host, "", AT_EMPTY_PATH_) &&
           memcmp(key, open->key, sizeof(key)) == 0;
}

static bool is_fifo(int host)
{
    struct k_stat stat;
    return HOST_2(__NR_fstat, host, &stat) == 0 && (stat.mode & S_IFMT_) == S_IFIFO_;
}

static void install(const struct exo_fifo_open *open, int fd, int host, uint64_t flags)
{
    struct exo_fd entry = {
        .host = host, .flags = EXO_FD_OPEN | EXO_FD_PIPE, .stamp = (uint16_t)open->pipe};
    entry.flags |= flags & O_CLOEXEC_ ? EXO_FD_CLOEXEC | EXO_FD_HOST_CLOEXEC : 0;
    entry.flags |= open->side == EXO_PIPE_WRITES ? EXO_FD_PIPE_WRITES : 0;
    exo_note_objects();
    exo_fd_put(KR, area()->task->fd_table, fd, entry);
    exo_object_hold(KR, 0);
}

bool exo_fifo_opened(struct exo_fifo_open *open, int fd, int host, uint64_t flags)
{
    if (open->pipe == 0 && !is_fifo(host))
        return false;
    if (!is_expected(open, host) && !join_late(open, host, flags))
        return false;
    struct exo_pipe *pipe = exo_pipe_at(KR, open->pipe);
    if (flags & O_NONBLOCK_)
        fetch_or(&pipe->nonblock, EXO_FIFO_ASKS);
    bool small = make_small(pipe, host);
    install(open, fd, host, flags);
    if (!small)
        exo_pipe_to_host(exo_fd_at(KR, area()->task->fd_table, fd));
    return true;
}
