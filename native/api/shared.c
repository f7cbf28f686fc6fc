/* exo/api.h: memory that is shared with children, made in one go.
 *
 * The host gives its pages one by one, at their first touching: a fault each, which costs some 900 cycles
 * beside the page itself. Here a part is asked for at once, as much as may be had in vain: a program that
 * makes more room than it needs is to stay as small as it was.
 */
#include <errno.h>
#include <sys/mman.h>

#include <exo/api.h>

#define AHEAD_LEAST (128UL << 10) /* from here on it pays */
#define AHEAD_MOST (1UL << 20)
#define LARGE_PAGE (2UL << 20)
#ifndef MADV_POPULATE_WRITE
#define MADV_POPULATE_WRITE 23
#endif

void *exo_shared_map(size_t size)
{
    void *at = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    int error = errno;
    if (at == MAP_FAILED || size < AHEAD_LEAST)
        return at;
    if (size >= LARGE_PAGE) /* where the host lets shared memory ask for them */
        madvise(at, size, MADV_HUGEPAGE);
    madvise(at, size < AHEAD_MOST ? size : AHEAD_MOST, MADV_POPULATE_WRITE);
    errno = error; /* a host that cannot gives them one by one */
    return at;
}
