/* Creates the kernel region. Called once, at boot. */
#include <errno.h>
#include <sys/mman.h>
#include <unistd.h>

#include <exo/core.h>

#include "host.h"

static int region_map(int fd, struct exo_kr **kr)
{
    uint64_t size = EXO_KR_MAPPED_SIZE + EXO_COPIES_SIZE;
    if (ftruncate(fd, (off_t)size) < 0)
        return -errno;
    void *map =
        mmap(NULL, EXO_KR_MAPPED_SIZE, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_NORESERVE, fd, 0);
    if (map == MAP_FAILED)
        return -errno;
    *kr = map;
    exo_kr_init(*kr, EXO_KR_MAPPED_SIZE);
    return 0;
}

int exo_host_region_create(struct exo_kr **kr)
{
    int fd = memfd_create("exo-kr", MFD_CLOEXEC);
    if (fd < 0)
        return -errno;
    int error = region_map(fd, kr);
    if (error < 0) {
        close(fd);
        return error;
    }
    return fd;
}
