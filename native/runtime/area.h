/* The thread area: what the runtime keeps of one guest thread, found at GS base.
 *
 * Also the runtime's own environment: host calls, guest memory access, process-wide state. Areas
 * stand in the window from EXO_AREA_BASE on, the first one in exo-guest's data; after fork the child goes on with its copy.
 */
#ifndef EXO_RUNTIME_AREA_H
#define EXO_RUNTIME_AREA_H

#include <asm-generic/errno.h>
#include <asm/unistd.h>
#include <stdnoreturn.h>

#include <exo/core.h>
#include <exo/direct.h>
#include <exo/offsets.h>
#include <exo/syscall.h>

#include "../core/atomic.h"
#include "../core/mem.h"
#include "kabi.h"

#define likely(x) __builtin_expect(!!(x), 1)
#define unlikely(x) __builtin_expect(!!(x), 0)
#define KR ((struct exo_kr *)EXO_KR_BASE)
#define UNUSED __attribute__((unused))
#define EXO_USER_END 0x7ffffffff000UL /* no mapping of a process goes further */

/* Defines the handler of a fast or hybrid call. Its arguments are a to f, as in the registers. */
#define SYSCALL(name)                                                                              \
    long sys_##name(long, long, long, long, long, long);                                           \
    long sys_##name(UNUSED long a, UNUSED long b, UNUSED long c, UNUSED long d, UNUSED long e,     \
                    UNUSED long f)

/* The guest's registers at a system call, in the order of the host's struct sigcontext. */
struct exo_regs {
    uint64_t r8, r9, r10, r11, r12, r13, r14, r15;
    uint64_t rdi, rsi, rbp, rbx, rdx, rax, rcx, rsp, rip;
    uint64_t nr; /* rax on entry */
};

/* Guest signal dispositions, one set per CLONE_SIGHAND group. */
struct exo_sighand {
    uint64_t known;     /* bit sig-1: actions[] says what the guest sees; else as at exec: */
    uint64_t inherited; /* ... bit sig-1: ignored */
    uint64_t handled;   /* bit sig-1: has a handler, and keeps it; not of job control */
    struct k_sigaction actions[64];
    uint32_t traced; /* a task that has it is traced: every signal comes to the runtime */
};

#define EXO_TRAP_FLAG 0x100UL /* in rflags */

/* Why a thread's calls go through exo_observe(): bits of exo_area.observe. */
enum exo_observe {
    EXO_OBSERVE_STATS = 1,    /* calls are counted */
    EXO_OBSERVE_FILTER = 2,   /* the guest has installed seccomp filters */
    EXO_OBSERVE_TRACE = 4,    /* a guest traces this thread's system calls */
    EXO_OBSERVE_DISPATCH = 8, /* the guest uses Syscall User Dispatch itself */
    EXO_OBSERVE_RECORD = 32,  /* `exo-um trace` watches it */
    EXO_OBSERVE_STEP = 16,    /* this call only: the guest's trap flag was set */
};

/* The guest's own Syscall User Dispatch, prctl(2): calls from elsewhere than [start, start + size)
 * are the guest's affair, unless the byte at selector, if there is one, says otherwise. */
struct exo_dispatch {
    uint64_t start, size, selector;
};

/* What a CLONE_VM child is told by its parent. */
struct exo_child {
    uint64_t flags;
    uint64_t child_tid;
    uint32_t host_tid; /* 0: not known yet */
    uint32_t slot, tid;
    bool racing; /* files were opened and closed when the host copied its fds */
    struct exo_area *parent;
};

/* What else the way out must see to: bits of exo_area.pending. */
enum exo_pending {
    EXO_PENDING_AGAIN = 1, /* a call may have been cut short for nothing: it is done again */
    EXO_PENDING_TRACE = 2, /* the task's trace record says what */
    EXO_PENDING_LEAVE = 4, /* to the guest by exo_trace_leave() */
};

struct exo_area {
    struct exo_area *self;
    /* AREA_PENDING: the first two send the way out to exo_exit_work(), all three stop host_wait(). */
    uint8_t stashed; /* a signal waits in stash_info, and the host blocks everything */
    uint8_t pending; /* enum exo_pending */
    uint8_t lazy;    /* host_mask is less than mask */
    uint8_t reserved;
    uint32_t observe;    /* enum exo_observe, 0: calls go straight to their handler; AREA_OBSERVE */
    uint64_t stack;      /* top of the runtime stack; AREA_STACK */
    uint64_t flags;      /* the guest's rflags; AREA_FLAGS */
    uint64_t host_calls; /* made by this thread; AREA_HOST_CALLS */
    uint64_t legacy_calls;           /* of this thread */
    uint64_t wait_mask;              /* in place of mask, if wait_masked */
    const struct exo_direct *direct; /* EXO_DIRECT_AT; for programs linked by exo-cc */
    struct exo_regs regs;            /* AREA_REGS */
    struct exo_self core;
    uint32_t tid;
    uint32_t tgid;
    uint32_t slot;
    uint32_t owns_sighand; /* nobody else has it: reused with the area */
    struct exo_task *task;
    struct exo_task *leader;
    struct exo_sighand *sighand;
    uint64_t clear_child_tid;
    struct k_stack altstack;      /* the guest's */
    uint64_t mask;                /* blocked, as the guest has it; sigmask.c */
    uint64_t host_mask;           /* blocked on the host, but while a signal is stashed */
    uint64_t own_pending;         /* of SIG_UNBLOCKABLE, sent while the guest blocked them */
    struct k_siginfo own_info[4]; /* ... in the order of their numbers */
    struct k_siginfo held; /* came while the host blocked less than the guest; signo 0: none */
    struct k_siginfo stash_info;
    uint8_t xstate_format[48]; /* sw_reserved of the host's last signal frame */
    uint64_t saved_mask;       /* while clone blocks everything */
    struct exo_child birth;
    uint32_t index; /* in exo_area_owners */
    uint32_t
        wait_masked; /* a call waits with wait_mask, or was so when a signal came; waitmask.c */
    struct exo_dispatch dispatch;
    uint32_t uid; /* real user id, for siginfo, if ... */
    uint32_t uid_known;
    uint32_t adopted; /* knows that it is traced */
    uint32_t set_all; /* the tracer has set registers: all of them are to be loaded */
    uint32_t steps;   /* the trap flag is the tracer's */
    uint32_t delayed; /* stash_info waits for the end of one instruction: between.c */
    uint64_t retried; /* see exo_stub_fault() */
    uint32_t relays;  /* writes pages to pipes, so what it reads from pipes is noted: handover.c */
    struct exo_fd *owes; /* whose reader naps, and is owed a bell; NULL nobody: nap.c */
    struct exo_fd owes_fd;
    int32_t watch_fds[4]; /* hardware breakpoints that the tracer has set, 0 none */
};

/* Within EXO_AREA_SIZE: an unmapped page, the stack on which the host delivers signals (room for
 * AVX-512 and AMX state), the runtime's stack, struct exo_area in the same page as that one's top.
 * The first thread's area is part of exo-guest's own data and has process-wide state at its end. */
#define AREA_ALTSTACK_START 0x1000
#define AREA_ALTSTACK_END 0x10000
#define AREA_STRUCT 0x1f680
#define AREA_STRUCT_END 0x1fc00

/* Process-wide state that every fork or exec writes to, in the first area's last page. */
#define HOT __attribute__((section(".bss.hot")))

static inline struct k_stack exo_area_altstack(const struct exo_area *of)
{
    return (struct k_stack){.sp = (uint64_t)of - AREA_STRUCT + AREA_ALTSTACK_START,
                            .size = AREA_ALTSTACK_END - AREA_ALTSTACK_START};
}

/* Who has each area: the thread's host tid until the host marks its death (robust list). */
extern struct exo_lock exo_area_owners[EXO_AREA_COUNT];

static inline struct exo_area *area(void)
{
    struct exo_area *pointer;
    __asm__("mov %%gs:0, %0" : "=r"(pointer));
    return pointer;
}

extern bool exo_has_fsgsbase; /* wrgsbase works */
/* SIGTRAP's bit in a process that is or was traced: the host must not block it. */
extern uint64_t exo_trace_traps;

/* Process-wide state of the runtime, private memory, shared by CLONE_VM children. */
struct exo_mm {
    uint32_t lock;  /* maps, stubs: mmlock.c */
    uint32_t tasks; /* threads and CLONE_VM children that may run beside us */
    uint64_t brk_start, brk_end;
    uint64_t image_end; /* of the program: where the break may begin */
    uint32_t own_brk;   /* the host would not move its break: we map it ourselves */
    uint32_t flags;     /* KR->flags and KR->intercept, as at exec: fork need not touch that page */
    uint32_t intercept;
    uint32_t signalfd; /* has or had one: every blocked signal must wait on the host */
    uint32_t queued;   /* entries of ownqueue.c */
    uint32_t strays;   /* tasks may count CLONE_VM children that have left: exo_alone() */
};
extern struct exo_mm exo_mm;

/* Whether nobody else runs in this memory; area.c. */
bool exo_alone_counted(void);
static inline bool exo_alone(void)
{
    return likely(load_relaxed(&exo_mm.tasks) <= 1) || (exo_mm.strays && exo_alone_counted());
}

/* arch/x86_64/host.S. host_wait_now is interrupted by signals: -EINTR or -EXO_ERESTART. */
long host_call(long nr, long a, long b, long c, long d, long e, long f);
long host_wait_now(long nr, long a, long b, long c, long d, long e, long f);
long host_call_early(long nr, long a, long b, long c, long d, long e, long f); /* before areas */
long exo_copy(void *to, const void *from, uint64_t size);
long exo_copy_past(void *to, const void *from, uint64_t size);

/* Before anything else is waited for, what is owed to others is paid: nap.c. */
void exo_nap_pay_now(void);
static inline long host_wait(long nr, long a, long b, long c, long d, long e, long f)
{
    if (unlikely(area()->owes != NULL))
        exo_nap_pay_now();
    return host_wait_now(nr, a, b, c, d, e, f);
}

/* Gives back the whole pages of a range of our own data; they read as zero then. */
void exo_forget_pages(void *start, uint64_t size);

#define HOST_0(n) host_call((n), 0, 0, 0, 0, 0, 0)
#define HOST_1(n, a) host_call((n), (long)(a), 0, 0, 0, 0, 0)
#define HOST_2(n, a, b) host_call((n), (long)(a), (long)(b), 0, 0, 0, 0)
#define HOST_3(n, a, b, c) host_call((n), (long)(a), (long)(b), (long)(c), 0, 0, 0)
#define HOST_4(n, a, b, c, d) host_call((n), (long)(a), (long)(b), (long)(c), (long)(d), 0, 0)
#define HOST_5(n, a, b, c, d, e)                                                                   \
    host_call((n), (long)(a), (long)(b), (long)(c), (long)(d), (long)(e), 0)
#define HOST_6(n, a, b, c, d, e, f)                                                                \
    host_call((n), (long)(a), (long)(b), (long)(c), (long)(d), (long)(e), (long)(f))

/* Guest memory: 0, or -EFAULT where the guest's address is bad. */
long guest_read(void *to, uint64_t from, uint64_t size);
long guest_write(uint64_t to, const void *from, uint64_t size);
/* Copies a string with its NUL; its length, -EFAULT, or -ENAMETOOLONG if there is no NUL in size. */
long guest_string(char *to, uint64_t from, uint64_t size);
/* The byte there, or -EFAULT. */
long guest_byte(uint64_t from);
/* Atomically replaces the word there if it is *expected: 0. Else 1, and *expected is what it is. */
long guest_exchange(uint64_t at, uint32_t *expected, uint32_t new);

#define guest_get(to, from) guest_read((to), (uint64_t)(from), sizeof(*(to)))
#define guest_put(to, from) guest_write((uint64_t)(to), (from), sizeof(*(from)))

/* area.c */
struct exo_area *exo_area_create(void);
void exo_area_attach(struct exo_area *new, uint32_t slot, uint32_t host_tid);
void exo_area_abandon(struct exo_area *new);
void exo_area_keep_only(struct exo_area *mine);
void exo_area_observe_siblings(void);
struct exo_area *exo_area_sibling(uint32_t *index);
struct exo_sighand *exo_sighand_create(const struct exo_sighand *from);
/* Whether a thread in this memory has that host tid: the host marks the areas of the dead. */
bool exo_area_lives(uint32_t host_tid);
void exo_sighand_drop(struct exo_area *old);
noreturn void exo_end_with_kernel(void);
noreturn void exo_die(const char *why);
void exo_say(const char *text);
/* mmlock.c */
void exo_mm_lock(void);
void exo_mm_unlock(void);
void exo_mm_release_of(uint32_t host_tid);

static inline bool in_window(uint64_t start, uint64_t size)
{
    return start < EXO_WINDOW_END && size != 0 && size <= EXO_USER_END - start &&
           start + size > EXO_WINDOW_BASE; /* what ends beyond, the host refuses */
}

#endif
