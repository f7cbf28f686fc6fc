/* Text of the host's /proc, and memfds with what a guest gets to see of it. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#include "content.h"

enum { FIRST_ROOM = 16384 };

static int grow(struct exo_text *text, uint64_t *room)
{
    uint64_t more = *room == 0 ? FIRST_ROOM : 2 * *room;
    char *at = realloc(text->at, more);
    if (at == NULL)
        return -ENOMEM;
    text->at = at;
    *room = more;
    return 0;
}

static int read_all(struct exo_text *text, int fd)
{
    uint64_t room = 0;
    for (;;) {
        int error = text->size == room ? grow(text, &room) : 0;
        if (error != 0)
            return error;
        ssize_t size = read(fd, text->at + text->size, room - text->size);
        if (size == 0)
            return 0;
        if (size < 0 && errno != EINTR)
            return errno == ESRCH ? -ENOENT : -errno;
        text->size += size < 0 ? 0 : (uint64_t)size;
    }
}

int exo_text_read(struct exo_text *text, const char *path)
{
    *text = (struct exo_text){0};
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return errno == ESRCH ? -ENOENT : -errno;
    int error = read_all(text, fd);
    close(fd);
    return error;
}

void exo_content_begin(struct exo_content *content, const char *name)
{
    int fd = memfd_create(name, MFD_CLOEXEC);
    *content = (struct exo_content){.fd = fd, .error = fd < 0 ? -errno : 0};
}

void exo_content_put(struct exo_content *content, const void *data, uint64_t size)
{
    while (content->error == 0 && size > 0) {
        ssize_t written = write(content->fd, data, size);
        if (written < 0 && errno != EINTR)
            content->error = -errno;
        if (written > 0) {
            data = (const char *)data + written;
            size -= (uint64_t)written;
        }
    }
}

int exo_content_end(struct exo_content *content)
{
    char path[40];
    if (content->fd < 0)
        return content->error;
    snprintf(path, sizeof path, "/proc/self/fd/%d", content->fd);
    int fd = content->error != 0 ? content->error : open(path, O_RDONLY | O_CLOEXEC);
    if (fd == -1)
        fd = -errno;
    close(content->fd);
    return fd;
}
