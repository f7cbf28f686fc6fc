/* Whole messages in a socket's ring: SOCK_DGRAM and SOCK_SEQPACKET. */
#ifndef EXO_CORE_SOCKRECORD_H
#define EXO_CORE_SOCKRECORD_H

#include "sock.h"

/* A message with its record before it, all of it or nothing; input is held. 1, 0: no room, -EFAULT. */
long exo_record_push_locked(struct exo_kr *kr, struct exo_sock *to, const struct exo_record *record,
                            struct exo_span *span);
/* The same with a name behind the message, of record->name_size bytes. */
long exo_record_push_named_locked(struct exo_kr *kr, struct exo_sock *to,
                                  const struct exo_record *record, const uint8_t *name,
                                  struct exo_span *span);
/* The name behind the oldest one; output is held. */
void exo_record_name_locked(struct exo_kr *kr, const struct exo_sock *from,
                            const struct exo_record *record, uint8_t *name);
/* How many messages there are; *own: bytes that those of one sender count for. */
uint32_t exo_record_count(struct exo_kr *kr, const struct exo_sock *from, uint64_t sent_by,
                          uint32_t *own);
/* The oldest one's record; false: there is none. */
bool exo_record_look(struct exo_kr *kr, const struct exo_sock *from, struct exo_record *record);
/* What fits into the span of it; bytes, or -EFAULT. And that one is gone. output is held. */
long exo_record_peek_locked(struct exo_kr *kr, struct exo_sock *from,
                            const struct exo_record *record, struct exo_span *span);
void exo_record_drop_locked(struct exo_sock *from, const struct exo_record *record);
/* Bytes of all messages together. */
uint32_t exo_record_sum(struct exo_kr *kr, const struct exo_sock *from);
/* What a message takes of a ring and counts for, as Linux has it about. */
uint32_t exo_record_stride(uint32_t size);
/* So many bytes may be on their way when poll(2) says that there is room. */
uint32_t exo_record_room_level(const struct exo_sock *sock);
/* Whether one more fits by what may be on its way. */
bool exo_record_fits(const struct exo_sock *to, uint32_t limit, uint32_t size);

#define EXO_RECORD_MAX 212960 /* bytes of a message: a ring holds one, and poll(2) is right then */

bool exo_record_is_ready(struct exo_kr *kr, const struct exo_sock *sock, int what);
uint32_t exo_record_poll(struct exo_kr *kr, struct exo_sock *sock);

#endif
