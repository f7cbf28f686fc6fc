/* sigaction(2), fault signals: si_code, si_addr, trap numbers, and going on after a repair. */
#include "check.h"
#include <setjmp.h>
#include <sys/mman.h>
#include <ucontext.h>

static sigjmp_buf back;
static char *page, *lazy;
static volatile int repairs;

static void report(int number, siginfo_t *info, void *context)
{
    greg_t *registers = ((ucontext_t *)context)->uc_mcontext.gregs;
    char *at = info->si_addr;
    if (at >= lazy && at < lazy + 4096 && number == SIGSEGV) {
        repairs++;
        mprotect(lazy, 4096, PROT_READ | PROT_WRITE);
        return;
    }
    const char *where = at == page                             ? "page"
                        : at == page + 4096                    ? "past"
                        : at == (char *)16                     ? "16"
                        : at == NULL                           ? "0"
                        : at == (char *)registers[REG_RIP]     ? "rip"
                        : at + 1 == (char *)registers[REG_RIP] ? "rip-1"
                                                               : "other";
    if (info->si_code <= 0) {
        printf("signal %d code %d\n", number, info->si_code);
        siglongjmp(back, 1);
    }
    printf("signal %d code %d at %s trap %lld error %lld", number, info->si_code, where,
           registers[REG_TRAPNO], registers[REG_ERR]);
    printf(" cr2 %d\n", registers[REG_TRAPNO] != 14 || registers[REG_CR2] == (greg_t)at);
    siglongjmp(back, 1);
}

#define TRY(name, ...)                                                                             \
    do {                                                                                           \
        printf("%s: ", name);                                                                      \
        if (sigsetjmp(back, 1) == 0) {                                                             \
            __VA_ARGS__;                                                                           \
            printf("nothing\n");                                                                   \
        }                                                                                          \
    } while (0)

static void skip(int number, siginfo_t *info, void *context)
{
    (void)number, (void)info;
    ((ucontext_t *)context)->uc_mcontext.gregs[REG_RIP] += 2;
    ((ucontext_t *)context)->uc_mcontext.gregs[REG_RBX] = 4711;
}

int main(void)
{
    struct sigaction action = {.sa_sigaction = report, .sa_flags = SA_SIGINFO};
    int signals[] = {SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGTRAP};
    for (int i = 0; i < 5; i++)
        sigaction(signals[i], &action, NULL);
    page = mmap(NULL, 8192, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    lazy = mmap(NULL, 4096, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    munmap(page + 4096, 4096);
    volatile char *null_page = (char *)16, *wild = (char *)0x8000000000000000;
    int quotient = 1, zero = 0;
    TRY("read near null", (void)*null_page);
    TRY("write near null", *null_page = 1);
    TRY("write read-only", *(volatile char *)page = 1);
    TRY("read unmapped", (void)*(volatile char *)(page + 4096));
    TRY("non-canonical", (void)*wild);
    TRY("execute data", ((void (*)(void))page)());
    TRY("jump to null page", ((void (*)(void))null_page)());
    TRY("divide", __asm__ volatile("cltd; idivl %1" : "+a"(quotient) : "r"(zero) : "edx", "cc"));
    TRY("ud2", __asm__ volatile("ud2"));
    TRY("int3", __asm__ volatile("int3"));
    TRY("hlt", __asm__ volatile("hlt"));
    TRY("int 0x20", __asm__ volatile("int $0x20"));
    int fd = open("file", O_RDWR | O_CREAT | O_TRUNC, 0600);
    CHECK(ftruncate(fd, 100) == 0);
    munmap(page, 4096);
    page = mmap(NULL, 8192, PROT_READ, MAP_SHARED, fd, 0);
    TRY("past the end of file", (void)*(volatile char *)(page + 4096));
    for (int i = 0; i < 10; i++) {
        mprotect(lazy, 4096, PROT_NONE);
        ((volatile char *)lazy)[i] = (char)i;
    }
    printf("repaired and retried: %d\n", repairs);
    action.sa_sigaction = skip;
    sigaction(SIGILL, &action, NULL);
    long rbx;
    __asm__ volatile("xor %%ebx, %%ebx; ud2" : "=b"(rbx) : : "cc");
    printf("skipped with a new rbx: %ld\n", rbx);
    TRY("raise", raise(SIGSEGV));
    sigset_t block;
    sigemptyset(&block);
    sigaddset(&block, SIGSEGV);
    pid_t pid = fork();
    if (pid == 0) {
        sigprocmask(SIG_BLOCK, &block, NULL);
        *null_page = 1;
        _exit(0);
    }
    printf("blocked fault kills: %d\n", reap(pid));
    pid = fork();
    if (pid == 0) {
        signal(SIGSEGV, SIG_IGN);
        *null_page = 1;
        _exit(0);
    }
    printf("ignored fault kills: %d\n", reap(pid));
    return finish();
}
