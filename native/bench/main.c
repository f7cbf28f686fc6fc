/* exo-bench CASE [FILE]: cycles per operation of one kind, a line for each batch of them.
 *
 * `posix-x benchmark` starts it natively and in an instance. FILE is there, a page or more of it.
 * ring is the queue of the native API, without any call; all others are what every program does.
 */
#include <fcntl.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <exo/ring.h>

#include "clock.h"

#define SMALL 64
#define FORKS 60
#define HANDOVERS 4000
#define OBJECTS 32

static char buffer[SMALL];
static const char *path;

static int fail(const char *what)
{
    perror(what);
    return 1;
}

static int run_getpid(void)
{
    PRINT_CYCLES(500, syscall(SYS_getpid));
    return 0;
}

static int run_clock_gettime(void)
{
    struct timespec now;
    PRINT_CYCLES(500, clock_gettime(CLOCK_MONOTONIC, &now));
    return 0;
}

static int run_open(void)
{
    PRINT_CYCLES(60, if (close(open(path, O_RDONLY | O_CLOEXEC)) != 0) return fail("open"));
    return 0;
}

static int run_read(void)
{
    int fd = open(path, O_RDONLY);
    PRINT_CYCLES(200, if (pread(fd, buffer, SMALL, 0) != SMALL) return fail("pread"));
    return 0;
}

static int run_write(void)
{
    int fd = open(path, O_RDWR);
    PRINT_CYCLES(200, if (pwrite(fd, buffer, SMALL, 0) != SMALL) return fail("pwrite"));
    return 0;
}

static int run_pipe(void)
{
    int ends[2];
    if (pipe(ends) != 0)
        return fail("pipe");
    PRINT_CYCLES(200, if (write(ends[1], buffer, SMALL) != SMALL ||
                          read(ends[0], buffer, SMALL) != SMALL) return fail("pipe"));
    return 0;
}

static int run_fork(void)
{
    double samples[FORKS];
    for (int i = 0; i < FORKS; i++) {
        uint64_t began = cycles();
        pid_t child = fork();
        if (child == 0)
            _exit(0);
        if (child < 0 || waitpid(child, NULL, 0) != child)
            return fail("fork");
        samples[i] = (double)(cycles() - began);
    }
    for (int i = 0; i < FORKS; i++)
        printf("%.1f\n", samples[i]);
    return 0;
}

/* Both on one CPU: whoever writes then reads makes room for the other. */
static int hand_over(int from, int to, bool first)
{
    char byte = 0;
    if (first)
        return write(to, &byte, 1) == 1 && read(from, &byte, 1) == 1;
    return read(from, &byte, 1) == 1 && write(to, &byte, 1) == 1;
}

static int run_switch(void)
{
    static double samples[HANDOVERS];
    int there[2], back[2];
    if (pipe(there) != 0 || pipe(back) != 0)
        return fail("pipe");
    pid_t child = fork();
    if (child < 0)
        return fail("fork");
    for (int i = 0; i < HANDOVERS; i++) {
        uint64_t began = cycles();
        if (!hand_over(child ? back[0] : there[0], child ? there[1] : back[1], child))
            _exit(1);
        samples[i] = (double)(cycles() - began) / 2;
    }
    if (child == 0)
        _exit(0);
    waitpid(child, NULL, 0);
    for (int i = HANDOVERS / 4; i < HANDOVERS; i++)
        printf("%.1f\n", samples[i]);
    return 0;
}

static int run_ring(void)
{
    struct exo_ring *ring = aligned_alloc(64, exo_ring_size(EXO_RING_ORDER));
    struct exo_message message;
    if (ring == NULL || exo_ring_init(ring, EXO_RING_ORDER, EXO_RING_SPSC, 0) != 0)
        return fail("ring");
    PRINT_CYCLES(200, if (exo_ring_push(ring, 0, 1, buffer, EXO_RING_PAYLOAD) != 0 ||
                          exo_ring_pop(ring, 0, &message) != 0) return fail("ring"));
    return 0;
}

static int run_alloc(void)
{
    static void *volatile objects[OBJECTS];
    PRINT_CYCLES(200, {
        for (int i = 0; i < OBJECTS; i++)
            objects[i] = malloc(SMALL);
        for (int i = 0; i < OBJECTS; i++)
            free(objects[i]);
    });
    return 0;
}

static const struct {
    const char *name;
    int (*run)(void);
} cases[] = {
    {"getpid", run_getpid}, {"clock_gettime", run_clock_gettime},
    {"open", run_open},     {"read", run_read},
    {"write", run_write},   {"pipe", run_pipe},
    {"fork", run_fork},     {"switch", run_switch},
    {"ring", run_ring},     {"alloc", run_alloc},
};

/* Where it runs must not decide: on the last CPU that it may use. */
static void pin(void)
{
    cpu_set_t set;
    if (sched_getaffinity(0, sizeof(set), &set) != 0)
        return;
    for (int cpu = CPU_SETSIZE - 1; cpu >= 0; cpu--) {
        if (CPU_ISSET(cpu, &set)) {
            CPU_ZERO(&set);
            CPU_SET(cpu, &set);
            sched_setaffinity(0, sizeof(set), &set);
            return;
        }
    }
}

int main(int argc, char **argv)
{
    path = argc > 2 ? argv[2] : argv[0];
    pin();
    for (unsigned i = 0; argc > 1 && i < sizeof(cases) / sizeof(*cases); i++) {
        if (strcmp(argv[1], cases[i].name) == 0)
            return cases[i].run();
    }
    fprintf(stderr, "usage: exo-bench CASE [FILE]\n");
    return 2;
}
