/* Memory maps: the host's, kept out of the runtime's window, with executable files noted for
 * patching. brk(2), mmap(2), munmap(2), mprotect(2), mremap(2) and kin.
 */
#include "mdwe.h"
#include "robust.h"
#include "stub.h"
#include "translate.h"

#define PAGE_UP(x) (((x) + 4095) & ~4095UL)
#define MREMAP_MAYMOVE_ 1
#define MREMAP_FIXED_ 2
#define SHM_RDONLY_ 010000
#define SHM_EXEC_ 0100000
#define MAP_DENYWRITE_ 0x800
#define F_GETFL 3
#define O_WRONLY 1
#define ST_NOEXEC_ 8
#define HINT_ALIGN 0x200000UL
#define HINT_STEP 0x1000000000UL
#define HINT_REACH 0x400000000000UL

/* The host would not take our break (no PR_SET_MM_MAP): it is then a mapping that grows. */
static long own_brk(uint64_t to)
{
    uint64_t old = PAGE_UP(exo_mm.brk_end), new = PAGE_UP(to);
    if (to < exo_mm.brk_start)
        return (long)exo_mm.brk_end;
    if (new > old) {
        long got = HOST_6(__NR_mmap, old, new - old, PROT_READ_ | PROT_WRITE_,
                          MAP_PRIVATE_ | MAP_ANONYMOUS_ | MAP_FIXED_NOREPLACE_, -1, 0);
        if ((uint64_t)got != old)
            return (long)exo_mm.brk_end;
    } else if (new < old) {
        HOST_2(__NR_munmap, new, old - new);
    }
    exo_mm.brk_end = to;
    return (long)to;
}

SYSCALL(brk)
{
    if (!exo_mm.own_brk)
        return HOST_1(__NR_brk, a);
    exo_mm_lock();
    long result = own_brk((uint64_t)a);
    exo_mm_unlock();
    return result;
}

/* The host does not know that the window is taken: it finds room there for what is too large for
 * elsewhere. That goes below the window then. */
static long map_outside(uint64_t start, uint64_t size, long prot, long flags, long host,
                        long offset)
{
    long got = HOST_6(__NR_mmap, start, size, prot, flags, host, offset);
    for (uint64_t hint = EXO_WINDOW_BASE - PAGE_UP(size);
         got >= 0 && in_window((uint64_t)got, size); hint -= HINT_STEP) {
        HOST_2(__NR_munmap, got, size);
        if (hint > EXO_WINDOW_BASE || hint < EXO_WINDOW_BASE - HINT_REACH)
            return -ENOMEM;
        got = HOST_6(__NR_mmap, hint & ~(HINT_ALIGN - 1), size, prot, flags, host, offset);
    }
    return got;
}

/* The same for what mremap(2) has moved. */
static long move_outside(long at, uint64_t size)
{
    if (at < 0 || !in_window((uint64_t)at, size))
        return at;
    long room = map_outside(0, size, 0, MAP_PRIVATE_ | MAP_ANONYMOUS_ | MAP_NORESERVE_, -1, 0);
    return room < 0 ? room
                    : HOST_5(__NR_mremap, at, size, size, MREMAP_MAYMOVE_ | MREMAP_FIXED_, room);
}

static bool known_code(uint64_t start, uint64_t size)
{
    exo_mm_lock();
    bool known = exo_map_overlaps(start, size);
    exo_mm_unlock();
    return known;
}

/* Whether the host would map code from this file: it is open for reading, the mount allows it. */
static bool may_map_code(int host)
{
    struct {
        uint64_t before[10], flags, spare[4];
    } statfs;
    long mode = HOST_2(__NR_fcntl, host, F_GETFL);
    return mode >= 0 && !(mode & (O_PATH_ | O_WRONLY)) &&
           HOST_2(__NR_fstatfs, host, &statfs) == 0 && !(statfs.flags & ST_NOEXEC_);
}

/* A library's code, as loaders map it, from its patched copy at once. */
static bool map_library(uint64_t start, uint64_t size, long prot, long flags, int host, long offset)
{
    return prot == (PROT_READ_ | PROT_EXEC_) &&
           (flags & ~MAP_DENYWRITE_) == (MAP_PRIVATE_ | MAP_FIXED_) && size != 0 &&
           ((start | (uint64_t)offset) & 4095) == 0 && !exo_map_overlaps(start, PAGE_UP(size)) &&
           may_map_code(host) &&
           exo_map_copied(start, PAGE_UP(size), (uint64_t)offset, host, MAP_FIXED_);
}

SYSCALL(mmap)
{
    uint64_t start = (uint64_t)a, size = (uint64_t)b;
    bool fixed = d & (MAP_FIXED_ | MAP_FIXED_NOREPLACE_), file = !(d & MAP_ANONYMOUS_);
    int host = -1;
    struct exo_fd *entry = file ? exo_fd_entry((int)e) : NULL;
    if (file && entry == NULL)
        return -EBADF;
    if (file && (entry->flags & EXO_FD_TEXT))
        return -ENODEV;
    if (file)
        host = entry->host;
    if (exo_mdwe_refuses_map(c) && size != 0)
        return -EACCES;
    if (in_window(start, size)) {
        if (fixed)
            return d & MAP_FIXED_NOREPLACE_ ? -EEXIST : -ENOMEM;
        start = 0; /* only a hint: elsewhere, then */
    }
    bool code = file && (c & PROT_EXEC_) && !(c & PROT_WRITE_) && (d & MAP_TYPE_) == MAP_PRIVATE_;
    if ((d & MAP_SHARED_) && (c & PROT_WRITE_))
        exo_robust_guard();
    if (!code && !(fixed && known_code(start, size)))
        return map_outside(start, size, c, d, host, f);
    exo_mm_lock();
    if (code && map_library(start, size, c, d, host, f)) {
        exo_mm_unlock();
        return a;
    }
    if (fixed)
        exo_copy_vacate(start, start + PAGE_UP(size));
    long got = map_outside(start, size, c, d, host, f);
    if (got >= 0 && code)
        exo_map_add((uint64_t)got, PAGE_UP(size), (uint64_t)f, host);
    else if (got >= 0)
        exo_map_remove((uint64_t)got, PAGE_UP(size));
    exo_mm_unlock();
    return got;
}

SYSCALL(munmap)
{
    if (in_window((uint64_t)a, (uint64_t)b))
        return -EINVAL;
    if (!known_code((uint64_t)a, PAGE_UP((uint64_t)b)))
        return HOST_2(__NR_munmap, a, b);
    exo_mm_lock(); /* nobody gets the range before we have forgotten what was there */
    exo_copy_vacate((uint64_t)a, (uint64_t)a + PAGE_UP((uint64_t)b));
    long error = HOST_2(__NR_munmap, a, b);
    if (error == 0)
        exo_map_remove((uint64_t)a, PAGE_UP((uint64_t)b));
    exo_mm_unlock();
    return error;
}

static void freeze(uint64_t start, uint64_t size)
{
    exo_mm_lock();
    exo_map_freeze(start, PAGE_UP(size));
    exo_mm_unlock();
}

static long protect(long nr, long a, long b, long c, long d)
{
    if (in_window((uint64_t)a, (uint64_t)b))
        return -ENOMEM;
    if (exo_mdwe_refuses_change((uint64_t)a, PAGE_UP((uint64_t)b), c))
        return -EACCES;
    if (c & PROT_WRITE_)
        freeze((uint64_t)a, (uint64_t)b);
    return HOST_4(nr, a, b, c, d);
}

SYSCALL(mprotect)
{
    return protect(__NR_mprotect, a, b, c, 0);
}

SYSCALL(pkey_mprotect)
{
    return protect(__NR_pkey_mprotect, a, b, c, d);
}

SYSCALL(mremap)
{
    if (in_window((uint64_t)a, (uint64_t)b))
        return -EFAULT;
    if ((d & MREMAP_FIXED_) && in_window((uint64_t)e, (uint64_t)c))
        return -EINVAL;
    exo_mm_lock();
    if (d & MREMAP_FIXED_)
        exo_copy_vacate((uint64_t)e, (uint64_t)e + PAGE_UP((uint64_t)c));
    long got = move_outside(HOST_5(__NR_mremap, a, b, c, d, e), PAGE_UP((uint64_t)c));
    if (got >= 0) {
        exo_map_remove((uint64_t)a, PAGE_UP((uint64_t)b));
        exo_map_remove((uint64_t)got, PAGE_UP((uint64_t)c));
    }
    exo_mm_unlock();
    return got;
}

SYSCALL(madvise)
{
    if (in_window((uint64_t)a, (uint64_t)b))
        return -ENOMEM;
    return host_wait(__NR_madvise, a, b, c, 0, 0, 0);
}

SYSCALL(mseal)
{
    return in_window((uint64_t)a, (uint64_t)b) ? -ENOMEM : HOST_3(462, a, b, c);
}

SYSCALL(remap_file_pages)
{
    return in_window((uint64_t)a, (uint64_t)b) ? -EINVAL
                                               : HOST_5(__NR_remap_file_pages, a, b, c, d, e);
}

SYSCALL(shmat)
{
    if ((c & SHM_EXEC_) && exo_mdwe_refuses_map(c & SHM_RDONLY_ ? 0 : PROT_WRITE_ | PROT_EXEC_))
        return -EACCES;
    exo_robust_guard();
    if (in_window((uint64_t)b, 1))
        return -EINVAL;
    long got = HOST_3(__NR_shmat, a, b, c);
    if (got < 0 || !in_window((uint64_t)got, 1))
        return got;
    HOST_1(__NR_shmdt, got);
    return -ENOMEM;
}

#define MCL_CURRENT_ 1
#define MCL_FUTURE_ 2
#define MCL_ONFAULT_ 4

/* DIFFERS: pages are locked as they come; to bring in all that is mapped would fill the whole region. */
SYSCALL(mlockall)
{
    int flags = (int)a;
    bool is_right = (flags & (MCL_CURRENT_ | MCL_FUTURE_)) &&
                    !(flags & ~(MCL_CURRENT_ | MCL_FUTURE_ | MCL_ONFAULT_));
    return HOST_1(__NR_mlockall, is_right ? flags | MCL_ONFAULT_ : flags);
}
