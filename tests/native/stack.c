/* The pool of stacks: guards that fault, both kinds of them, reuse, more than there are mappings. */
#include "setup.h"

#include "host/stack.h"

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

/* More come back than keep their memory: it is gone, their guards are not. */
static void test_dropped(bool markers)
{
    enum { SOME = 3000 };
    begin_phase("dropped");
    struct exo_stack_pool pool;
    static char *stacks[SOME];
    uint32_t dirty = 0;
    CHECK_SAME(exo_stack_pool_init(&pool, 16384, markers), 0);
    for (uint32_t i = 0; i < SOME; i++) {
        CHECK((stacks[i] = exo_stack_take(&pool)) != NULL);
        stacks[i][16383] = 1;
    }
    for (uint32_t i = 0; i < SOME; i++) /* not in the order of addresses */
        exo_stack_give(&pool, stacks[i * 7 % SOME]);
    for (uint32_t i = 0; i < SOME; i++) {
        CHECK((stacks[i] = exo_stack_take(&pool)) != NULL);
        dirty += (uint32_t)stacks[i][16383];
        stacks[i][16383] = 2;
    }
    CHECK(dirty >= 512 && dirty <= 1024);
    for (uint32_t i = 0; i < SOME; i += 1499)
        CHECK(dies(stacks[i]));
    CHECK_SAME(pool.made, SOME);
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
static void test_many(bool markers)
{
    enum { MANY = 70000 };
    begin_phase("many stacks");
    struct exo_stack_pool pool;
    CHECK_SAME(exo_stack_pool_init(&pool, 16384, markers), 0);
    uint64_t before = mappings(), count = 0;
    void **stacks = calloc(MANY, sizeof(*stacks));
    while (count < MANY && (stacks[count] = exo_stack_take(&pool)) != NULL)
        count++;
    CHECK(count > 10000);
    if (pool.markers) {
        CHECK_SAME(count, MANY);
        CHECK(mappings() < before + 100);
    } else if (count < MANY)
        CHECK(exo_stack_take(&pool) == NULL);
    for (uint64_t i = 0; i < count; i++)
        exo_stack_give(&pool, stacks[i]);
    CHECK_SAME(pool.made, count);
    CHECK((stacks[0] = exo_stack_take(&pool)) != NULL);
    exo_stack_give(&pool, stacks[0]);
    free(stacks);
    exo_stack_pool_deinit(&pool);
}

int main(void)
{
    begin(60);
    test_guards(true);
    test_guards(false);
    test_dropped(true);
    test_dropped(false);
    test_many(true);
#if !__SANITIZE_ADDRESS__ && !__SANITIZE_THREAD__ /* they need mappings themselves */
    test_many(false);
#endif
    return 0;
}
