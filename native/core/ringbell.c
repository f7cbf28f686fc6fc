/* Fusion rings: the bells. Who is going to sleep notes the bell's word, says that the bell is wanted,
 * and looks for the last time; who has published looks whether the bell is wanted. Each has a full
 * fence between its two steps, so one sees the other. A sleeper that is killed costs one bell for
 * nobody. The wish is taken back when all have been woken, so whoever is killed at ringing leaves it
 * to the next; and only what was wished before the count went on, which a later sleeper's is not.
 */
#include <asm/unistd.h>
#include <linux/futex.h>

#include <exo/core.h>

#include "ring.h"

void exo_word_wake(const uint32_t *word)
{
    exo_host_call(__NR_futex, (long)word, FUTEX_WAKE, INT32_MAX, 0, 0, 0);
}

void exo_bell_ring(struct exo_ring_bell *bell)
{
    uint32_t wish = load_relaxed(&bell->wanted);
    fetch_add(&bell->word, 1);
    exo_word_wake(&bell->word);
    compare_exchange(&bell->wanted, &wish, 0);
}

static void ring_bell(struct exo_ring *ring, struct exo_ring_bell *bell)
{
    if (ring->flags & EXO_RING_NEVER_SLEEPS)
        return;
    full_fence();
    if (load_relaxed(&bell->wanted) != 0)
        exo_bell_ring(bell);
}

void exo_ring_wake_data(struct exo_ring *ring)
{
    ring_bell(ring, &ring->data);
}

void exo_ring_wake_room(struct exo_ring *ring)
{
    ring_bell(ring, &ring->room);
}
