/* A writer of small lines and their reader: lines pipe|sock WORK CPU [reads|used]. WORK cycles pass between two
 * lines; the reader, on that CPU, reads up to 64 KiB at a time. Prints the cycles of a line beyond its work; how many
 * lines a read got; or the CPU time of both, in nanoseconds per line, beyond the work.
 */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/wait.h>

#include "../native/pin.h"
#include "clock.h"

#define LINE 20
#define BATCH 1000
#define RUN_US 200e3
#define WARM_US 50e3

static char data[1 << 16];

static void work(uint64_t length)
{
    for (uint64_t began = cycles(); cycles() - began < length;)
        ;
}

static double used_ns(int whose)
{
    struct rusage usage;
    getrusage(whose, &usage);
    return (double)(usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) * 1e9 +
           (double)(usage.ru_utime.tv_usec + usage.ru_stime.tv_usec) * 1e3;
}

static void collect(int from, int count)
{
    long reads = 0, sum = 0;
    for (ssize_t done; (done = read(from, data, sizeof(data))) > 0; sum += done)
        reads++;
    if (count)
        printf("%.1f\n", (double)sum / LINE / (double)reads);
    fflush(stdout);
    _exit(0);
}

int main(int argc, char **argv)
{
    const char *what = argc > 4 ? argv[4] : "";
    int fds[2], cpu = argc > 3 ? atoi(argv[3]) : 0;
    uint64_t length = argc > 2 ? strtoul(argv[2], NULL, 0) : 0;
    if (strcmp(argc > 1 ? argv[1] : "", "sock") == 0) {
        if (socketpair(AF_UNIX, SOCK_STREAM, 0, fds) != 0)
            return 3;
    } else if (pipe(fds) != 0) {
        return 3;
    }
    if (fork() == 0) {
        pin(cpu);
        close(fds[1]);
        collect(fds[0], what[0] == 'r');
    }
    pin(0);
    close(fds[0]);
    long lines = 0;
    uint64_t worked = 0;
    double before = used_ns(RUSAGE_SELF), first_us = now_us();
    uint64_t first = cycles();
    for (double start = now_us(), now = start; now < start + WARM_US + RUN_US; now = now_us()) {
        uint64_t began = cycles();
        for (int i = 0; i < BATCH; i++) {
            uint64_t at = cycles();
            work(length);
            worked += cycles() - at;
            if (write(fds[1], data, LINE) != LINE)
                _exit(4);
        }
        lines += BATCH;
        if (now > start + WARM_US && argc <= 4)
            printf("%.1f\n", (double)(cycles() - began) / BATCH - (double)length);
    }
    double cycles_ns = (now_us() - first_us) * 1e3 / (double)(cycles() - first);
    close(fds[1]);
    wait(NULL);
    if (what[0] == 'u')
        printf("%.1f\n", (used_ns(RUSAGE_SELF) - before + used_ns(RUSAGE_CHILDREN) -
                          (double)worked * cycles_ns) /
                             (double)lines);
    return 0;
}
