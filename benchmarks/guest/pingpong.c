/* Two processes hand a byte to and fro through two pipes: pingpong [WORK], with so many steps of work
 * in between. Prints the microseconds of each hundred round trips, per round trip. */
#include <stdlib.h>
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
    int there[2], back[2];
    if (pipe(there) != 0 || pipe(back) != 0)
        return 1;
    if (fork() == 0) {
        close(there[1]);
        for (;;)
            pass(there[0], back[1], steps);
    }
    if (write(there[1], "x", 1) != 1)
        return 1;
    for (double began = now_us(), last = began; last < began + WARM_US + RUN_US;) {
        for (int i = 0; i < BATCH; i++)
            pass(back[0], there[1], steps);
        double now = now_us();
        if (last > began + WARM_US)
            printf("%.2f\n", (now - last) / BATCH);
        last = now;
    }
    close(there[1]);
    return 0;
}
