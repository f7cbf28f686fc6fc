/* What is on its way to a socket whose messages are whole: records in its ring, each with its message behind
 * it. A record takes as much of the ring as Linux counts for a message, about, so what is on its way is
 * bounded as there. Rules: as in sock.c. Source: unix(7), udp(7), socket(7) (SO_SNDBUF).
 */
#include "sockrecord.h"
#include "mem.h"
#include "watch.h"

#include <asm-generic/errno.h>

#define HEAD_SIZE 576    /* what Linux adds to a message */
#define SMALL_SIZE 3776  /* up to that in a block of a power of two */
#define ROOM_LEVEL 53248 /* a ring with that in it is writable: a quarter of SO_SNDBUF */
#define WRITE_BAND 0x200

_Static_assert(sizeof(struct exo_record) == 48, "no gaps, and a message behind it");

uint32_t exo_record_stride(uint32_t size)
{
    uint32_t block = 512;
    if (size > SMALL_SIZE)
        return (size + HEAD_SIZE + 63) & ~63U;
    while (block < size + 320)
        block *= 2;
    return block + 256;
}

bool exo_record_fits(const struct exo_sock *to, uint32_t limit, uint32_t size)
{
    uint32_t used = exo_sock_size(to);
    return used < limit && exo_record_stride(size) <= EXO_SOCK_SIZE - used;
}

long exo_record_push_locked(struct exo_kr *kr, struct exo_sock *to, const struct exo_record *record,
                            struct exo_span *span)
{
    return exo_record_push_named_locked(kr, to, record, NULL, span);
}

/* A name is no longer than what a message counts for beyond its bytes. */
static void copy_name(struct exo_kr *kr, const struct exo_sock *sock, uint32_t position,
                      const uint8_t *name, uint32_t size, bool to_ring)
{
    const uint64_t vector[1][2] = {{(uint64_t)name, size}};
    struct exo_span span = {.vector = vector, .left = size};
    if (size != 0)
        exo_sock_copy(kr, sock, position, size, &span, to_ring);
}

void exo_record_name_locked(struct exo_kr *kr, const struct exo_sock *from,
                            const struct exo_record *record, uint8_t *name)
{
    uint32_t position = (exo_sock_oldest(from) & ~63U) + (uint32_t)sizeof(*record);
    copy_name(kr, from, position + record->size, name, record->name_size, false);
}

long exo_record_push_named_locked(struct exo_kr *kr, struct exo_sock *to,
                                  const struct exo_record *record, const uint8_t *name,
                                  struct exo_span *span)
{
    uint32_t position, room = exo_sock_room_at(to, &position);
    uint32_t stride = exo_record_stride(record->size);
    position &= ~63U;
    if (record->size > EXO_RECORD_MAX || room < stride)
        return 0;
    if (record->size != 0 &&
        exo_sock_copy(kr, to, position + sizeof(*record), record->size, span, true) != 0)
        return -EFAULT;
    copy_name(kr, to, position + (uint32_t)sizeof(*record) + record->size, name, record->name_size,
              true);
    memcpy(exo_sock_byte_at(kr, to, position), record, sizeof(*record));
    store_release(&to->head, position + stride);
    return 1;
}

/* The one at position, of which there are `there` bytes; what a guest has scribbled is not believed. */
static bool look_at(struct exo_kr *kr, const struct exo_sock *from, uint32_t position,
                    uint32_t there, struct exo_record *record)
{
    if (there < exo_record_stride(0))
        return false;
    memcpy(record, exo_sock_byte_at(kr, from, position & ~63U), sizeof(*record));
    if (record->size > EXO_RECORD_MAX || exo_record_stride(record->size) > there)
        record->size = 0;
    if (record->name_size > EXO_UNIX_NAME_MAX)
        record->name_size = 0;
    return true;
}

bool exo_record_look(struct exo_kr *kr, const struct exo_sock *from, struct exo_record *record)
{
    return look_at(kr, from, exo_sock_oldest(from), exo_sock_size(from), record);
}

uint32_t exo_record_count(struct exo_kr *kr, const struct exo_sock *from, uint64_t sent_by,
                          uint32_t *own)
{
    uint32_t count = 0, position = exo_sock_oldest(from); /* which may be taken meanwhile */
    uint32_t there = load_acquire(&from->head) - position;
    struct exo_record record;
    *own = 0;
    if (there > EXO_SOCK_SIZE)
        return 0;
    while (look_at(kr, from, position, there, &record)) {
        uint32_t stride = exo_record_stride(record.size);
        *own += record.sent_by == sent_by ? stride : 0;
        position += stride;
        there -= stride;
        count++;
    }
    return count;
}

uint32_t exo_record_sum(struct exo_kr *kr, const struct exo_sock *from)
{
    uint32_t sum = 0, there = exo_sock_size(from), position = exo_sock_oldest(from);
    struct exo_record record;
    while (look_at(kr, from, position, there, &record)) {
        uint32_t stride = exo_record_stride(record.size);
        sum += record.size;
        position += stride;
        there -= stride;
    }
    return sum;
}

long exo_record_peek_locked(struct exo_kr *kr, struct exo_sock *from,
                            const struct exo_record *record, struct exo_span *span)
{
    uint32_t size = span->left < record->size ? (uint32_t)span->left : record->size;
    uint32_t position = (exo_sock_oldest(from) & ~63U) + (uint32_t)sizeof(*record);
    return size != 0 && exo_sock_copy(kr, from, position, size, span, false) != 0 ? -EFAULT
                                                                                  : (long)size;
}

void exo_record_drop_locked(struct exo_sock *from, const struct exo_record *record)
{
    exo_sock_drop_locked(from, exo_record_stride(record->size));
}

uint32_t exo_record_room_level(const struct exo_sock *sock)
{
    uint32_t level = load_relaxed(&sock->limit) / 4;
    return level < ROOM_LEVEL ? level : ROOM_LEVEL;
}

/* Of AF_UNIX datagrams. */
static bool is_dgram_ready(struct exo_kr *kr, const struct exo_sock *sock, int what)
{
    uint32_t shut = load_acquire(&sock->shut);
    if (load_relaxed(&sock->error) != 0)
        return true;
    if (what == EXO_SOCK_IN)
        return (shut & EXO_SHUT_READS) || exo_sock_size(sock) != 0 ||
               (load_relaxed(&sock->udp) & EXO_UNIX_FOREIGN);
    uint32_t peer = exo_dgram_peer(kr, sock);
    return peer == 0 || (shut & (EXO_SHUT_WRITES | EXO_SHUT_GONE)) ||
           (load_relaxed(&exo_sock_at(kr, peer)->shut) & EXO_SHUT_READS) ||
           exo_dgram_has_room(kr, sock, exo_sock_at(kr, peer));
}

/* With nobody at the other side to send is to learn that. */
bool exo_record_is_ready(struct exo_kr *kr, const struct exo_sock *sock, int what)
{
    if (exo_sock_is_unix_dgram(sock))
        return is_dgram_ready(kr, sock, what);
    uint32_t shut = load_acquire(&sock->shut), peer = load_acquire(&sock->peer);
    bool dgram = sock->type == EXO_SOCK_DGRAM;
    if (load_relaxed(&sock->error) != 0 || (peer == 0 && !dgram) ||
        load_relaxed(&sock->mode) == EXO_SOCK_HOST)
        return true;
    if (what == EXO_SOCK_IN)
        return (shut & (EXO_SHUT_READS | EXO_SHUT_END)) || exo_sock_size(sock) != 0;
    return peer == 0 || (shut & (EXO_SHUT_WRITES | EXO_SHUT_DEAF | EXO_SHUT_GONE)) ||
           (load_relaxed(&exo_sock_at(kr, peer)->shut) & EXO_SHUT_READS) ||
           exo_sock_size(exo_sock_at(kr, peer)) <= exo_record_room_level(sock);
}

/* As Linux's unix_dgram_poll() and datagram_poll() of SOCK_DGRAM. */
uint32_t exo_record_poll(struct exo_kr *kr, struct exo_sock *sock)
{
    uint32_t shut = load_acquire(&sock->shut);
    bool deaf = shut & EXO_SHUT_READS;
    return (load_relaxed(&sock->error) != 0 ? EXO_POLLERR : 0) |
           (deaf ? EXO_POLL_INS | EXO_POLLRDHUP : 0) |
           (deaf && (shut & EXO_SHUT_WRITES) ? EXO_POLLHUP : 0) |
           (exo_sock_size(sock) != 0 || (load_relaxed(&sock->udp) & EXO_UNIX_FOREIGN) ? EXO_POLL_INS
                                                                                      : 0) |
           (exo_sock_has_room(kr, sock) ? EXO_POLL_OUTS | WRITE_BAND : 0);
}
