/* sendfile(2) to a socket of exo's: the host reads the file right into the ring; and splice(2) between such
 * a socket and a pipe, through a buffer. Others are the host's.
 */
#include "process.h"
#include "sock.h"
#include "translate.h"

#define SPLICE_NONBLOCK 2
#define CHUNK 4096

struct file_part {
    int host;
    bool stays;     /* a device, where nothing is anywhere */
    int64_t offset; /* -1: where the file stands */
    uint64_t left;
};

static long read_part(void *from, uint8_t *to, uint32_t size)
{
    struct file_part *part = from;
    uint64_t whole = part->left < size ? part->left : size;
    long got = part->offset < 0 ? HOST_3(__NR_read, part->host, to, whole)
                                : HOST_4(__NR_pread64, part->host, to, whole, part->offset);
    if (got > 0) {
        part->left -= (uint64_t)got;
        part->offset += part->offset < 0 || part->stays ? 0 : got;
    }
    return got;
}

/* A socket of messages that leads nowhere: nothing is to be read for it. 0 or -errno. */
static long check_peer(struct exo_fd *to)
{
    struct exo_sock_end end;
    if (!exo_sock_enter(&end, to) || end.sock->type != EXO_SOCK_DGRAM ||
        end.sock->family == AF_UNIX_ || load_acquire(&end.sock->mode) == EXO_SOCK_CONNECTED)
        return 0;
    return -EDESTADDRREQ;
}

static long send_file(struct exo_fd *to, struct file_part *part)
{
    long sum = 0;
    while (part->left > 0) {
        long done = exo_sock_send_from(to, read_part, part, 0);
        if (done <= 0)
            return sum > 0 ? sum : done;
        sum += done;
    }
    return sum;
}

/* A file, or one of the devices that give bytes without end: zero, full, random, urandom. */
static bool is_file(const struct k_stat *stat)
{
    uint64_t minor = stat->rdev - 0x100;
    return (stat->mode & S_IFMT_) == S_IFREG_ ||
           ((stat->mode & S_IFMT_) == S_IFCHR_ && (minor == 5 || (minor >= 7 && minor <= 9)));
}

/* What the host says of sending nothing, and that most of what it lets pass is no file. */
static long check_source(struct file_part *part, int twin, bool placed)
{
    struct k_stat stat;
    int64_t offset = part->offset;
    long error = HOST_4(__NR_sendfile, twin, part->host, placed ? &offset : NULL, 0);
    if (error != 0 || part->left == 0)
        return error;
    if (HOST_2(__NR_fstat, part->host, &stat) != 0 || !is_file(&stat))
        return -EINVAL;
    part->stays = (stat.mode & S_IFMT_) == S_IFCHR_;
    return 0;
}

/* Then reading it says all that is to be said. */
static bool is_known(int fd, int host)
{
    struct exo_fd *at = exo_fd_entry(fd);
    struct exo_fd now = at == NULL ? (struct exo_fd){0} : exo_fd_now(at);
    return (now.flags & EXO_FD_FILE) && now.stamp == EXO_FILE_REGULAR && now.host == host;
}

SYSCALL(sendfile)
{
    struct exo_fd *to = exo_fd_entry((int)a);
    struct file_part part = {.host = exo_fd_host((int)b), .offset = -1, .left = (uint64_t)d};
    if (to == NULL || part.host < 0 || !exo_sock_is((int)a))
        return exo_sock_is((int)b) ? -EINVAL : exo_pass(a, b, c, d, e, f);
    if (c != 0 && guest_get(&part.offset, c) != 0)
        return -EFAULT;
    bool known = d > 0 && part.offset >= (c != 0 ? 0 : -1) && is_known((int)b, part.host);
    long error = known ? 0 : check_source(&part, exo_fd_twin((int)a), c != 0);
    if (error != 0 || d <= 0)
        return error == 0 && d < 0 ? -EINVAL : error;
    part.left = part.left < MAX_RW_COUNT ? part.left : MAX_RW_COUNT;
    long sum = check_peer(to);
    sum = sum == 0 ? send_file(to, &part) : sum;
    if (sum == EXO_SOCK_AGAIN)
        return -EBADF;
    if (c != 0 && sum > 0 && guest_put(c, &part.offset) != 0)
        return -EFAULT;
    return sum;
}

/* write(2) or read(2) of the runtime's own memory at any fd of the guest's. */
static long transfer(struct exo_fd *at, int side, uint8_t *bytes, uint64_t size, long flags)
{
    const uint64_t vector[1][2] = {{(uint64_t)bytes, size}};
    struct exo_span span = {.vector = vector, .left = size};
    uint16_t kind = load_relaxed(&at->flags);
    long result = EXO_SOCK_AGAIN;
    if (kind & EXO_FD_SOCKET)
        result = side == EXO_PIPE_WRITES ? exo_sock_send(at, &span, flags)
                                         : exo_sock_receive(at, &span, flags, NULL);
    else if (kind & EXO_FD_PIPE)
        result = exo_pipe_transfer(at, side, &span);
    if (result != EXO_SOCK_AGAIN)
        return result;
    return host_wait(side == EXO_PIPE_WRITES ? __NR_write : __NR_read, load_relaxed(&at->host),
                     (long)bytes, (long)size, 0, 0, 0);
}

/* What the pipe does not take stays in the socket. */
static long splice_from(struct exo_fd *socket, struct exo_fd *pipe, uint64_t size, long flags)
{
    uint8_t bytes[CHUNK];
    long there = transfer(socket, EXO_PIPE_READS, bytes, size, flags | MSG_PEEK_);
    long done = there > 0 ? transfer(pipe, EXO_PIPE_WRITES, bytes, (uint64_t)there, 0) : there;
    return done > 0 ? transfer(socket, EXO_PIPE_READS, bytes, (uint64_t)done, MSG_DONTWAIT_) : done;
}

/* There is room for all before the pipe is asked. */
static long splice_to(struct exo_fd *socket, struct exo_fd *pipe, uint64_t size, long flags)
{
    uint8_t bytes[CHUNK];
    struct exo_sock_end end;
    long error = check_peer(socket);
    if (error != 0)
        return error;
    if (exo_sock_enter(&end, socket) && load_acquire(&end.sock->mode) != EXO_SOCK_CONNECTED)
        return exo_sock_broken(end.sock->family == AF_UNIX_ ? -ENOTCONN : -EPIPE, 0);
    while (exo_sock_enter(&end, socket) && !exo_sock_is_ready(KR, end.sock, EXO_SOCK_OUT)) {
        if (flags & MSG_DONTWAIT_ || load_relaxed(&end.sock->nonblock))
            return -EAGAIN;
        error = exo_sock_wait(&end, EXO_SOCK_OUT);
        if (error != 0)
            return error;
    }
    long got = transfer(pipe, EXO_PIPE_READS, bytes, size, 0);
    return got > 0 ? transfer(socket, EXO_PIPE_WRITES, bytes, (uint64_t)got, 0) : got;
}

long exo_sock_splice(long a, long b, long c, long d, long e, long f)
{
    struct exo_fd *from = exo_fd_entry((int)a), *to = exo_fd_entry((int)c);
    bool from_socket = exo_sock_is((int)a), to_socket = exo_sock_is((int)c);
    uint64_t size = (uint64_t)e < CHUNK ? (uint64_t)e : CHUNK;
    if (size == 0 || from == NULL || to == NULL)
        return exo_pass(a, b, c, d, e, f);
    if (from_socket == to_socket)
        return from_socket ? -EINVAL : exo_pass(a, b, c, d, e, f);
    struct exo_fd *pipe = from_socket ? to : from;
    struct k_stat stat;
    long mode = HOST_2(__NR_fcntl, load_relaxed(&pipe->host), F_GETFL_) & O_ACCMODE_;
    if (mode == (from_socket ? O_RDONLY_ : O_WRONLY_))
        return -EBADF;
    if (b != 0 || d != 0)
        return -ESPIPE;
    if (HOST_2(__NR_fstat, load_relaxed(&pipe->host), &stat) != 0 ||
        (stat.mode & S_IFMT_) != S_IFIFO_)
        return -EINVAL;
    long flags = f & SPLICE_NONBLOCK ? MSG_DONTWAIT_ : 0;
    return from_socket ? splice_from(from, to, size, flags) : splice_to(to, from, size, flags);
}
