/* What a file or directory is called and what it holds: stat(2), readlink(2), getdents64(2),
 * getcwd(2), chdir(2). Ordinary files are the host's; see path.c for what is below /proc, and
 * EXO_FD_DIRECTORY in abi.h for directories that exo makes.
 */
#include "path.h"
#include "pipe.h"
#include "proctext.h"
#include "translate.h"

#define MODE_DIRECTORY (S_IFDIR_ | 0555)
#define STATX_MODE_OFFSET 28
#define STATX_NLINK_OFFSET 16
#define DIRENT_HEADER 19 /* offset of d_name in linux_dirent64 */

static bool has_flag(int fd, uint16_t flag)
{
    struct exo_fd *entry = exo_fd_entry(fd);
    return entry != NULL && (entry->flags & flag);
}

static bool is_made_directory(int fd)
{
    return has_flag(fd, EXO_FD_DIRECTORY);
}

static long stat_text(int fd, uint64_t to)
{
    struct k_stat stat;
    long error = exo_text_stat(exo_fd_entry(fd), &stat);
    return error ? error : guest_put(to, &stat);
}

/* A directory we made is a memfd to the host: shows it as what the guest takes it for. */
static long fix_stat(uint64_t stat)
{
    struct k_stat fixed;
    if (guest_get(&fixed, stat) != 0)
        return -EFAULT;
    fixed.mode = MODE_DIRECTORY;
    fixed.nlink = 2;
    fixed.size = 0;
    return guest_put(stat, &fixed);
}

/* That it is a regular file is kept, for sendfile(2): it stays one. */
static void keep_kind(struct exo_fd *at, struct exo_fd was, uint64_t stat)
{
    uint32_t mode;
    struct exo_fd becomes = was;
    becomes.stamp = EXO_FILE_REGULAR;
    if (!(was.flags & EXO_FD_FILE) || was.stamp != 0 ||
        guest_get(&mode, stat + offsetof(struct k_stat, mode)) != 0 || (mode & S_IFMT_) != S_IFREG_)
        return;
    exo_fd_change(KR, area()->task->fd_table, at, was, becomes);
}

static long stat_fd(int fd, uint64_t to)
{
    int host = exo_fd_twin(fd);
    if (host < 0)
        return -EBADF;
    struct exo_fd *at = exo_fd_entry(fd), was = exo_fd_now(at);
    if (unlikely(was.flags & EXO_FD_TEXT))
        return stat_text(fd, to);
    long error = host_wait(__NR_fstat, host, (long)to, 0, 0, 0, 0);
    if (error == 0 && unlikely(was.flags & EXO_FD_DIRECTORY))
        return fix_stat(to);
    if (error == 0 && was.host == host)
        keep_kind(at, was, to);
    return error;
}

SYSCALL(fstat)
{
    return stat_fd((int)a, (uint64_t)b);
}

#define TEXT_OF(x) #x
#define TEXT(x) TEXT_OF(x)

/* The *at calls whose path may be empty: the host's arguments for it. */
static long host_place(struct exo_path *path, int dirfd, uint64_t guest_path, int *host_dirfd,
                       long *host_path)
{
    long kind = exo_path_resolve(path, dirfd, guest_path);
    if (kind < 0)
        return kind;
    *host_dirfd = kind > EXO_PATH_PLAIN ? AT_FDCWD_ : exo_dirfd_host(dirfd);
    *host_path = kind > EXO_PATH_PLAIN ? (long)path->host : (long)guest_path;
    return kind;
}

/* lstat of /proc/PID/exe: that of our fd for it would say other things. */
static const char *unfollowed(const struct exo_path *path, int flags)
{
    static const char self_exe[] = "/proc/self/exe";
    return path->exe && (flags & AT_SYMLINK_NOFOLLOW_) ? self_exe : path->host;
}

WITH_PATH static long newfstatat_special(long a, long b, long c, long d)
{
    struct exo_path path;
    int dirfd;
    long host_path;
    long kind = host_place(&path, (int)a, (uint64_t)b, &dirfd, &host_path);
    if (kind < 0)
        return kind;
    if (kind > EXO_PATH_PLAIN)
        host_path = (long)unfollowed(&path, (int)d);
    long error = host_wait(__NR_newfstatat, dirfd, host_path, c, d, 0, 0);
    bool by_fd = error == 0 && (d & AT_EMPTY_PATH_) && kind == EXO_PATH_PLAIN &&
                 guest_byte((uint64_t)b) <= 0;
    if (unlikely(by_fd && has_flag((int)a, EXO_FD_TEXT)))
        return stat_text((int)a, (uint64_t)c);
    return unlikely(by_fd && is_made_directory((int)a)) ? fix_stat((uint64_t)c) : error;
}

SYSCALL(newfstatat)
{
    if (d == AT_EMPTY_PATH_ && (int)a >= 0 && guest_byte((uint64_t)b) == 0) /* libc's fstat() */
        return stat_fd((int)a, (uint64_t)c);
    if ((d & AT_EMPTY_PATH_) || exo_path_may_be_special((int)a, (uint64_t)b))
        return newfstatat_special(a, b, c, d);
    return host_wait(__NR_newfstatat, exo_dirfd_host((int)a), b, c, d, 0, 0);
}

WITH_PATH static long statx_special(long a, long b, long c, long d, long e)
{
    struct exo_path path;
    int dirfd;
    long host_path;
    long kind = host_place(&path, (int)a, (uint64_t)b, &dirfd, &host_path);
    if (kind < 0)
        return kind;
    if (kind > EXO_PATH_PLAIN)
        host_path = (long)unfollowed(&path, (int)c);
    long error = host_wait(__NR_statx, dirfd, host_path, c, d, e, 0);
    bool by_fd = (c & AT_EMPTY_PATH_) && kind == EXO_PATH_PLAIN && is_made_directory((int)a);
    if (error != 0 || likely(!by_fd))
        return error;
    uint16_t mode = MODE_DIRECTORY;
    uint32_t links = 2;
    error = guest_put((uint64_t)e + STATX_MODE_OFFSET, &mode);
    return error ? error : guest_put((uint64_t)e + STATX_NLINK_OFFSET, &links);
}

SYSCALL(statx)
{
    if ((c & AT_EMPTY_PATH_) || exo_path_may_be_special((int)a, (uint64_t)b))
        return statx_special(a, b, c, d, e);
    return host_wait(__NR_statx, exo_dirfd_host((int)a), b, c, d, e, 0);
}

WITH_PATH static long readlink_special(int dirfd, uint64_t guest_path, uint64_t to, long size)
{
    struct exo_path path;
    int host_dirfd;
    long host_path;
    long kind = host_place(&path, dirfd, guest_path, &host_dirfd, &host_path);
    if (kind < 0)
        return kind;
    if (size <= 0)
        return -EINVAL;
    if (kind == EXO_PATH_PLAIN || path.link == NULL)
        return host_wait(__NR_readlinkat, host_dirfd, host_path, (long)to, size, 0, 0);
    long link_size = (long)strlen(path.link);
    link_size = link_size < size ? link_size : size;
    return guest_write(to, path.link, (uint64_t)link_size) ? -EFAULT : link_size;
}

/* Every static program of glibc's asks this at its start. */
static bool asks_own_exe(uint64_t path)
{
    static const char own[] = "/proc/self/exe";
    char text[sizeof(own)];
    return guest_read(text, path, sizeof(text)) == 0 && memcmp(text, own, sizeof(own)) == 0;
}

static long do_readlink(int dirfd, uint64_t path, uint64_t to, long size)
{
    if (asks_own_exe(path))
        return host_wait(__NR_readlinkat, AT_FDCWD_, (long)"/proc/self/fd/" TEXT(EXO_FD_EXE),
                         (long)to, size, 0, 0);
    if (exo_path_may_be_special(dirfd, path))
        return readlink_special(dirfd, path, to, size);
    return host_wait(__NR_readlinkat, exo_dirfd_host(dirfd), (long)path, (long)to, size, 0, 0);
}

SYSCALL(readlink)
{
    return do_readlink(AT_FDCWD_, (uint64_t)a, (uint64_t)b, (int)c);
}

SYSCALL(readlinkat)
{
    return do_readlink((int)a, (uint64_t)b, (uint64_t)c, (int)d);
}

/* Records of a directory we made, from the memfd's offset on: whole ones, as many as fit. */
static long read_records(int host, uint64_t to, uint64_t room)
{
    uint8_t buffer[4096];
    uint64_t done = 0;
    int64_t offset = HOST_3(__NR_lseek, host, 0, 1 /* SEEK_CUR */);
    long got = HOST_4(__NR_pread64, host, buffer, sizeof(buffer), offset);
    if (got <= 0)
        return got;
    while (done + DIRENT_HEADER <= (uint64_t)got) {
        uint16_t size;
        memcpy(&size, buffer + done + 16, sizeof(size));
        if (size < DIRENT_HEADER || done + size > (uint64_t)got || done + size > room)
            break;
        done += size;
    }
    if (done == 0)
        return -EINVAL;
    HOST_3(__NR_lseek, host, offset + (int64_t)done, 0 /* SEEK_SET */);
    return guest_write(to, buffer, done) ? -EFAULT : (long)done;
}

SYSCALL(getdents64)
{
    int host = exo_fd_host((int)a);
    if (host < 0)
        return -EBADF;
    if (unlikely(is_made_directory((int)a)))
        return read_records(host, (uint64_t)b, (uint32_t)c);
    return host_wait(__NR_getdents64, host, b, c, 0, 0, 0);
}

/* DIFFERS: the old record format is not made for directories of exo's own: ENOSYS. */
SYSCALL(getdents)
{
    int host = exo_fd_host((int)a);
    if (host < 0)
        return -EBADF;
    if (is_made_directory((int)a))
        return -ENOSYS;
    return host_wait(__NR_getdents, host, b, c, 0, 0, 0);
}

SYSCALL(lseek)
{
    int host = exo_fd_twin((int)a);
    if (host >= 0 && c > SEEK_CUR_ && has_flag((int)a, EXO_FD_TEXT))
        return -EINVAL; /* the text has no end before it is made */
    return host < 0 ? -EBADF : host_wait(__NR_lseek, host, b, c, 0, 0, 0);
}

SYSCALL(getcwd)
{
    char name[EXO_PATH_SIZE];
    if (!exo_path_of_cwd(name))
        return host_wait(__NR_getcwd, a, b, 0, 0, 0, 0);
    uint64_t size = strlen(name) + 1;
    if ((uint64_t)b < size)
        return -ERANGE;
    return guest_write((uint64_t)a, name, size) ? -EFAULT : (long)size;
}

/* DIFFERS: threads that share a working directory (CLONE_FS) across processes do not share this. */
static void note_cwd(bool below_proc)
{
    if (below_proc)
        fetch_or(&area()->leader->flags, EXO_TASK_IN_PROC);
    else
        fetch_and(&area()->leader->flags, ~(uint32_t)EXO_TASK_IN_PROC);
}

SYSCALL(chdir)
{
    struct exo_path path;
    long kind = exo_path_resolve(&path, AT_FDCWD_, (uint64_t)a);
    if (kind < 0)
        return kind;
    long host_path = kind > EXO_PATH_PLAIN ? (long)path.host : a;
    long error = host_wait(__NR_chdir, host_path, 0, 0, 0, 0, 0);
    if (error == 0)
        note_cwd(kind > EXO_PATH_PLAIN);
    return error;
}

SYSCALL(chroot)
{
    struct exo_path path;
    long kind = exo_path_resolve(&path, AT_FDCWD_, (uint64_t)a);
    if (kind < 0)
        return kind;
    exo_pipe_all_to_host(); /* which takes the host's /proc */
    long error = host_wait(__NR_chroot, kind > EXO_PATH_PLAIN ? (long)path.host : a, 0, 0, 0, 0, 0);
    if (error == 0)
        fetch_or(&area()->leader->flags, EXO_TASK_CHROOTED);
    return error;
}

SYSCALL(fchdir)
{
    struct exo_path path;
    struct exo_fd *entry = exo_fd_entry((int)a);
    if (entry == NULL)
        return -EBADF;
    bool made = entry->flags & EXO_FD_DIRECTORY; /* a memfd on the host, which has the real one */
    if (made && exo_path_of_fd(&path, entry->host) <= EXO_PATH_PLAIN)
        return -ENOENT;
    long error =
        made ? HOST_1(__NR_chdir, path.host) : host_wait(__NR_fchdir, entry->host, 0, 0, 0, 0, 0);
    if (error == 0)
        note_cwd(made || (entry->flags & EXO_FD_PROC));
    return error;
}
