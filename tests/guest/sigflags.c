/* sigaction(2), sigaltstack(2), sigreturn(2): flags bit by bit, and what a frame says. */
#include "check.h"
#include <setjmp.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <ucontext.h>

#ifndef SS_AUTODISARM
#define SS_AUTODISARM (1U << 31)
#endif

static volatile sig_atomic_t hits;
static sigjmp_buf back;

static void count(int number)
{
    (void)number, hits++;
}

/* What the kernel keeps of flags, beside the libc's SA_RESTORER. */
static void kept(const char *name, unsigned long flags)
{
    unsigned long raw[4] = {(unsigned long)count, flags | 0x04000000, 0, ~0UL}, old[4] = {0};
    struct sigaction libc;
    CHECK(sigaction(SIGUSR1, NULL, &libc) == 0);
    unsigned long restorer[4];
    CHECK(syscall(SYS_rt_sigaction, SIGUSR1, NULL, restorer, 8) == 0);
    raw[2] = restorer[2];
    CHECK(syscall(SYS_rt_sigaction, SIGUSR1, raw, NULL, 8) == 0);
    CHECK(syscall(SYS_rt_sigaction, SIGUSR1, NULL, old, 8) == 0);
    printf("%s: flags %lx mask %lx\n", name, old[1], old[3]);
}

static void flags(void)
{
    struct sigaction action = {.sa_handler = count};
    CHECK(sigaction(SIGUSR1, &action, NULL) == 0);
    kept("none", 0);
    kept("all that are known", 0x04000000 | SA_NOCLDSTOP | SA_NOCLDWAIT | SA_SIGINFO | SA_ONSTACK |
                                   SA_RESTART | SA_NODEFER | (unsigned)SA_RESETHAND);
    kept("SA_UNSUPPORTED", 0x400);
    kept("SA_EXPOSE_TAGBITS", 0x800);
    kept("every bit", ~0UL);
    FAILS(syscall(SYS_rt_sigaction, 0, NULL, NULL, 8));
    FAILS(syscall(SYS_rt_sigaction, SIGUSR1, (void *)1, NULL, 8));
    FAILS(syscall(SYS_rt_sigaction, SIGUSR1, NULL, (void *)1, 8));
    FAILS(syscall(SYS_rt_sigaction, SIGKILL, NULL, NULL, 8));
    pid_t pid = fork();
    if (pid == 0) {
        unsigned long raw[4] = {(unsigned long)count, 0, 0, 0};
        syscall(SYS_rt_sigaction, SIGUSR1, raw, NULL, 8);
        kill(getpid(), SIGUSR1);
        _exit(0);
    }
    printf("no restorer: %d\n", reap(pid));
}

static char alternative[65536], smaller[2048];
static ucontext_t seen;
static struct {
    size_t above;
    stack_t now;
    int disarmed_error;
} inner;

static void look(int number, siginfo_t *info, void *context)
{
    (void)number, (void)info;
    seen = *(ucontext_t *)context;
    sigaltstack(NULL, &inner.now);
    if (hits++ == 0)
        raise(SIGUSR1);
}

static void altstack(const char *name, int mode)
{
    stack_t stack = {.ss_sp = alternative, .ss_size = sizeof alternative, .ss_flags = mode}, after;
    struct sigaction action = {.sa_sigaction = look,
                               .sa_flags = SA_SIGINFO | SA_ONSTACK | SA_NODEFER};
    sigaction(SIGUSR1, &action, NULL);
    CHECK(sigaltstack(&stack, NULL) == 0);
    hits = 1;
    raise(SIGUSR1);
    printf("%s: frame %x %d %zu, inside %x %zu", name, seen.uc_stack.ss_flags,
           seen.uc_stack.ss_sp == alternative, seen.uc_stack.ss_size, inner.now.ss_flags,
           inner.now.ss_size);
    hits = 0;
    raise(SIGUSR1);
    printf(", nested frame %x", seen.uc_stack.ss_flags);
    CHECK(sigaltstack(NULL, &after) == 0);
    printf(", after %x %d %zu\n", after.ss_flags, after.ss_sp == alternative, after.ss_size);
}

static void change(int number, siginfo_t *info, void *context)
{
    (void)number, (void)info;
    ucontext_t *uc = context;
    uc->uc_stack.ss_sp = smaller;
    uc->uc_stack.ss_size = (size_t)hits;
    uc->uc_stack.ss_flags = 0;
}

static void too_far(int number)
{
    char here;
    printf("SIG%s on the alternate stack: %d\n", sigabbrev_np(number),
           &here >= smaller && &here < smaller + sizeof smaller);
    siglongjmp(back, 1);
}

/* A frame that does not fit: SIGSEGV, with its handler if that one finds room. */
static void no_room(const char *name, int segv_flags, int mode)
{
    pid_t pid = fork();
    if (pid == 0) {
        stack_t stack = {.ss_sp = smaller, .ss_size = sizeof smaller, .ss_flags = mode};
        struct sigaction action = {.sa_handler = count, .sa_flags = SA_ONSTACK};
        CHECK(sigaltstack(&stack, NULL) == 0);
        sigaction(SIGUSR1, &action, NULL);
        action.sa_handler = too_far;
        action.sa_flags = segv_flags;
        sigaction(SIGSEGV, &action, NULL);
        if (sigsetjmp(back, 1) == 0)
            raise(SIGUSR1);
        _exit(failures + 10 * (int)hits);
    }
    printf("%s: %d\n", name, reap(pid));
}

static void restored(void)
{
    struct sigaction action = {.sa_sigaction = change, .sa_flags = SA_SIGINFO};
    stack_t now, off = {.ss_flags = SS_DISABLE};
    sigaction(SIGUSR2, &action, NULL);
    CHECK(sigaltstack(&off, NULL) == 0);
    for (hits = 0; hits <= 4096; hits = hits * 2 + 512) {
        raise(SIGUSR2);
        sigaltstack(NULL, &now);
        printf("stack of %d by sigreturn: %x %zu\n", (int)hits, now.ss_flags, now.ss_size);
    }
    CHECK(sigaltstack(&off, NULL) == 0);
}

static void bad_stack(const char *name, int second)
{
    pid_t pid = fork();
    if (pid == 0) {
        struct sigaction action = {.sa_handler = too_far, .sa_flags = SA_ONSTACK};
        stack_t stack = {.ss_sp = alternative, .ss_size = sizeof alternative};
        sigaction(SIGUSR1, &action, NULL);
        action.sa_flags = second;
        sigaction(SIGSEGV, &action, NULL);
        void *hole = mmap(NULL, 65536, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        stack.ss_sp = hole;
        CHECK(sigaltstack(&stack, NULL) == 0);
        if (sigsetjmp(back, 1) == 0)
            raise(SIGUSR1);
        _exit(7);
    }
    printf("%s: %d\n", name, reap(pid));
}

int main(void)
{
    flags();
    altstack("mode 0", 0);
    altstack("SS_ONSTACK", SS_ONSTACK);
    altstack("SS_AUTODISARM", (int)SS_AUTODISARM);
    restored();
    no_room("too small, SIGSEGV off it", 0, 0);
    no_room("too small, SIGSEGV on it", SA_ONSTACK, 0);
    no_room("too small, disarmed, SIGSEGV off it", 0, (int)SS_AUTODISARM);
    bad_stack("unmapped, SIGSEGV off it", 0);
    bad_stack("unmapped, SIGSEGV on it", SA_ONSTACK);
    stack_t stack = {.ss_sp = alternative, .ss_size = 2047};
    FAILS(sigaltstack(&stack, NULL));
    stack = (stack_t){.ss_sp = alternative, .ss_size = 2048, .ss_flags = 8};
    FAILS(sigaltstack(&stack, NULL));
    stack.ss_flags = SS_DISABLE | (int)SS_AUTODISARM;
    CHECK(sigaltstack(&stack, NULL) == 0 && sigaltstack(NULL, &stack) == 0);
    printf("off with SS_AUTODISARM: %x %d %zu\n", stack.ss_flags, stack.ss_sp != NULL,
           stack.ss_size);
    FAILS(sigaltstack((void *)1, NULL));
    FAILS(sigaltstack(NULL, (void *)1));
    return finish();
}
