/* Creates the kernel region, once, at boot; and maps that of another process. */
#include <errno.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <stdbool.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/random.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/sysmacros.h>
#include <sys/utsname.h>
#include <sys/vfs.h>
#include <unistd.h>

#include <exo/core.h>

#include "host.h"

uint64_t exo_host_region_size(void)
{
    struct rlimit limit;
    bool limited = getrlimit(RLIMIT_AS, &limit) == 0 && limit.rlim_cur != RLIM_INFINITY;
    return limited ? EXO_KR_LIMITED_SIZE : EXO_KR_MAPPED_SIZE;
}

/* How many datagrams may wait at an AF_UNIX socket, less one. */
static uint32_t datagrams_most(void)
{
    unsigned most = 10;
    FILE *file = fopen("/proc/sys/net/unix/max_dgram_qlen", "re");
    if (file == NULL)
        return most;
    if (fscanf(file, "%u", &most) != 1) // NOLINT(cert-err34-c): the host's own number
        most = 10;
    fclose(file);
    return most;
}

static int region_map(int fd, struct exo_kr **kr)
{
    uint64_t size = EXO_KR_MAPPED_SIZE + EXO_COPIES_SIZE;
    if (ftruncate(fd, (off_t)size) < 0)
        return -errno;
    uint64_t mapped = exo_host_region_size();
    void *map = mmap(NULL, mapped, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_NORESERVE, fd, 0);
    if (map == MAP_FAILED)
        return -errno;
    *kr = map;
    exo_kr_init(*kr, mapped);
    (*kr)->datagrams = datagrams_most();
    struct utsname host;
    if (uname(&host) < 0)
        return -errno;
    exo_names_init(*kr, "exo-um " EXO_VERSION, host.nodename, host.release);
    if (getrandom((*kr)->bell, sizeof((*kr)->bell), 0) < 0)
        return -errno;
    return getrandom(&(*kr)->instance, sizeof((*kr)->instance), 0) < 0 ? -errno : 0;
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

/* Where a file that is written at once gets large folios, and maps shows the device that stat does. */
static bool is_suitable(int fd)
{
    struct statfs file_system;
    return fstatfs(fd, &file_system) == 0 && !(file_system.f_flags & ST_NOEXEC) &&
           (file_system.f_type == EXT4_SUPER_MAGIC || file_system.f_type == XFS_SUPER_MAGIC);
}

int exo_host_copies_create(const char *directory)
{
    int fd = open(directory, O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
    if (fd < 0)
        return -errno;
    if (is_suitable(fd) && ftruncate(fd, (off_t)(EXO_KR_MAPPED_SIZE + EXO_COPIES_SIZE)) == 0)
        return fd;
    close(fd);
    return -ENOTSUP;
}

int exo_host_file_id(int fd, uint32_t *major_number, uint32_t *minor_number, uint64_t *inode)
{
    struct stat file;
    if (fstat(fd, &file) < 0)
        return -errno;
    *major_number = major(file.st_dev);
    *minor_number = minor(file.st_dev);
    *inode = file.st_ino;
    return 0;
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
