/* exo/api.h: batched writes, and writes of several parts. */
#include <errno.h>
#include <stdbool.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include <exo/api.h>

static uint64_t now_ns(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000000 + (uint64_t)now.tv_nsec;
}

void exo_batch_begin(struct exo_batch *batch, int fd)
{
    batch->fd = fd;
    batch->size = 0;
    batch->since_ns = 0;
}

static int write_all(int fd, const char *data, size_t size, size_t *done)
{
    for (*done = 0; *done < size;) {
        ssize_t written = write(fd, data + *done, size - *done);
        if (written < 0 && errno == EINTR)
            continue;
        if (written < 0)
            return -errno;
        *done += (size_t)written;
    }
    return 0;
}

/* What could not be written waits on. */
int exo_batch_flush(struct exo_batch *batch)
{
    size_t done;
    int error = write_all(batch->fd, batch->data, batch->size, &done);
    memmove(batch->data, batch->data + done, batch->size - done);
    batch->size -= (uint32_t)done;
    return error;
}

static ssize_t write_through(struct exo_batch *batch, const char *data, size_t size)
{
    size_t done;
    int error = write_all(batch->fd, data, size, &done);
    batch->since_ns = now_ns();
    return error != 0 && done == 0 ? error : (ssize_t)done;
}

/* since_ns: when the oldest of what waits came, or else when the last was written. */
ssize_t exo_batch_write(struct exo_batch *batch, const void *data, size_t size)
{
    bool is_due = now_ns() - batch->since_ns > EXO_API_BATCH_NS;
    if (batch->size > 0 && size > EXO_API_BATCH - batch->size) {
        int error = exo_batch_flush(batch);
        if (error != 0)
            return error;
    }
    if (size >= EXO_API_BATCH || (is_due && batch->size == 0))
        return write_through(batch, data, size);
    memcpy(batch->data + batch->size, data, size);
    batch->size += (uint32_t)size;
    if (is_due) { /* an error is told at the next flush, which tries again */
        exo_batch_flush(batch);
        batch->since_ns = now_ns();
    }
    return (ssize_t)size;
}

int exo_write_parts(int fd, struct iovec *parts, int count)
{
    while (count > 0) {
        ssize_t done = writev(fd, parts, count);
        if (done < 0 && errno == EINTR)
            continue;
        if (done < 0)
            return -errno;
        for (; count > 0 && (size_t)done >= parts->iov_len; parts++, count--)
            done -= (ssize_t)parts->iov_len;
        if (count > 0) {
            parts->iov_base = (char *)parts->iov_base + done;
            parts->iov_len -= (size_t)done;
        }
    }
    return 0;
}
