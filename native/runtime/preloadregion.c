/* The platform preload: the kernel region, made by the program itself (as host/region.c does it for the
 * kernel process), and limits, which get what the runtime takes on top.
 */
#include "preload.h"
#include "text.h"

#define MFD_CLOEXEC_ 1
#define RLIMIT_NOFILE_ 7
#define RLIMIT_AS_ 9
#define INFINITE (~0UL)
#define CPU_BYTES 1024

struct limit {
    uint64_t soft, hard;
};

int exo_preload_region_fd;

bool exo_preload_fails(struct exo_preload *with, const char *what, long error)
{
    with->failed = what;
    with->error = error;
    return false;
}

static uint64_t with_own(uint64_t size, uint64_t mapped)
{
    return size == INFINITE ? size : size + EXO_OWN_SPACE(mapped);
}

/* Bytes to map of the region: less where memory is limited, and then the limit is raised by it. */
static uint64_t choose_size(void)
{
    struct limit limit = {INFINITE, INFINITE};
    HOST_4(__NR_prlimit64, 0, RLIMIT_AS_, 0, &limit);
    if (limit.soft == INFINITE)
        return EXO_KR_MAPPED_SIZE;
    struct limit raised = {with_own(limit.soft, EXO_KR_LIMITED_SIZE),
                           with_own(limit.hard, EXO_KR_LIMITED_SIZE)};
    if (HOST_4(__NR_prlimit64, 0, RLIMIT_AS_, &raised, 0) !=
        0) { /* only root may raise the hard one */
        limit.soft = raised.soft < limit.hard ? raised.soft : limit.hard;
        HOST_4(__NR_prlimit64, 0, RLIMIT_AS_, &limit, 0);
    }
    return EXO_KR_LIMITED_SIZE;
}

static bool map_region(struct exo_preload *with)
{
    uint64_t size = choose_size();
    long fd = HOST_2(__NR_memfd_create, "exo-kr", MFD_CLOEXEC_);
    if (fd < 0)
        return exo_preload_fails(with, "memfd_create", fd);
    exo_preload_region_fd = (int)fd;
    long got = HOST_2(__NR_ftruncate, fd, EXO_KR_MAPPED_SIZE + EXO_COPIES_SIZE);
    if (got == 0)
        got = HOST_6(__NR_mmap, EXO_KR_BASE, size, PROT_READ_ | PROT_WRITE_,
                     MAP_SHARED_ | MAP_FIXED_NOREPLACE_ | MAP_NORESERVE_, fd, 0);
    if (got != (long)EXO_KR_BASE)
        return exo_preload_fails(with, "the kernel region cannot be mapped", got);
    HOST_3(__NR_madvise, EXO_KR_BASE, size, MADV_DONTDUMP_);
    exo_kr_init(KR, size);
    return true;
}

static uint32_t count_cpus(void)
{
    uint64_t mask[CPU_BYTES / 8] = {0};
    long size = HOST_3(__NR_sched_getaffinity, 0, sizeof(mask), mask);
    uint32_t count = 0;
    for (long i = 0; i < size / 8; i++)
        for (uint64_t left = mask[i]; left != 0; left &= left - 1)
            count++;
    return count == 0 ? 1 : count;
}

/* How many datagrams may wait at an AF_UNIX socket, less one. */
static uint32_t datagrams_most(void)
{
    char text[24] = "10";
    const char *end;
    long fd = HOST_3(__NR_open, "/proc/sys/net/unix/max_dgram_qlen", O_CLOEXEC_, 0);
    if (fd >= 0) {
        long got = HOST_3(__NR_read, fd, text, sizeof(text) - 1);
        text[got > 0 ? got : 0] = '\0';
        HOST_1(__NR_close, fd);
    }
    return (uint32_t)exo_get_number(text, &end);
}

static void put_text(char *to, const char *text)
{
    if (strlen(text) < EXO_PATH_SIZE)
        exo_put_text(to, text);
}

/* Made absolute: the kernel process works elsewhere. */
static void put_path(char *to, const char *path)
{
    if (path[0] == '\0' || path[0] == '/') {
        put_text(to, path);
        return;
    }
    long size = HOST_2(__NR_getcwd, to, EXO_PATH_SIZE); /* with its NUL */
    if (size <= 0 || (uint64_t)size + strlen(path) >= EXO_PATH_SIZE) {
        to[0] = '\0';
        return;
    }
    to[size - 1] = '/';
    exo_put_text(to + size, path);
}

static void set_names(void)
{
    char host[6][EXO_NAME_SIZE] = {{0}}; /* struct new_utsname */
    HOST_1(__NR_uname, host);
    exo_names_init(KR, "exo-um " EXO_VERSION, host[1], host[2]);
}

static void set_facts(const struct exo_preload *with)
{
    set_names();
    KR->kernel_state = EXO_KERNEL_ABSENT;
    KR->kernel_host_pid = (uint32_t)HOST_0(__NR_getppid);
    KR->kernel_host_pgid = (uint32_t)HOST_1(__NR_getpgid, 0);
    KR->kernel_host_sid = (uint32_t)HOST_1(__NR_getsid, 0);
    KR->cpu_count = count_cpus();
    KR->datagrams = datagrams_most();
    KR->intercept = EXO_INTERCEPT_DISPATCH;
    KR->flags = (with->stats[0] ? EXO_KR_STATS : 0) |
                (with->flags & EXO_PRELOAD_NET_EXO ? 0 : EXO_KR_NET_HOST) |
                (with->flags & EXO_PRELOAD_NO_PATCH ? EXO_KR_NO_PATCH : 0);
    put_text(KR->companion.launcher, with->launcher);
    put_path(KR->companion.stats, with->stats);
    put_text(KR->companion.runtime, with->runtime);
    HOST_3(__NR_getrandom, &KR->instance, sizeof(KR->instance), 0);
    HOST_3(__NR_getrandom, KR->bell, sizeof(KR->bell), 0);
}

bool exo_preload_region(struct exo_preload *with)
{
    if (!map_region(with))
        return false;
    set_facts(with);
    exo_mm.flags = KR->flags;
    exo_mm.intercept = KR->intercept;
    return true;
}

/* Fd numbers are bounded by exo itself: the host's limit is as high as may be. */
bool exo_preload_limits(struct exo_preload *with, uint32_t slot)
{
    struct limit files;
    long error = HOST_4(__NR_prlimit64, 0, RLIMIT_NOFILE_, 0, &files);
    if (error != 0)
        return exo_preload_fails(with, "prlimit64", error);
    KR->tasks[slot].nofile_soft = files.soft;
    KR->tasks[slot].nofile_hard = files.hard;
    files.soft = files.hard;
    HOST_4(__NR_prlimit64, 0, RLIMIT_NOFILE_, &files, 0);
    return true;
}
