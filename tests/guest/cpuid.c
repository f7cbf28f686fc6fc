/* cpuid says the same whether its leaf stands in the code, where a copy of the code may answer it,
 * or not; a signal in the middle sees only addresses of the program and changes nothing. Each stage
 * executes the next: a copy is made for the second or a later one. */
#include "check.h"

#include <cpuid.h>
#include <stdint.h>
#include <sys/time.h>
#include <ucontext.h>

#define STAGES 4
#define ROUNDS 3000

extern const char __executable_start[], etext[];
static volatile int strangers, signals;

struct answer {
    uint32_t part[4];
};

static struct answer ask(uint32_t leaf)
{
    struct answer answer;
    __asm__ volatile("cpuid"
                     : "=a"(answer.part[0]), "=b"(answer.part[1]), "=c"(answer.part[2]),
                       "=d"(answer.part[3])
                     : "0"(leaf), "2"(0));
    return answer;
}

/* The leaf stands in the code; every register that cpuid leaves alone has to stay, flags too. */
#define CHECK_LEAF(leaf)                                                                           \
    do {                                                                                           \
        struct answer got, want = ask(leaf);                                                       \
        uint64_t rsi = 0x123456789abcdef0, carry = 0;                                              \
        __asm__ volatile("stc\n\tmov $" #leaf ", %%eax\n\tcpuid\n\tsbb %[carry], %[carry]"         \
                         : "=a"(got.part[0]), "=b"(got.part[1]), "=c"(got.part[2]),                \
                           "=d"(got.part[3]), "+S"(rsi), [carry] "+r"(carry)                       \
                         : "2"(0));                                                                \
        CHECK(memcmp(&got, &want, sizeof(got)) == 0);                                              \
        CHECK(rsi == 0x123456789abcdef0 && carry == ~0UL);                                         \
    } while (0)

static void check_all(void)
{
    CHECK_LEAF(0x80000000);
    CHECK_LEAF(0x80000001);
    CHECK_LEAF(0x80000002);
    CHECK_LEAF(0x80000003);
    CHECK_LEAF(0x80000004);
    CHECK_LEAF(0x80000005);
    CHECK_LEAF(0x80000006);
    CHECK_LEAF(0x80000007);
    CHECK_LEAF(0x80000008);
}

static void on_alarm(int sig, siginfo_t *info, void *context)
{
    const ucontext_t *at = context;
    uint64_t rip = (uint64_t)at->uc_mcontext.gregs[REG_RIP];
    (void)sig, (void)info;
    signals++;
    strangers += rip < (uint64_t)__executable_start || rip >= (uint64_t)etext;
}

/* Nothing of a library is in this loop. */
static void under_fire(void)
{
    struct sigaction action = {.sa_sigaction = on_alarm, .sa_flags = SA_SIGINFO};
    struct itimerval every = {.it_interval.tv_usec = 200, .it_value.tv_usec = 200}, off = {0};
    struct answer want = ask(0x80000002);
    int wrong = 0;
    CHECK(sigaction(SIGALRM, &action, NULL) == 0);
    CHECK(setitimer(ITIMER_REAL, &every, NULL) == 0);
    while (strangers == 0 && signals < 200) {
        struct answer got;
        __asm__ volatile("mov $0x80000002, %%eax\n\tcpuid"
                         : "=a"(got.part[0]), "=b"(got.part[1]), "=c"(got.part[2]),
                           "=d"(got.part[3])
                         : "2"(0));
        for (int i = 0; i < 4; i++)
            wrong += got.part[i] != want.part[i];
    }
    setitimer(ITIMER_REAL, &off, NULL);
    CHECK(wrong == 0);
    CHECK(strangers == 0);
}

static volatile long steps[16], step_count;
extern const char step_begin[], step_end[];

static void on_trap(int sig, siginfo_t *info, void *context)
{
    const ucontext_t *at = context;
    long offset = at->uc_mcontext.gregs[REG_RIP] - (long)step_begin;
    (void)sig, (void)info;
    if (step_count < 16)
        steps[step_count++] = offset <= step_end - step_begin ? offset : -1;
}

static void step_by_step(void)
{
    struct sigaction action = {.sa_sigaction = on_trap, .sa_flags = SA_SIGINFO};
    CHECK(sigaction(SIGTRAP, &action, NULL) == 0);
    __asm__ volatile("pushfq\n\torq $0x100, (%%rsp)\n\tpopfq\n"
                     "step_begin:\n\tnop\n\tmov $0x80000003, %%eax\n\tcpuid\n\tnop\n\t"
                     "pushfq\n\tandq $~0x100, (%%rsp)\n\tpopfq\nstep_end:\n\tnop"
                     :
                     :
                     : "rax", "rbx", "rcx", "rdx", "memory", "cc");
    for (int i = 0; i < step_count; i++)
        printf(" +%ld", steps[i]);
    printf("\n");
}

int main(int argc, char **argv)
{
    int stage = argc > 1 ? atoi(argv[1]) : 0;
    char next[12];
    check_all();
    if (stage < STAGES) {
        snprintf(next, sizeof(next), "%d", stage + 1);
        execl("/proc/self/exe", argv[0], next, (char *)NULL);
        CHECK(!"execl");
    }
    for (int i = 0; i < ROUNDS; i++)
        check_all();
    under_fire();
    step_by_step();
    return finish();
}
