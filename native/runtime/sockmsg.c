/* sendto(2), recvfrom(2) and messages without control data, of sockets whose contents are in the kernel
 * region. sendmsg.c and recvmsg.c have those of the host's, and control data.
 */
#include "sockmsg.h"
#include "process.h"
#include "sock.h"
#include "sockname.h"
#include "sockpacket.h"
#include "translate.h"

#define PIECES 8
#define PIECES_MAX 1024 /* UIO_MAXIOV */

static long transfer(struct exo_fd *at, int side, struct exo_span *span, long flags,
                     struct exo_rights *rights)
{
    const struct exo_sock *sock = exo_sock_at(KR, at->stamp);
    bool urges = (flags & MSG_OOB_) && sock->type == 0;
    if (side == EXO_PIPE_READS)
        return urges ? exo_sock_receive_urgent(at, span, flags)
                     : exo_sock_receive(at, span, flags, rights);
    if (unlikely(urges) && sock->family == AF_UNIX_ && span->left == 0)
        return -EOPNOTSUPP;
    return rights == NULL ? exo_sock_send(at, span, flags)
                          : exo_sock_send_rights(at, span, flags, rights);
}

/* Checks the pieces, and makes the sum fit: the sum, or -errno. */
static long check_pieces(uint64_t (*vector)[2], uint64_t count)
{
    uint64_t sum = 0;
    for (uint64_t i = 0; i < count; i++) {
        if ((int64_t)vector[i][1] < 0)
            return -EINVAL;
        if (vector[i][1] != 0 && vector[i][0] >= EXO_USER_END)
            return -EFAULT;
        if (vector[i][1] > MAX_RW_COUNT - sum)
            vector[i][1] = MAX_RW_COUNT - sum;
        sum += vector[i][1];
    }
    return (long)sum;
}

static long with_vector(struct exo_fd *at, int side, uint64_t (*vector)[2], uint64_t from,
                        uint64_t count, long flags, struct exo_rights *rights)
{
    if (guest_read(vector, from, count * sizeof(*vector)) != 0)
        return -EFAULT;
    long sum = check_pieces(vector, count);
    if (sum < 0 || (sum == 0 && (flags & EXO_SOCK_FILE))) /* no message, then */
        return sum;
    flags &= ~(long)EXO_SOCK_FILE;
    struct exo_span span = {.vector = (const uint64_t(*)[2])vector, .left = (uint64_t)sum};
    return transfer(at, side, &span, flags, rights);
}

long exo_sock_vector(struct exo_fd *at, int side, uint64_t from, uint64_t count, long flags,
                     struct exo_rights *rights)
{
    uint64_t own[PIECES][2];
    if (count > PIECES_MAX)
        return -EINVAL;
    if (count <= PIECES)
        return with_vector(at, side, own, from, count, flags, rights);
    long scratch = HOST_6(__NR_mmap, 0, count * sizeof(own[0]), PROT_READ_ | PROT_WRITE_,
                          MAP_PRIVATE_ | MAP_ANONYMOUS_, -1, 0);
    if (scratch < 0)
        return scratch;
    long result = with_vector(at, side, (uint64_t(*)[2])scratch, from, count, flags, rights);
    HOST_2(__NR_munmap, scratch, count * sizeof(own[0]));
    return result;
}

/* One piece; false if the entry is not a socket of exo's. */
static bool one_piece(int fd, int side, uint64_t at, uint64_t size, long flags,
                      struct exo_rights *rights, long *result)
{
    uint64_t vector[1][2] = {{at, size < MAX_RW_COUNT ? size : MAX_RW_COUNT}};
    struct exo_fd *entry = exo_fd_entry(fd);
    while (entry != NULL && (load_relaxed(&entry->flags) & EXO_FD_SOCKET)) {
        long sum = check_pieces(vector, 1);
        struct exo_span span = {.vector = (const uint64_t(*)[2])vector, .left = (uint64_t)sum};
        *result = sum < 0 ? sum : transfer(entry, side, &span, flags, rights);
        if (*result != EXO_SOCK_AGAIN)
            return true;
    }
    return false;
}

/* An AF_UNIX address of no bytes is none. */
static bool takes_names(const struct exo_fd *entry, long size)
{
    const struct exo_sock *sock = exo_sock_at(KR, entry->stamp);
    return (load_relaxed(&entry->flags) & EXO_FD_SOCKET) && sock->type == EXO_SOCK_DGRAM &&
           (sock->family != AF_UNIX_ || size != 0);
}

/* Datagrams, that is UDP and AF_UNIX, to where the guest says; false: it is another socket. */
static bool send_there(struct exo_fd *entry, struct exo_span *span, long flags, uint64_t at,
                       long size, long *result)
{
    struct exo_sockaddr name;
    const struct exo_rights rights = {.to = &name, .to_size = size};
    if (!takes_names(entry, size))
        return false;
    *result = exo_sockaddr_get(&name, at, size);
    if (*result == 0)
        *result = exo_packet_send(entry, span, flags, &rights);
    return *result != EXO_SOCK_AGAIN;
}

SYSCALL(sendto)
{
    long result;
    struct exo_fd *entry = exo_fd_entry((int)a);
    if (entry != NULL && (entry->flags & EXO_FD_SOCKET) && e != 0) {
        uint64_t vector[1][2] = {{(uint64_t)b, (uint64_t)c}};
        long sum = check_pieces(vector, 1);
        struct exo_span span = {.vector = (const uint64_t(*)[2])vector, .left = (uint64_t)sum};
        if (sum < 0 || send_there(entry, &span, d, (uint64_t)e, (int)f, &result))
            return sum < 0 ? sum : result;
    }
    if (entry != NULL && (entry->flags & EXO_FD_SOCKET) && e != 0 && (int)f != 0) {
        struct exo_sockaddr name;
        const struct exo_sock *sock = exo_sock_at(KR, entry->stamp);
        long error = exo_sockaddr_get(&name, (uint64_t)e, (int)f);
        if (error != 0)
            return error;
        if (sock->family == AF_UNIX_ && sock->type == 0)
            return load_acquire(&sock->mode) == EXO_SOCK_CONNECTED ? -EISCONN : -EOPNOTSUPP;
    }
    if (one_piece((int)a, EXO_PIPE_WRITES, (uint64_t)b, (uint64_t)c, d, NULL, &result))
        return result;
    return exo_pass(a, b, c, d, e, f);
}

SYSCALL(recvfrom)
{
    long result;
    uint32_t size = 0;
    struct exo_rights rights = {.size = 0};
    struct exo_fd *entry = exo_fd_entry((int)a);
    bool packets = e != 0 && entry != NULL && (entry->flags & EXO_FD_SOCKET) &&
                   exo_sock_at(KR, entry->stamp)->type != 0;
    if (!one_piece((int)a, EXO_PIPE_READS, (uint64_t)b, (uint64_t)c, d, packets ? &rights : NULL,
                   &result))
        return exo_pass(a, b, c, d, e, f);
    if (result < 0 || e == 0)
        return result;
    if (guest_get(&size, (uint64_t)f) != 0)
        return -EFAULT;
    if ((int32_t)size < 0)
        return -EINVAL;
    if (packets && !rights.whole) /* the end */
        size = 0;
    else
        exo_sock_sender(entry, packets ? &rights : NULL, (uint64_t)e, &size);
    return guest_put((uint64_t)f, &size) != 0 ? -EFAULT : result;
}

/* A datagram, with an address. */
static long send_named(struct exo_fd *entry, const struct k_msghdr *message, long flags,
                       const struct exo_rights *rights)
{
    struct exo_sockaddr name;
    struct exo_rights named = {.to = &name, .to_size = (int32_t)message->name_size};
    if (rights != NULL) {
        named.control = rights->control;
        named.size = rights->size;
    }
    long error = exo_sockaddr_get(&name, message->name, named.to_size);
    if (error != 0)
        return error;
    return exo_sock_vector(entry, EXO_PIPE_WRITES, message->iov, message->iov_count, flags, &named);
}

bool exo_sock_message(int fd, int side, const struct k_msghdr *message, long flags,
                      struct exo_rights *rights, long *result)
{
    struct exo_fd *entry = exo_fd_entry(fd);
    while (entry != NULL && (load_relaxed(&entry->flags) & EXO_FD_SOCKET)) {
        const struct exo_sock *sock = exo_sock_at(KR, entry->stamp);
        bool sends = side == EXO_PIPE_WRITES;
        bool named = sends && message->name != 0 && message->name_size != 0;
        if ((int32_t)message->name_size < 0)
            *result = -EINVAL;
        else if (message->iov_count > PIECES_MAX)
            *result = -EMSGSIZE;
        else if (named && sock->type == EXO_SOCK_DGRAM)
            *result = send_named(entry, message, flags, rights);
        else
            *result = exo_sock_vector(entry, side, message->iov, message->iov_count, flags, rights);
        if (*result != EXO_SOCK_AGAIN)
            return true;
    }
    return false;
}
