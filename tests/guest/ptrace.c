/* ptrace(2): stops, registers, memory, signals, breakpoints and steps, of a child that asked for it. */
#include "check.h"
#include <elf.h>
#include <stddef.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/uio.h>
#include <sys/user.h>

static volatile int seen_in_child;
static volatile long word = 0x1122334455667788;

static void on_signal(int sig)
{
    seen_in_child += sig;
}

static const char *what(int status)
{
    static char text[80];
    if (WIFEXITED(status))
        snprintf(text, sizeof text, "exited %d", WEXITSTATUS(status));
    else if (WIFSIGNALED(status))
        snprintf(text, sizeof text, "killed by %d", WTERMSIG(status));
    else if (WIFSTOPPED(status))
        snprintf(text, sizeof text, "stopped by %d, event %d", WSTOPSIG(status), status >> 16);
    else
        snprintf(text, sizeof text, "%x", status);
    return text;
}

static int next(pid_t pid)
{
    int status = -1;
    CHECK(waitpid(pid, &status, __WALL) == pid);
    return status;
}

static int go_on(int how, pid_t pid, long sig)
{
    CHECK(ptrace(how, pid, NULL, sig) == 0);
    return next(pid);
}

/* A child that has stopped itself after PTRACE_TRACEME, then runs body. */
static pid_t traced(int (*body)(void))
{
    pid_t pid = fork();
    if (pid == 0) {
        CHECK(ptrace(PTRACE_TRACEME, 0, NULL, NULL) == 0);
        raise(SIGSTOP);
        _exit(body());
    }
    int status = next(pid);
    if (!WIFSTOPPED(status) || WSTOPSIG(status) != SIGSTOP)
        printf("first stop: %s\n", what(status));
    return pid;
}

static int exits(void)
{
    return 5;
}

static int raises(void)
{
    signal(SIGUSR1, on_signal);
    raise(SIGUSR1);
    raise(SIGUSR2); /* ignored by what the tracer does */
    raise(SIGCHLD);
    return seen_in_child;
}

static void signals(void)
{
    pid_t pid = traced(raises);
    printf("sent: %s\n", what(go_on(PTRACE_CONT, pid, 0)));
    printf("passed: %s\n", what(go_on(PTRACE_CONT, pid, SIGUSR1)));
    siginfo_t info;
    CHECK(ptrace(PTRACE_GETSIGINFO, pid, NULL, &info) == 0);
    printf("siginfo %d, from child %d, code %d\n", info.si_signo, info.si_pid == pid, info.si_code);
    printf("suppressed: %s\n", what(go_on(PTRACE_CONT, pid, 0)));
    printf("default ignored: %s\n", what(go_on(PTRACE_CONT, pid, SIGCHLD)));
    pid = traced(raises);
    go_on(PTRACE_CONT, pid, 0);
    printf("other one: %s\n", what(go_on(PTRACE_CONT, pid, SIGTERM)));
    pid = traced(raises);
    FAILS(ptrace(PTRACE_CONT, pid, NULL, 65L));
    CHECK(kill(pid, SIGKILL) == 0);
    printf("kill in a stop: %s\n", what(next(pid)));
    FAILS(ptrace(PTRACE_CONT, pid, NULL, NULL));
}

static int calls(void)
{
    syscall(SYS_getppid);
    syscall(SYS_write, -1, "x", 1);
    return syscall(SYS_getpgid, 0) == -1;
}

static void show_call(const char *name, pid_t pid, int status)
{
    struct user_regs_struct regs;
    CHECK(ptrace(PTRACE_GETREGS, pid, NULL, &regs) == 0);
    printf("%s: %s, nr %d, rax %d, rcx is rip %d, r11 is eflags %d\n", name, what(status),
           (int)regs.orig_rax, (long)regs.rax < 0 ? (int)regs.rax : 0, regs.rcx == regs.rip,
           regs.r11 == regs.eflags);
}

static void system_calls(void)
{
    pid_t pid = traced(calls);
    struct user_regs_struct regs;
    CHECK(ptrace(PTRACE_SETOPTIONS, pid, NULL, PTRACE_O_TRACESYSGOOD) == 0);
    show_call("in", pid, go_on(PTRACE_SYSCALL, pid, 0)); /* end of kill or tgkill, then getppid */
    struct __ptrace_syscall_info info;
    for (int i = 0; i < 20; i++) {
        long size = ptrace(PTRACE_GET_SYSCALL_INFO, pid, sizeof info, &info);
        if (info.op == PTRACE_SYSCALL_INFO_ENTRY && info.entry.nr == SYS_write) {
            printf("info: size %ld, fd %d, size %d, ip %d\n", size, (int)info.entry.args[0],
                   (int)info.entry.args[2], info.instruction_pointer != 0);
            break;
        }
        go_on(PTRACE_SYSCALL, pid, 0);
    }
    show_call("write", pid, go_on(PTRACE_SYSCALL, pid, 0));
    long size = ptrace(PTRACE_GET_SYSCALL_INFO, pid, sizeof info, &info);
    printf("info: size %ld, op %d, result %d, error %d\n", size, info.op, (int)info.exit.rval,
           info.exit.is_error);
    show_call("getpgid", pid, go_on(PTRACE_SYSCALL, pid, 0));
    CHECK(ptrace(PTRACE_GETREGS, pid, NULL, &regs) == 0);
    regs.orig_rax = -1; /* not at all */
    CHECK(ptrace(PTRACE_SETREGS, pid, NULL, &regs) == 0);
    show_call("skipped", pid, go_on(PTRACE_SYSCALL, pid, 0));
    CHECK(ptrace(PTRACE_GETREGS, pid, NULL, &regs) == 0);
    regs.rax = -EPERM;
    CHECK(ptrace(PTRACE_SETREGS, pid, NULL, &regs) == 0);
    go_on(PTRACE_SYSCALL, pid, 0);
    CHECK(ptrace(PTRACE_GETREGS, pid, NULL, &regs) == 0);
    printf("then nr %d, rdi %d: %s\n", (int)regs.orig_rax, (int)regs.rdi,
           what(go_on(PTRACE_CONT, pid, 0)));
}

static void memory(void)
{
    pid_t pid = traced(exits);
    errno = 0;
    long got = ptrace(PTRACE_PEEKDATA, pid, &word, NULL);
    printf("peek %lx %d\n", got, errno);
    CHECK(ptrace(PTRACE_POKEDATA, pid, &word, 0x99L) == 0);
    CHECK(ptrace(PTRACE_PEEKDATA, pid, &word, NULL) == 0x99);
    CHECK(word == 0x1122334455667788);
    got = ptrace(PTRACE_PEEKTEXT, pid, exits, NULL);
    CHECK(got == *(long *)exits);
    CHECK(ptrace(PTRACE_POKETEXT, pid, exits, got) == 0); /* read-only text too */
    FAILS(ptrace(PTRACE_PEEKDATA, pid, (void *)16, NULL));
    FAILS(ptrace(PTRACE_POKEDATA, pid, (void *)16, NULL));
    FAILS(ptrace(PTRACE_PEEKDATA, pid, (void *)-8L, NULL));
    long local = 0;
    struct iovec mine = {&local, 8}, its = {(void *)&word, 8};
    CHECK(process_vm_readv(pid, &mine, 1, &its, 1, 0) == 8 && local == 0x99);
    local = 0x77;
    CHECK(process_vm_writev(pid, &mine, 1, &its, 1, 0) == 8);
    char path[64];
    snprintf(path, sizeof path, "/proc/%d/mem", pid);
    int fd = open(path, O_RDWR);
    CHECK(pread(fd, &local, 8, (off_t)&word) == 8 && local == 0x77);
    CHECK(pwrite(fd, &got, 8, (off_t)exits) == 8);
    close(fd);
    printf("end: %s\n", what(go_on(PTRACE_CONT, pid, 0)));
}

static double fraction = 0.5;

static int computes(void)
{
    double x = fraction;
    __asm__ volatile("movsd %0, %%xmm7\n\tint3\n\tmovsd %%xmm7, %0" : "+m"(x) : : "xmm7");
    return (int)(x * 10);
}

static void vectors(void)
{
    pid_t pid = traced(computes);
    struct user_fpregs_struct fp;
    unsigned char state[16384];
    printf("trap: %s\n", what(go_on(PTRACE_CONT, pid, 0)));
    CHECK(ptrace(PTRACE_GETFPREGS, pid, NULL, &fp) == 0);
    double x;
    memcpy(&x, fp.xmm_space + 28, 8);
    printf("xmm7 %.2f, cwd %x, mxcsr %x\n", x, fp.cwd, fp.mxcsr);
    struct iovec iov = {state, sizeof state};
    CHECK(ptrace(PTRACE_GETREGSET, pid, NT_X86_XSTATE, &iov) == 0);
    CHECK(iov.iov_len >= 576 && memcmp(state, &fp, 464) == 0);
    x = 0.7;
    memcpy(fp.xmm_space + 28, &x, 8);
    CHECK(ptrace(PTRACE_SETFPREGS, pid, NULL, &fp) == 0);
    printf("end: %s\n", what(go_on(PTRACE_CONT, pid, 0)));
    pid = traced(computes);
    go_on(PTRACE_CONT, pid, 0);
    iov.iov_len = sizeof state;
    CHECK(ptrace(PTRACE_GETREGSET, pid, NT_X86_XSTATE, &iov) == 0);
    x = 0.9;
    memcpy(state + 160 + 7 * 16, &x, 8);
    CHECK(ptrace(PTRACE_SETREGSET, pid, NT_X86_XSTATE, &iov) == 0);
    printf("end: %s\n", what(go_on(PTRACE_CONT, pid, 0)));
    iov.iov_len = 8;
    pid = traced(exits);
    CHECK(ptrace(PTRACE_GETREGSET, pid, NT_PRSTATUS, &iov) == 0 && iov.iov_len == 8);
    iov.iov_len = sizeof state;
    CHECK(ptrace(PTRACE_GETREGSET, pid, NT_PRSTATUS, &iov) == 0);
    printf("prstatus has %zu bytes\n", iov.iov_len);
    iov.iov_len = 7;
    FAILS(ptrace(PTRACE_GETREGSET, pid, NT_PRSTATUS, &iov));
    iov.iov_len = 64;
    FAILS(ptrace(PTRACE_GETREGSET, pid, 0x12345, &iov));
    FAILS(ptrace(PTRACE_GETREGS, pid, NULL, (void *)8));
    ptrace(PTRACE_KILL, pid, NULL, NULL);
    next(pid);
}

static void user_area(void)
{
    pid_t pid = traced(exits);
    struct user_regs_struct regs;
    CHECK(ptrace(PTRACE_GETREGS, pid, NULL, &regs) == 0);
    errno = 0;
    CHECK((unsigned long)ptrace(PTRACE_PEEKUSER, pid, offsetof(struct user, regs.rip), NULL) ==
          regs.rip);
    CHECK((unsigned long)ptrace(PTRACE_PEEKUSER, pid, offsetof(struct user, regs.fs_base), NULL) ==
          regs.fs_base);
    printf("cs %llx, ss %llx, gs_base %llx\n", regs.cs, regs.ss, regs.gs_base);
    FAILS(ptrace(PTRACE_PEEKUSER, pid, 3, NULL));
    FAILS(ptrace(PTRACE_PEEKUSER, pid, sizeof(struct user), NULL));
    FAILS(ptrace(PTRACE_POKEUSER, pid, offsetof(struct user, regs.cs), 0));
    FAILS(ptrace(PTRACE_POKEUSER, pid, offsetof(struct user, regs.fs_base), -1L));
    CHECK(ptrace(PTRACE_PEEKUSER, pid, offsetof(struct user, u_debugreg[7]), NULL) == 0);
    FAILS(ptrace(PTRACE_POKEUSER, pid, offsetof(struct user, u_debugreg[4]), 1));
    sigset_t set;
    CHECK(ptrace(PTRACE_GETSIGMASK, pid, 8, &set) == 0 && !sigismember(&set, SIGUSR1));
    FAILS(ptrace(PTRACE_GETSIGMASK, pid, 4, &set));
    FAILS(ptrace(PTRACE_SETOPTIONS, pid, NULL, 0x40000000L));
    FAILS(ptrace((enum __ptrace_request)0x5555, pid, NULL, NULL));
    printf("end: %s\n", what(go_on(PTRACE_CONT, pid, 0)));
}

__attribute__((noinline)) static int target(int x)
{
    seen_in_child = x;
    return x + 1;
}

static int hits_target(void)
{
    return target(20) + target(30);
}

static void breakpoint(void)
{
    pid_t pid = traced(hits_target);
    struct user_regs_struct regs;
    long old = ptrace(PTRACE_PEEKTEXT, pid, target, NULL);
    CHECK(ptrace(PTRACE_POKETEXT, pid, target, (old & ~0xffL) | 0xcc) == 0);
    for (int i = 0; i < 2; i++) {
        int status = go_on(PTRACE_CONT, pid, 0);
        CHECK(ptrace(PTRACE_GETREGS, pid, NULL, &regs) == 0);
        siginfo_t info;
        CHECK(ptrace(PTRACE_GETSIGINFO, pid, NULL, &info) == 0);
        printf("%s, behind the int3 %d, argument %d, code %x\n", what(status),
               regs.rip == (unsigned long)target + 1, (int)regs.rdi, info.si_code);
        regs.rip--;
        regs.rdi += 5;
        CHECK(ptrace(PTRACE_SETREGS, pid, NULL, &regs) == 0);
        CHECK(ptrace(PTRACE_POKETEXT, pid, target, old) == 0);
        status = go_on(PTRACE_SINGLESTEP, pid, 0);
        CHECK(ptrace(PTRACE_GETSIGINFO, pid, NULL, &info) == 0);
        CHECK(ptrace(PTRACE_GETREGS, pid, NULL, &regs) == 0);
        printf("step: %s, code %x, moved %d, trap flag %d\n", what(status), info.si_code,
               regs.rip > (unsigned long)target, (regs.eflags & 0x100) != 0);
        CHECK(ptrace(PTRACE_POKETEXT, pid, target, (old & ~0xffL) | 0xcc) == 0);
    }
    printf("end: %s\n", what(go_on(PTRACE_CONT, pid, 0)));
}

static int steps_through_call(void)
{
    long result;
    __asm__ volatile("int3\n\tmov $39, %%eax\n\tsyscall\n\tnop\n\tnop\n\tpushfq\n\tpop %0"
                     : "=r"(result)
                     :
                     : "rax", "rcx", "r11", "memory");
    (void)result;
    return 9;
}

static void step_over_call(void)
{
    pid_t pid = traced(steps_through_call);
    struct user_regs_struct regs;
    siginfo_t info;
    go_on(PTRACE_CONT, pid, 0);
    CHECK(ptrace(PTRACE_GETREGS, pid, NULL, &regs) == 0);
    unsigned long from = regs.rip;
    for (int i = 0; i < 4; i++) {
        int status = go_on(PTRACE_SINGLESTEP, pid, 0);
        CHECK(ptrace(PTRACE_GETREGS, pid, NULL, &regs) == 0);
        CHECK(ptrace(PTRACE_GETSIGINFO, pid, NULL, &info) == 0);
        printf("%s at %lu, code %d, result is pid %d, flags %llx\n", what(status), regs.rip - from,
               info.si_code, (pid_t)regs.rax == pid, regs.eflags & 0x100);
    }
    printf("end: %s\n", what(go_on(PTRACE_CONT, pid, 0)));
}

static int takes_signal(void)
{
    signal(SIGUSR1, on_signal);
    raise(SIGUSR1);
    return seen_in_child;
}

static void step_into_handler(void)
{
    pid_t pid = traced(takes_signal);
    struct user_regs_struct regs;
    go_on(PTRACE_CONT, pid, 0);
    int status = go_on(PTRACE_SINGLESTEP, pid, SIGUSR1);
    CHECK(ptrace(PTRACE_GETREGS, pid, NULL, &regs) == 0);
    printf("%s, at the handler %d, its signal %d\n", what(status),
           regs.rip == (unsigned long)on_signal, (int)regs.rdi);
    long steps = 0;
    while (WIFSTOPPED(status) && WSTOPSIG(status) == SIGTRAP && steps++ < 100000)
        status = go_on(PTRACE_SINGLESTEP, pid, 0);
    printf("end after many steps %d: %s\n", steps > 10, what(status));
}

static int faults(void)
{
    *(volatile int *)16 = 1;
    return 1;
}

static void fault(void)
{
    pid_t pid = traced(faults);
    siginfo_t info;
    printf("fault: %s\n", what(go_on(PTRACE_CONT, pid, 0)));
    CHECK(ptrace(PTRACE_GETSIGINFO, pid, NULL, &info) == 0);
    printf("code %d, address %p\n", info.si_code, info.si_addr);
    printf("end: %s\n", what(go_on(PTRACE_CONT, pid, SIGSEGV)));
}

static int sleeps(void)
{
    sleep_ms(30);
    return 3;
}

static void errors(void)
{
    FAILS(ptrace(PTRACE_ATTACH, getpid(), NULL, NULL));
    FAILS(ptrace(PTRACE_ATTACH, 0x3ffffff, NULL, NULL));
    FAILS(ptrace(PTRACE_CONT, getpid(), NULL, NULL));
    FAILS(ptrace(PTRACE_SEIZE, 0x3ffffff, NULL, NULL));
    pid_t pid = traced(sleeps);
    FAILS(ptrace(PTRACE_ATTACH, pid, NULL, NULL));
    FAILS(ptrace(PTRACE_LISTEN, pid, NULL, NULL));
    FAILS(ptrace(PTRACE_INTERRUPT, pid, NULL, NULL));
    CHECK(ptrace(PTRACE_CONT, pid, NULL, NULL) == 0);
    FAILS(ptrace(PTRACE_GETEVENTMSG, pid, NULL, &pid)); /* it runs */
    printf("end: %s\n", what(next(pid)));
}

int main(void)
{
    signals();
    system_calls();
    memory();
    vectors();
    user_area();
    breakpoint();
    step_over_call();
    step_into_handler();
    fault();
    errors();
    return finish();
}
