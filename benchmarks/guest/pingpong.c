/* Two processes hand a byte to and fro through sockets, which are the host's: pingpong [WORK], with
 * so many steps of work in between. Prints the microseconds of each hundred round trips, per round trip. */
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "clock.h"

#define BATCH 100
#define RUN_US 700e3
#define WARM_US 400e3

static void work(long steps)
{
    static volatile long sum;
    for (long i = 0; i < steps; i++)
        sum += i;
}

static void pass(int from, int to, long steps)
{
    char byte = 1;
    if (read(from, &byte, 1) != 1)
        _exit(0);
    work(steps);
    if (write(to, &byte, 1) != 1)
        _exit(0);
}

int main(int argc, char **argv)
{
    long steps = argc > 1 ? atol(argv[1]) : 0;
    int ends[2];
    if (socketpair(AF_UNIX, SOCK_STREAM, 0, ends) != 0)
        return 1;
    if (fork() == 0) {
        close(ends[1]);
        for (;;)
            pass(ends[0], ends[0], steps);
    }
    close(ends[0]);
    if (write(ends[1], "x", 1) != 1)
        return 1;
    for (double began = now_us(), last = began; last < began + WARM_US + RUN_US;) {
        for (int i = 0; i < BATCH; i++)
            pass(ends[1], ends[1], steps);
        double now = now_us();
        if (last > began + WARM_US)
            printf("%.2f\n", (now - last) / BATCH);
        last = now;
    }
    return 0;
}
