/* Cycles per pread of 64 B from the file named by the first argument. */
#include <fcntl.h>
#include <unistd.h>

#include "clock.h"

int main(int argc, char **argv)
{
    char buffer[64];
    int fd = open(argc > 1 ? argv[1] : argv[0], O_RDONLY);
    if (fd < 0 || pread(fd, buffer, sizeof buffer, 0) != sizeof buffer) {
        perror("passthrough");
        return 1;
    }
    PRINT_CYCLES(2000, if (pread(fd, buffer, sizeof buffer, 0) < 0) return 1);
    return 0;
}
