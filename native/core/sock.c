/* What is on its way to a socket: a ring of bytes.
 *
 * Rules: writers hold the receiver's input lock, readers its output lock, never both. What is written is
 * copied first and counted then, what is read the other way round, so whoever is killed has done all of a
 * copy or none. An empty ring begins anew at its beginning, which is in the cache.
 */
#include "sock.h"
#include "sockrecord.h"

#include <asm-generic/errno.h>
#include <asm-generic/mman-common.h>
#include <asm/unistd.h>

#define NEAR_SIZE 16384 /* so much of the ring is used before it begins anew */

static uint8_t *ring_of(struct exo_kr *kr, const struct exo_sock *sock)
{
    uint8_t *rings = (uint8_t *)(((uintptr_t)kr->sock_rings + 4095) & ~(uintptr_t)4095);
    return rings + (uint64_t)(sock - kr->socks) * EXO_SOCK_SIZE;
}

uint8_t *exo_sock_byte_at(struct exo_kr *kr, const struct exo_sock *sock, uint32_t position)
{
    return ring_of(kr, sock) + position % EXO_SOCK_SIZE;
}

/* Up to size bytes at position, in two pieces where the ring ends in between. */
long exo_sock_copy(struct exo_kr *kr, const struct exo_sock *sock, uint32_t position, uint32_t size,
                   struct exo_span *span, bool to_ring)
{
    uint32_t at = position % EXO_SOCK_SIZE, first = EXO_SOCK_SIZE - at;
    uint8_t *ring = ring_of(kr, sock);
    first = first < size ? first : size;
    long error = exo_span_copy(ring + at, span, first, to_ring);
    return error != 0 || first == size ? error : exo_span_copy(ring, span, size - first, to_ring);
}

/* Where the next byte comes to stand, and how many there is room for. */
uint32_t exo_sock_room_at(struct exo_sock *to, uint32_t *position)
{
    uint32_t head = to->head, size = exo_sock_size(to);
    if (size == 0 && head % EXO_SOCK_SIZE > NEAR_SIZE && load_acquire(&to->tail) == head) {
        head = (head | (EXO_SOCK_SIZE - 1)) + 1;
        store_release(&to->start, head);
        store_release(&to->head, head);
    }
    *position = head;
    uint32_t limit = exo_sock_limit(to);
    return size < limit ? limit - size : 0;
}

uint8_t *exo_sock_room_locked(struct exo_kr *kr, struct exo_sock *to, uint32_t *size)
{
    uint32_t position, room = exo_sock_room_at(to, &position), at = position % EXO_SOCK_SIZE;
    *size = room < EXO_SOCK_SIZE - at ? room : EXO_SOCK_SIZE - at;
    return *size == 0 ? NULL : ring_of(kr, to) + at;
}

void exo_sock_count_locked(struct exo_sock *to, uint32_t size)
{
    store_release(&to->head, to->head + size);
}

long exo_sock_push_locked(struct exo_kr *kr, struct exo_sock *to, struct exo_span *span)
{
    uint32_t position, room = exo_sock_room_at(to, &position);
    uint32_t size = span->left < room ? (uint32_t)span->left : room;
    if (exo_sock_copy(kr, to, position, size, span, true) != 0)
        return -EFAULT;
    store_release(&to->head, position + size);
    return size;
}

/* Nobody has it any more: what a ring has used beyond its beginning goes back to the host. */
void exo_sock_forget(struct exo_kr *kr, const struct exo_sock *sock)
{
    if (sock->head > NEAR_SIZE)
        exo_host_call(__NR_madvise, (long)ring_of(kr, sock) + NEAR_SIZE, EXO_SOCK_SIZE - NEAR_SIZE,
                      MADV_REMOVE, 0, 0, 0);
}

/* The oldest byte's position; the writer has begun anew before it stored start. */
uint32_t exo_sock_oldest(const struct exo_sock *from)
{
    uint32_t start = load_relaxed(&from->start), tail = load_relaxed(&from->tail);
    return (int32_t)(start - tail) > 0 ? start : tail;
}

long exo_sock_peek_locked(struct exo_kr *kr, struct exo_sock *from, uint32_t past,
                          struct exo_span *span)
{
    uint32_t there = exo_sock_size(from);
    if (there <= past)
        return 0;
    there -= past;
    uint32_t size = span->left < there ? (uint32_t)span->left : there;
    return exo_sock_copy(kr, from, exo_sock_oldest(from) + past, size, span, false) != 0
               ? -EFAULT
               : (long)size;
}

void exo_sock_drop_locked(struct exo_sock *from, uint32_t size)
{
    store_release(&from->tail, exo_sock_oldest(from) + size);
}

long exo_sock_pull_locked(struct exo_kr *kr, struct exo_sock *from, struct exo_span *span)
{
    long size = exo_sock_peek_locked(kr, from, 0, span);
    if (size > 0)
        exo_sock_drop_locked(from, (uint32_t)size);
    return size;
}

/* As poll(2) has it: a third of the room must be free for who waits to write. */
bool exo_sock_is_ready(struct exo_kr *kr, const struct exo_sock *sock, int what)
{
    if (sock->type != 0)
        return exo_record_is_ready(kr, sock, what);
    uint32_t shut = load_acquire(&sock->shut), peer = load_acquire(&sock->peer);
    if (load_relaxed(&sock->error) != 0 || peer == 0)
        return true;
    if (__builtin_expect(shut & EXO_SHUT_SYN, 0) && exo_sock_is_connecting(kr, sock))
        return false;
    if (what == EXO_SOCK_IN)
        return (shut & (EXO_SHUT_READS | EXO_SHUT_END)) || exo_sock_has_enough(sock);
    return (shut & (EXO_SHUT_WRITES | EXO_SHUT_DEAF)) || exo_sock_has_space(exo_sock_at(kr, peer));
}

uint32_t exo_sock_to_mark(const struct exo_sock *from, uint32_t *size)
{
    uint32_t tail = from->mark_tail;
    if (load_acquire(&from->mark_head) == tail)
        return UINT32_MAX;
    const struct exo_sock_mark *mark = &from->marks[tail % EXO_SOCK_MARK_COUNT];
    int32_t distance = (int32_t)(mark->at - exo_sock_oldest(from));
    *size = mark->size;
    return distance > 0 ? (uint32_t)distance : 0;
}

void exo_sock_pass_mark_locked(struct exo_sock *from)
{
    store_release(&from->mark_tail, from->mark_tail + 1);
}

bool exo_sock_mark_locked(struct exo_sock *to, uint32_t size)
{
    uint32_t head = to->mark_head, position;
    exo_sock_room_at(to, &position);
    if (head - load_acquire(&to->mark_tail) >= EXO_SOCK_MARK_COUNT)
        return false;
    to->marks[head % EXO_SOCK_MARK_COUNT] = (struct exo_sock_mark){.at = position, .size = size};
    store_release(&to->mark_head, head + 1);
    return true;
}
