/* Calls whose arguments differ each time: preads at other places, opens of other paths that are not
 * there. As many as the argument says, an open for every three preads. Prints nanoseconds per call. */
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
    int fd = open(argv[0], O_RDONLY);
    char bytes[8], path[64];
    double start = now_ns();
    for (long i = 0; i < count; i++) {
        if (i % 4 == 0) {
            snprintf(path, sizeof(path), "/nowhere/%ld", i);
            if (open(path, O_RDONLY) >= 0)
                return 1;
        } else if (pread(fd, bytes, sizeof(bytes), i % 15000) != sizeof(bytes)) {
            return 1;
        }
    }
    printf("%.1f\n", (now_ns() - start) / (double)count);
    return 0;
}
