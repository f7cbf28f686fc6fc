/* The windowed switch: registers, control words, order of arguments, guard pages, other threads. */
#include "setup.h"

#include <fenv.h>

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
    double x = (double)seed;
    for (int i = 0; i < ROUNDS; i++) {
        leave();
        a += b ^ (uint64_t)i, b += c, c += d, d += e, e += f, f += a;
        x = x * 0.5 + (double)(a & 1023);
    }
    return a ^ b ^ c ^ d ^ e ^ f ^ (uint64_t)x;
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

static void write_to(char *at)
{
    *(volatile char *)at = 1;
}

/* Killed by SIGSEGV; sanitizers report it and exit. */
static bool dies(char *at)
{
    pid_t pid = fork_child();
    if (pid == 0) {
        CHECK(freopen("/dev/null", "w", stderr) != NULL);
        write_to(at);
        _exit(0);
    }
    return reap(pid) != 0;
}

static void test_guards(bool markers)
{
    begin_phase("guards");
    struct exo_stack_pool pool;
    char *stacks[100];
    CHECK_SAME(exo_stack_pool_init(&pool, 65536, markers), 0);
    for (int round = 0; round < 2; round++) {
        for (uint32_t i = 0; i < COUNT(stacks); i++) {
            CHECK((stacks[i] = exo_stack_take(&pool)) != NULL);
            memset(stacks[i] + pool.page_size, 1, 65536 - pool.page_size);
        }
        for (uint32_t i = 0; i < COUNT(stacks); i += 33) {
            CHECK(dies(stacks[i]));
            CHECK(dies(stacks[i] + pool.page_size - 1));
            CHECK(!dies(stacks[i] + pool.page_size));
        }
        for (uint32_t i = 0; i < COUNT(stacks); i++)
            exo_stack_give(&pool, stacks[i]);
    }
    CHECK_SAME(pool.made, COUNT(stacks));
    exo_stack_pool_deinit(&pool);
}

static uint64_t mappings(void)
{
    uint64_t count = 0;
    FILE *maps = fopen("/proc/self/maps", "r");
    CHECK(maps != NULL);
    for (int byte; (byte = getc(maps)) != EOF;)
        count += byte == '\n';
    fclose(maps);
    return count;
}

/* More stacks than a process may have mappings: all of them, or with old guards an error in time. */
static void test_many(void)
{
    enum { MANY = 70000 };
    begin_phase("many stacks");
    struct exo_stack_pool pool;
    CHECK_SAME(exo_stack_pool_init(&pool, 16384, true), 0);
    uint64_t before = mappings(), count = 0;
    void **stacks = calloc(MANY, sizeof(*stacks));
    while (count < MANY && (stacks[count] = exo_stack_take(&pool)) != NULL)
        count++;
    if (pool.markers) {
        CHECK_SAME(count, MANY);
        CHECK(mappings() < before + 100);
    } else
        CHECK(count > 1000);
    for (uint64_t i = 0; i < count; i++)
        exo_stack_give(&pool, stacks[i]);
    free(stacks);
    exo_stack_pool_deinit(&pool);
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
    test_guards(true);
    test_guards(false);
    test_many();
    return 0;
}
