/* The windowed switch: registers, control words, other threads. Also built for the other machines
 * (tests/system/test_switch.py). */
#include "setup.h"

#include <fenv.h>
#include <math.h>

#include "core/stackswitch.h"
#include "host/stack.h"

#define STACK_SIZE (256UL << 10)
#define ROUNDS 10000

static struct exo_context mine, its;
static struct exo_stack my_stack, its_stack;

static void there(void)
{
    exo_stack_switch(&mine, &my_stack, &its, &its_stack, false);
}

static void back(bool last)
{
    exo_stack_switch(&its, &its_stack, &mine, &my_stack, last);
}

static void prepare(struct exo_stack_pool *pool, void (*entry)(void *), void *argument)
{
    its_stack = (struct exo_stack){.bottom = exo_stack_take(pool), .size = STACK_SIZE};
    CHECK(its_stack.bottom != NULL);
    my_stack = (struct exo_stack){.bottom = NULL};
    exo_stack_begin(&its_stack);
    exo_stack_begin(&my_stack);
    exo_context_init(&its, (char *)its_stack.bottom + STACK_SIZE, entry, argument);
}

static void finish(struct exo_stack_pool *pool)
{
    exo_stack_end(&its_stack);
    exo_stack_give(pool, its_stack.bottom);
}

/* Many values at once, so that all callee-saved registers hold some of them. */
static uint64_t mix(uint64_t seed, void (*leave)(void))
{
    uint64_t a = seed, b = seed * 3, c = seed * 5, d = seed * 7, e = seed * 11, f = seed * 13;
    double x = (double)seed, y = x + 1, z = x + 2, u = x + 3, v = x + 4, w = x + 5;
    for (int i = 0; i < ROUNDS; i++) {
        leave();
        a += b ^ (uint64_t)i, b += c, c += d, d += e, e += f, f += a;
        x = x * 0.5 + (double)(a & 1023), y += x, z = z * 0.25 + y, u = u * 0.5 - z;
        v = v * 0.5 + u, w = w * 0.25 - v;
    }
    return a ^ b ^ c ^ d ^ e ^ f ^ (uint64_t)fabs(x + y + z + u + v + w);
}

static void nowhere(void) {}

static void leave_it(void)
{
    back(false);
}

static uint64_t its_result;

static void mix_there(void *argument)
{
    exo_stack_arrive(&my_stack);
    CHECK_SAME((uintptr_t)__builtin_frame_address(0) % 16, 0);
    its_result = mix((uint64_t)(uintptr_t)argument, leave_it);
    back(true);
}

static void test_registers(struct exo_stack_pool *pool)
{
    begin_phase("registers");
    uint64_t want = mix(1234567, nowhere), other = mix(7654321, nowhere);
    prepare(pool, mix_there, (void *)1234567UL);
    there(); /* to its first switch back */
    CHECK_SAME(mix(7654321, there), other);
    CHECK_SAME(its_result, want);
    finish(pool);
}

static void round_there(void *argument)
{
    (void)argument;
    exo_stack_arrive(&my_stack);
    CHECK_SAME(fegetround(), FE_TONEAREST); /* whatever the other one has */
    fesetround(FE_DOWNWARD);
    for (;;) {
        volatile double one = 1.0, ten = 10.0;
        CHECK(one / ten < 0.1); /* to the nearest is above a tenth */
        CHECK_SAME(fegetround(), FE_DOWNWARD);
        back(false);
    }
}

static void test_rounding(struct exo_stack_pool *pool)
{
    begin_phase("rounding");
    prepare(pool, round_there, NULL);
    fesetround(FE_UPWARD);
    for (int i = 0; i < 100; i++) {
        there();
        CHECK_SAME(fegetround(), FE_UPWARD);
        volatile long double one = 1.0L, three = 3.0L, third = one / three;
        fesetround(FE_DOWNWARD);
        CHECK(one / three < third); /* x87's own control word */
        fesetround(FE_UPWARD);
    }
    fesetround(FE_TONEAREST);
    finish(pool);
}

static void count_there(void *argument)
{
    exo_stack_arrive(&my_stack);
    uint64_t *count = argument;
    for (;;) {
        (*count)++;
        back(false);
    }
}

/* A context is resumed by another thread than the one that saved it. */
static void *go_on(void *argument)
{
    uint64_t *count = argument, before = *count;
    struct exo_stack before_stack = my_stack;
    my_stack = (struct exo_stack){.bottom = NULL};
    exo_stack_begin(&my_stack);
    for (int i = 0; i < 100; i++)
        there();
    CHECK_SAME(*count, before + 100);
    my_stack = before_stack;
    return NULL;
}

static void test_threads(struct exo_stack_pool *pool)
{
    begin_phase("threads");
    uint64_t count = 0;
    prepare(pool, count_there, &count);
    there();
    for (int i = 0; i < 20; i++) {
        pthread_t thread;
        CHECK(pthread_create(&thread, NULL, go_on, &count) == 0);
        pthread_join(thread, NULL);
    }
    CHECK_SAME(count, 2001);
    finish(pool);
}

int main(void)
{
    struct exo_stack_pool pool;
    begin(60);
    CHECK_SAME(exo_stack_pool_init(&pool, STACK_SIZE, true), 0);
    test_registers(&pool);
    test_rounding(&pool);
    test_threads(&pool);
    exo_stack_pool_deinit(&pool);
    return 0;
}
