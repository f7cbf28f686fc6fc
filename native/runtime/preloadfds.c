/* The platform preload: the files that the process has open become its guest's, under the same numbers;
 * those at the runtime's own numbers are moved away first.
 */
#include <asm-generic/fcntl.h>

#include "preload.h"
#include "text.h"

#define F_DUPFD_ 0
#define F_GETFD_ 1
#define FIRST EXO_FD_COPIES
#define LAST EXO_FD_LOADER
#define DIRENT_HEADER 19 /* offset of d_name in linux_dirent64 */

/* Out of the way: the same file above the runtime's numbers. */
static long lift(long fd)
{
    long lifted = HOST_3(__NR_fcntl, fd, F_DUPFD_CLOEXEC, LAST + 1);
    HOST_1(__NR_close, fd);
    return lifted;
}

static void install(uint64_t table, long fd, long host, long cloexec)
{
    uint16_t flags = EXO_FD_OPEN | (cloexec ? EXO_FD_CLOEXEC | EXO_FD_HOST_CLOEXEC : 0);
    if (exo_fd_ensure(KR, table, (int)fd, EXO_FD_MAX_COUNT) == 0)
        exo_fd_install(KR, table, (int)fd, (int)host, flags);
}

/* What stands where the runtime's files go, is the guest's, and stays open elsewhere. */
static void take_over_reserved(uint64_t table)
{
    for (long fd = FIRST; fd <= LAST; fd++) {
        long cloexec = HOST_2(__NR_fcntl, fd, F_GETFD_);
        if (cloexec < 0)
            continue;
        long host = HOST_3(__NR_fcntl, fd, cloexec ? F_DUPFD_CLOEXEC : F_DUPFD_, LAST + 1);
        if (host >= 0)
            install(table, fd, host, cloexec);
        HOST_1(__NR_close, fd);
    }
}

static void take_over(uint64_t table, const char *name, const long own[3])
{
    const char *end;
    long fd = (long)exo_get_number(name, &end);
    if (end == name || (fd >= FIRST && fd <= LAST) || fd == own[0] || fd == own[1] || fd == own[2])
        return;
    long cloexec = HOST_2(__NR_fcntl, fd, F_GETFD_);
    if (cloexec >= 0)
        install(table, fd, fd, cloexec);
}

static long take_over_listed(uint64_t table, const long own[3])
{
    char entries[2048] __attribute__((aligned(8)));
    long got;
    while ((got = HOST_3(__NR_getdents64, own[2], entries, sizeof(entries))) > 0)
        for (long at = 0; at < got; at += *(uint16_t *)(entries + at + 16))
            take_over(table, entries + at + DIRENT_HEADER, own);
    return got;
}

static bool place_own(struct exo_preload *with)
{
    long exe = HOST_3(__NR_open, "/proc/self/exe", O_RDONLY_ | O_CLOEXEC_, 0);
    if (exe < 0) /* may be executed, not read */
        exe = HOST_3(__NR_open, "/proc/self/exe", O_PATH_ | O_CLOEXEC_, 0);
    long bell = HOST_2(__NR_eventfd2, 0, O_NONBLOCK_);
    long error = exe < 0 ? exe : bell < 0 ? bell : 0;
    if (error != 0)
        return exo_preload_fails(with, "/proc/self/exe", error);
    exe = lift(exe);
    bell = lift(bell);
    HOST_3(__NR_dup3, exe, EXO_FD_EXE, O_CLOEXEC_);
    HOST_3(__NR_dup3, bell, EXO_FD_DOORBELL, 0);
    HOST_3(__NR_dup3, bell, EXO_FD_CHANNEL, 0); /* holds the number until there is one */
    HOST_3(__NR_dup3, exo_preload_region_fd, EXO_FD_KR, 0);
    HOST_3(__NR_dup3, exo_preload_region_fd, EXO_FD_COPIES, 0);
    HOST_3(__NR_dup3, with->loader, EXO_FD_LOADER, 0);
    HOST_1(__NR_close, exe);
    HOST_1(__NR_close, bell);
    return true;
}

bool exo_preload_fds(struct exo_preload *with, uint64_t table)
{
    long folder = HOST_3(__NR_open, "/proc/self/fd", O_DIRECTORY_ | O_CLOEXEC_, 0);
    if (folder < 0)
        return exo_preload_fails(with, "/proc/self/fd", folder);
    exo_preload_region_fd = (int)lift(exo_preload_region_fd);
    with->loader = (int)lift(with->loader);
    long own[3] = {exo_preload_region_fd, with->loader, lift(folder)};
    long error = take_over_listed(table, own);
    HOST_1(__NR_close, own[2]);
    if (error != 0)
        return exo_preload_fails(with, "/proc/self/fd", error);
    take_over_reserved(table);
    bool placed = place_own(with);
    HOST_1(__NR_close, own[0]);
    HOST_1(__NR_close, own[1]);
    return placed;
}
