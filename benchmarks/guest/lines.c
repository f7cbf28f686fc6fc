/* A writer of small lines and their reader: lines pipe|sock WORK CPU READS. WORK cycles pass between two lines; the
 * reader, on that CPU, reads up to 64 KiB at a time. Prints the cycles of a line beyond its work, READS if given: how
 * many lines a read got.
 */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include <stdlib.h>
#include <string.h>
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
        collect(fds[0], argc > 4);
    }
    pin(0);
    close(fds[0]);
    for (double start = now_us(), now = start; now < start + WARM_US + RUN_US; now = now_us()) {
        uint64_t began = cycles();
        for (int i = 0; i < BATCH; i++) {
            work(length);
            if (write(fds[1], data, LINE) != LINE)
                _exit(4);
        }
        if (now > start + WARM_US && argc <= 4)
            printf("%.1f\n", (double)(cycles() - began) / BATCH - (double)length);
    }
    close(fds[1]);
    wait(NULL);
    return 0;
}
