/* exo/api.h: pipes with a lane of shared memory beside them, in which bytes travel while the reader
 * is awake; while it sleeps, they travel in the pipe, whose own rules end every wait.
 *
 * `fast` says where bytes go. Whoever changes it holds the writers' lock, so the order of bytes is
 * kept: first the bytes, up to number `piped`, that were in the pipe when they turned to the lane, then
 * what is in the lane, then the pipe. A reader that wants the lane notes itself in `awake`: once it has died,
 * writers turn back to the pipe, which tells them whether anybody is left. Nothing need be repaired:
 * a killed writer has either moved `head` or not written.
 *
 * Rules: who reads sleeps with the readers' lock, who writes with the writers', the latter only while
 * `fast` is clear; so each takes the other's by trying, a reader until `fast` is clear, a writer until
 * `unbound` is. Who tries long, since the other one has been stopped, sleeps on all that would end it
 * (lanewait.c).
 */
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <exo/api.h>

#include "lane.h"

#define LIMIT 1024 /* fds from here on are plain pipes */

/* This process's, by fd; bit 0: the end that is read. */
static uintptr_t lanes[LIMIT];

struct lane *exo_lane_of(int fd, bool reads)
{
    uintptr_t word = fd >= 0 && fd < LIMIT ? load_acquire(&lanes[fd]) : 0;
    return (word & 1) == reads ? (struct lane *)(word & ~(uintptr_t)1) : NULL;
}

static bool make(struct lane *lane)
{
    cpu_set_t cpus;
    pthread_mutexattr_t kind;
    uint32_t tries = sched_getaffinity(0, sizeof(cpus), &cpus) == 0 && CPU_COUNT(&cpus) > 1;
    bool good = pthread_mutexattr_init(&kind) == 0 &&
                pthread_mutexattr_setpshared(&kind, PTHREAD_PROCESS_SHARED) == 0 &&
                pthread_mutexattr_setrobust(&kind, PTHREAD_MUTEX_ROBUST) == 0 &&
                pthread_mutexattr_settype(&kind, PTHREAD_MUTEX_ERRORCHECK) == 0 &&
                pthread_mutex_init(&lane->w.lock, &kind) == 0 &&
                pthread_mutex_init(&lane->r.lock, &kind) == 0 &&
                pthread_mutex_init(&lane->awake, &kind) == 0;
    if (good)
        exo_lane_learn(&lane->w.lock);
    lane->r.tries = lane->w.tries = tries * TRIES_MAX;
    lane->r.reads = NATIVE_READS;
    return good;
}

int exo_pipe2(int fds[2], int flags)
{
    if (pipe2(fds, flags) != 0)
        return -1;
    if ((flags & ~O_CLOEXEC) != 0 || fds[0] >= LIMIT || fds[1] >= LIMIT)
        return 0;
    struct lane *lane =
        mmap(NULL, sizeof(*lane), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (lane == MAP_FAILED)
        return 0; /* a plain pipe */
    if (!make(lane)) {
        munmap(lane, sizeof(*lane));
        return 0;
    }
    store_release(&lanes[fds[0]], (uintptr_t)lane | 1);
    store_release(&lanes[fds[1]], (uintptr_t)lane);
    return 0;
}

int exo_pipe(int fds[2])
{
    return exo_pipe2(fds, 0);
}

static bool is_known(const struct lane *lane)
{
    for (int fd = 0; fd < LIMIT; fd++)
        if ((load_relaxed(&lanes[fd]) & ~(uintptr_t)1) == (uintptr_t)lane)
            return true;
    return false;
}

static void let_go(struct lane *lane, bool reads)
{
    uint32_t process = (uint32_t)getpid();
    if (reads) {
        store_release(&lane->left, 1);
        if (load_relaxed(&lane->holder_thread) == (uint32_t)syscall(SYS_gettid)) {
            exo_lane_note_holder(lane, 0, 0);
            pthread_mutex_unlock(&lane->awake);
        }
    }
    /* Another thread's robust list leads here. */
    if (!is_known(lane) && load_relaxed(&lane->holder) != process)
        munmap(lane, sizeof(*lane));
}

int exo_close(int fd)
{
    struct lane *lane = exo_lane_of(fd, true);
    bool reads = lane != NULL;
    if (!reads)
        lane = exo_lane_of(fd, false);
    if (lane == NULL)
        return close(fd);
    store_release(&lanes[fd], 0);
    int error = errno;
    let_go(lane, reads);
    errno = error;
    return close(fd);
}
