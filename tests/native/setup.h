/* What the core's tests run in: exo_self() and exo_host_call() as the kernel process has them, a
 * kernel region, threads and forked processes. Defines functions: one including file per program.
 */
#ifndef EXO_TEST_SETUP_H
#define EXO_TEST_SETUP_H

#include <pthread.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>

#include "check.h"
#include "host/self.c"

#define UNUSED __attribute__((unused))

static const char *volatile phase = "start"; /* named when the test hangs */

static void on_alarm(int signal UNUSED)
{
    static const char text[] = "hangs in phase: ";
    if (write(STDERR_FILENO, text, sizeof(text) - 1) < 0 ||
        write(STDERR_FILENO, phase, strlen(phase)) < 0 || write(STDERR_FILENO, "\n", 1) < 0)
        _exit(2);
    _exit(1);
}

/* First thing in main(). Forked children die with their parent. */
static void begin(unsigned limit_s)
{
    signal(SIGALRM, on_alarm);
    alarm(limit_s);
}

static UNUSED void begin_phase(const char *name)
{
    phase = name;
    alarm(20);
}

/* Shared, zeroed memory; untouched pages cost nothing. */
static void *map_shared(size_t size)
{
    void *memory =
        mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    CHECK(memory != MAP_FAILED);
    return memory;
}

#define REGION_SIZE sizeof(struct exo_kr)

static UNUSED struct exo_kr *region_create(void)
{
    struct exo_kr *kr = map_shared(REGION_SIZE);
    exo_kr_init(kr, REGION_SIZE);
    return kr;
}

static UNUSED void region_destroy(struct exo_kr *kr)
{
    CHECK(munmap(kr, REGION_SIZE) == 0);
}

/* Forks; the child has its own robust list, and 0 is returned there. */
static UNUSED pid_t fork_child(void)
{
    pid_t parent = getpid();
    pid_t pid = fork();
    CHECK(pid >= 0);
    if (pid == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        if (getppid() != parent)
            _exit(1);
        self_init();
    }
    return pid;
}

/* Waits for a child; its exit status, or 128 + the signal that killed it. */
static UNUSED int reap(pid_t pid)
{
    int status;
    CHECK(waitpid(pid, &status, 0) == pid);
    return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

/* One of several threads that run the same function at once. */
struct worker {
    pthread_t thread;
    pthread_barrier_t *start;
    void (*run)(struct worker *);
    void *shared;
    uint32_t index;
};

static void *worker_main(void *argument)
{
    struct worker *worker = argument;
    pthread_barrier_wait(worker->start);
    worker->run(worker);
    return NULL;
}

#define WORKER_LIMIT 16

static UNUSED void run_threads(uint32_t count, void (*run)(struct worker *), void *shared)
{
    struct worker workers[WORKER_LIMIT];
    pthread_barrier_t start;
    CHECK(count <= WORKER_LIMIT);
    pthread_barrier_init(&start, NULL, count);
    for (uint32_t i = 0; i < count; i++) {
        workers[i] = (struct worker){.start = &start, .run = run, .shared = shared, .index = i};
        CHECK(pthread_create(&workers[i].thread, NULL, worker_main, &workers[i]) == 0);
    }
    for (uint32_t i = 0; i < count; i++)
        pthread_join(workers[i].thread, NULL);
    pthread_barrier_destroy(&start);
}

#endif
