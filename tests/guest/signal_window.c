/* A signal just before a blocking call, the race that only the handler can see: what it is told of
 * the interrupted place must be true. It finds the thread before the `syscall` instruction and skips
 * it, or behind it with EINTR; a signal that falls between would leave the call waiting for ever.
 * Nor may a handler ever see a place that is not in the program's code.
 */
#include "check.h"
#include <sys/time.h>
#include <ucontext.h>

extern const char window_begin[], window_call[], window_end[], window_skip[];
extern const char loop_begin[], loop_end[];
static int pipes[2];
static volatile long hits, strange, skipped;

static void on_alarm(int number, siginfo_t *info, void *context)
{
    ucontext_t *uc = context;
    const char *rip = (const char *)uc->uc_mcontext.gregs[REG_RIP];
    (void)number, (void)info;
    hits++;
    if (rip >= window_begin && rip <= window_call) {
        uc->uc_mcontext.gregs[REG_RIP] = (greg_t)window_skip;
        skipped++;
    }
}

/* Arms the timer inside the window, so that it goes off anywhere in it or in the call. */
__attribute__((noinline)) static long wait_once(long us)
{
    struct itimerval timer = {{0, 0}, {0, us}};
    char byte;
    long result;
    __asm__ volatile("mov $38, %%eax\n mov $0, %%edi\n mov %[timer], %%rsi\n xor %%edx, %%edx\n"
                     "syscall\n" /* setitimer: a hit from here on counts */
                     ".globl window_begin, window_call, window_end, window_skip\n"
                     "window_begin:\n"
                     "movabs $0, %%rdx\n" /* long enough to make room for a jump alone */
                     "mov %[fd], %%edi\n mov %[byte], %%rsi\n mov $1, %%edx\n"
                     "mov %[spin], %%ecx\n 1: pause\n dec %%ecx\n jnz 1b\n"
                     "mov $0, %%eax\n"
                     "window_call: syscall\n"
                     "window_end: jmp 2f\n"
                     "window_skip: mov $-4, %%rax\n"
                     "2:\n"
                     : "=&a"(result)
                     : [timer] "r"(&timer), [fd] "r"(pipes[0]), [byte] "r"(&byte),
                       [spin] "r"((int)(us * 7 % 311 + 1))
                     : "rdi", "rsi", "rdx", "rcx", "r11", "memory", "cc");
    return result;
}

static void on_loop(int number, siginfo_t *info, void *context)
{
    const char *rip = (const char *)((ucontext_t *)context)->uc_mcontext.gregs[REG_RIP];
    (void)number, (void)info;
    hits++;
    if (rip < loop_begin || rip > loop_end)
        strange++;
}

/* Calls of three shapes, of which each is patched in another way. The timer runs in the loop only. */
__attribute__((noinline)) static void loop(void)
{
    static const struct itimerval on = {{0, 100}, {0, 100}}, off;
    __asm__ volatile(".globl loop_begin, loop_end\nloop_begin:\n"
                     "mov $38, %%eax\n mov $0, %%edi\n mov %[on], %%rsi\n xor %%edx, %%edx\n"
                     "syscall\n"
                     "1: mov $39, %%eax\n syscall\n"
                     "mov $39, %%ebx\n mov %%ebx, %%eax\n syscall\n mov %%rax, %%rdi\n nop\n"
                     "mov %%ebx, %%eax\n movabs $5, %%rsi\n syscall\n"
                     "cmpq $3000, %[hits]\n jb 1b\n"
                     "mov $38, %%eax\n mov $0, %%edi\n mov %[off], %%rsi\n xor %%edx, %%edx\n"
                     "syscall\nloop_end:\n"
                     :
                     : [hits] "m"(hits), [on] "r"(&on), [off] "r"(&off)
                     : "rax", "rbx", "rcx", "rdx", "rdi", "rsi", "r11", "memory", "cc");
}

int main(void)
{
    struct sigaction action = {.sa_sigaction = on_alarm, .sa_flags = SA_SIGINFO};
    long wrong = 0, rounds = 3000;
    CHECK(pipe(pipes) == 0);
    sigaction(SIGALRM, &action, NULL);
    for (long i = 0; i < rounds; i++)
        wrong += wait_once(i % 60 + 1) != -EINTR;
    printf("waits: wrong %ld, hits %d\n", wrong, hits == rounds);
    hits = 0;
    action.sa_sigaction = on_loop;
    sigaction(SIGALRM, &action, NULL);
    loop();
    printf("places outside the program: %ld\n", strange);
    return finish();
}
