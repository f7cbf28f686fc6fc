/* exo/api.h: channels, over core/channel.c; a process joins when it makes or opens one. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include <exo/api.h>
#include <exo/channel.h>

#include "host/host.h"

#define PAGE_SIZE 4096

struct exo_chan {
    struct exo_port port;
    struct exo_mapped mapped;
    int fd;
    int number;
};

_Static_assert(EXO_API_INLINE == EXO_RING_PAYLOAD, "api.h");

static int join(struct exo_chan *channel)
{
    int64_t size = exo_host_shared_map(channel->fd, &channel->mapped.at);
    if (size < 0)
        return (int)size;
    channel->mapped.size = (uint64_t)size;
    int error = exo_channel_open(channel->mapped.at, (uint64_t)size, &channel->port);
    if (error == 0) {
        channel->number = exo_host_join(channel->port.roster, &channel->mapped);
        error = channel->number < 0 ? channel->number : 0;
    }
    if (error != 0)
        exo_host_shared_unmap(channel->mapped.at, channel->mapped.size);
    else
        exo_port_join(&channel->port, (uint32_t)channel->number);
    return error;
}

int exo_chan_open(struct exo_chan **channel, int fd)
{
    struct exo_chan *made = calloc(1, sizeof(*made));
    if (made == NULL)
        return -ENOMEM;
    made->fd = fd;
    int error = join(made);
    if (error != 0)
        free(made);
    else
        *channel = made;
    return error;
}

static int fill(int fd, const struct exo_channel_shape *shape)
{
    void *at;
    int64_t size = exo_host_shared_map(fd, &at);
    if (size < 0)
        return (int)size;
    int error = exo_channel_init(at, shape, "bytes");
    exo_host_shared_unmap(at, (uint64_t)size);
    return error;
}

int exo_chan_create(struct exo_chan **channel, uint32_t messages, uint64_t block_size,
                    uint64_t blocks)
{
    struct exo_channel_shape shape = {.kind = EXO_RING_MPMC};
    if (messages < 2 || (messages & (messages - 1)) != 0 || block_size % PAGE_SIZE != 0)
        return -EINVAL;
    shape.order = (uint32_t)__builtin_ctz(messages);
    shape.block_size[0] = blocks != 0 ? block_size : 0;
    shape.block_count[0] = block_size != 0 ? blocks : 0;
    uint64_t size = exo_channel_size(&shape);
    if (size == 0)
        return -EINVAL;
    int fd = exo_host_shared_create(size);
    if (fd < 0)
        return fd;
    int error = fill(fd, &shape);
    if (error == 0)
        error = exo_chan_open(channel, fd);
    if (error != 0)
        close(fd);
    return error;
}

int exo_chan_fd(const struct exo_chan *channel)
{
    return channel->fd;
}

static uint64_t deadline_of(uint64_t timeout_ns)
{
    struct timespec now;
    if (timeout_ns == EXO_API_FOREVER)
        return UINT64_MAX;
    clock_gettime(CLOCK_MONOTONIC, &now);
    uint64_t now_ns = (uint64_t)now.tv_sec * 1000000000 + (uint64_t)now.tv_nsec;
    return now_ns + timeout_ns < now_ns ? UINT64_MAX : now_ns + timeout_ns;
}

/* Until a try is worth it. deadline_ns: 0, not known yet. */
static int wait_for(struct exo_chan *channel, uint32_t what, uint64_t size, uint64_t timeout_ns,
                    uint64_t *deadline_ns)
{
    if (timeout_ns == 0)
        return -EAGAIN;
    if (*deadline_ns == 0)
        *deadline_ns = deadline_of(timeout_ns);
    struct exo_port_wait wait = {.deadline_ns = *deadline_ns, .size = size};
    return exo_port_spin(&channel->port, what, &wait) ? 0
                                                      : exo_port_wait(&channel->port, what, &wait);
}

static int send_block(struct exo_chan *channel, const void *data, size_t size, uint64_t timeout_ns,
                      uint64_t *deadline_ns)
{
    struct exo_port_block block;
    int error;
    while ((error = exo_port_block_create(&channel->port, size, &block)) == -EAGAIN) {
        error = wait_for(channel, EXO_CHANNEL_BLOCK, size, timeout_ns, deadline_ns);
        if (error != 0)
            break;
    }
    if (error != 0)
        return error;
    memcpy(exo_port_block_at(&channel->port, &block), data, size);
    exo_port_block_count_copy(&channel->port, &block, size);
    while ((error = exo_port_send_block(&channel->port, &block, "", 0)) == -EAGAIN) {
        error = wait_for(channel, EXO_CHANNEL_ROOM, 0, timeout_ns, deadline_ns);
        if (error != 0)
            break;
    }
    if (error != 0)
        exo_port_block_free(&channel->port, &block);
    return error;
}

int exo_chan_send(struct exo_chan *channel, const void *data, size_t size, uint64_t timeout_ns)
{
    uint64_t deadline_ns = 0;
    int error;
    const struct exo_port *port = &channel->port;
    if (size > EXO_API_INLINE && (port->pool_count == 0 || size > port->pools[0].size))
        return -EMSGSIZE;
    exo_port_role(&channel->port, EXO_CHANNEL_SENDS);
    if (size > EXO_API_INLINE)
        return send_block(channel, data, size, timeout_ns, &deadline_ns);
    while ((error = exo_port_send(&channel->port, data, (uint32_t)size)) == -EAGAIN) {
        error = wait_for(channel, EXO_CHANNEL_ROOM, 0, timeout_ns, &deadline_ns);
        if (error != 0)
            break;
    }
    return error;
}

static ssize_t take(struct exo_chan *channel, const struct exo_port_message *message, void *buffer,
                    size_t size)
{
    uint64_t full = message->has_block ? message->block.size : message->size;
    uint64_t part = full < size ? full : size;
    if (!message->has_block) {
        memcpy(buffer, message->payload, part);
        return (ssize_t)full;
    }
    memcpy(buffer, exo_port_block_at(&channel->port, &message->block), part);
    exo_port_block_free(&channel->port, &message->block);
    return (ssize_t)full;
}

ssize_t exo_chan_receive(struct exo_chan *channel, void *buffer, size_t size, uint64_t timeout_ns)
{
    struct exo_port_message message;
    uint64_t deadline_ns = 0;
    int error;
    exo_port_role(&channel->port, EXO_CHANNEL_RECEIVES);
    while ((error = exo_port_receive(&channel->port, &message)) == -EAGAIN) {
        error = wait_for(channel, EXO_CHANNEL_DATA, 0, timeout_ns, &deadline_ns);
        if (error != 0)
            return error;
    }
    return error != 0 ? error : take(channel, &message, buffer, size);
}

void exo_chan_close(struct exo_chan *channel)
{
    exo_port_leave(&channel->port);
    exo_host_leave(channel->port.roster, &channel->mapped, (uint32_t)channel->number);
    exo_port_stir(&channel->port);
    exo_host_shared_unmap(channel->mapped.at, channel->mapped.size);
    close(channel->fd);
    free(channel);
}
