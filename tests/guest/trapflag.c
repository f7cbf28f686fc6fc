/* Single steps (the trap flag set by popf), breakpoints and what a fault tells: si_code, si_addr,
 * trapno, err, cr2. A step over a system call ends behind it.
 */
#include "check.h"
#include <sys/mman.h>
#include <sys/resource.h>
#include <ucontext.h>

static volatile int steps, outside, codes[64];
static volatile unsigned long offsets[64];
extern const char stepped_begin[], stepped_end[];

static void on_trap(int number, siginfo_t *info, void *context)
{
    ucontext_t *uc = context;
    unsigned long rip = (unsigned long)uc->uc_mcontext.gregs[REG_RIP];
    (void)number;
    if (rip < (unsigned long)stepped_begin || rip > (unsigned long)stepped_end)
        outside++;
    else if (steps < 64) {
        offsets[steps] = rip - (unsigned long)stepped_begin;
        codes[steps] = info->si_code + 1000 * (info->si_addr == (void *)rip) +
                       10000 * ((uc->uc_mcontext.gregs[REG_EFL] & 0x100) != 0);
        steps++;
    }
}

__attribute__((noinline)) static long stepped(void)
{
    long result;
    __asm__ volatile("pushfq\n orq $0x100, (%%rsp)\n popfq\n"
                     ".globl stepped_begin, stepped_end\nstepped_begin:\n"
                     "nop\n mov $39, %%eax\n syscall\n mov %%rax, %%rdi\n xor %%esi, %%esi\n"
                     "mov %%esi, %%esi\n mov $102, %%eax\n syscall\n nop\n"
                     "mov $39, %%ecx\n mov %%ecx, %%eax\n syscall\n mov %%rdi, %%rax\n"
                     "cmp %%rdi, %%rdi\n nop\n"
                     "pushfq\n andq $~0x100, (%%rsp)\n popfq\nstepped_end:\n nop\n"
                     : "=a"(result)
                     :
                     : "rcx", "rdx", "rdi", "rsi", "r11", "memory", "cc");
    return result;
}

static volatile int wanted;
static struct {
    int signo, code;
    long trapno, err;
    bool address, cr2;
} seen;
static char *page;

static void on_fault(int number, siginfo_t *info, void *context)
{
    ucontext_t *uc = context;
    seen.signo = number;
    seen.code = info->si_code;
    seen.trapno = uc->uc_mcontext.gregs[REG_TRAPNO];
    seen.err = uc->uc_mcontext.gregs[REG_ERR];
    seen.address = (char *)info->si_addr - page >= 0 && (char *)info->si_addr - page < 8192;
    seen.cr2 = (char *)uc->uc_mcontext.gregs[REG_CR2] - page >= 0 &&
               (char *)uc->uc_mcontext.gregs[REG_CR2] - page < 8192;
    uc->uc_mcontext.gregs[REG_RIP] = uc->uc_mcontext.gregs[REG_RBX];
}

#define FAULT(name, assembly)                                                                      \
    do {                                                                                           \
        memset(&seen, 0, sizeof seen);                                                             \
        __asm__ volatile("lea 9f(%%rip), %%rbx\n" assembly "\n9:\n"                                    \
                         :                                                                         \
                         : "a"(page)                                                               \
                         : "rbx", "rcx", "rdx", "memory", "cc");                                   \
        printf("%s: signal %d code %d trapno %ld err %ld address %d cr2 %d\n", name, seen.signo,   \
               seen.code, seen.trapno, seen.err, seen.address,                                     \
               seen.trapno == 14 ? seen.cr2 : -1);                                                 \
    } while (0)

static void faults(void)
{
    static const int numbers[] = {SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGTRAP};
    struct sigaction action = {.sa_sigaction = on_fault, .sa_flags = SA_SIGINFO};
    for (int i = 0; i < 5; i++)
        sigaction(numbers[i], &action, NULL);
    page = mmap(NULL, 8192, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    FAULT("read PROT_NONE", "movb (%%rax), %%cl");
    mprotect(page, 8192, PROT_READ);
    FAULT("write PROT_READ", "movb %%cl, (%%rax)");
    FAULT("execute PROT_READ", "jmp *%%rax");
    munmap(page, 8192);
    FAULT("read unmapped", "movb (%%rax), %%cl");
    FAULT("write unmapped", "movb %%cl, (%%rax)");
    FAULT("not canonical", "movabs $0x8000000000000000, %%rcx; movb (%%rcx), %%cl");
    FAULT("kernel address", "movabs $0xffffffff81000000, %%rcx; movb (%%rcx), %%cl");
    FAULT("privileged", "hlt");
    FAULT("port", "inb $0x80, %%al");
    FAULT("int3", "int3");
    FAULT("int 3", ".byte 0xcd, 3");
    FAULT("int 0x81", "int $0x81");
    FAULT("ud2", "ud2");
    FAULT("icebp", ".byte 0xf1");
    FAULT("divide by zero", "xor %%ecx, %%ecx; mov $1, %%eax; cltd; idivl %%ecx");
    FAULT("overflow", "mov $0x80000000, %%eax; mov $-1, %%ecx; cltd; idivl %%ecx");
    FAULT("sse exception", "push $0x1f00; ldmxcsr (%%rsp); pop %%rcx; pxor %%xmm0, %%xmm0;"
                           "divss %%xmm0, %%xmm0; push $0x1f80; ldmxcsr (%%rsp); pop %%rcx");
    __asm__ volatile("push $0x1f80; ldmxcsr (%%rsp); pop %%rcx" : : : "rcx", "memory");
    int fd = open("short", O_RDWR | O_CREAT, 0600);
    page = mmap(NULL, 8192, PROT_READ, MAP_SHARED, fd, 0);
    FAULT("past the file's end", "movb (%%rax), %%cl");
    for (int i = 0; i < 5; i++)
        signal(numbers[i], SIG_DFL);
}

static void core(const char *name, long bytes, int number)
{
    struct rlimit limit = {bytes, bytes};
    int status = 0;
    pid_t pid = fork();
    if (pid == 0) {
        if (chdir("/") == 0 && setrlimit(RLIMIT_CORE, &limit) == 0)
            raise(number);
        _exit(1);
    }
    CHECK(waitpid(pid, &status, 0) == pid);
    printf("%s: signal %d core %d\n", name, WTERMSIG(status), WCOREDUMP(status) != 0);
}

int main(void)
{
    struct sigaction action = {.sa_sigaction = on_trap, .sa_flags = SA_SIGINFO};
    sigaction(SIGTRAP, &action, NULL);
    for (int round = 0; round < 4; round++) {
        steps = outside = 0;
        bool right = stepped() == getpid();
        printf("round %d: pid %d, steps %d, outside %d:", round, right, steps, outside);
        for (int i = 0; i < steps; i++)
            printf(" %lu/%d", offsets[i], codes[i]);
        printf("\n");
    }
    faults();
    core("no core", 0, SIGABRT);
    core("SIGTERM has none", 0, SIGTERM);
    return finish();
}
