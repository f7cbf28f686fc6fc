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
    begin(60);
    test_guards(true);
    test_guards(false);
    test_many();
    return 0;
}
