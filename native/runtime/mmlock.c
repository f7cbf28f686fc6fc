/* The lock of what describes a process's memory: its maps, its stubs, the patching of its code.
 *
 * Private memory, so it need not survive its owner, but where CLONE_VM children share it: one of them may be killed
 * holding it, or their parent with all its threads. So the host knows whose it is (FUTEX_LOCK_PI): when an owner is
 * killed it gives the lock to one who waits, and who comes later is told that there is no such owner. The word is the
 * owner's host tid. May be held around a core lock.
 */
#include <linux/futex.h>

#include "stub.h"

static void lock_contended(uint32_t mine)
{
    uint32_t word;
    long error;
    do {
        error = HOST_4(__NR_futex, &exo_mm.lock, FUTEX_LOCK_PI_PRIVATE, 0, 0);
        word = load_relaxed(&exo_mm.lock);
        if (error == -ESRCH && !exo_area_lives(word & FUTEX_TID_MASK) &&
            compare_exchange(&exo_mm.lock, &word, mine | FUTEX_OWNER_DIED))
            error = 0;
    } while (error != 0);
    if (load_relaxed(&exo_mm.lock) & FUTEX_OWNER_DIED)
        exo_patch_repair();
}

void exo_mm_lock(void)
{
    uint32_t mine = area()->core.host_tid, word = 0;
    if (unlikely(!compare_exchange(&exo_mm.lock, &word, mine)))
        lock_contended(mine);
}

void exo_mm_unlock(void)
{
    uint32_t mine = area()->core.host_tid;
    if (unlikely(!compare_exchange(&exo_mm.lock, &mine, 0)))
        HOST_2(__NR_futex, &exo_mm.lock, FUTEX_UNLOCK_PI_PRIVATE);
}

/* The thread of that host tid is dead: what it held is free, before its number is another's. */
void exo_mm_release_of(uint32_t host_tid)
{
    if ((load_acquire(&exo_mm.lock) & FUTEX_TID_MASK) != host_tid)
        return;
    exo_mm_lock();
    exo_mm_unlock();
}
