/* Seccomp filters in the region: stacking, threads in step, inheritance, reuse when nobody is left.
 */
#include <errno.h>
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>

#include "setup.h"

static const struct exo_bpf_data call = {.nr = 1, .arch = AUDIT_ARCH_X86_64};

static long add(struct exo_kr *kr, uint32_t slot, uint32_t answer, bool sync)
{
    const struct exo_bpf code[] = {{BPF_RET | BPF_K, 0, 0, answer}};
    return exo_filter_add(kr, slot, code, 1, sync);
}

static uint32_t ask(const struct exo_kr *kr, uint32_t slot)
{
    return exo_filter_run(kr, kr->tasks[slot].filter, &call);
}

static uint32_t create(struct exo_kr *kr, uint32_t parent, bool thread)
{
    uint32_t slot = exo_task_create(kr, parent, thread);
    CHECK(slot != 0);
    exo_filter_inherit(kr, slot, parent);
    kr->tasks[slot].state = EXO_TASK_ALIVE;
    return slot;
}

static void test_order(struct exo_kr *kr)
{
    uint32_t task = create(kr, 0, false);
    CHECK_SAME(ask(kr, task), SECCOMP_RET_ALLOW);
    CHECK_SAME(add(kr, task, SECCOMP_RET_ERRNO | 1, false), 0);
    CHECK_SAME(add(kr, task, SECCOMP_RET_ERRNO | 2, false), 0);
    CHECK_SAME(ask(kr, task), SECCOMP_RET_ERRNO | 2);
    CHECK_SAME(add(kr, task, SECCOMP_RET_LOG, false), 0);
    CHECK_SAME(ask(kr, task), SECCOMP_RET_ERRNO | 2);
    CHECK_SAME(add(kr, task, SECCOMP_RET_TRAP | 3, false), 0);
    CHECK_SAME(add(kr, task, SECCOMP_RET_KILL_THREAD, false), 0);
    CHECK_SAME(ask(kr, task), SECCOMP_RET_KILL_THREAD);
    CHECK_SAME(add(kr, task, SECCOMP_RET_KILL_PROCESS, false), 0);
    CHECK_SAME(add(kr, task, SECCOMP_RET_KILL_THREAD, false), 0);
    CHECK_SAME(ask(kr, task), SECCOMP_RET_KILL_PROCESS);
    CHECK_SAME(kr->filters[kr->tasks[task].filter].depth, 7);
    exo_task_free(kr, task);
}

static void test_threads(struct exo_kr *kr)
{
    uint32_t leader = create(kr, 0, false), early = create(kr, leader, true);
    uint32_t stranger = create(kr, 0, false);
    kr->tasks[leader].security = EXO_SECURITY_NO_NEW_PRIVS;
    CHECK_SAME(add(kr, leader, SECCOMP_RET_ERRNO | 1, false), 0);
    CHECK_SAME(ask(kr, early), SECCOMP_RET_ALLOW);
    uint32_t late = create(kr, leader, true);
    CHECK_SAME(ask(kr, late), SECCOMP_RET_ERRNO | 1);
    CHECK_SAME(add(kr, leader, SECCOMP_RET_ERRNO | 2, true), 0);
    CHECK_SAME(kr->tasks[early].filter, kr->tasks[leader].filter);
    CHECK_SAME(kr->tasks[late].filter, kr->tasks[leader].filter);
    CHECK_SAME(kr->tasks[early].security, EXO_SECURITY_NO_NEW_PRIVS);
    CHECK_SAME(kr->tasks[stranger].filter, 0);
    CHECK_SAME(add(kr, late, SECCOMP_RET_ERRNO | 3, false), 0);
    CHECK_SAME(add(kr, leader, SECCOMP_RET_ERRNO | 4, true), kr->tasks[late].tid);
    CHECK_SAME(ask(kr, leader), SECCOMP_RET_ERRNO | 2);
    CHECK_SAME(add(kr, late, SECCOMP_RET_ERRNO | 5, true), 0);
    CHECK_SAME(ask(kr, leader), SECCOMP_RET_ERRNO | 5);
    exo_filter_swap(kr, stranger, leader);
    CHECK_SAME(ask(kr, stranger), SECCOMP_RET_ERRNO | 5);
    CHECK_SAME(kr->tasks[stranger].security, EXO_SECURITY_NO_NEW_PRIVS);
    CHECK_SAME(ask(kr, leader), SECCOMP_RET_ALLOW);
    exo_task_free_process(kr, leader);
    exo_task_free_process(kr, stranger);
}

static uint32_t count_used(const struct exo_kr *kr)
{
    uint32_t used = 0;
    for (uint32_t i = 1; i < kr->filter_high; i++)
        used += kr->filters[i].is_used;
    return used;
}

/* Filled up by many tasks, and empty again when they are gone: whoever they were. */
static void test_room(struct exo_kr *kr)
{
    static struct exo_bpf code[EXO_FILTER_LENGTH_LIMIT];
    uint32_t tasks[600], count = 0;
    for (uint32_t i = 0; i < COUNT(code); i++)
        code[i] = (struct exo_bpf){BPF_LD | BPF_IMM, 0, 0, i};
    code[COUNT(code) - 1] = (struct exo_bpf){BPF_RET | BPF_K, 0, 0, SECCOMP_RET_ERRNO | 1};
    long error = 0;
    while (error == 0 && count < COUNT(tasks)) {
        tasks[count] = create(kr, 0, false);
        error = exo_filter_add(kr, tasks[count++], code, COUNT(code), false);
    }
    CHECK_SAME(error, -ENOMEM);
    CHECK_SAME(count - 1, EXO_FILTER_UNIT_COUNT * EXO_FILTER_UNIT / COUNT(code));
    for (uint32_t i = 0; i + 1 < count; i++)
        CHECK_SAME(ask(kr, tasks[i]), SECCOMP_RET_ERRNO | 1);
    exo_task_free(kr, tasks[7]);
    CHECK_SAME(add(kr, tasks[9], SECCOMP_RET_ERRNO | 2, false), 0);
    CHECK_SAME(ask(kr, tasks[9]), SECCOMP_RET_ERRNO | 2);
    CHECK_SAME(ask(kr, tasks[6]), SECCOMP_RET_ERRNO | 1);
    for (uint32_t i = 0; i < count; i++)
        if (i != 7)
            exo_task_free(kr, tasks[i]);
    uint32_t last = create(kr, 0, false);
    CHECK_SAME(add(kr, last, SECCOMP_RET_ALLOW, false), 0);
    CHECK_SAME(add(kr, last, SECCOMP_RET_ALLOW, false), 0);
    CHECK_SAME(count_used(kr), 1); /* the look came before the second */
    exo_task_free(kr, last);
}

/* A child is killed at any point of adding filters; others go on, and nothing stays in use. */
static void test_kills(struct exo_kr *kr)
{
    uint64_t seed = 1;
    for (int round = 0; round < 50; round++) {
        uint32_t slot = create(kr, 0, false);
        pid_t pid = fork_child();
        if (pid == 0)
            for (uint32_t i = 0;; i++)
                if (add(kr, slot, SECCOMP_RET_ERRNO | (i & 1), false) != 0)
                    kr->tasks[slot].filter = 0;
        usleep(random_below(&seed, 2000));
        kill(pid, SIGKILL);
        CHECK_SAME(reap(pid), 128 + SIGKILL);
        CHECK(ask(kr, slot) != 0);
        exo_task_free(kr, slot);
    }
    uint32_t last = create(kr, 0, false);
    CHECK_SAME(add(kr, last, SECCOMP_RET_ALLOW, false), 0);
    CHECK_SAME(add(kr, last, SECCOMP_RET_ALLOW, false), 0);
    CHECK_SAME(count_used(kr), 1);
}

int main(void)
{
    begin(60);
    self_init();
    struct exo_kr *kr = region_create();
    test_order(kr);
    test_threads(kr);
    test_room(kr);
    test_kills(kr);
    region_destroy(kr);
    return 0;
}
