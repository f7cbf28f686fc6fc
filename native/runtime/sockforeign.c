/* Messages in the twin of an AF_UNIX datagram socket that has a name: any process of the host may send there, and
 * what the region cannot carry goes there, too. What rings begins with a random number of the instance's, of
 * which the host knows nothing.
 *
 * Rules: looking what is there and taking it is one under the socket's lock.
 */
#include "../core/watch.h"
#include "sockdgram.h"
#include "translate.h"

bool exo_dgram_sift_locked(const struct exo_sock_end *end)
{
    struct exo_sock *sock = end->sock;
    uint64_t bell[2];
    for (;;) {
        long got = HOST_6(__NR_recvfrom, end->fd.host, bell, sizeof(bell),
                          MSG_PEEK_ | MSG_TRUNC_ | MSG_DONTWAIT_, 0, 0);
        if (got == -ECONNRESET)
            store_release(&sock->error, (uint32_t)ECONNRESET);
        if (got < 0) {
            fetch_and(&sock->udp, ~(uint32_t)EXO_UNIX_FOREIGN);
            return false;
        }
        if (got < (long)sizeof(bell) || memcmp(bell, KR->bell, sizeof(bell)) != 0) {
            fetch_or(&sock->udp, (uint32_t)EXO_UNIX_FOREIGN);
            return true;
        }
        HOST_6(__NR_recvfrom, end->fd.host, bell, sizeof(bell), MSG_DONTWAIT_, 0, 0);
    }
}

/* fds of a message in the ring may be in front. */
static bool has_marks(const struct exo_sock *sock)
{
    return load_acquire(&sock->mark_head) != load_acquire(&sock->mark_tail);
}

bool exo_dgram_look(const struct exo_sock_end *end)
{
    struct exo_sock *sock = end->sock;
    bool any = false;
    if (!exo_dgram_is_mixed(sock))
        return false;
    exo_lock_acquire(&sock->lock);
    if (exo_sock_same(end) && !has_marks(sock))
        any = exo_dgram_sift_locked(end);
    exo_lock_release(&sock->lock);
    return any;
}

struct k_msghdr exo_span_message(const struct exo_span *span)
{
    struct k_msghdr message = {.iov = (uint64_t)span->vector};
    for (uint64_t left = span->left; left != 0; message.iov_count++) {
        uint64_t size = span->vector[message.iov_count][1];
        left -= size < left ? size : left;
    }
    return message;
}

static long receive_locked(const struct exo_sock_end *end, struct exo_span *span, long flags,
                           struct exo_rights *rights)
{
    struct k_msghdr message = exo_span_message(span);
    if (rights != NULL) {
        message.name = (uint64_t)rights->name;
        message.name_size = sizeof(rights->name);
        message.control = (uint64_t)rights->control;
        message.control_size = rights->room;
    }
    long passed = MSG_PEEK_ | MSG_TRUNC_;
    long got = HOST_3(__NR_recvmsg, end->fd.host, &message,
                      (flags & passed) | MSG_DONTWAIT_ | MSG_CMSG_CLOEXEC_);
    if (rights == NULL || got < 0)
        return got;
    rights->whole = true;
    rights->flags = message.flags & MSG_TRUNC_;
    rights->cut = message.flags & MSG_CTRUNC_;
    rights->size = message.control_size;
    rights->carrier = 0;
    rights->record = (struct exo_record){.name_size = (uint16_t)message.name_size};
    return got;
}

bool exo_dgram_take(const struct exo_sock_end *end, struct exo_span *span, long flags,
                    struct exo_rights *rights, long *got)
{
    struct exo_sock *sock = end->sock;
    bool any = false;
    exo_lock_acquire(&sock->lock);
    if (exo_sock_same(end) && !has_marks(sock))
        any = exo_dgram_sift_locked(end);
    if (any) {
        *got = receive_locked(end, span, flags, rights);
        if (!(flags & MSG_PEEK_))
            exo_dgram_sift_locked(end);
    }
    exo_lock_release(&sock->lock);
    return any;
}
