/* Structures of the host's kernel ABI that the runtime reads and writes, without libc's headers. */
#ifndef EXO_RUNTIME_KABI_H
#define EXO_RUNTIME_KABI_H

#include <stddef.h>
#include <stdint.h>

enum {
    SIGHUP_ = 1,
    SIGILL_ = 4,
    SIGTRAP_ = 5,
    SIGABRT_ = 6,
    SIGBUS_ = 7,
    SIGFPE_ = 8,
    SIGKILL_ = 9,
    SIGSEGV_ = 11,
    SIGPIPE_ = 13,
    SIGALRM_ = 14,
    SIGTERM_ = 15,
    SIGCHLD_ = 17,
    SIGCONT_ = 18,
    SIGSTOP_ = 19,
    SIGTSTP_ = 20,
    SIGTTIN_ = 21,
    SIGTTOU_ = 22,
    SIGURG_ = 23,
    SIGWINCH_ = 28,
    SIGSYS_ = 31,
};
#define SIG_BIT(sig) (1UL << ((sig)-1))
/* Never blocked on the host: the runtime needs them itself, and SIGTRAP while a tracer may. */
#define SIG_FAULTS (SIG_BIT(SIGSYS_) | SIG_BIT(SIGSEGV_) | SIG_BIT(SIGBUS_))
#define SIG_UNBLOCKABLE (SIG_FAULTS | exo_trace_traps)
#define SIG_ALWAYS (SIG_BIT(SIGKILL_) | SIG_BIT(SIGSTOP_))

#define SIG_DFL_ 0UL
#define SIG_IGN_ 1UL
#define SIG_BLOCK_ 0
#define SIG_UNBLOCK_ 1
#define SIG_SETMASK_ 2

#define SA_NOCLDSTOP_ 0x1UL
#define SA_NOCLDWAIT_ 0x2UL
#define SA_SIGINFO_ 0x4UL
#define SA_EXPOSE_TAGBITS_ 0x800UL
/* Everything that a kernel keeps of sa_flags, SA_RESTORER included. */
#define SA_KNOWN_ 0xdc000807UL
#define SA_RESTORER_ 0x04000000UL
#define SA_ONSTACK_ 0x08000000UL
#define SA_RESTART_ 0x10000000UL
#define SA_NODEFER_ 0x40000000UL
#define SA_RESETHAND_ 0x80000000UL

#define SI_USER_ 0
#define SI_KERNEL_ 0x80
#define SI_QUEUE_ (-1)
#define SI_TIMER_ (-2)
#define SI_MESGQ_ (-3)
#define SI_TKILL_ (-6)
#define SI_DETHREAD_ (-7)
#define SI_ASYNCNL_ (-60)
#define SYS_SECCOMP_ 1
#define SYS_USER_DISPATCH_ 2

#define TRAP_TRACE_ 2

#define SS_ONSTACK_ 1
#define SS_DISABLE_ 2
#define SS_AUTODISARM_ (1U << 31)
#define MINSIGSTKSZ_ 2048

struct k_sigaction {
    uint64_t handler, flags, restorer, mask;
};

struct k_stack {
    uint64_t sp;
    uint32_t flags, pad;
    uint64_t size;
};

struct k_siginfo {
    int32_t signo, error, code, pad;
    union {
        struct {
            int32_t pid;
            uint32_t uid;
            int32_t status;
        };
        struct {
            uint64_t call_address;
            int32_t syscall;
            uint32_t arch;
        };
        uint64_t address;
        uint8_t rest[112];
    };
};
_Static_assert(sizeof(struct k_siginfo) == 128, "siginfo_t");

/* struct sigcontext of x86-64; the first 17 words are struct exo_regs'. */
struct k_sigcontext {
    uint64_t r8, r9, r10, r11, r12, r13, r14, r15;
    uint64_t rdi, rsi, rbp, rbx, rdx, rax, rcx, rsp, rip;
    uint64_t eflags;
    uint16_t cs, gs, fs, ss;
    uint64_t err, trapno, oldmask, cr2, fpstate, reserved[8];
};

struct k_ucontext {
    uint64_t flags, link;
    struct k_stack stack;
    struct k_sigcontext mcontext;
    uint64_t sigmask;
};
_Static_assert(offsetof(struct k_ucontext, sigmask) == 0x128, "ucontext");

#define UC_FP_XSTATE_ 1
#define UC_SIGCONTEXT_SS_ 2
#define UC_STRICT_RESTORE_SS_ 4

struct k_sigframe {
    uint64_t pretcode;
    struct k_ucontext uc;
    struct k_siginfo info;
};

struct k_stat {
    uint64_t dev, ino, nlink;
    uint32_t mode, uid, gid, pad;
    uint64_t rdev;
    int64_t size, blksize, blocks;
    int64_t atime, atime_ns, mtime, mtime_ns, ctime, ctime_ns;
    int64_t unused[3];
};
_Static_assert(sizeof(struct k_stat) == 144, "struct stat");

#define S_IFMT_ 0170000
#define S_IFDIR_ 0040000
#define S_IFREG_ 0100000
#define S_IFLNK_ 0120000
#define S_IFCHR_ 0020000
#define S_IFIFO_ 0010000

#define AT_FDCWD_ (-100)
#define AT_EMPTY_PATH_ 0x1000
#define AT_SYMLINK_NOFOLLOW_ 0x100
#define AT_EACCESS_ 0x200
#define O_CLOEXEC_ 02000000
#define O_NOFOLLOW_ 0400000
#define F_DUPFD_CLOEXEC 1030
#define SEEK_CUR_ 1
#define MADV_DONTDUMP_ 16
#define O_PATH_ 010000000
#define F_GETFL_ 3
#define F_SETFL_ 4
#define F_SETPIPE_SZ_ 1031
#define F_GETPIPE_SZ_ 1032
#define RWF_NOWAIT_ 8
#define O_RDONLY_ 0
#define O_WRONLY_ 1
#define O_ACCMODE_ 3
#define O_NONBLOCK_ 04000
#define O_APPEND_ 02000
#define O_ASYNC_ 020000
#define O_DIRECT_ 040000
#define O_DIRECTORY_ 0200000

#define PROT_READ_ 1
#define PROT_WRITE_ 2
#define PROT_EXEC_ 4
#define MAP_SHARED_ 1
#define MAP_PRIVATE_ 2
#define MAP_TYPE_ 15
#define MAP_FIXED_ 0x10
#define MAP_ANONYMOUS_ 0x20
#define MAP_GROWSDOWN_ 0x100
#define MAP_NORESERVE_ 0x4000
#define MAP_STACK_ 0x20000
#define MAP_FIXED_NOREPLACE_ 0x100000

#define CLONE_VM_ 0x100UL
#define CLONE_FS_ 0x200UL
#define CLONE_FILES_ 0x400UL
#define CLONE_SIGHAND_ 0x800UL
#define CLONE_PIDFD_ 0x1000UL
#define CLONE_PTRACE_ 0x2000UL
#define CLONE_VFORK_ 0x4000UL
#define CLONE_PARENT_ 0x8000UL
#define CLONE_THREAD_ 0x10000UL
#define CLONE_NEWNS_ 0x20000UL
#define CLONE_SETTLS_ 0x80000UL
#define CLONE_PARENT_SETTID_ 0x100000UL
#define CLONE_CHILD_CLEARTID_ 0x200000UL
#define CLONE_DETACHED_ 0x400000UL
#define CLONE_UNTRACED_ 0x800000UL
#define CLONE_CHILD_SETTID_ 0x1000000UL
#define CLONE_NEWCGROUP_ 0x2000000UL
#define CLONE_NEWUTS_ 0x4000000UL
#define CLONE_NEWIPC_ 0x8000000UL
#define CLONE_NEWUSER_ 0x10000000UL
#define CLONE_NEWPID_ 0x20000000UL
#define CLONE_NEWNET_ 0x40000000UL
#define CLONE_NEWTIME_ 0x80UL
#define CLONE_IO_ 0x80000000UL
#define CLONE_CLEAR_SIGHAND_ 0x100000000UL
#define CLONE_INTO_CGROUP_ 0x200000000UL

/* Sockets: socket(7), recv(2), cmsg(3). */
#define SOL_SOCKET_ 1
#define SO_SNDBUF_ 7
#define SO_PASSCRED_ 16
#define SO_PEERCRED_ 17
#define SO_COOKIE_ 57
#define IPPROTO_IPV6_ 41
#define SCM_RIGHTS_ 1
#define MSG_CTRUNC_ 0x8
#define MSG_DONTWAIT_ 0x40
#define MSG_CMSG_CLOEXEC_ 0x40000000
#define MAX_RW_COUNT 0x7ffff000UL /* bytes of one read(2) or write(2) */

#define FIONREAD_ 0x541b
#define SIOCOUTQ_ 0x5411
#define FIOSETOWN_ 0x8901
#define SIOCSPGRP_ 0x8902

struct k_msghdr {
    uint64_t name;
    uint32_t name_size, pad;
    uint64_t iov, iov_count, control, control_size;
    uint32_t flags, pad2;
};

struct k_cmsghdr {
    uint64_t size;
    int32_t level, type;
};

#define EPOLL_CTL_ADD_ 1
#define EPOLL_CTL_DEL_ 2
#define EPOLL_CTL_MOD_ 3

#define POLLIN_ 0x001
#define POLLPRI_ 0x002
#define POLLOUT_ 0x004
#define POLLERR_ 0x008
#define POLLHUP_ 0x010
#define POLLNVAL_ 0x020
#define POLLRDNORM_ 0x040
#define POLLWRNORM_ 0x100
#define POLLRDHUP_ 0x2000

#endif
