/* Calls that the host serves: the same call, with fds, pids and paths translated by the table. */
#include "path.h"
#include "process.h"
#include "translate.h"

/* No row's pid names a group: what the host makes of a negative one does not depend on which. */
static long translate_pid(long value)
{
    int pid = (int)value;
    return pid <= 0 ? pid : exo_host_of_or_none((uint32_t)pid);
}

/* A path below /proc: the host's name for it, and no directory fd before it. */
static long pass_path(const struct exo_call *call, long *args, int i, long guest_dirfd, char *host)
{
    struct exo_path path;
    bool has_dirfd = i > 0 && call->args[i - 1].kind == EXO_ARG_DIRFD;
    long kind =
        exo_path_resolve(&path, has_dirfd ? (int)guest_dirfd : AT_FDCWD_, (uint64_t)args[i]);
    if (kind <= EXO_PATH_PLAIN)
        return kind;
    memcpy(host, path.host, strlen(path.host) + 1);
    args[i] = (long)host;
    if (has_dirfd)
        args[i - 1] = AT_FDCWD_;
    return 0;
}

static bool made_cloexec(const struct exo_call *call, const long *args)
{
    if (call->cloexec_arg < 0)
        return call->cloexec_arg == -2;
    return ((uint32_t)args[call->cloexec_arg] & call->cloexec_flag) != 0;
}

/* The number is taken before the call: at the limit it must not happen at all. */
static long make_fd(const struct exo_call *call, long nr, const long *args)
{
    int fd = exo_fd_take(0);
    if (fd < 0)
        return fd;
    long host = host_wait(nr, args[0], args[1], args[2], args[3], args[4], args[5]);
    if (host >= 0)
        return exo_fd_give(fd, (int)host, made_cloexec(call, args));
    exo_fd_untake(fd);
    return host;
}

/* Calls that only look at a file, or change what its inode says: a pipe's contents do not matter. */
static bool looks_only(long nr)
{
    switch (nr) {
    case __NR_fadvise64:
    case __NR_fchmod:
    case __NR_fchown:
    case __NR_fgetxattr:
    case __NR_flistxattr:
    case __NR_fstatfs:
    case __NR_fsync:
    case __NR_ftruncate:
    case __NR_futimesat:
    case __NR_utimensat:
        return true;
    default:
        return false;
    }
}

static long translate_fd(long nr, int fd)
{
    int host = fd < 0 ? fd : looks_only(nr) ? exo_fd_twin(fd) : exo_fd_host(fd);
    return host < 0 && fd >= 0 ? INT32_MAX : host;
}

static long make_call(const struct exo_call *call, long nr, const long *args)
{
    if (call->ret == EXO_RET_FD)
        return make_fd(call, nr, args);
    long result = host_wait(nr, args[0], args[1], args[2], args[3], args[4], args[5]);
    return call->ret == EXO_RET_PID && result > 0 ? (long)exo_tid_of((uint32_t)result) : result;
}

/* The rare case, apart for its large frame. A call has two paths at most. */
WITH_PATH static long pass_paths(const struct exo_call *call, long nr, const long *guest_args,
                                 const long *guest_dirfds)
{
    char hosts[2][EXO_HOST_PATH_SIZE];
    long args[6];
    memcpy(args, guest_args, sizeof(args));
    for (int i = 0; i < call->argc; i++) {
        if (call->args[i].kind != EXO_ARG_PATH)
            continue;
        long error = pass_path(call, args, i, guest_dirfds[i], hosts[i > 1]);
        if (error != 0)
            return error;
    }
    return make_call(call, nr, args);
}

long exo_pass(long a, long b, long c, long d, long e, long f)
{
    uint64_t nr = area()->regs.nr;
    const struct exo_call *call = &exo_calls[nr];
    long args[6] = {a, b, c, d, e, f},
         guest_dirfds[7] = {AT_FDCWD_, AT_FDCWD_, AT_FDCWD_, AT_FDCWD_,
                            AT_FDCWD_, AT_FDCWD_, AT_FDCWD_};
    bool special = false;
    for (int i = 0; i < call->argc; i++) {
        switch (call->args[i].kind) {
        case EXO_ARG_FD:
            args[i] = translate_fd((long)nr, (int)args[i]);
            break;
        case EXO_ARG_DIRFD:
            guest_dirfds[i + 1] = (int)args[i];
            args[i] = translate_fd((long)nr, (int)args[i]);
            break;
        case EXO_ARG_PID:
            args[i] = translate_pid(args[i]);
            break;
        case EXO_ARG_PATH:
            special |= exo_path_may_be_special((int)guest_dirfds[i], (uint64_t)args[i]);
            break;
        default:
            break;
        }
    }
    return special ? pass_paths(call, (long)nr, args, guest_dirfds)
                   : make_call(call, (long)nr, args);
}
