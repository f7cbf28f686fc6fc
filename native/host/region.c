/* Creates the kernel region, once, at boot; and maps that of another process. */
#include <errno.h>
#include <sys/mman.h>
#include <sys/stat.h>
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

static int region_open(int fd, int protection, struct exo_kr **kr)
{
    struct stat file;
    if (fstat(fd, &file) < 0)
        return -errno;
    if ((uint64_t)file.st_size < EXO_KR_MAPPED_SIZE)
        return -EPROTO;
    struct exo_kr *map =
        mmap(NULL, EXO_KR_MAPPED_SIZE, protection, MAP_SHARED | MAP_NORESERVE, fd, 0);
    if (map == MAP_FAILED)
        return -errno;
    if (map->magic != EXO_ABI_MAGIC || map->version != EXO_ABI_VERSION) {
        munmap(map, EXO_KR_MAPPED_SIZE);
        return -EPROTO;
    }
    *kr = map;
    return 0;
}

int exo_host_region_open(int fd, struct exo_kr **kr)
{
    return region_open(fd, PROT_READ | PROT_WRITE, kr);
}

int exo_host_region_view(int fd, const struct exo_kr **kr)
{
    struct exo_kr *map = NULL;
    int error = region_open(fd, PROT_READ, &map);
    if (error == 0)
        *kr = map;
    return error;
}
