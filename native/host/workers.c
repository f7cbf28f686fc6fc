/* Sets of workers: their beginning, their end, what they count. */
#include <errno.h>
#include <sched.h>
#include <signal.h>
#include <stdalign.h>
#include <stdlib.h>
#include <sys/mman.h>

#include "core/atomic.h"
#include "fibers.h"

static int start(struct exo_worker *worker)
{
    pthread_attr_t attributes;
    cpu_set_t cpus;
    CPU_ZERO(&cpus);
    CPU_SET((unsigned)worker->host_cpu, &cpus);
    int error = pthread_attr_init(&attributes);
    if (error == 0)
        error = pthread_attr_setaffinity_np(&attributes, sizeof(cpus), &cpus);
    if (error == 0)
        error = pthread_create(&worker->thread, &attributes, exo_worker_run, worker);
    pthread_attr_destroy(&attributes);
    return error > 0 ? -error : error;
}

static void free_all(struct exo_workers *workers)
{
    for (uint32_t i = 0; i < workers->count; i++)
        pthread_mutex_destroy(&workers->worker[i].lock);
    exo_stack_pool_deinit(&workers->stacks);
    munmap(workers->fibers, EXO_FIBER_COUNT * sizeof(struct exo_fiber));
    munmap(workers->sched, exo_sched_size(workers->count));
    pthread_mutex_destroy(&workers->lock);
    free(workers);
}

/* Ends those that have begun. */
static void stop(struct exo_workers *workers)
{
    store_release(&workers->stopping, 1);
    full_fence();
    for (uint32_t i = 0; i < workers->started; i++)
        exo_sched_ring(workers->sched, i);
    for (uint32_t i = 0; i < workers->started; i++)
        pthread_join(workers->worker[i].thread, NULL);
}

/* Before there are any entities: whoever takes over a CPU looks through all of them. */
static int attach_all(struct exo_workers *workers)
{
    struct exo_sched *sched = workers->sched;
    int error = 0;
    for (uint32_t i = 0; i < workers->count && error == 0; i++)
        error = exo_sched_attach(sched, i, i + 1);
    return error != 0 ? error
                      : exo_sched_set_entities(sched, &workers->fibers[0].entity,
                                               sizeof(struct exo_fiber), EXO_FIBER_COUNT);
}

/* Signals are for the threads of whoever made the workers. */
static int start_all(struct exo_workers *workers)
{
    sigset_t all, before;
    int error = attach_all(workers);
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    while (workers->started < workers->count && error == 0) {
        error = start(&workers->worker[workers->started]);
        workers->started += error == 0;
    }
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    return error;
}

static void *map(uint64_t size)
{
    void *memory = mmap(NULL, size, PROT_READ | PROT_WRITE,
                        MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    return memory == MAP_FAILED ? NULL : memory;
}

/* The scheduler's classes are in ns; ours are what the clock counts. */
static int set_up(struct exo_workers *workers, const struct exo_workers_options *options)
{
    uint32_t size = options->stack_size == 0 ? EXO_STACK_SIZE : options->stack_size;
    pthread_mutex_init(&workers->lock, NULL);
    int error =
        exo_stack_pool_init(&workers->stacks, size, !(options->flags & EXO_WORKERS_OLD_GUARDS));
    workers->sched = map(exo_sched_size(workers->count));
    workers->fibers = map(EXO_FIBER_COUNT * sizeof(struct exo_fiber));
    if (error != 0 || workers->sched == NULL || workers->fibers == NULL)
        return -ENOMEM;
    workers->high = 1;
    workers->spin = exo_cycles_of_ns(options->spin_ns == 0 ? EXO_SPIN_NS : options->spin_ns);
    error = exo_sched_init(workers->sched, workers->count);
    exo_sched_set_thresholds(workers->sched, (int64_t)exo_cycles_of_ns(EXO_SCHED_NORMAL_FROM),
                             (int64_t)exo_cycles_of_ns(EXO_SCHED_COLD_FROM));
    for (uint32_t i = 0; i < workers->count; i++) {
        struct exo_worker *worker = &workers->worker[i];
        *worker = (struct exo_worker){
            .workers = workers, .cpu = i, .host_cpu = options->cpus[i], .earliest = EXO_FOREVER};
        pthread_mutex_init(&worker->lock, NULL);
    }
    return error;
}

/* Those that the caller may run on. */
static uint32_t find_cpus(int32_t *cpus)
{
    cpu_set_t set;
    uint32_t count = 0;
    if (sched_getaffinity(0, sizeof(set), &set) != 0)
        return 0;
    for (int32_t i = 0; i < CPU_SETSIZE && count < EXO_SCHED_CPUS; i++)
        if (CPU_ISSET((unsigned)i, &set))
            cpus[count++] = i;
    return count;
}

static bool is_valid(const struct exo_workers_options *options)
{
    uint32_t size = options->stack_size;
    bool size_ok = size == 0 || (size >= EXO_STACK_SIZE_MIN && (size & (size - 1)) == 0);
    bool ok = size_ok && options->cpu_count > 0 && options->cpu_count <= EXO_SCHED_CPUS;
    for (uint32_t i = 0; ok && i < options->cpu_count; i++)
        ok = options->cpus[i] >= 0 && options->cpus[i] < CPU_SETSIZE;
    return ok;
}

static int create(struct exo_workers **workers, const struct exo_workers_options *options)
{
    uint64_t size = sizeof(**workers) + options->cpu_count * sizeof(struct exo_worker);
    struct exo_workers *made = aligned_alloc(alignof(struct exo_worker), size);
    if (made == NULL)
        return -ENOMEM;
    *made = (struct exo_workers){.count = options->cpu_count};
    int error = set_up(made, options);
    if (error == 0)
        error = start_all(made);
    if (error == 0) {
        *workers = made;
        return 0;
    }
    stop(made);
    free_all(made);
    return error;
}

int exo_workers_create(struct exo_workers **workers, const struct exo_workers_options *options)
{
    struct exo_workers_options used = *options;
    int32_t cpus[EXO_SCHED_CPUS];
    if (used.cpus == NULL) {
        used.cpus = cpus;
        used.cpu_count = find_cpus(cpus);
    }
    return is_valid(&used) ? create(workers, &used) : -EINVAL;
}

int exo_workers_destroy(struct exo_workers *workers)
{
    struct exo_worker *worker = exo_worker_self();
    uint32_t alive;
    if (worker != NULL && worker->workers == workers)
        return -EDEADLK;
    while ((alive = load_acquire(&workers->alive)) != 0)
        exo_futex_wait(&workers->alive, alive, EXO_FOREVER);
    stop(workers);
    free_all(workers);
    return 0;
}

static void add(struct exo_workers_stats *stats, const struct exo_worker *worker)
{
    stats->switches += load_relaxed(&worker->switches);
    stats->yields += load_relaxed(&worker->yields);
    stats->parks += load_relaxed(&worker->parks);
    stats->wakes += load_relaxed(&worker->wakes);
    stats->sleeps += load_relaxed(&worker->sleeps);
}

void exo_workers_stats(const struct exo_workers *workers, struct exo_workers_stats *stats)
{
    *stats = (struct exo_workers_stats){
        .workers = workers->count,
        .alive = load_relaxed(&workers->alive),
        .spawned = load_relaxed(&workers->spawned),
        .stacks = load_relaxed(&workers->stacks.made),
        .stack_bytes = load_relaxed(&workers->stacks.bytes),
    };
    for (uint32_t i = 0; i < workers->count; i++) {
        stats->steals += load_relaxed(&exo_sched_cpu_at(workers->sched, i)->stolen);
        add(stats, &workers->worker[i]);
    }
}
