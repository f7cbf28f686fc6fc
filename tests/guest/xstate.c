/* The vector state across handlers: saved at the interrupted point, reset within, restored after;
 * what the handler changes in the frame is what the program goes on with.
 */
#include "check.h"
#include <cpuid.h>
#include <sys/time.h>
#include <ucontext.h>

static volatile sig_atomic_t hits, wrong_inside;
static uint8_t avx512;
static volatile int change;

struct vectors {
    uint8_t bytes[32][64];
    uint64_t masks[8];
    uint32_t mxcsr;
    uint16_t control;
} __attribute__((aligned(64)));

static void load(const struct vectors *v)
{
    if (avx512) {
#define Z(n) __asm__ volatile("vmovdqu64 %0, %%zmm" #n : : "m"(v->bytes[n]));
        Z(0) Z(1) Z(2) Z(3) Z(7) Z(8) Z(15) Z(16) Z(23) Z(31)
#undef Z
        __asm__ volatile("kmovw %0, %%k1" : : "m"(v->masks[1]));
        __asm__ volatile("kmovw %0, %%k7" : : "m"(v->masks[7]));
    } else {
#define Y(n) __asm__ volatile("vmovdqu %0, %%ymm" #n : : "m"(v->bytes[n]));
        Y(0) Y(1) Y(2) Y(3) Y(7) Y(8) Y(15)
#undef Y
    }
    __asm__ volatile("ldmxcsr %0; fldcw %1" : : "m"(v->mxcsr), "m"(v->control));
}

static void store(struct vectors *v)
{
    if (avx512) {
#define Z(n) __asm__ volatile("vmovdqu64 %%zmm" #n ", %0" : "=m"(v->bytes[n]));
        Z(0) Z(1) Z(2) Z(3) Z(7) Z(8) Z(15) Z(16) Z(23) Z(31)
#undef Z
        __asm__ volatile("kmovw %%k1, %0" : "=m"(v->masks[1]));
        __asm__ volatile("kmovw %%k7, %0" : "=m"(v->masks[7]));
    } else {
#define Y(n) __asm__ volatile("vmovdqu %%ymm" #n ", %0" : "=m"(v->bytes[n]));
        Y(0) Y(1) Y(2) Y(3) Y(7) Y(8) Y(15)
#undef Y
    }
    __asm__ volatile("stmxcsr %0; fnstcw %1" : "=m"(v->mxcsr), "=m"(v->control));
}

static struct vectors in, out, garbage, inside;

__attribute__((target("general-regs-only"))) static void handler(int number, siginfo_t *info,
                                                                 void *context)
{
    (void)number, (void)info;
    ucontext_t *uc = context;
    memset(&inside, 0xee, sizeof inside);
    store(&inside);
    if (inside.mxcsr != 0x1f80 || inside.control != 0x37f)
        wrong_inside++;
    for (int i = 0; i < 32; i++)
        if (inside.bytes[15][i] != 0)
            wrong_inside++;
    load(&garbage);
    if (change)
        memset(uc->uc_mcontext.fpregs->_xmm[3].element, 0x5a, 16);
    hits++;
}

static int differences(void)
{
    int count = 0;
    static const int numbers[] = {0, 1, 2, 3, 7, 8, 15, 16, 23, 31};
    for (size_t i = 0; i < (avx512 ? 10 : 7); i++)
        count += memcmp(in.bytes[numbers[i]], out.bytes[numbers[i]], avx512 ? 64 : 32) != 0;
    if (avx512)
        count += (uint16_t)in.masks[1] != (uint16_t)out.masks[1] ||
                 (uint16_t)in.masks[7] != (uint16_t)out.masks[7];
    return count + (in.mxcsr != out.mxcsr) + (in.control != out.control);
}

static long send_self(void)
{
    long result;
    __asm__ volatile("syscall"
                     : "=a"(result)
                     : "a"(SYS_kill), "D"((long)getpid()), "S"((long)SIGUSR1)
                     : "rcx", "r11", "memory");
    return result;
}

static void fill(struct vectors *v, unsigned seed)
{
    srand(seed);
    for (size_t i = 0; i < sizeof v->bytes; i++)
        ((uint8_t *)v->bytes)[i] = (uint8_t)rand();
    v->masks[1] = 0x1234 + seed;
    v->masks[7] = 0x4321 + seed;
    v->mxcsr = 0x1f80 | (seed % 4) << 13;
    v->control = (uint16_t)(0x37f | (seed % 4) << 10);
}

int main(void)
{
    struct sigaction action = {.sa_sigaction = handler, .sa_flags = SA_SIGINFO};
    sigaction(SIGUSR1, &action, NULL);
    sigaction(SIGALRM, &action, NULL);
    avx512 = __builtin_cpu_supports("avx512f") != 0;
    if (!__builtin_cpu_supports("avx"))
        return finish();
    int bad = 0;
    fill(&garbage, 77);
    for (unsigned i = 0; i < 200; i++) {
        fill(&in, i);
        memset(&out, 0, sizeof out);
        load(&in);
        send_self();
        store(&out);
        bad += differences();
    }
    printf("by kill: hits %d, differences %d, inside %d\n", (int)hits, bad, (int)wrong_inside);
    bad = 0;
    hits = 0;
    for (unsigned i = 0; i < 20; i++) {
        fill(&in, i);
        sig_atomic_t before = hits;
        setitimer(ITIMER_REAL, &(struct itimerval){{0, 0}, {0, 1000}}, NULL);
        load(&in);
        while (hits == before)
            ;
        store(&out);
        bad += differences();
    }
    printf("by timer: hits %d, differences %d, inside %d\n", (int)hits, bad, (int)wrong_inside);
    change = 1;
    fill(&in, 1);
    load(&in);
    send_self();
    store(&out);
    memset(in.bytes[3], 0x5a, 16);
    printf("changed in the frame: differences %d\n", differences());
    return finish();
}
