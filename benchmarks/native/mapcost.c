/* Microseconds to map a library's size of code, touch it every 64 KiB and unmap it again: mapcost
 * library|memfd|file. What docs/architecture.md says of copies of code.
 */
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "bench/clock.h"

#define SIZE 0x160000
#define ROUNDS 400

static int open_source(const char *what, const char *library)
{
    static char data[SIZE];
    int from = open(library, O_RDONLY), fd;
    if (from < 0 || pread(from, data, SIZE, 0) != SIZE || strcmp(what, "library") == 0)
        return from;
    fd = strcmp(what, "memfd") == 0 ? memfd_create("code", 0)
                                    : open("/var/tmp", O_TMPFILE | O_RDWR, 0600);
    return fd >= 0 && pwrite(fd, data, SIZE, 0) == SIZE ? fd : -1;
}

int main(int argc, char **argv)
{
    static double samples[ROUNDS];
    int fd = argc == 3 ? open_source(argv[1], argv[2]) : -1;
    if (fd < 0)
        return 1;
    for (int i = 0; i < ROUNDS; i++) {
        double began = now_us();
        volatile char *code = mmap(NULL, SIZE, PROT_READ | PROT_EXEC, MAP_PRIVATE, fd, 0);
        if (code == MAP_FAILED)
            return 1;
        for (int at = 0; at < SIZE; at += 65536)
            (void)code[at];
        munmap((void *)code, SIZE);
        samples[i] = now_us() - began;
    }
    for (int i = 0; i < ROUNDS; i++)
        printf("%.1f\n", samples[i]);
    return 0;
}
