/* Jobs of the kernel process's workers: none is lost, the serving thread is woken for each, and what
 * they collect is nobody's, while tasks come and go.
 */
#include "setup.h"

#include <errno.h>
#include <sys/eventfd.h>

#include "host/host.h"

#define AT_ONCE 64
#if __SANITIZE_THREAD__ || __SANITIZE_ADDRESS__
#define ROUNDS 1000
#else
#define ROUNDS 5000
#endif

static struct exo_kr *kr;
static struct exo_jobs jobs;
static UNUSED uint32_t over; /* how many have ended */

static uint32_t take(void)
{
    uint32_t count = 0;
    for (const struct exo_job *job = exo_host_jobs_take(&jobs); job != NULL; job = job->next) {
        CHECK_SAME(job->result, 0);
        count++;
    }
    return count;
}

/* As the serve loop does it; a wake that is lost hangs. */
static uint32_t wait_and_take(int64_t spin_ns)
{
    struct exo_wait wait = {.kr = kr,
                            .doorbell = -1,
                            .signals = -1,
                            .control = -1,
                            .jobs = &jobs,
                            .spin_ns = spin_ns,
                            .timeout_ns = -1};
    CHECK(exo_host_wait(&wait) & EXO_WAKE_JOBS);
    return take();
}

static void test_none_is_lost(int64_t spin_ns)
{
    static struct exo_job all[AT_ONCE];
    uint64_t found[1];
    for (uint32_t round = 0; round < ROUNDS / AT_ONCE; round++) {
        for (uint32_t i = 0; i < AT_ONCE; i++) {
            all[i] = (struct exo_job){.kr = kr, .kind = EXO_JOB_FIND_DEAD, .found = found};
            CHECK_SAME(exo_host_job_start(&jobs, &all[i]), 0);
        }
        for (uint32_t taken = 0; taken < AT_ONCE;)
            taken += wait_and_take(spin_ns);
    }
}

static void test_each_wakes(int64_t spin_ns)
{
    for (uint32_t round = 0; round < ROUNDS; round++) {
        struct exo_job job = {.kr = kr, .kind = EXO_JOB_FIND_DEAD};
        CHECK_SAME(exo_host_job_start(&jobs, &job), 0);
        while (wait_and_take(spin_ns) == 0)
            ; /* of the one before */
    }
}

static void test_no_such_job(void)
{
    struct exo_job job = {.kr = kr, .kind = EXO_JOB_KINDS};
    CHECK_SAME(exo_host_job_start(&jobs, &job), -EINVAL);
    CHECK_SAME(exo_host_job_do(&job), -EINVAL);
}

#if !__SANITIZE_THREAD__ /* collecting reads what tasks write meanwhile, and checks it */

/* A task whose fd table is made, shared, exchanged and given back. */
static void churn(struct worker *worker)
{
    uint32_t slot = worker->index + 1;
    exo_self()->slot = slot;
    for (uint32_t i = 0; i < ROUNDS; i++) {
        uint32_t child = exo_task_create(kr, slot, false);
        CHECK(child != 0);
        exo_fd_table_give(kr, child, exo_fd_table_clone(kr, kr->tasks[slot].fd_table));
        CHECK_SAME(exo_fd_ensure(kr, kr->tasks[child].fd_table, 40 << i % 5, EXO_FD_MAX_COUNT), 0);
        uint32_t thread = exo_task_create(kr, child, true);
        CHECK(thread != 0);
        exo_fd_table_share(kr, thread, kr->tasks[child].fd_table);
        exo_fd_table_replace(kr, thread, exo_fd_table_create(kr));
        exo_task_free_process(kr, child);
    }
    __atomic_add_fetch(&over, 1, __ATOMIC_SEQ_CST);
}

enum { CHURNERS = 3 };

static void *churn_all(void *unused)
{
    run_threads(CHURNERS, churn, NULL);
    return unused;
}

static void test_nothing_in_use_is_collected(void)
{
    pthread_t thread;
    for (uint32_t i = 0; i < CHURNERS; i++) {
        uint32_t slot = exo_task_create(kr, 0, false);
        kr->tasks[slot].alive.word = 1;
        exo_fd_table_give(kr, slot, exo_fd_table_create(kr));
    }
    CHECK(pthread_create(&thread, NULL, churn_all, NULL) == 0);
    while (__atomic_load_n(&over, __ATOMIC_SEQ_CST) < CHURNERS) {
        struct exo_job job = {.kr = kr, .kind = EXO_JOB_COLLECT};
        CHECK_SAME(exo_host_job_start(&jobs, &job), 0);
        while (wait_and_take(0) == 0)
            ;
    }
    pthread_join(thread, NULL);
    CHECK_SAME(exo_host_collect(kr), 0);
}

/* What lies in either part of the heap is found. */
static void test_both_parts_of_the_heap(void)
{
    uint64_t near_rest = EXO_NEAR_HEAP_SIZE - kr->heap_next;
    while (kr->heap_next < EXO_FAR_HEAP + (1 << 20))
        CHECK(exo_fd_table_create(kr) != 0);
    CHECK(near_rest > 0 && near_rest < EXO_NEAR_HEAP_SIZE);
    exo_self()->slot = 0;
    kr->tasks[0].held_table = kr->tasks[0].held_array = 0;
    CHECK((uint64_t)exo_host_collect(kr) >= kr->heap_next - EXO_FAR_HEAP + near_rest);
    CHECK_SAME(exo_host_collect(kr), 0);
    kr->free_arrays[0] = EXO_NEAR_HEAP_SIZE; /* between the two */
    CHECK_SAME(exo_host_collect(kr), -EINVAL);
}
#endif

int main(void)
{
    begin(20);
    kr = region_create();
    CHECK_SAME(exo_host_jobs_open(&jobs), 0);
    for (int64_t spin_ns = 0; spin_ns <= 20000; spin_ns += 20000) {
        begin_phase("none is lost");
        test_none_is_lost(spin_ns);
        begin_phase("each wakes");
        test_each_wakes(spin_ns);
    }
    test_no_such_job();
#if !__SANITIZE_THREAD__
    begin_phase("nothing in use is collected");
    test_nothing_in_use_is_collected();
    begin_phase("both parts of the heap");
    test_both_parts_of_the_heap();
#endif
    exo_host_jobs_close(&jobs);
    region_destroy(kr);
    return 0;
}
