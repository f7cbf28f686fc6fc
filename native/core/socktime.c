/* TIME_WAIT: who ends a TCP connection first keeps its port for a minute, in a table with a row per port,
 * without a socket.
 *
 * Rules: all under net_lock. Several connections of a port share a row: the latest end counts, and what
 * they all allow. Source: tcp(7), socket(7) (SO_REUSEADDR).
 */
#include "mem.h"
#include "sock.h"

#include <asm/unistd.h>

#define WAIT_S 60 /* as Linux, whatever its settings */
#define CLOCK_MONOTONIC_COARSE_ 6

static uint32_t now_s(void)
{
    int64_t now[2] = {0};
    exo_host_call(__NR_clock_gettime, CLOCK_MONOTONIC_COARSE_, (long)now, 0, 0, 0, 0);
    return (uint32_t)now[0] + 1;
}

static struct exo_time_wait *row_of(struct exo_kr *kr, const struct exo_sock_name *name)
{
    return &kr->time_waits[(uint16_t)(name->port >> 8 | name->port << 8)];
}

void exo_sock_wait_locked(struct exo_kr *kr, const struct exo_sock *first)
{
    struct exo_time_wait *row = row_of(kr, &first->local);
    uint32_t now = now_s();
    uint32_t shares = (first->options[EXO_SOCK_REUSEADDR] != 0) |
                      (uint32_t)(first->options[EXO_SOCK_REUSEPORT] != 0) << 1;
    bool live = row->until_s > now;
    bool same = live && row->family == first->local.family &&
                memcmp(row->address, first->local.address, sizeof(row->address)) == 0;
    row->shares = live ? row->shares & shares : shares;
    row->family = !live || same ? (uint8_t)first->local.family : 0;
    memcpy(row->address, first->local.address, sizeof(row->address));
    row->until_s = now + WAIT_S;
}

void exo_sock_wait_again_locked(struct exo_kr *kr, const struct exo_sock_name *first)
{
    struct exo_time_wait *row = row_of(kr, first);
    uint32_t now = now_s();
    if (row->until_s > now)
        row->until_s = now + WAIT_S;
}

bool exo_sock_waits_locked(struct exo_kr *kr, const struct exo_sock *sock,
                           const struct exo_sock_name *name)
{
    const struct exo_time_wait *row = row_of(kr, name);
    if (sock->type != 0 || row->until_s == 0 || row->until_s <= now_s())
        return false;
    struct exo_sock left = {.local = {.family = row->family, .port = name->port}};
    memcpy(left.local.address, row->address, sizeof(row->address));
    bool meets = row->family == 0 || exo_sock_meets(sock, name, &left);
    bool shared = ((row->shares & 1) && sock->options[EXO_SOCK_REUSEADDR]) ||
                  ((row->shares & 2) && sock->options[EXO_SOCK_REUSEPORT]);
    return meets && !shared;
}
