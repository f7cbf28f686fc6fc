/* Stream sockets whose contents are in the kernel region: sock.c receives, socksend.c sends, sockwait.c sleeps,
 * wakes and says what poll(2) sees, sockmake.c makes and connects, sockname.c has to do with addresses,
 * sockopt.c with options, sockmsg.c with messages, sockfile.c with what comes from a file.
 */
#ifndef EXO_RUNTIME_SOCK_H
#define EXO_RUNTIME_SOCK_H

#include "../core/sock.h"
#include "area.h"
#include "pipe.h"
#include "translate.h"

/* What an entry says, at one moment. */
struct exo_sock_end {
    struct exo_fd *at; /* the entry */
    struct exo_fd fd;  /* ... as it was */
    struct exo_sock *sock;
    const struct exo_sockaddr
        *to; /* by which name others are rung; NULL: whom the twin is connected to */
    long to_size;
};

struct exo_sockaddr;

/* The entry is another by now. Look again. */
#define EXO_SOCK_AGAIN EXO_PIPE_AGAIN

#define MSG_OOB_ 0x1
#define MSG_PEEK_ 0x2
#define MSG_TRUNC_ 0x20
#define MSG_WAITALL_ 0x100
#define MSG_NOSIGNAL_ 0x4000

#define SOCK_STREAM_ 1
#define SOCK_DGRAM_ EXO_SOCK_DGRAM
#define SOCK_SEQPACKET_ EXO_SOCK_SEQPACKET
#define IPPROTO_TCP_ 6
#define IPPROTO_UDP_ 17

/* Whether the entry is one of exo's sockets; if so *end is filled in. */
bool exo_sock_enter(struct exo_sock_end *end, struct exo_fd *at);
static inline bool exo_sock_is(int fd)
{
    const struct exo_fd *entry = exo_fd_entry(fd);
    return entry != NULL && (load_relaxed(&entry->flags) & EXO_FD_SOCKET);
}
static inline bool exo_sock_same(const struct exo_sock_end *end)
{
    return exo_fd_same(exo_fd_now(end->at), end->fd);
}

/* Who was at work there last: while that lives, so does its side. */
static inline void exo_sock_note_use(struct exo_sock *sock)
{
    uint32_t mine = area()->task->leader_slot;
    if (load_relaxed(&sock->used) != mine)
        store_relaxed(&sock->used, mine);
}

static inline bool exo_sock_is_connected(const struct exo_sock *sock)
{
    return load_acquire(&sock->mode) == EXO_SOCK_CONNECTED;
}

static inline bool exo_sock_may_wait(const struct exo_sock *sock, long flags)
{
    return !(flags & MSG_DONTWAIT_) && !load_relaxed(&sock->nonblock);
}

static inline bool exo_sock_is_udp(const struct exo_sock *sock)
{
    return sock->type == EXO_SOCK_DGRAM && sock->family != AF_UNIX_;
}

/* Control data as the host has it, from a twin: fds are the host's. */
struct exo_rights {
    uint8_t *control;
    uint64_t size, room;
    uint32_t carrier; /* number of the socket they have come to */
    bool cut;         /* MSG_CTRUNC */
    /* Of a datagram to be sent: where to, if not NULL. */
    const struct exo_sockaddr *to;
    long to_size;
    bool
        whole; /* a message that has come, with its record and MSG_TRUNC; of a stream, no bytes of what has */
    uint32_t flags;
    struct exo_record record;
    uint8_t name[EXO_UNIX_NAME_MAX]; /* AF_UNIX: who has sent it, record.name_size bytes */
};

#define EXO_RIGHTS_ROOM 1152 /* as many fds as one message has at most, and credentials */

/* sockrights.c. What the mark at hand stands for comes out of the twin; NULL: its fds are closed. Or it stays there,
 * and what comes are copies: carrier says so. */
void exo_sock_take_rights(const struct exo_sock_end *end, struct exo_rights *rights);
void exo_sock_peek_rights(const struct exo_sock_end *end, struct exo_rights *rights);
#define EXO_CARRIER_PEEKED 0x80000000U
/* Sends size bytes of vector, with the host's control data at their first one. */
long exo_sock_send_rights(struct exo_fd *at, struct exo_span *span, long flags,
                          const struct exo_rights *rights);
/* The same into the ring of `to`, whose input is held, as one message if record is given; 0: no room. */
long exo_sock_put_rights_locked(const struct exo_sock_end *end, struct exo_sock *to,
                                struct exo_span *span, const struct exo_rights *rights,
                                const struct exo_record *record);
/* A socket of exo's leaves in a message for carrier, a socket's number or 0, and is counted until it has
 * arrived; or it stays. And one arrives; or its message has, but it finds no place. */
void exo_sock_leave(struct exo_fd *at, uint32_t carrier);
void exo_sock_stay(struct exo_fd *at, uint32_t carrier);
long exo_sock_land(long host, uint32_t carrier, bool cloexec);
void exo_sock_crash(long host, uint32_t carrier);
uint64_t exo_sock_cookie(long host); /* SO_COOKIE; 0: it is no socket */

/* sockfile.c: splice(2) of which one end is a socket. */
long exo_sock_splice(long a, long b, long c, long d, long e, long f);

/* sock.c. Bytes, 0 at the end, -errno, or EXO_SOCK_AGAIN. flags: MSG_*. */
long exo_sock_receive(struct exo_fd *at, struct exo_span *span, long flags,
                      struct exo_rights *rights);
long exo_sock_send(struct exo_fd *at, struct exo_span *span, long flags);
/* Sends what from delivers: it fills in up to size bytes, and says how many, 0 for no more or -errno.
 * Once round; *fits is false if there was no room. */
typedef long exo_sock_source(void *from, uint8_t *to, uint32_t size);
long exo_sock_send_from(struct exo_fd *at, exo_sock_source *source, void *from, long flags);
/* readv(2), writev(2) and the like: any number of pieces, as a guest has them at `from`. Of no bytes there is
 * no message with EXO_SOCK_FILE. */
#define EXO_SOCK_FILE (1L << 40)
long exo_sock_vector(struct exo_fd *at, int side, uint64_t from, uint64_t count, long flags,
                     struct exo_rights *rights);
long exo_sock_broken(long error, long flags); /* EPIPE, with its signal */

/* sockurgent.c: MSG_OOB; see there. */
long exo_sock_pull_urgent(struct exo_sock *sock, struct exo_span *span, long flags, uint32_t *past,
                          bool *stop);
long exo_sock_receive_urgent(struct exo_fd *at, struct exo_span *span, long flags);
long exo_sock_push_urgent_locked(struct exo_sock *to, struct exo_span *span);

/* sockwait.c. 0: worth another try; what: EXO_SOCK_IN, EXO_SOCK_OUT. */
long exo_sock_wait(const struct exo_sock_end *end, int what);
/* Wakes who waits for what at the other side, `other`. */
void exo_sock_ring(const struct exo_sock_end *end, struct exo_sock *other, int what);
/* Urgent data has come there. */
void exo_sock_alarm(const struct exo_sock_end *end, struct exo_sock *other);
/* All who wait at either side look again: shutdown(2), and the like. peer: its number. */
void exo_sock_stir(const struct exo_sock_end *end, uint32_t peer);
/* The same of who sleeps at this side, for something to read or for room, after a shutdown(2) here. */
void exo_sock_rouse(const struct exo_sock_end *end, bool in, bool out);
/* With O_ASYNC each arrival rings: what has rung is taken out. */
void exo_sock_take_bells(const struct exo_sock_end *end);
/* The same for who watches by epoll, and takes none out: some may stay. */
#define EXO_SOCK_BELLS 16
#define EXO_SOCK_BELLS_UDP 4 /* of datagrams, whose twin has room for 11 */
static inline void exo_sock_hush(const struct exo_sock_end *end)
{
    uint32_t bells = __atomic_load_n(&end->sock->bells, __ATOMIC_RELAXED);
    if (__builtin_expect(bells >= EXO_SOCK_BELLS_UDP, 0) &&
        (bells >= EXO_SOCK_BELLS || end->sock->type == EXO_SOCK_DGRAM))
        exo_sock_take_bells(end);
}
/* Without sleeping: whether the other side was killed, if there is reason to doubt it. */
bool exo_sock_check_peer(const struct exo_sock_end *end);
/* poll(2): going to sleep on the twin for events, true if there is nothing to do yet; and getting up. */
bool exo_sock_settle(struct exo_fd *at, int16_t events);
void exo_sock_rise(uint32_t number, int16_t events, bool rang);

/* Wakes who waits for what at `other`, whether somebody sleeps or not; 0, or -errno of the host. */
long exo_sock_ring_bell(const struct exo_sock_end *end, const struct exo_sock *other);

/* sockctl.c: fcntl(2)'s F_SETFL and ioctl(2); false: the call is as with any other file. */
bool exo_sock_fcntl(struct exo_fd *at, int command, long argument, long *result);
bool exo_sock_ioctl(struct exo_fd *at, uint32_t command, uint64_t argument, long *result);

#endif
