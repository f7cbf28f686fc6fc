/* Plain waits on a futex: the host's, but who is to wait looks for a while first, where that has paid lately, as
 * another CPU changes most words soon. What the words mean is the guest's affair, so nothing else changes.
 */
#include <linux/futex.h>

#include "futex.h"
#include "patience.h"
#include "poll.h"

#define PATIENCES 64

struct word {
    uint64_t address;
    uint32_t value;
};

/* By address: some words change soon, some seldom. */
static struct exo_patience *patience_of(uint64_t address)
{
    static struct exo_patience patiences[PATIENCES];
    return &patiences[address / 4 % PATIENCES];
}

static bool has_changed(const void *object, UNUSED int what)
{
    const struct word *word = object;
    uint32_t now;
    return guest_get(&now, word->address) == 0 && now != word->value;
}

/* Whether the call waits for a word to change, and the host would find nothing else wrong with it. */
static bool is_wait(int command, long address, long timeout, uint32_t bits)
{
    return (command == FUTEX_WAIT || (command == FUTEX_WAIT_BITSET && bits != 0)) &&
           !(address & 3) && exo_poll_check_timeout((uint64_t)timeout) == 0;
}

/* -EAGAIN, if the word changes while we look, is what the host would say had the call come a little later. */
static long look_and_wait(long a, long b, long c, long d, long e, long f)
{
    struct word word = {(uint64_t)a, (uint32_t)c};
    struct exo_patience *patience = patience_of(word.address);
    if (exo_look(patience, has_changed, &word, 0))
        return -EAGAIN;
    uint32_t since = exo_moment();
    long result = host_wait(__NR_futex, a, b, c, d, e, f);
    if (result == 0)
        exo_slept(patience, since);
    return result;
}

long exo_futex_plain(long a, long b, long c, long d, long e, long f)
{
    int command = (int)b & FUTEX_CMD_MASK;
    return is_wait(command, a, d, (uint32_t)f) ? look_and_wait(a, b, c, d, e, f)
                                               : host_wait(__NR_futex, a, b, c, d, e, f);
}
