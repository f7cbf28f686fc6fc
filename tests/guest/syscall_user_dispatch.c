/* prctl(2), PR_SET_SYSCALL_USER_DISPATCH: errors, the selector, the range let through, who has it. */
#include "check.h"
#include <linux/prctl.h>
#include <pthread.h>
#include <stddef.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <ucontext.h>

#ifndef PR_SYS_DISPATCH_INCLUSIVE_ON
#define PR_SYS_DISPATCH_INCLUSIVE_ON 2
#endif

static volatile char selector;

/* getppid, at an address that is known. */
extern const char probe_start[], probe_end[];
long probe(long a);
__asm__(".text\n"
        ".globl probe, probe_start, probe_end\n"
        "probe: mov $110, %eax\n"
        "probe_start: syscall\n"
        "probe_end: ret\n");

static long dispatch(long mode, unsigned long start, unsigned long size, const volatile void *at)
{
    return prctl(PR_SET_SYSCALL_USER_DISPATCH, mode, start, size, at);
}

static void on_sigsys(int sig, siginfo_t *info, void *context)
{
    greg_t *regs = ((ucontext_t *)context)->uc_mcontext.gregs;
    selector = SYSCALL_DISPATCH_FILTER_ALLOW;
    printf("signal %d code %d errno %d call %d arch %x behind %d %d rax %lld rdi %lld\n", sig,
           info->si_code, info->si_errno, info->si_syscall, info->si_arch,
           info->si_call_addr == (void *)probe_end, regs[REG_RIP] == (greg_t)probe_end,
           (long long)regs[REG_RAX], (long long)regs[REG_RDI]);
    regs[REG_RAX] = 4711;
}

static void handle(void)
{
    struct sigaction action = {.sa_sigaction = on_sigsys, .sa_flags = SA_SIGINFO};
    sigaction(SIGSYS, &action, NULL);
}

static void errors(void)
{
    FAILS(dispatch(3, 0, 0, NULL));
    FAILS(dispatch(PR_SYS_DISPATCH_OFF, 1, 0, NULL));
    FAILS(dispatch(PR_SYS_DISPATCH_OFF, 0, 1, NULL));
    FAILS(dispatch(PR_SYS_DISPATCH_OFF, 0, 0, &selector));
    FAILS(dispatch(PR_SYS_DISPATCH_ON, 1, 0, &selector));
    FAILS(dispatch(PR_SYS_DISPATCH_ON, 100, -1UL, &selector));
    FAILS(dispatch(PR_SYS_DISPATCH_ON, 0, 0, (void *)-1L));
    FAILS(dispatch(PR_SYS_DISPATCH_INCLUSIVE_ON, 0, 0, &selector));
    FAILS(dispatch(PR_SYS_DISPATCH_INCLUSIVE_ON, 100, -1UL, &selector));
    CHECK(dispatch(PR_SYS_DISPATCH_OFF, 0, 0, NULL) == 0);
}

static void selected(void)
{
    handle();
    CHECK(dispatch(PR_SYS_DISPATCH_ON, 0, 0, &selector) == 0);
    for (int i = 0; i < 3; i++) {
        CHECK(probe(41) > 0);
        selector = SYSCALL_DISPATCH_FILTER_BLOCK;
        long result = probe(41);
        printf("result %ld\n", result);
    }
    CHECK(dispatch(PR_SYS_DISPATCH_OFF, 0, 0, NULL) == 0);
    selector = SYSCALL_DISPATCH_FILTER_BLOCK;
    CHECK(probe(41) > 0);
}

static void ranges(void)
{
    handle();
    CHECK(dispatch(PR_SYS_DISPATCH_ON, (unsigned long)probe_end, 1, &selector) == 0);
    selector = SYSCALL_DISPATCH_FILTER_BLOCK;
    long inside = probe(0);
    selector = SYSCALL_DISPATCH_FILTER_ALLOW;
    CHECK(inside > 0);
    CHECK(dispatch(PR_SYS_DISPATCH_ON, (unsigned long)probe_start, 2, &selector) == 0);
    selector = SYSCALL_DISPATCH_FILTER_BLOCK;
    printf("up to the address behind: %ld\n", probe(1));
    if (dispatch(PR_SYS_DISPATCH_INCLUSIVE_ON, (unsigned long)probe_end, 1, NULL) == 0) {
        long caught = probe(2);
        CHECK(dispatch(PR_SYS_DISPATCH_OFF, 0, 0, NULL) == 0);
        CHECK(caught == 4711);
    }
}

static void *in_thread(void *argument)
{
    *(long *)argument = probe(0);
    return NULL;
}

/* Threads, children and executed programs start without. */
static void inheritance(void)
{
    pthread_t thread;
    long result = 0;
    handle();
    CHECK(dispatch(PR_SYS_DISPATCH_ON, 1, 1, &selector) == 0);
    pthread_create(&thread, NULL, in_thread, &result);
    pthread_join(thread, NULL);
    CHECK(result > 0);
    pid_t pid = fork();
    if (pid == 0) {
        selector = SYSCALL_DISPATCH_FILTER_BLOCK;
        _exit(probe(0) > 0 ? 5 : 6);
    }
    printf("a child: %d\n", reap(pid));
    execl("/proc/self/exe", "dispatch", "executed", NULL);
}

static void bad_selector(void)
{
    handle();
    CHECK(dispatch(PR_SYS_DISPATCH_ON, 0, 0, &selector) == 0);
    selector = 7;
    probe(0);
}

static void no_selector(void)
{
    handle();
    char *page = mmap(NULL, 4096, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    CHECK(dispatch(PR_SYS_DISPATCH_ON, 0, 0, page) == 0);
    munmap(page, 4096);
    probe(0);
}

static void no_handler(void)
{
    CHECK(dispatch(PR_SYS_DISPATCH_ON, 0, 0, &selector) == 0);
    selector = SYSCALL_DISPATCH_FILTER_BLOCK;
    probe(0);
}

static void child(const char *name, void (*body)(void))
{
    pid_t pid = fork();
    if (pid == 0) {
        body();
        selector = SYSCALL_DISPATCH_FILTER_ALLOW;
        _exit(failures);
    }
    printf("%s: %d\n", name, reap(pid));
}

int main(int argc, char **argv)
{
    struct rlimit no_core = {0, 0};
    (void)argv;
    setrlimit(RLIMIT_CORE, &no_core);
    if (argc > 1)
        return finish();
    child("errors", errors);
    child("selected", selected);
    child("ranges", ranges);
    child("inheritance", inheritance);
    child("bad selector", bad_selector);
    child("no selector", no_selector);
    child("no handler", no_handler);
    return finish();
}
