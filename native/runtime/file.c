/* Opening, closing and duplicating: the calls that change the fd table. */
#include "file.h"
#include "epoll.h"
#include "event.h"
#include "fifo.h"
#include "legacy.h"
#include "pipe.h"
#include "signal.h"
#include "sock.h"
#include "translate.h"

#define F_DUPFD 0
#define F_GETFD 1
#define F_SETFD 2
#define F_SETOWN 8
#define F_GETOWN 9
#define F_SETOWN_EX 15
#define F_GETOWN_EX 16
#define F_DUPFD_QUERY 1027
#define FD_CLOEXEC_ 1
#define CLOSE_RANGE_UNSHARE_ 2
#define CLOSE_RANGE_CLOEXEC_ 4

struct open_how {
    uint64_t flags, mode, resolve;
};

static uint64_t my_table(void)
{
    return area()->task->fd_table;
}

/* Notes that a fresh fd is a directory below /proc, for names relative to it. */
static void note_proc(int fd)
{
    struct k_stat stat;
    struct exo_fd *entry = exo_fd_entry(fd);
    if (entry == NULL || HOST_2(__NR_fstat, entry->host, &stat) != 0 ||
        (stat.mode & S_IFMT_) != S_IFDIR_)
        return;
    entry->flags |= EXO_FD_PROC;
}

static long open_host(int dirfd, const char *path, const struct open_how *how, bool how_call)
{
    struct exo_fifo_open fifo = {.pipe = 0};
    int fd = exo_fd_take(0);
    if (fd < 0)
        return fd;
    if (unlikely(load_relaxed(&KR->fifo_high) != 0))
        exo_fifo_expect(&fifo, dirfd, path, how->flags);
    long host = how_call ? host_wait(__NR_openat2, dirfd, (long)path, (long)how, sizeof(*how), 0, 0)
                         : host_wait(__NR_openat, dirfd, (long)path, (long)how->flags,
                                     (long)how->mode, 0, 0);
    if (host < 0) {
        exo_fifo_not_opened(&fifo);
        exo_fd_untake(fd);
        return host;
    }
    if (unlikely(load_relaxed(&KR->fifo_high) != 0) &&
        exo_fifo_opened(&fifo, fd, (int)host, how->flags))
        return fd;
    return exo_fd_give_named(fd, (int)host, how->flags);
}

/* One whose contents the kernel process makes; it may also say that the host's will do. */
static long open_owned(struct exo_path *path, const struct open_how *how)
{
    uint64_t flags = how->flags | (path->directory ? O_DIRECTORY_ : 0);
    long fd = exo_legacy_open(path, flags, how->mode);
    if (fd == EXO_LEGACY_PASS)
        fd = open_host(AT_FDCWD_, path->host, how, false);
    return fd;
}

#define RESOLVE_NO_SYMLINKS_ 4
#define RESOLVE_BENEATH_ 8
#define RESOLVE_IN_ROOT_ 16

/* What openat2's resolve flags say of a path below /proc. The host looks at its own name for it,
 * which is absolute and has no self in it. */
static long check_resolve(const struct exo_path *path, const struct open_how *how, bool relative)
{
    struct open_how look = {.flags = O_PATH_ | O_CLOEXEC_ | (how->flags & O_NOFOLLOW_),
                            .resolve = how->resolve};
    if ((how->resolve & RESOLVE_NO_SYMLINKS_) && (path->by_self || path->link != NULL))
        return -ELOOP;
    if (relative)
        look.resolve &= ~(uint64_t)(RESOLVE_BENEATH_ | RESOLVE_IN_ROOT_);
    if (look.resolve == 0)
        return 0;
    long fd = HOST_4(__NR_openat2, AT_FDCWD_, path->host, &look, sizeof(look));
    return fd < 0 ? fd : HOST_1(__NR_close, fd);
}

static long open_proc(struct exo_path *path, const struct open_how *how, long kind)
{
    if (path->link != NULL && (how->flags & O_NOFOLLOW_) && !(how->flags & O_PATH_))
        return -ELOOP;
    long fd = kind == EXO_PATH_OWNED ? open_owned(path, how)
                                     : open_host(AT_FDCWD_, path->host, how, false);
    if (fd >= 0)
        note_proc((int)fd);
    if (fd >= 0 && unlikely(path->pipe != 0) && !(how->flags & O_PATH_) &&
        !exo_pipe_is_fifo(exo_pipe_at(KR, path->pipe)))
        exo_pipe_leave(path->pipe, exo_fd_host((int)fd));
    return fd;
}

static long open_plain(int dirfd, uint64_t path, const struct open_how *how, bool how_call)
{
    int host_dirfd = dirfd == AT_FDCWD_ ? dirfd : exo_fd_host(dirfd);
    return open_host(host_dirfd, (const char *)path, how, how_call);
}

WITH_PATH static long open_special(int dirfd, uint64_t guest_path, const struct open_how *how,
                                   bool how_call)
{
    struct exo_path path;
    long kind = exo_path_resolve(&path, dirfd, guest_path);
    if (kind < 0)
        return kind;
    if (kind <= EXO_PATH_PLAIN)
        return open_plain(dirfd, guest_path, how, how_call);
    long error = how->resolve == 0 ? 0 : check_resolve(&path, how, guest_byte(guest_path) != '/');
    return error != 0 ? error : open_proc(&path, how, kind);
}

static long do_open(int dirfd, uint64_t path, const struct open_how *how, bool how_call)
{
    return exo_path_may_be_special(dirfd, path) ? open_special(dirfd, path, how, how_call)
                                                : open_plain(dirfd, path, how, how_call);
}

SYSCALL(open)
{
    struct open_how how = {.flags = (uint32_t)b, .mode = (uint32_t)c};
    return do_open(AT_FDCWD_, (uint64_t)a, &how, false);
}

SYSCALL(openat)
{
    struct open_how how = {.flags = (uint32_t)c, .mode = (uint32_t)d};
    return do_open((int)a, (uint64_t)b, &how, false);
}

SYSCALL(creat)
{
    struct open_how how = {.flags = 01101 /* O_CREAT | O_WRONLY | O_TRUNC */, .mode = (uint32_t)b};
    return do_open(AT_FDCWD_, (uint64_t)a, &how, false);
}

SYSCALL(openat2)
{
    struct open_how how;
    if ((uint64_t)d < sizeof(how))
        return -EINVAL;
    if ((uint64_t)d > 4096)
        return -E2BIG;
    for (uint64_t i = sizeof(how); i < (uint64_t)d; i++) {
        long byte = guest_byte((uint64_t)c + i);
        if (byte != 0)
            return byte < 0 ? byte : -E2BIG;
    }
    long error = guest_get(&how, c);
    return error ? error : do_open((int)a, (uint64_t)b, &how, true);
}

SYSCALL(close)
{
    struct exo_fd gone;
    if (exo_fd_remove((int)a, &gone) != 0)
        return -EBADF;
    exo_fifo_leave(gone);
    exo_fd_gone(gone);
    long result = host_wait(__NR_close, gone.host, 0, 0, 0, 0, 0);
    return result == -EXO_ERESTART ? HOST_1(__NR_close, gone.host) : result;
}

long exo_fd_remove(int fd, struct exo_fd *gone)
{
    struct exo_fd *entry = exo_fd_at(KR, my_table(), fd);
    if (entry == NULL)
        return -EBADF;
    for (;;) {
        *gone = exo_fd_now(entry);
        if (gone->host < 0)
            return -EBADF;
        if (gone->flags & EXO_FD_OBJECT)
            exo_object_hold(KR, gone->stamp);
        if (likely(exo_fd_take_away(KR, my_table(), fd, gone)))
            return 0;
        exo_object_hold(KR, 0);
        if (gone->host < 0)
            return -EBADF;
        entry = exo_fd_at(KR, my_table(), fd);
    }
}

void exo_fd_gone(struct exo_fd gone)
{
    if (likely(!(gone.flags & EXO_FD_OBJECT)))
        return;
    exo_object_unref(KR, gone);
    exo_object_hold(KR, 0);
}

/* Counts a copy of an entry that is to be: false if the entry has gone. */
static bool count_copy(const struct exo_fd *entry, struct exo_fd copy)
{
    if (!(copy.flags & EXO_FD_OBJECT))
        return true;
    exo_object_hold(KR, copy.stamp);
    if (exo_object_ref(KR, entry, copy))
        return true;
    exo_object_hold(KR, 0);
    return false;
}

SYSCALL(close_range)
{
    uint32_t first = (uint32_t)a, last = (uint32_t)b, flags = (uint32_t)c;
    if (first > last || (flags & ~(CLOSE_RANGE_UNSHARE_ | CLOSE_RANGE_CLOEXEC_)))
        return -EINVAL;
    if (flags & CLOSE_RANGE_UNSHARE_) {
        long error = exo_fd_unshare();
        if (error != 0)
            return error;
    }
    struct exo_fd_table *table = exo_kr_at(KR, my_table());
    for (uint32_t fd = first; fd <= last && fd < load_acquire(&table->used); fd++) {
        struct exo_fd *entry = exo_fd_entry((int)fd);
        if (entry == NULL)
            continue;
        struct exo_fd gone;
        if (flags & CLOSE_RANGE_CLOEXEC_)
            entry->flags |= EXO_FD_CLOEXEC;
        else if (exo_fd_remove((int)fd, &gone) == 0) {
            exo_fifo_leave(gone);
            exo_fd_gone(gone);
            HOST_1(__NR_close, gone.host);
        }
    }
    return 0;
}

static uint16_t copied_flags(const struct exo_fd *from, bool cloexec)
{
    uint16_t own = EXO_FD_CLOEXEC | EXO_FD_HOST_CLOEXEC;
    uint16_t flags = from->flags & (uint16_t) ~(own | EXO_FD_TEXT_NEW);
    return cloexec ? flags | own : flags;
}

static void put_copy(int to, int host, const struct exo_fd *from, bool cloexec)
{
    struct exo_fd entry = {.host = host, .flags = copied_flags(from, cloexec)};
    if (from->flags & EXO_FD_OBJECT)
        entry.stamp = from->stamp;
    exo_fd_put(KR, my_table(), to, entry);
}

/* Copies a file descriptor to number `to`, whose entry the caller has taken. */
static long duplicate(int from, int to, bool cloexec)
{
    struct exo_fd *entry = exo_fd_entry(from);
    if (entry == NULL) {
        exo_fd_untake(to);
        return -EBADF;
    }
    struct exo_fd copy = exo_fd_now(entry);
    if (!count_copy(entry, copy)) {
        exo_fd_untake(to);
        return -EBADF;
    }
    long host = HOST_3(__NR_fcntl, copy.host, cloexec ? F_DUPFD_CLOEXEC : F_DUPFD, to);
    if (host == -EINVAL || host == -EMFILE) /* the number is past the host's limit: any will do */
        host = HOST_3(__NR_fcntl, copy.host, cloexec ? F_DUPFD_CLOEXEC : F_DUPFD, 0);
    if (host < 0) {
        exo_fd_untake(to);
        exo_fd_gone(copy);
        return host;
    }
    put_copy(to, (int)host, &copy, cloexec);
    if (copy.flags & EXO_FD_OBJECT)
        exo_object_hold(KR, 0);
    return to;
}

SYSCALL(dup)
{
    if (exo_fd_entry((int)a) == NULL)
        return -EBADF;
    int fd = exo_fd_take(0);
    return fd < 0 ? fd : duplicate((int)a, fd, false);
}

/* Onto an open number: the host replaces its fd in one step, so no other file slips in between. */
static long replace(int from, int to, bool cloexec)
{
    struct exo_fd *source = exo_fd_entry(from), *target = exo_fd_at(KR, my_table(), to);
    if (source == NULL)
        return -EBADF;
    struct exo_fd copy = exo_fd_now(source), gone = exo_fd_now(target);
    int host = gone.host;
    if (host == EXO_FD_HOST_RESERVED)
        return -EBUSY;
    if (host < 0) {
        exo_fd_install(KR, my_table(), to, EXO_FD_HOST_RESERVED, 0);
        return duplicate(from, to, cloexec);
    }
    if (!count_copy(source, copy))
        return -EBADF;
    if (gone.flags & EXO_FD_OBJECT)
        exo_object_hold(KR, gone.stamp | (uint32_t)copy.stamp << 16);
    exo_fifo_leave(gone);
    long error = HOST_3(__NR_dup3, copy.host, host, cloexec ? O_CLOEXEC_ : 0);
    if (error < 0) {
        exo_fd_gone(copy);
        return error;
    }
    put_copy(to, host, &copy, cloexec);
    exo_fd_gone(gone);
    if (copy.flags & EXO_FD_OBJECT)
        exo_object_hold(KR, 0);
    return to;
}

static long dup_to(int from, int to, bool cloexec)
{
    if (exo_fd_entry(from) == NULL)
        return -EBADF;
    long error = exo_fd_ensure(KR, my_table(), to, exo_fd_limit());
    return error != 0 ? error : replace(from, to, cloexec);
}

SYSCALL(dup2)
{
    if ((int)a == (int)b)
        return exo_fd_entry((int)a) == NULL ? -EBADF : (int)b;
    return dup_to((int)a, (int)b, false);
}

SYSCALL(dup3)
{
    int flags = (int)c;
    if ((flags & ~O_CLOEXEC_) || (int)a == (int)b)
        return -EINVAL;
    return dup_to((int)a, (int)b, flags & O_CLOEXEC_);
}

/* A table of this process's own, where it was shared (CLONE_FILES). */
long exo_fd_unshare(void)
{
    struct exo_task *me = area()->task;
    struct exo_fd_table *table = exo_kr_at(KR, me->fd_table);
    if (table->users <= 1)
        return 0;
    long error = HOST_1(__NR_unshare, CLONE_FILES_);
    if (error != 0)
        return error;
    uint64_t own = exo_fd_table_clone(KR, me->fd_table);
    if (own == 0)
        return -ENOMEM;
    exo_fd_table_replace(KR, area()->slot, own);
    return 0;
}

struct owner {
    int type, pid;
};

/* F_SETOWN and its like name a process: type 0 tid, 1 pid, 2 group. */
static long set_owner(int host, int type, int pid)
{
    struct owner owner = {.type = type, .pid = pid};
    if (pid > 0) {
        uint32_t number = type == 2 ? exo_host_pgid((uint32_t)pid) : exo_host_of((uint32_t)pid);
        owner.pid = number == 0 ? EXO_NO_HOST_PID : (int)number;
    }
    return HOST_3(__NR_fcntl, host, F_SETOWN_EX, &owner);
}

static long get_owner(int host, struct owner *owner)
{
    long error = HOST_3(__NR_fcntl, host, F_GETOWN_EX, owner);
    if (error == 0 && owner->pid != 0)
        owner->pid = (int)(owner->type == 2 ? exo_task_pgid_of_host(KR, (uint32_t)owner->pid)
                                            : exo_tid_of((uint32_t)owner->pid));
    return error;
}

static long fcntl_owner(int host, int command, long argument)
{
    struct owner owner = {0};
    int pid = (int)argument;
    long error;
    switch (command) {
    case F_SETOWN:
        if (pid == (int)0x80000000)
            return -EINVAL;
        return pid < 0 ? set_owner(host, 2, -pid) : set_owner(host, 1, pid);
    case F_GETOWN:
        error = get_owner(host, &owner);
        return error ? error : owner.type == 2 ? -owner.pid : owner.pid;
    case F_SETOWN_EX:
        error = guest_get(&owner, argument);
        return error ? error : set_owner(host, owner.type, owner.pid);
    default:
        error = get_owner(host, &owner);
        return error ? error : guest_put(argument, &owner);
    }
}

/* Locks tell who holds them: l_pid, the fifth field of struct flock. */
#define F_GETLK 5
#define F_OFD_GETLK 36

static long get_lock(int host, int command, uint64_t argument)
{
    int pid;
    long error = host_wait(__NR_fcntl, host, command, (long)argument, 0, 0, 0);
    if (error != 0 || guest_get(&pid, argument + 24) != 0 || pid <= 0)
        return error;
    pid = (int)exo_tid_of((uint32_t)pid);
    return guest_put(argument + 24, &pid);
}

static long object_fcntl(struct exo_fd *entry, int command, long argument)
{
    if (entry->flags & EXO_FD_PIPE)
        return exo_pipe_fcntl(entry, command, argument);
    if (command == F_GETFL_ && (entry->flags & EXO_FD_EVENT))
        return HOST_2(__NR_fcntl, entry->host, command);
    return command == F_SETFL_ ? exo_event_set_flags(entry, argument) : EXO_PIPE_AGAIN;
}

/* Of a pipe's end, or an eventfd: the commands of exo's own; false for others, and then it is the
 * host's. */
static bool pipe_fcntl(struct exo_fd *entry, int command, long argument, long *result)
{
    bool of_table = command == F_DUPFD || command == F_DUPFD_CLOEXEC || command == F_GETFD ||
                    command == F_SETFD || command == F_DUPFD_QUERY;
    if (of_table)
        return false;
    while ((*result = object_fcntl(entry, command, argument)) == EXO_PIPE_AGAIN) {
        exo_object_to_host(entry);
        if (!(entry->flags & EXO_FD_OBJECT) || command != F_SETFL_)
            return false;
    }
    return true;
}

SYSCALL(fcntl)
{
    long result;
    struct exo_fd *entry = exo_fd_entry((int)a);
    if (entry == NULL)
        return -EBADF;
    if (unlikely(entry->flags & (EXO_FD_PIPE | EXO_FD_EVENT)) &&
        pipe_fcntl(entry, (int)b, c, &result))
        return result;
    if (unlikely(entry->flags & EXO_FD_SOCKET) && exo_sock_fcntl(entry, (int)b, c, &result))
        return result;
    switch ((int)b) {
    case F_DUPFD:
    case F_DUPFD_CLOEXEC: {
        if ((uint64_t)(uint32_t)c >= exo_fd_limit())
            return -EINVAL;
        int fd = exo_fd_take((uint32_t)c);
        return fd < 0 ? fd : duplicate((int)a, fd, (int)b == F_DUPFD_CLOEXEC);
    }
    case F_GETFD:
        return entry->flags & EXO_FD_CLOEXEC ? FD_CLOEXEC_ : 0;
    case F_SETFD:
        entry->flags =
            (uint16_t)((entry->flags & ~EXO_FD_CLOEXEC) | (c & FD_CLOEXEC_ ? EXO_FD_CLOEXEC : 0));
        return 0;
    case F_SETOWN:
    case F_GETOWN:
    case F_SETOWN_EX:
    case F_GETOWN_EX:
        return fcntl_owner(entry->host, (int)b, c);
    case F_DUPFD_QUERY: {
        int other = exo_fd_twin((int)c);
        return other < 0 ? -EBADF : HOST_3(__NR_fcntl, entry->host, F_DUPFD_QUERY, other);
    }
    case F_GETLK:
    case F_OFD_GETLK:
        return get_lock(entry->host, (int)b, (uint64_t)c);
    default:
        return host_wait(__NR_fcntl, entry->host, b, c, 0, 0, 0);
    }
}

static long signal_fd(long a, long b, long c, long d)
{
    uint64_t mask;
    int host = -1;
    if (c != 8)
        return -EINVAL;
    if (guest_get(&mask, b) != 0)
        return -EFAULT;
    if ((int)a != -1 && (host = exo_fd_host((int)a)) < 0)
        return -EBADF;
    exo_held_to_host();
    long result = HOST_4(__NR_signalfd4, host, &mask, 8, d);
    if (host >= 0)
        return result >= 0 ? a : result;
    long fd = exo_fd_made(result, d & O_CLOEXEC_);
    struct exo_fd *entry = fd < 0 ? NULL : exo_fd_entry((int)fd);
    if (entry != NULL)
        entry->flags |= EXO_FD_SIGNALS;
    return fd;
}

SYSCALL(signalfd)
{
    return signal_fd(a, b, c, 0);
}

SYSCALL(signalfd4)
{
    return signal_fd(a, b, c, d);
}
