/* Between the guest's numbers and the host's; see translate.h. */
#include "translate.h"
#include "epoll.h"
#include "pipe.h"
#include "trace.h"

uint32_t exo_host_of(uint32_t tid)
{
    if (tid == 1)
        return KR->kernel_host_pid;
    uint32_t slot = exo_task_find(KR, tid);
    return slot == 0 ? 0 : KR->tasks[slot].host_tid;
}

long exo_host_of_or_none(uint32_t tid)
{
    uint32_t host = exo_host_of(tid);
    return host == 0 ? EXO_NO_HOST_PID : (long)host;
}

uint32_t exo_tid_of(uint32_t host_tid)
{
    if (host_tid == KR->kernel_host_pid)
        return 1;
    uint32_t slot = exo_task_find_host(KR, host_tid);
    return slot == 0 ? exo_task_departed(KR, host_tid) : KR->tasks[slot].tid;
}

uint32_t exo_host_pgid(uint32_t pgid)
{
    return pgid == 1 ? KR->kernel_host_pgid : exo_task_member_of(KR, pgid);
}

static bool holds_pid(const struct k_siginfo *info)
{
    if (info->signo == SIGCHLD_ && info->code >= 1 && info->code <= 6)
        return true;
    return info->code == SI_USER_ || info->code == SI_QUEUE_ || info->code == SI_TKILL_ ||
           info->code == SI_MESGQ_;
}

/* A number that a guest made up is marked on its way through the host; no host pid has this bit. */
#define MADE_UP 0x40000000

void exo_siginfo_to_guest(struct k_siginfo *info)
{
    if (info->signo == SIGCHLD_ && info->code <= EXO_SI_CHILD && info->code >= EXO_SI_CHILD - 6) {
        info->code = EXO_SI_CHILD - info->code; /* a tracee's: the pid is exo's */
        return;
    }
    if (!holds_pid(info))
        return;
    if (info->pid > 0 && (info->pid & MADE_UP))
        info->pid &= ~MADE_UP;
    else
        info->pid = (int32_t)exo_tid_of((uint32_t)info->pid);
}

void exo_siginfo_to_host(struct k_siginfo *info)
{
    if (!holds_pid(info))
        return;
    uint32_t host = exo_host_of((uint32_t)info->pid);
    info->pid = host == 0 && info->pid > 0 ? info->pid | MADE_UP : (int32_t)host;
}

struct exo_fd *exo_fd_entry(int fd)
{
    struct exo_fd *entry = exo_fd_at(KR, area()->task->fd_table, fd);
    return entry != NULL && entry->host >= 0 ? entry : NULL;
}

int exo_fd_host(int fd)
{
    struct exo_fd *entry = exo_fd_at(KR, area()->task->fd_table, fd);
    if (entry != NULL && unlikely(load_relaxed(&entry->flags) & EXO_FD_OBJECT & ~EXO_FD_SOCKET))
        exo_object_to_host(entry);
    return exo_fd_twin(fd);
}

int exo_fd_twin(int fd)
{
    struct exo_fd *entry = exo_fd_at(KR, area()->task->fd_table, fd);
    int host = entry == NULL ? -1 : load_relaxed(&entry->host);
    return host >= 0 ? host : -EBADF;
}

int exo_dirfd_host(int fd)
{
    return fd == AT_FDCWD_ ? fd : exo_fd_twin(fd);
}

int exo_fd_or_bad(int fd)
{
    int host = fd < 0 ? fd : exo_fd_host(fd);
    return host < 0 && fd >= 0 ? INT32_MAX : host;
}

uint64_t exo_fd_limit(void)
{
    return area()->leader->nofile_soft;
}

int exo_fd_take(uint32_t lowest)
{
    return exo_fd_reserve(KR, area()->task->fd_table, lowest, exo_fd_limit());
}

static int give(int fd, int host, bool cloexec, uint16_t flags)
{
    flags |= cloexec ? EXO_FD_OPEN | EXO_FD_CLOEXEC | EXO_FD_HOST_CLOEXEC : EXO_FD_OPEN;
    exo_fd_install(KR, area()->task->fd_table, fd, host, flags);
    return fd;
}

int exo_fd_give(int fd, int host, bool cloexec)
{
    return give(fd, host, cloexec, 0);
}

int exo_fd_give_named(int fd, int host, uint64_t flags)
{
    bool reads = !(flags & O_PATH_) && (flags & O_ACCMODE_) != O_WRONLY_;
    return give(fd, host, flags & O_CLOEXEC_, reads ? EXO_FD_FILE : 0);
}

void exo_fd_untake(int fd)
{
    exo_fd_unreserve(KR, area()->task->fd_table, fd);
}

long exo_fd_made(long host, bool cloexec)
{
    if (host < 0)
        return host;
    int fd = exo_fd_take(0);
    if (fd < 0) {
        HOST_1(__NR_close, host);
        return fd;
    }
    return exo_fd_give(fd, (int)host, cloexec);
}

#define CHUNK 4096

static void mark(uint64_t *bits, uint32_t low, uint32_t number)
{
    if (number - low < CHUNK)
        bits[(number - low) / 64] |= 1UL << (number - low) % 64;
}

/* Closes those of [low, low + CHUNK) that are not marked. */
static void close_unmarked(const uint64_t *bits, uint32_t low)
{
    for (uint32_t i = 0, start = 0; i <= CHUNK; i++) {
        if (i < CHUNK && !(bits[i / 64] >> i % 64 & 1))
            continue;
        if (i > start)
            HOST_3(__NR_close_range, low + start, low + i - 1, 0);
        start = i + 1;
    }
}

void exo_fd_close_strangers(void)
{
    uint64_t offset = area()->task->fd_table;
    const struct exo_fd_table *table = exo_kr_at(KR, offset);
    uint32_t high = EXO_FD_LOADER, low = 0;
    for (; low <= high; low += CHUNK) {
        uint64_t bits[CHUNK / 64] = {0};
        for (uint32_t fd = EXO_FD_COPIES; fd <= EXO_FD_LOADER; fd++)
            mark(bits, low, fd);
        for (uint32_t i = 0; i < table->used; i++) {
            int32_t host = exo_fd_at(KR, offset, (int)i)->host;
            if (host < 0)
                continue;
            mark(bits, low, (uint32_t)host);
            high = (uint32_t)host > high ? (uint32_t)host : high;
        }
        close_unmarked(bits, low);
    }
    HOST_3(__NR_close_range, low, ~0U, 0);
}
