/* The kernel process's workers and their jobs, from the moment they are given to that when the
 * serving thread takes them back. The workers are those of exo tasks, each job is a task.
 *
 * A worker puts a job into the list of those that have ended, then looks whether the serving thread
 * is going to sleep; that thread says that it is, then looks at the list (wait.c). With a full fence
 * between each pair one of the two sees the other.
 */
#include <errno.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <exo/fiber.h>

#include "core/atomic.h"
#include "host.h"

static void put_back(struct exo_job *job, int64_t result)
{
    struct exo_jobs *jobs = job->jobs;
    uint64_t one = 1;
    job->result = result;
    job->next = __atomic_load_n(&jobs->ended, __ATOMIC_RELAXED);
    while (!__atomic_compare_exchange_n(&jobs->ended, &job->next, job, true, __ATOMIC_SEQ_CST,
                                        __ATOMIC_RELAXED))
        ;
    full_fence();
    if (__atomic_load_n(&jobs->awaited, __ATOMIC_SEQ_CST) && write(jobs->fd, &one, sizeof one) < 0)
        return; /* the counter is full: it is readable */
}

static int64_t collect(const struct exo_job *job)
{
    return exo_host_collect(job->kr);
}

static int64_t find_dead(const struct exo_job *job)
{
    return exo_host_find_dead(job->kr, job->found, job->limit);
}

static int64_t (*const doing[EXO_JOB_KINDS])(const struct exo_job *) = {
    [EXO_JOB_COLLECT] = collect,         [EXO_JOB_FIND_DEAD] = find_dead,
    [EXO_JOB_MAPS] = exo_host_copy_maps, [EXO_JOB_CMDLINE] = exo_host_copy_cmdline,
    [EXO_JOB_LIST] = exo_host_list,
};

/* An entry for each kind: the scheduler knows what tasks are alike by their function. */
#define ENTRY(name, kind)                                                                          \
    static int64_t name(int64_t job)                                                               \
    {                                                                                              \
        put_back((struct exo_job *)job, doing[kind]((struct exo_job *)job));                       \
        return kind;                                                                               \
    }

ENTRY(enter_collect, EXO_JOB_COLLECT)
ENTRY(enter_find_dead, EXO_JOB_FIND_DEAD)
ENTRY(enter_maps, EXO_JOB_MAPS)
ENTRY(enter_cmdline, EXO_JOB_CMDLINE)
ENTRY(enter_list, EXO_JOB_LIST)

static int64_t (*const entries[EXO_JOB_KINDS])(int64_t) = {
    [EXO_JOB_COLLECT] = enter_collect, [EXO_JOB_FIND_DEAD] = enter_find_dead,
    [EXO_JOB_MAPS] = enter_maps,       [EXO_JOB_CMDLINE] = enter_cmdline,
    [EXO_JOB_LIST] = enter_list,
};

int exo_host_jobs_open(struct exo_jobs *jobs)
{
    struct exo_workers_options options = {0};
    int fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (fd < 0)
        return -errno;
    *jobs = (struct exo_jobs){.fd = fd};
    int error = exo_workers_create(&jobs->workers, &options);
    if (error != 0)
        close(fd);
    return error;
}

void exo_host_jobs_close(struct exo_jobs *jobs)
{
    exo_workers_destroy(jobs->workers);
    close(jobs->fd);
}

int exo_host_job_start(struct exo_jobs *jobs, struct exo_job *job)
{
    if (job->kind >= EXO_JOB_KINDS)
        return -EINVAL;
    job->jobs = jobs;
    return exo_workers_spawn(jobs->workers, entries[job->kind], (int64_t)(intptr_t)job, -1, NULL);
}

int64_t exo_host_job_do(struct exo_job *job)
{
    job->result = job->kind < EXO_JOB_KINDS ? doing[job->kind](job) : -EINVAL;
    return job->result;
}

struct exo_job *exo_host_jobs_take(struct exo_jobs *jobs)
{
    return __atomic_exchange_n(&jobs->ended, NULL, __ATOMIC_SEQ_CST);
}
