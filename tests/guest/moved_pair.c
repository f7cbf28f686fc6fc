/* Two short instructions behind a call, of which one alone leaves no room for a jump: a signal that
 * falls between them tells its handler a place in the program's code, and what the second one does,
 * be it a branch or a return or long work, is done once.
 */
#include "check.h"
#include <sys/time.h>
#include <ucontext.h>

static volatile long hits, strange, watching;
static char bytes[100000];

int main(void);

static void on_alarm(int number, siginfo_t *info, void *context)
{
    const char *rip = (const char *)((ucontext_t *)context)->uc_mcontext.gregs[REG_RIP];
    (void)number, (void)info;
    hits++;
    strange += watching && (rip < (const char *)main - 65536 || rip > (const char *)main + 65536);
}

/* Most signals find the second instruction at work. There is no such call: al is never 0. */
__attribute__((noinline)) static void work(long *wrong)
{
    long left, size = sizeof bytes;
    char *to = bytes;
    __asm__ volatile("mov $1000, %%edx\n mov %%edx, %%eax\n mov %%ebx, %%ebx\n syscall\n"
                     "mov %%ebx, %%ecx\n rep stosb\n"
                     "nop\n"
                     : "=&c"(left), "+D"(to)
                     : "b"(size)
                     : "rax", "rdx", "r11", "memory", "cc");
    *wrong += left != 0 || to != bytes + size || bytes[size - 1] == 0;
    bytes[size - 1] = 0;
}

/* Odd and even rounds take different ways at each condition. */
#define BRANCH(condition)                                                                          \
    "mov $110, %%edx\n mov %%edx, %%eax\n mov %%ebx, %%ebx\n syscall\n"                            \
    "cmp %%ebx, %%esi\n j" condition " 1f\n add $1, %%rdi\n 1:\n"

__attribute__((noinline)) static long branch(long first, long second)
{
    long passed = 0;
    __asm__ volatile(BRANCH("e") BRANCH("ne") BRANCH("b") BRANCH("a") BRANCH("l") BRANCH("g")
                     BRANCH("s") BRANCH("o") BRANCH("p") BRANCH("le") BRANCH("mp")
                     "nop\n"
                     : "+D"(passed)
                     : "S"(first), "b"(second)
                     : "rax", "rcx", "rdx", "r11", "memory", "cc");
    return passed;
}

/* One call is enough to be interrupted in: the second instruction is the return. */
__attribute__((noinline)) static long back(long argument)
{
    long result;
    __asm__ volatile("sub $128, %%rsp\n call 2f\n add $128, %%rsp\n jmp 3f\n"
                     "2: mov $110, %%edx\n mov %%edx, %%eax\n mov %%ebx, %%ebx\n syscall\n"
                     "mov %%ebx, %%esi\n ret\n"
                     "nop\n 3:\n"
                     : "=&S"(result)
                     : "b"(argument)
                     : "rax", "rcx", "rdx", "r11", "memory", "cc");
    return result;
}

static void start(void)
{
    hits = strange = 0;
    setitimer(ITIMER_REAL, &(struct itimerval){{0, 100}, {0, 100}}, NULL);
    watching = 1;
}

static void stop(void)
{
    watching = 0;
    setitimer(ITIMER_REAL, &(struct itimerval){{0, 0}, {0, 0}}, NULL);
}

int main(void)
{
    struct sigaction action = {.sa_sigaction = on_alarm, .sa_flags = SA_SIGINFO | SA_RESTART};
    long wrong = 0, passed[4], round;
    memset(bytes, 0, sizeof bytes);
    work(&wrong); /* patched from here on */
    for (int i = 0; i < 4; i++)
        passed[i] = branch(i & 1 ? 7 : -7, i & 2 ? 7 : -7);
    CHECK(back(5) == 5);
    sigaction(SIGALRM, &action, NULL);
    start();
    while (hits < 1000)
        work(&wrong);
    stop();
    printf("work: wrong %ld, outside %ld\n", wrong, strange);
    wrong = 0;
    start();
    for (round = 0; hits < 3000; round++)
        wrong += branch(round & 1 ? 7 : -7, round & 2 ? 7 : -7) != passed[round & 3];
    stop();
    printf("branches: wrong %ld, outside %ld, passed %ld %ld %ld %ld\n", wrong, strange, passed[0],
           passed[1], passed[2], passed[3]);
    wrong = 0;
    start();
    for (round = 0; hits < 1000; round++)
        wrong += back(round) != round;
    stop();
    printf("returns: wrong %ld, outside %ld\n", wrong, strange);
    return finish();
}
