/* sigreturn(2) with frames that no kernel made: each ends as it does on the host, by SIGSEGV, by its
 * handler, or by going on.
 */
#include "check.h"
#include <stddef.h>
#include <sys/mman.h>
#include <ucontext.h>

static volatile int wanted, handled;
static char alternative[65536];
static ucontext_t *uc;

#define REGISTER(name) uc->uc_mcontext.gregs[name]
#define SEGMENTS ((uint16_t *)&REGISTER(REG_CSGSFS))
#define STATE ((uint8_t *)uc->uc_mcontext.fpregs)

static void nothing(void)
{
}
static void cs_0(void)
{
    SEGMENTS[0] = 0;
}
static void cs_data(void)
{
    SEGMENTS[0] = 0x2b;
}
static void cs_kernel(void)
{
    SEGMENTS[0] = 0x10;
}
static void cs_high(void)
{
    SEGMENTS[0] = 0xffff;
}
static void ss_0(void)
{
    SEGMENTS[3] = 0;
}
static void ss_code(void)
{
    SEGMENTS[3] = 0x33;
}
static void ss_kernel(void)
{
    SEGMENTS[3] = 0x18;
}
static void ss_high(void)
{
    SEGMENTS[3] = 0xffff;
}
static void ss_lax(void)
{
    SEGMENTS[3] = 0;
    uc->uc_flags &= ~4UL;
}
static void gs_fs(void)
{
    SEGMENTS[1] = SEGMENTS[2] = 0x1234;
}
static void rip_0(void)
{
    REGISTER(REG_RIP) = 0;
}
static void rip_wild(void)
{
    REGISTER(REG_RIP) = 0x8000000000000000;
}
static void rip_kernel(void)
{
    REGISTER(REG_RIP) = (greg_t)0xffffffff81000000;
}
static void rip_top(void)
{
    REGISTER(REG_RIP) = 0x7ffffffff000;
}
static void rsp_0(void)
{
    REGISTER(REG_RSP) = 0;
}
static void rsp_wild(void)
{
    REGISTER(REG_RSP) = 0x8000000000000001;
}
static void flags_all(void)
{
    REGISTER(REG_EFL) = ~0x40100UL; /* but for steps and alignment checks */
}
static void flags_0(void)
{
    REGISTER(REG_EFL) = 0;
}
static void flags_direction(void)
{
    REGISTER(REG_EFL) |= 0x400;
}
static void state_none(void)
{
    uc->uc_mcontext.fpregs = NULL;
}
static void state_odd(void)
{
    uc->uc_mcontext.fpregs = (void *)(STATE + 1);
}
static void state_8(void)
{
    uc->uc_mcontext.fpregs = (void *)(STATE + 8);
}
static void state_unmapped(void)
{
    uc->uc_mcontext.fpregs = (void *)64;
}
static void state_wild(void)
{
    uc->uc_mcontext.fpregs = (void *)0x8000000000000000;
}
static void state_kernel(void)
{
    uc->uc_mcontext.fpregs = (void *)0xffffffff81000000;
}
static void no_magic1(void)
{
    memset(STATE + 464, 0, 4);
}
static void no_magic2(void)
{
    uint32_t size;
    memcpy(&size, STATE + 480, 4);
    memset(STATE + size, 0, 4);
}
static void size_small(void)
{
    memset(STATE + 480, 0, 4);
}
static void size_large(void)
{
    memset(STATE + 480, 0x7f, 4);
}
static void features_all(void)
{
    memset(STATE + 472, 0xff, 8);
}
static void features_none(void)
{
    memset(STATE + 472, 0, 8);
}
static void header_all(void)
{
    memset(STATE + 512, 0xff, 8);
}
static void header_compact(void)
{
    STATE[527] = 0x80;
}
static void header_reserved(void)
{
    memset(STATE + 528, 0xff, 48);
}
static void header_none(void)
{
    memset(STATE + 512, 0, 8);
}
static void mxcsr_reserved(void)
{
    memset(STATE + 24, 0xff, 4);
}
static void mask_all(void)
{
    memset(&uc->uc_sigmask, 0xff, 8);
}
static void uc_flags_0(void)
{
    uc->uc_flags = 0;
}
static void uc_flags_all(void)
{
    uc->uc_flags = ~0UL;
}
static void stack_garbage(void)
{
    memset(&uc->uc_stack, 0xab, sizeof uc->uc_stack);
}
static void all_zero(void)
{
    memset(&uc->uc_mcontext, 0, sizeof uc->uc_mcontext);
}
static void all_ones(void)
{
    memset(&uc->uc_mcontext, 0xff, sizeof uc->uc_mcontext);
}

static const struct {
    const char *name;
    void (*spoil)(void);
} cases[] = {
#define CASE(name) {#name, name}
    CASE(nothing),        CASE(cs_0),           CASE(cs_data),       CASE(cs_kernel),
    CASE(cs_high),        CASE(ss_0),           CASE(ss_code),       CASE(ss_kernel),
    CASE(ss_high),        CASE(ss_lax),         CASE(gs_fs),         CASE(rip_0),
    CASE(rip_wild),       CASE(rip_kernel),     CASE(rip_top),       CASE(rsp_0),
    CASE(rsp_wild),       CASE(flags_all),      CASE(flags_0),       CASE(flags_direction),
    CASE(state_none),     CASE(state_odd),      CASE(state_8),       CASE(state_unmapped),
    CASE(state_wild),     CASE(state_kernel),   CASE(no_magic1),     CASE(no_magic2),
    CASE(size_small),     CASE(size_large),     CASE(features_all),  CASE(features_none),
    CASE(header_all),     CASE(header_compact), CASE(header_reserved), CASE(header_none),
    CASE(mxcsr_reserved), CASE(mask_all),       CASE(uc_flags_0),    CASE(uc_flags_all),
    CASE(stack_garbage),  CASE(all_zero),       CASE(all_ones),
};

static void handler(int number, siginfo_t *info, void *context)
{
    (void)number, (void)info;
    uc = context;
    handled = 1;
    cases[wanted].spoil();
}

static void on_segv(int number, siginfo_t *info, void *context)
{
    (void)context;
    _exit(number == SIGSEGV && info->si_code == SI_KERNEL ? 50 : 60 + info->si_code);
}

/* The flags and registers after the call tell what sigreturn has made of the frame. */
static int once(bool catches)
{
    struct sigaction action = {.sa_sigaction = handler, .sa_flags = SA_SIGINFO};
    stack_t stack = {.ss_sp = alternative, .ss_size = sizeof alternative}, now;
    long flags, result;
    sigset_t mask;
    sigaction(SIGUSR1, &action, NULL);
    raise(SIGUSR1);
    handled = 0;
    sigaltstack(&stack, NULL);
    if (catches) {
        action.sa_sigaction = on_segv;
        action.sa_flags = SA_SIGINFO | SA_ONSTACK;
        sigaction(SIGSEGV, &action, NULL);
        sigaction(SIGBUS, &action, NULL);
    }
    __asm__ volatile("push %%rbx\nsyscall\npushfq\ncld\npop %1\npop %%rbx\n"
                     : "=a"(result), "=&r"(flags)
                     : "0"((long)SYS_kill), "D"((long)getpid()), "S"((long)SIGUSR1)
                     : "rcx", "r11", "memory", "cc");
    sigprocmask(SIG_BLOCK, NULL, &mask);
    sigaltstack(NULL, &now);
    return (handled == 1) + 2 * (result == 0) + 4 * ((flags & 0x400) != 0) +
           8 * (sigismember(&mask, SIGUSR2) == 1) + 16 * (now.ss_sp == alternative) +
           32 * ((flags & 1) != 0);
}

static void direct(const char *name, uint64_t rsp)
{
    fflush(stdout);
    pid_t pid = fork();
    if (pid == 0) {
        __asm__ volatile("mov %0, %%rsp\nmov $15, %%eax\nsyscall\nhlt" : : "r"(rsp) : "memory");
        _exit(0);
    }
    printf("with a stack %s: %d\n", name, reap(pid));
}

int main(void)
{
    for (int warm = 0; warm < 2; warm++)
        for (wanted = 0; wanted < (int)(sizeof cases / sizeof cases[0]); wanted++)
            for (int catches = 0; catches < 2; catches++) {
                pid_t pid = fork();
                if (pid == 0)
                    _exit(once(catches));
                printf("%s%s: %d\n", cases[wanted].name, catches ? ", caught" : "", reap(pid));
            }
    char *zeros = mmap(NULL, 8192, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    char *ones = mmap(NULL, 8192, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    memset(ones, 0xff, 8192);
    direct("of zeros", (uint64_t)zeros + 1024);
    direct("of ones", (uint64_t)ones + 1024);
    direct("at its page's end", (uint64_t)zeros + 8192 - 64);
    direct("at null", 0);
    direct("that is not canonical", 0x8000000000000000);
    direct("in the kernel", 0xffffffff81000000);
    return finish();
}
