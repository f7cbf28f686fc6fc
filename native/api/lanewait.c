/* exo/api.h: waiting for a pipe's locks, and for what their owners do: asleep in the host, until a signal.
 *
 * The locks are libc's robust mutexes, whose words the host knows: FUTEX_WAITERS in one, and whoever
 * unlocks it wakes a sleeper, or the host does when the owner dies. libc's own waiting takes no
 * signals and looks at one word; here several are looked at, at once (futex_waitv). Who was woken wakes
 * the next, so nobody is forgotten who sleeps beside him.
 */
#include <errno.h>
#include <linux/futex.h>
#include <sched.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "lane.h"

#ifndef FUTEX_32
#define FUTEX_32 2
#endif
#define WORDS 4 /* of a mutex, of which libc has one for the host */

static int word_at = -1; /* which one: libcs differ */

static uint32_t own_thread(void)
{
    return (uint32_t)syscall(SYS_gettid);
}

void exo_lane_learn(pthread_mutex_t *mutex)
{
    uint32_t *words = (uint32_t *)mutex, thread = own_thread();
    if (load_relaxed(&word_at) >= 0 || pthread_mutex_lock(mutex) != 0)
        return;
    for (int i = WORDS - 1; i >= 0; i--) /* glibc notes the owner once more, behind */
        if ((load_relaxed(&words[i]) & FUTEX_TID_MASK) == thread)
            store_relaxed(&word_at, i);
    pthread_mutex_unlock(mutex);
}

/* NULL: not known. */
static uint32_t *word_of(pthread_mutex_t *mutex)
{
    int at = load_relaxed(&word_at);
    return at < 0 ? NULL : (uint32_t *)mutex + at;
}

/* Has its owner wake who waits; false: there is none. *seen: the word then. */
static bool mark(uint32_t *word, uint32_t *seen)
{
    *seen = load_acquire(word);
    while ((*seen & FUTEX_TID_MASK) != 0 && !(*seen & FUTEX_OWNER_DIED)) {
        if ((*seen & FUTEX_WAITERS) || compare_exchange(word, seen, *seen | FUTEX_WAITERS)) {
            *seen |= FUTEX_WAITERS;
            return true;
        }
    }
    return false;
}

static void wake(uint32_t *word, int count)
{
    syscall(SYS_futex, word, FUTEX_WAKE, count, NULL, NULL, 0);
}

/* woken: of a call that waits. 0, or EINTR: a signal's handler has been run. */
static int after(long woken, uint32_t *word)
{
    int error = woken < 0 ? errno : 0;
    if (error == ENOSYS || error == EPERM)
        sched_yield(); /* the host has no futex_waitv(2) */
    if (error == 0)
        wake(word, 1);
    return error == EINTR ? EINTR : 0;
}

int exo_lane_acquire(pthread_mutex_t *mutex)
{
    int error;
    uint32_t *word = word_of(mutex), seen;
    if (word == NULL)
        return pthread_mutex_lock(mutex);
    while ((error = pthread_mutex_trylock(mutex)) == EBUSY) {
        if (!mark(word, &seen))
            continue;
        if ((seen & FUTEX_TID_MASK) == own_thread())
            return EDEADLK;
        error = after(syscall(SYS_futex, word, FUTEX_WAIT, seen, NULL, NULL, 0), word);
        if (error != 0)
            return error;
    }
    return error;
}

/* Until the mutex may be free, or one of the words has another value. 0; EINTR. */
static int wait_beside(pthread_mutex_t *mutex, uint32_t *const words[], const uint32_t values[],
                       uint32_t count)
{
    struct futex_waitv list[3] = {{.flags = FUTEX_32}};
    uint32_t *lock = word_of(mutex), seen;
    if (lock == NULL)
        sched_yield();
    if (lock == NULL || !mark(lock, &seen))
        return 0;
    list[0].val = seen;
    list[0].uaddr = (uintptr_t)lock;
    for (uint32_t i = 0; i < count; i++)
        list[i + 1] =
            (struct futex_waitv){.val = values[i], .uaddr = (uintptr_t)words[i], .flags = FUTEX_32};
    return after(syscall(SYS_futex_waitv, list, count + 1, 0, NULL, 0), lock);
}

int exo_lane_wait_writer(struct lane *lane)
{
    uint64_t head = load_acquire(&lane->w.head);
    if (head != load_relaxed(&lane->r.tail) || !load_acquire(&lane->fast))
        return 0;
    store_relaxed(&lane->reader_waits, 1);
    full_fence();
    uint32_t *words[] = {&lane->fast, (uint32_t *)&lane->w.head};
    int error = wait_beside(&lane->w.lock, words, (uint32_t[]){1, (uint32_t)head}, 2);
    store_relaxed(&lane->reader_waits, 0);
    return error;
}

int exo_lane_wait_reader(struct lane *lane)
{
    store_relaxed(&lane->writer_waits, 1);
    full_fence();
    uint32_t *words[] = {&lane->unbound};
    int error = 0;
    if (load_acquire(&lane->unbound))
        error = wait_beside(&lane->r.lock, words, (uint32_t[]){1}, 1);
    store_relaxed(&lane->writer_waits, 0);
    return error;
}

void exo_lane_set(uint32_t *word, uint32_t value, const uint32_t *waits)
{
    store_release(word, value);
    full_fence();
    if (load_relaxed(waits))
        wake(word, 1);
}
