/* seccomp(2): errors, actions, stacking, inheritance by fork and execve, signals, deaths. */
#include "check.h"
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stddef.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <ucontext.h>

#define LENGTH(array) (sizeof(array) / sizeof((array)[0]))
#define NUMBER BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr))
#define RETURN(value) BPF_STMT(BPF_RET | BPF_K, (value))
#define UNLESS(nr, skip) BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, (nr), 0, (skip))

static long install(unsigned flags, struct sock_filter *code, size_t count)
{
    struct sock_fprog program = {(unsigned short)count, code};
    return syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, flags, &program);
}

/* A filter that answers one call with action and allows the others. */
static long install_for(long nr, unsigned action)
{
    struct sock_filter code[] = {NUMBER, UNLESS((unsigned)nr, 1), RETURN(action),
                                 RETURN(SECCOMP_RET_ALLOW)};
    return install(0, code, LENGTH(code));
}

static void no_new_privs(void)
{
    CHECK(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0);
}

/* A child's end in words, with the core dump bit. */
static void outcome(const char *name, pid_t pid)
{
    int status = 0;
    CHECK(waitpid(pid, &status, 0) == pid);
    if (WIFEXITED(status))
        printf("%s: exited %d\n", name, WEXITSTATUS(status));
    else
        printf("%s: signal %d%s\n", name, WTERMSIG(status), WCOREDUMP(status) ? ", core" : "");
}

#define CHILD(name, ...)                                                                           \
    do {                                                                                           \
        pid_t child_pid = fork();                                                                  \
        if (child_pid == 0) {                                                                      \
            __VA_ARGS__;                                                                           \
            _exit(failures);                                                                       \
        }                                                                                          \
        outcome(name, child_pid);                                                                  \
    } while (0)

static void errors(void)
{
    struct sock_filter allow[] = {RETURN(SECCOMP_RET_ALLOW)};
    struct sock_fprog none = {0, allow}, null = {1, NULL}, bad = {1, (void *)8},
                      far = {4097, allow};
    unsigned action;
    no_new_privs();
    FAILS(syscall(SYS_seccomp, 99, 0, NULL));
    FAILS(syscall(SYS_seccomp, SECCOMP_SET_MODE_STRICT, 1, NULL));
    FAILS(syscall(SYS_seccomp, SECCOMP_SET_MODE_STRICT, 0, allow));
    FAILS(syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0, NULL));
    FAILS(syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0, 8));
    FAILS(syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0x100, NULL));
    FAILS(syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0, &none));
    FAILS(syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0, &null));
    FAILS(syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0, &bad));
    FAILS(syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0, &far));
    FAILS(syscall(SYS_seccomp, SECCOMP_GET_ACTION_AVAIL, 0, 8));
    FAILS(syscall(SYS_seccomp, SECCOMP_GET_ACTION_AVAIL, 1, &action));
    static const unsigned actions[] = {
        SECCOMP_RET_KILL_PROCESS, SECCOMP_RET_KILL_THREAD, SECCOMP_RET_TRAP, SECCOMP_RET_ERRNO,
        SECCOMP_RET_TRACE,        SECCOMP_RET_LOG,         SECCOMP_RET_ALLOW};
    for (size_t i = 0; i < LENGTH(actions); i++)
        CHECK(syscall(SYS_seccomp, SECCOMP_GET_ACTION_AVAIL, 0, &actions[i]) == 0);
    action = 0x12340000;
    FAILS(syscall(SYS_seccomp, SECCOMP_GET_ACTION_AVAIL, 0, &action));
    struct seccomp_notif_sizes sizes;
    CHECK(syscall(SYS_seccomp, SECCOMP_GET_NOTIF_SIZES, 0, &sizes) == 0);
    printf("sizes %u %u %u\n", sizes.seccomp_notif, sizes.seccomp_notif_resp, sizes.seccomp_data);
    FAILS(syscall(SYS_seccomp, SECCOMP_GET_NOTIF_SIZES, 0, 8));
    FAILS(prctl(PR_SET_SECCOMP, 0));
    FAILS(prctl(PR_SET_SECCOMP, 3, &none));
    FAILS(prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, 8));
    printf("mode %d\n", prctl(PR_GET_SECCOMP));
    CHECK(install(SECCOMP_FILTER_FLAG_LOG | SECCOMP_FILTER_FLAG_SPEC_ALLOW, allow, 1) == 0);
    printf("mode %d\n", prctl(PR_GET_SECCOMP));
    FAILS(prctl(PR_SET_SECCOMP, SECCOMP_MODE_STRICT));
    FAILS(syscall(SYS_seccomp, SECCOMP_SET_MODE_STRICT, 0, NULL));
    FAILS(syscall(100000));
    FAILS(syscall(-1));
}

/* Without privileges and without no_new_privs. */
static void privileges(void)
{
    struct sock_filter allow[] = {RETURN(SECCOMP_RET_ALLOW)};
    FAILS(prctl(PR_SET_NO_NEW_PRIVS, 0, 0, 0, 0));
    FAILS(prctl(PR_SET_NO_NEW_PRIVS, 1, 1, 0, 0));
    FAILS(prctl(PR_GET_NO_NEW_PRIVS, 1, 0, 0, 0));
    if (getuid() == 0) {
        CHECK(install(0, allow, 1) == 0);
        CHECK(setresuid(65534, 65534, 65534) == 0);
    }
    printf("no_new_privs %d\n", prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0));
    FAILS(install(0, allow, 1));
    no_new_privs();
    printf("no_new_privs %d\n", prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0));
    CHECK(install(0, allow, 1) == 0);
    CHILD("inherited", printf("no_new_privs %d\n", prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0)));
}

static void errnos(void)
{
    CHECK(install_for(SYS_getppid, SECCOMP_RET_ERRNO | EXDEV) == 0);
    FAILS(syscall(SYS_getppid));
    CHECK(install_for(SYS_getpgrp, SECCOMP_RET_ERRNO | 0) == 0);
    CHECK(install_for(SYS_getuid, SECCOMP_RET_ERRNO | 0xffff) == 0);
    CHECK(install_for(SYS_getgid, SECCOMP_RET_TRACE | 7) == 0);
    CHECK(install_for(SYS_geteuid, SECCOMP_RET_USER_NOTIF) == 0);
    CHECK(install_for(SYS_getegid, SECCOMP_RET_LOG) == 0);
    printf("0: %ld\n", syscall(SYS_getpgrp));
    errno = 0;
    long most = syscall(SYS_getuid);
    printf("the most: %ld %d\n", most, errno);
    FAILS(syscall(SYS_getgid));
    FAILS(syscall(SYS_geteuid));
    CHECK(syscall(SYS_getegid) >= 0);
    /* Of equal actions the newest, of others the strictest. */
    CHECK(install_for(SYS_getppid, SECCOMP_RET_ERRNO | EBUSY) == 0);
    FAILS(syscall(SYS_getppid));
    CHECK(install_for(SYS_getppid, SECCOMP_RET_TRACE) == 0);
    CHECK(install_for(SYS_getppid, SECCOMP_RET_ALLOW) == 0);
    FAILS(syscall(SYS_getppid));
    CHECK(install_for(123456, SECCOMP_RET_ERRNO | EDOM) == 0);
    FAILS(syscall(123456));
    CHECK(install_for(-1, SECCOMP_RET_ERRNO | EDOM) == 0);
    FAILS(syscall(-1));
}

/* The address behind the only system call of this function, and what the filter sees of it. */
extern const char probe_end[];
long probe(long a, long b, long c, long d, long e, long f);
__asm__(".text\n"
        ".globl probe, probe_end\n"
        "probe: mov %rcx, %r10\n"
        "mov $102, %eax\n"
        "syscall\n"
        "probe_end: ret\n");

/* One comparison of half a 64-bit field; fails with the given errno if it is not as expected. */
#define EXPECT(field, half, want, error)                                                           \
    BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, field) + 4 * (half)),         \
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, (unsigned)((unsigned long)(want) >> 32 * (half)), 1,   \
                 0),                                                                               \
        RETURN(SECCOMP_RET_ERRNO | (error))
#define EXPECT_LONG(field, want, error) EXPECT(field, 0, want, error), EXPECT(field, 1, want, error)

static void data(void)
{
    struct sock_filter code[] = {
        NUMBER,
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_getuid, 1, 0),
        RETURN(SECCOMP_RET_ALLOW),
        EXPECT(arch, 0, AUDIT_ARCH_X86_64, 200),
        EXPECT_LONG(instruction_pointer, probe_end, 201),
        EXPECT_LONG(args[0], 0x1111111122222222, 202),
        EXPECT_LONG(args[1], -1, 203),
        EXPECT_LONG(args[2], 0x3333333344444444, 204),
        EXPECT_LONG(args[3], 0x5555555566666666, 205),
        EXPECT_LONG(args[4], 0, 206),
        EXPECT_LONG(args[5], 0x7777777788888888, 207),
        RETURN(SECCOMP_RET_ERRNO | 100),
    };
    CHECK(install(0, code, LENGTH(code)) == 0);
    for (int i = 0; i < 3; i++)
        printf("data: %ld\n", probe(0x1111111122222222, -1, 0x3333333344444444, 0x5555555566666666,
                                    0, 0x7777777788888888));
}

static volatile sig_atomic_t trapped;

static void on_sigsys(int sig, siginfo_t *info, void *context)
{
    greg_t *regs = ((ucontext_t *)context)->uc_mcontext.gregs;
    trapped++;
    printf("signal %d code %d errno %d call %d arch %x behind %d registers %d %d %d rax %lld "
           "args %lld %lld blocked %d\n",
           sig, info->si_code, info->si_errno, info->si_syscall, info->si_arch,
           info->si_call_addr == (void *)probe_end, regs[REG_RIP] == (greg_t)probe_end,
           regs[REG_RCX] == (greg_t)probe_end, regs[REG_R11] == regs[REG_EFL],
           (long long)regs[REG_RAX], (long long)regs[REG_RDI], (long long)regs[REG_R9],
           sigismember(&((ucontext_t *)context)->uc_sigmask, SIGSYS));
    regs[REG_RAX] = 4711;
}

static void traps(void)
{
    struct sigaction action = {.sa_sigaction = on_sigsys, .sa_flags = SA_SIGINFO};
    sigset_t now;
    sigaction(SIGSYS, &action, NULL);
    CHECK(install_for(SYS_getuid, SECCOMP_RET_TRAP | 12345) == 0);
    for (int i = 0; i < 3; i++)
        printf("result %ld\n", probe(41, 0, 0, 0, 0, 46));
    sigprocmask(SIG_SETMASK, NULL, &now);
    CHECK(!sigismember(&now, SIGSYS) && trapped == 3);
}

static void deaths(void)
{
    CHILD("kill process", install_for(SYS_getppid, SECCOMP_RET_KILL_PROCESS); getppid());
    CHILD("kill thread", install_for(SYS_getppid, SECCOMP_RET_KILL_THREAD); getppid());
    CHILD("unknown action", install_for(SYS_getppid, 0x00110000); getppid());
    CHILD("trap without handler", install_for(SYS_getppid, SECCOMP_RET_TRAP); getppid());
    CHILD("trap ignored", signal(SIGSYS, SIG_IGN); install_for(SYS_getppid, SECCOMP_RET_TRAP);
          getppid());
    CHILD("trap blocked", {
        struct sigaction action = {.sa_sigaction = on_sigsys, .sa_flags = SA_SIGINFO};
        sigset_t set;
        sigaction(SIGSYS, &action, NULL);
        sigemptyset(&set);
        sigaddset(&set, SIGSYS);
        sigprocmask(SIG_BLOCK, &set, NULL);
        install_for(SYS_getppid, SECCOMP_RET_TRAP);
        getppid();
    });
    CHILD("kill though the newest allows", {
        install_for(SYS_getppid, SECCOMP_RET_KILL_THREAD);
        install_for(SYS_getppid, SECCOMP_RET_ALLOW);
        getppid();
    });
    CHILD("division by zero", {
        struct sock_filter code[] = {NUMBER, BPF_STMT(BPF_ALU | BPF_DIV | BPF_X, 0),
                                     RETURN(SECCOMP_RET_ALLOW)};
        install(0, code, LENGTH(code));
        getppid();
    });
    CHILD("strict, allowed", prctl(PR_SET_SECCOMP, SECCOMP_MODE_STRICT);
          (void)!write(1, "strict\n", 7); syscall(SYS_exit, 9));
    CHILD("strict, forbidden", prctl(PR_SET_SECCOMP, SECCOMP_MODE_STRICT); getppid());
    CHILD("strict, exit_group", prctl(PR_SET_SECCOMP, SECCOMP_MODE_STRICT); _exit(0));
    CHILD("strict by seccomp", syscall(SYS_seccomp, SECCOMP_SET_MODE_STRICT, 0, NULL);
          prctl(PR_GET_SECCOMP));
}

static void status_lines(void)
{
    char line[256];
    FILE *file = fopen("/proc/self/status", "r");
    CHECK(file != NULL);
    while (file && fgets(line, sizeof line, file))
        if (strncmp(line, "NoNewPrivs", 10) == 0 || strncmp(line, "Seccomp", 7) == 0)
            printf("%s", line);
    if (file)
        fclose(file);
}

/* Executed anew by inheritance(). */
static int executed(void)
{
    FAILS(syscall(SYS_getppid));
    FAILS(syscall(SYS_getpgrp));
    printf("mode %d\n", prctl(PR_GET_SECCOMP));
    status_lines();
    CHILD("vfork's child", FAILS(syscall(SYS_getppid)));
    CHILD("grandchild", execl("/proc/self/exe", "seccomp", "last", NULL));
    return finish();
}

static void inheritance(void)
{
    status_lines();
    CHECK(install_for(SYS_getppid, SECCOMP_RET_ERRNO | EXDEV) == 0);
    CHILD("in a child", {
        FAILS(syscall(SYS_getppid));
        CHECK(install_for(SYS_getpgrp, SECCOMP_RET_ERRNO | EDOM) == 0);
        FAILS(syscall(SYS_getpgrp));
        FAILS(execl("/nowhere", "nowhere", NULL));
        FAILS(syscall(SYS_getpgrp));
        execl("/proc/self/exe", "seccomp", "executed", NULL);
    });
    CHECK(syscall(SYS_getpgrp) > 0);
    FAILS(syscall(SYS_getppid));
    status_lines();
}

/* A handler of another signal, and a filter that looks at calls made in it. */
static void on_alarm(int sig)
{
    (void)sig;
    errno = 0;
    CHECK(syscall(SYS_getppid) == -1 && errno == EXDEV);
}

static void in_handlers(void)
{
    CHECK(install_for(SYS_getppid, SECCOMP_RET_ERRNO | EXDEV) == 0);
    CHECK(install_for(SYS_getuid, SECCOMP_RET_TRAP | 1) == 0);
    struct sigaction action = {.sa_handler = on_alarm};
    sigaction(SIGALRM, &action, NULL);
    raise(SIGALRM);
    FAILS(syscall(SYS_getppid));
}

static volatile sig_atomic_t alarms, quiet_traps;

static void on_timer(int sig)
{
    (void)sig;
    alarms++;
    if (alarms % 2)
        CHECK(syscall(SYS_getuid) == 5); /* trapped in here, too */
}

static void on_quiet_trap(int sig, siginfo_t *info, void *context)
{
    (void)sig, (void)info;
    quiet_traps++;
    ((ucontext_t *)context)->uc_mcontext.gregs[REG_RAX] = 5;
}

/* Other signals arrive all the time, at any point of the way from the call to its handler. */
static void under_fire(void)
{
    struct sigaction trap = {.sa_sigaction = on_quiet_trap, .sa_flags = SA_SIGINFO};
    struct sigaction timer = {.sa_handler = on_timer};
    struct itimerval often = {{0, 50}, {0, 50}}, never = {{0, 0}, {0, 0}};
    sigset_t now;
    sigaddset(&trap.sa_mask, SIGALRM); /* a trap in there, SIGSYS blocked, would be deadly */
    sigaction(SIGSYS, &trap, NULL);
    sigaction(SIGALRM, &timer, NULL);
    CHECK(install_for(SYS_getuid, SECCOMP_RET_TRAP) == 0);
    setitimer(ITIMER_REAL, &often, NULL);
    int calls = 0;
    for (; calls < 3000 || alarms < 20; calls++)
        CHECK(syscall(SYS_getuid) == 5);
    setitimer(ITIMER_REAL, &never, NULL);
    sigprocmask(SIG_SETMASK, NULL, &now);
    CHECK(!sigismember(&now, SIGSYS) && !sigismember(&now, SIGALRM));
    CHECK(quiet_traps == calls + (alarms + 1) / 2);
}

int main(int argc, char **argv)
{
    struct rlimit no_core = {0, 0};
    setrlimit(RLIMIT_CORE, &no_core);
    if (argc > 1)
        return strcmp(argv[1], "executed") == 0 ? executed() : finish();
    CHILD("errors", errors());
    CHILD("privileges", privileges());
    CHILD("errnos", no_new_privs(); errnos());
    CHILD("data", no_new_privs(); data());
    CHILD("traps", no_new_privs(); traps());
    no_new_privs();
    deaths();
    CHILD("inheritance", inheritance());
    CHILD("in handlers", in_handlers());
    CHILD("under fire", under_fire());
    return finish();
}
