/* Shared memory for processes that exchange messages without an instance: sealed memfds. */
#include <errno.h>
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "host.h"

#define HUGE_SIZE 0x200000

int exo_host_shared_create(uint64_t size)
{
    int fd = memfd_create("exo-shared", MFD_CLOEXEC | MFD_ALLOW_SEALING);
    if (fd < 0)
        return -errno;
    if (ftruncate(fd, (off_t)size) == 0 &&
        fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL) == 0)
        return fd;
    int error = errno;
    close(fd);
    return -error;
}

int64_t exo_host_shared_map(int fd, void **at)
{
    struct stat file;
    if (fstat(fd, &file) < 0)
        return -errno;
    if (fcntl(fd, F_GET_SEALS) < 0 || !(fcntl(fd, F_GET_SEALS) & F_SEAL_SHRINK))
        return -EPERM; /* whoever has it could take its pages away */
    void *map =
        mmap(NULL, (size_t)file.st_size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_NORESERVE, fd, 0);
    if (map == MAP_FAILED)
        return -errno;
    /* Where the host lets shared memory ask for them: a page table entry for 2 MiB. */
    if (file.st_size >= HUGE_SIZE)
        madvise(map, (size_t)file.st_size, MADV_HUGEPAGE);
    *at = map;
    return file.st_size;
}

int exo_host_shared_unmap(void *at, uint64_t size)
{
    return munmap(at, size) < 0 ? -errno : 0;
}
