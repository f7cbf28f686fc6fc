/* pipe(2): making a pipe, with its twin on the host; and leaving all of them at a process's end. */
#include "fifo.h"
#include "translate.h"

/* Whether this host can read a pipe without waiting (Linux 6.5 on): 1 yes, 2 no. */
static bool host_suits(int host)
{
    HOT static uint8_t known;
    uint8_t byte;
    const uint64_t vector[2] = {(uint64_t)&byte, 1};
    if (known == 0)
        known = HOST_6(__NR_preadv2, host, vector, 1, -1, -1, RWF_NOWAIT_) == -EAGAIN ? 1 : 2;
    return known == 1;
}

/* The twin of a new pipe is as small as can be. */
static uint32_t adopt(const int *host)
{
    if (area()->leader->flags & EXO_TASK_CHROOTED)
        return 0; /* it might not find its way back to the host: pipeleave.c */
    if (HOST_3(__NR_fcntl, host[0], F_SETPIPE_SZ_, EXO_PIPE_PAGE) != EXO_PIPE_PAGE)
        return 0;
    uint32_t index = host_suits(host[0]) ? exo_pipe_create(KR) : 0;
    if (index == 0)
        HOST_3(__NR_fcntl, host[0], F_SETPIPE_SZ_, EXO_PIPE_SIZE);
    return index;
}

void exo_note_objects(void)
{
    if (!(load_relaxed(&area()->leader->flags) & EXO_TASK_PIPES))
        fetch_or(&area()->leader->flags, EXO_TASK_PIPES);
}

static void install(const int *fds, const int *host, long flags, uint32_t index)
{
    uint16_t own = EXO_FD_OPEN | (flags & O_CLOEXEC_ ? EXO_FD_CLOEXEC | EXO_FD_HOST_CLOEXEC : 0);
    for (int i = 0; i < 2; i++) {
        struct exo_fd entry = {.host = host[i], .flags = own};
        if (index != 0) {
            entry.flags |= i == 0 ? EXO_FD_PIPE : EXO_FD_PIPE | EXO_FD_PIPE_WRITES;
            entry.stamp = (uint16_t)index;
        }
        exo_fd_put(KR, area()->task->fd_table, fds[i], entry);
    }
}

static long make(const int *fds, uint64_t to, long flags)
{
    int host[2];
    long error = HOST_2(__NR_pipe2, host, flags);
    if (error != 0)
        return error;
    if (guest_write(to, fds, 2 * sizeof(*fds)) != 0) {
        HOST_1(__NR_close, host[0]);
        HOST_1(__NR_close, host[1]);
        return -EFAULT;
    }
    uint32_t index = flags & ~(long)(O_CLOEXEC_ | O_NONBLOCK_ | O_DIRECT_) ? 0 : adopt(host);
    if (index != 0)
        exo_pipe_at(KR, index)->nonblock =
            (flags & O_NONBLOCK_ ? 3U : 0) | (flags & O_DIRECT_ ? EXO_PIPE_PACKETS : 0);
    if (index != 0)
        exo_note_objects();
    install(fds, host, flags, index);
    exo_object_hold(KR, 0);
    return 0;
}

static long make_pipe(uint64_t to, long flags)
{
    int fds[2] = {exo_fd_take(0), -1};
    if (fds[0] < 0)
        return fds[0];
    fds[1] = exo_fd_take(0);
    long error = fds[1] < 0 ? fds[1] : make(fds, to, flags);
    if (error == 0)
        return 0;
    exo_fd_untake(fds[0]);
    if (fds[1] >= 0)
        exo_fd_untake(fds[1]);
    return error;
}

SYSCALL(pipe)
{
    return make_pipe((uint64_t)a, 0);
}

SYSCALL(pipe2)
{
    return make_pipe((uint64_t)a, b);
}

/* A process ends: whoever looks at the other ends sees it now, not when it has been waited for. */
void exo_pipe_close_all(void)
{
    if (!(load_relaxed(&area()->leader->flags) & EXO_TASK_PIPES))
        return;
    uint64_t offset = area()->task->fd_table;
    struct exo_fd_table *table = exo_kr_at(KR, offset);
    if (load_relaxed(&table->users) > 1)
        return;
    for (uint32_t i = 0; i < table->used; i++) {
        struct exo_fd *at = exo_fd_at(KR, offset, (int)i), fd = exo_fd_now(at);
        if (!(fd.flags & EXO_FD_OBJECT))
            continue;
        exo_object_hold(KR, fd.stamp);
        if (exchange(&at->host, EXO_FD_HOST_RESERVED) < 0)
            continue;
        exo_fifo_leave(fd);
        exo_object_unref(KR, fd);
        HOST_1(__NR_close, fd.host);
    }
    exo_object_hold(KR, 0);
}
