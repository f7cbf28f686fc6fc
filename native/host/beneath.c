/* Opening files below a directory and nowhere else, for exo_um.std.file. */
#include <errno.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "host.h"

#define TRIES 1000 /* something is renamed meanwhile: the host cannot tell, and says EAGAIN */

int exo_host_open_beneath(int directory, const char *path, int flags, uint32_t mode)
{
    struct open_how how = {
        .flags = (uint64_t)(flags | O_CLOEXEC),
        .mode = flags & O_CREAT ? mode : 0,
        .resolve = RESOLVE_BENEATH | RESOLVE_NO_MAGICLINKS,
    };
    long fd = -1;
    for (int i = 0; i < TRIES && fd < 0 && (i == 0 || errno == EAGAIN); i++)
        fd = syscall(SYS_openat2, directory, path, &how, sizeof(how));
    return fd < 0 ? -errno : (int)fd;
}
