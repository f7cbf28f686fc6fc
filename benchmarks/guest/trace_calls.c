/* Small calls, as many as the argument says: reads of a byte and getppid. Prints nanoseconds per call. */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

static double now_ns(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec * 1e9 + (double)now.tv_nsec;
}

int main(int argc, char **argv)
{
    long count = argc > 1 ? atol(argv[1]) : 1000000;
    int fd = open("/dev/zero", O_RDONLY);
    char byte;
    double start = now_ns();
    for (long i = 0; i < count; i += 2) {
        if (read(fd, &byte, 1) != 1)
            return 1;
        getppid();
    }
    printf("%.1f\n", (now_ns() - start) / (double)count);
    return 0;
}
