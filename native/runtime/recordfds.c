/* What a call's fds lead to, for `exo-um trace -y`: told with the call, as the program may have closed
 * them when somebody looks. Links and devices are those of the host's files and twins. */
#include "record.h"
#include "sock.h"
#include "sockname.h"
#include "sockunix.h"
#include "text.h"
#include "translate.h"

#define PATH_ROOM 1024 /* on the runtime's stack; the host itself gives 4095 */
#define CWD "/proc/thread-self/cwd"
#define S_IFSOCK_ 0140000
#define SCM_RIGHTS_ 1
#define SO_TYPE_ 3
#define SO_PROTOCOL_ 38
#define SO_DOMAIN_ 39
#define NAME_ROOM sizeof(((struct exo_fd_told *)0)->local)
#define CONTROL_LIMIT 4096
#define F_DUPFD_ 0
#define F_DUPFD_CLOEXEC_ 1030

struct told {
    struct exo_fd_told it;
    char link[PATH_ROOM];
};

static uint32_t option(int host, long name)
{
    uint32_t value = 0, size = sizeof(value);
    HOST_5(__NR_getsockopt, host, SOL_SOCKET_, name, &value, &size);
    return value;
}

/* A name of the host's, nr by which it is asked for; of a twin's, the guest's. */
static uint16_t host_name(uint8_t *to, long nr, int host, const struct exo_sock *own)
{
    struct exo_sockaddr name;
    int32_t size = sizeof(name);
    if (HOST_3(nr, host, &name, &size) != 0)
        return 0;
    if (own != NULL && exo_twin_is((const struct exo_twin_name *)&name, size, 'c'))
        size = exo_unix_client_name(own, &name);
    uint32_t part = (uint32_t)size < NAME_ROOM ? (uint32_t)size : NAME_ROOM;
    memcpy(to, &name, part);
    return (uint16_t)part;
}

static uint16_t own_name(uint8_t *to, const struct exo_sock_name *from)
{
    struct exo_sockaddr name;
    uint32_t size = (uint32_t)exo_sockaddr_of(from, &name);
    memcpy(to, &name, size);
    return (uint16_t)size;
}

static void tell_own(struct exo_fd_told *told, const struct exo_sock *sock)
{
    told->family = sock->family;
    told->type = sock->type != 0 ? sock->type : SOCK_STREAM_;
    told->protocol = sock->protocol;
    told->local_size = own_name(told->local, &sock->local);
    if (load_acquire(&sock->mode) == EXO_SOCK_CONNECTED)
        told->remote_size = own_name(told->remote, &sock->remote);
}

static void tell_peer(struct exo_fd_told *told, const struct exo_sock *sock)
{
    uint32_t peer = load_acquire(&sock->peer);
    told->generation = sock->generation;
    if (peer != 0)
        told->peer = exo_sock_at(KR, peer)->generation;
}

/* Nothing of it is changed: neither by exo_sock_enter() nor by calls that exo_pass() might hand on. */
static void tell_socket(struct exo_fd_told *told, const struct exo_fd *entry)
{
    const struct exo_fd now = exo_fd_now(entry);
    const struct exo_sock *sock = now.flags & EXO_FD_SOCKET ? exo_sock_at(KR, now.stamp) : NULL;
    if (sock != NULL && load_acquire(&sock->mode) == EXO_SOCK_HOST)
        sock = NULL;
    if (sock != NULL)
        tell_peer(told, sock);
    if (sock != NULL && sock->family != AF_UNIX_) {
        tell_own(told, sock);
        return;
    }
    told->family = option(now.host, SO_DOMAIN_);
    told->type = option(now.host, SO_TYPE_);
    told->protocol = option(now.host, SO_PROTOCOL_);
    told->local_size = host_name(told->local, __NR_getsockname, now.host, sock);
    told->remote_size = host_name(told->remote, __NR_getpeername, now.host, sock);
}

static void tell_mode(struct exo_fd_told *told, int host)
{
    struct k_stat stat;
    if (HOST_2(__NR_fstat, host, &stat) != 0)
        return;
    told->mode = stat.mode;
    told->device_major = (uint32_t)((stat.rdev >> 8 & 0xfff) | (stat.rdev >> 32 & 0xfffff000));
    told->device_minor = (uint32_t)((stat.rdev & 0xff) | (stat.rdev >> 12 & 0xffffff00));
}

static __attribute__((noinline)) void tell(struct exo_stage *stage, int fd, bool after)
{
    struct told told = {.it = {0}};
    char link[48] = CWD;
    const struct exo_fd *entry = fd >= 0 ? exo_fd_entry(fd) : NULL;
    if (entry == NULL && fd != AT_FDCWD_)
        return;
    if (entry != NULL) {
        int host = load_relaxed(&entry->host);
        exo_put_number(exo_put_text(link, "/proc/thread-self/fd/"), (uint64_t)host);
        tell_mode(&told.it, host);
    }
    long size = HOST_4(__NR_readlinkat, AT_FDCWD_, link, told.link, sizeof(told.link));
    if (size <= 0)
        return;
    if (entry != NULL && (told.it.mode & S_IFMT_) == S_IFSOCK_)
        tell_socket(&told.it, entry);
    exo_record_own(stage, EXO_PIECE_FD | (uint32_t)fd, &told, sizeof(told.it) + (uint64_t)size,
                   after);
}

static void tell_all(struct exo_stage *stage, uint64_t at, uint64_t count, uint64_t step,
                     bool after)
{
    int fd;
    uint64_t limit = KR->recording.string_limit;
    for (uint64_t i = 0; i < count && i < limit && guest_get(&fd, at + i * step) == 0; i++)
        tell(stage, fd, after);
}

static void tell_set(struct exo_stage *stage, uint64_t at, uint64_t count, bool after)
{
    uint64_t word;
    count = count < 1024 ? count : 1024;
    for (uint64_t i = 0; i < count && at != 0; i += 64) {
        if (guest_get(&word, at + i / 8) != 0)
            return;
        for (; word != 0; word &= word - 1)
            if (i + (uint64_t)__builtin_ctzl(word) < count)
                tell(stage, (int)(i + (uint64_t)__builtin_ctzl(word)), after);
    }
}

struct control_head {
    uint64_t size;
    int level, type;
};

/* Those that are sent along with a message. */
static void tell_control(struct exo_stage *stage, uint64_t message, bool after)
{
    uint64_t control[2];
    struct control_head head;
    if (guest_get(&control, message + 32) != 0)
        return;
    uint64_t end = control[0] + (control[1] < CONTROL_LIMIT ? control[1] : CONTROL_LIMIT);
    for (uint64_t at = control[0]; at != 0 && at + sizeof(head) <= end;) {
        if (guest_get(&head, at) != 0 || head.size < sizeof(head) || head.size > end - at)
            return;
        if (head.level == SOL_SOCKET_ && head.type == SCM_RIGHTS_)
            tell_all(stage, at + sizeof(head), (head.size - sizeof(head)) / 4, 4, after);
        at += (head.size + 7) & ~7UL;
    }
}

static void tell_lists(struct exo_stage *stage, const struct exo_regs *regs, uint32_t nr)
{
    switch (nr) {
    case __NR_poll:
    case __NR_ppoll:
        tell_all(stage, regs->rdi, (uint32_t)regs->rsi, 8, false);
        break;
    case __NR_select:
    case __NR_pselect6:
        tell_set(stage, regs->rsi, (uint32_t)regs->rdi, false);
        tell_set(stage, regs->rdx, (uint32_t)regs->rdi, false);
        tell_set(stage, regs->r10, (uint32_t)regs->rdi, false);
        break;
    case __NR_sendmsg:
        tell_control(stage, regs->rsi, false);
        break;
    default:
        break;
    }
}

static void tell_made(struct exo_stage *stage, const struct exo_regs *regs, uint32_t nr)
{
    long result = exo_called_of(stage)->result;
    uint32_t command = (uint32_t)regs->rsi;
    switch (nr) {
    case __NR_pipe:
    case __NR_pipe2:
        tell_all(stage, regs->rdi, 2, 4, true);
        break;
    case __NR_socketpair:
        tell_all(stage, regs->r10, 2, 4, true);
        break;
    case __NR_recvmsg:
        tell_control(stage, regs->rsi, true);
        break;
    case __NR_fcntl:
        if (command == F_DUPFD_ || command == F_DUPFD_CLOEXEC_)
            tell(stage, (int)result, true);
        break;
    default:
        if (exo_calls[nr].ret == EXO_RET_FD)
            tell(stage, (int)result, true);
        break;
    }
}

void exo_record_fds(struct exo_stage *stage, const struct exo_regs *regs, bool after)
{
    uint32_t nr = exo_called_of(stage)->nr;
    const struct exo_call *row = &exo_calls[nr];
    if (after && exo_called_of(stage)->result >= 0) {
        tell_made(stage, regs, nr);
    } else if (!after) {
        const uint64_t args[6] = {regs->rdi, regs->rsi, regs->rdx, regs->r10, regs->r8, regs->r9};
        for (uint32_t i = 0; i < row->argc; i++)
            if (row->args[i].kind == EXO_ARG_FD || row->args[i].kind == EXO_ARG_DIRFD)
                tell(stage, (int)args[i], false);
        tell_lists(stage, regs, nr);
    }
}
