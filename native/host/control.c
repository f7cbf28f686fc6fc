/* Entries of the run directory: one listening socket per instance, named after it.
 *
 * The socket is the entry and the proof of life at once: who connects to one whose listener is dead,
 * however it died, is refused. Making and removing entries happens under a lock on the directory
 * itself, so nothing else lies in it. Names are reached through the directory's fd: sun_path is
 * short, and nobody can exchange the directory meanwhile.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "host.h"

enum { BACKLOG = 16 };

static int address_of(struct sockaddr_un *address, int directory, const char *name)
{
    address->sun_family = AF_UNIX;
    int size = snprintf(address->sun_path, sizeof address->sun_path, "/proc/self/fd/%d/%s",
                        directory, name);
    return size < 0 || (size_t)size >= sizeof address->sun_path ? -ENAMETOOLONG : 0;
}

static int socket_make(void)
{
    int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    return fd < 0 ? -errno : fd;
}

/* Non-blocking: a listener with a full backlog gives EAGAIN, and lives. */
static int is_dead(const struct sockaddr_un *address)
{
    int fd = socket_make();
    if (fd < 0)
        return fd;
    int refused =
        connect(fd, (const struct sockaddr *)address, sizeof *address) < 0 && errno == ECONNREFUSED;
    close(fd);
    return refused;
}

static int clean_locked(int directory, const char *name)
{
    struct sockaddr_un address;
    int dead = address_of(&address, directory, name);
    if (dead == 0)
        dead = is_dead(&address);
    if (dead > 0 && unlinkat(directory, name, 0) < 0)
        dead = errno == ENOENT ? 0 : -errno;
    return dead;
}

static int lock(int directory)
{
    int result;
    do
        result = flock(directory, LOCK_EX);
    while (result < 0 && errno == EINTR);
    return result < 0 ? -errno : 0;
}

int exo_host_control_clean(int directory, const char *name)
{
    int result = lock(directory);
    if (result == 0) {
        result = clean_locked(directory, name);
        flock(directory, LOCK_UN);
    }
    return result;
}

static int bind_listen(int fd, const struct sockaddr_un *address)
{
    if (bind(fd, (const struct sockaddr *)address, sizeof *address) < 0)
        return -errno;
    return listen(fd, BACKLOG) < 0 ? -errno : 0;
}

static int open_locked(int directory, const char *name)
{
    struct sockaddr_un address;
    int error = address_of(&address, directory, name);
    if (error != 0)
        return error;
    int fd = socket_make();
    if (fd < 0)
        return fd;
    error = bind_listen(fd, &address);
    if (error == -EADDRINUSE && clean_locked(directory, name) > 0)
        error = bind_listen(fd, &address);
    if (error == 0)
        return fd;
    close(fd);
    return error;
}

int exo_host_control_open(int directory, const char *name)
{
    int result = lock(directory);
    if (result == 0) {
        result = open_locked(directory, name);
        flock(directory, LOCK_UN);
    }
    return result;
}
