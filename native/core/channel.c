/* Channels: their layout, and messages with and without a block. exo/channel.h has the picture.
 *
 * Rules: other processes may write anything into the shared memory at any time, so where a message
 * points is read once and compared with what this process knows of the pools.
 */
#include <asm-generic/errno-base.h>
#include <asm-generic/errno.h>

#include "channel.h"

#define PAGE_UP(x) (((x) + 4095) & ~4095UL)
#define SIZE_MAX_ (1UL << 46) /* so that no sum overflows */

_Static_assert(sizeof(struct exo_channel) % 64 == 0, "the roster follows");

struct layout {
    uint64_t roster_at, ring_at, pools_at[EXO_CHANNEL_POOLS], size;
};

static bool lay_out(const struct exo_channel_shape *shape, struct layout *layout)
{
    if (shape->order < 1 || shape->order > EXO_RING_ORDER_MAX || shape->kind > EXO_RING_MPMC)
        return false;
    layout->roster_at = sizeof(struct exo_channel);
    layout->ring_at = PAGE_UP(layout->roster_at + exo_roster_size(EXO_CHANNEL_ENDS));
    uint64_t at = PAGE_UP(layout->ring_at + exo_ring_size(shape->order));
    for (int i = 0; i < EXO_CHANNEL_POOLS && shape->block_count[i] != 0; i++) {
        uint64_t size = shape->block_size[i], count = shape->block_count[i];
        if (size == 0 || (size & 4095) || count > UINT32_MAX || size > SIZE_MAX_ / count)
            return false;
        layout->pools_at[i] = at;
        at += exo_pool_size(size, count);
    }
    layout->size = at;
    return at <= SIZE_MAX_;
}

uint64_t exo_channel_size(const struct exo_channel_shape *shape)
{
    struct layout layout;
    return lay_out(shape, &layout) ? layout.size : 0;
}

static int init_parts(struct exo_channel *channel, const struct exo_channel_shape *shape,
                      const struct layout *layout)
{
    char *base = (char *)channel;
    struct exo_roster *roster = (struct exo_roster *)(base + layout->roster_at);
    struct exo_ring *ring = (struct exo_ring *)(base + layout->ring_at);
    struct exo_mapped mapped = {channel, layout->size};
    int error = exo_roster_init(roster, EXO_CHANNEL_ENDS);
    if (error == 0)
        error = exo_ring_init(ring, shape->order, shape->kind, 0);
    if (error == 0)
        error = exo_roster_register(roster, &mapped, ring);
    uint32_t i = 0;
    for (; i < EXO_CHANNEL_POOLS && shape->block_count[i] != 0 && error == 0; i++) {
        struct exo_pool *pool = (struct exo_pool *)(base + layout->pools_at[i]);
        error = exo_pool_init(pool, shape->block_size[i], shape->block_count[i]);
        if (error == 0)
            error = exo_roster_register(roster, &mapped, pool);
        channel->pools_at[i] = layout->pools_at[i];
    }
    channel->pool_count = i;
    return error;
}

int exo_channel_init(struct exo_channel *channel, const struct exo_channel_shape *shape,
                     const char *type)
{
    struct layout layout;
    size_t length = strlen(type);
    if (!lay_out(shape, &layout) || length >= EXO_CHANNEL_TYPE)
        return -EINVAL;
    memset(channel, 0, sizeof(*channel));
    memcpy(channel->type, type, length);
    channel->size = layout.size;
    channel->ring_at = layout.ring_at;
    channel->roster_at = layout.roster_at;
    int error = init_parts(channel, shape, &layout);
    if (error == 0)
        store_release(&channel->magic, EXO_CHANNEL_MAGIC);
    return error;
}

/* NULL: there is no room for it. */
static void *part(struct exo_channel *channel, uint64_t mapped, uint64_t at, uint64_t size)
{
    bool good = !(at & 63) && at <= mapped && size <= mapped - at;
    return good ? (char *)channel + at : NULL;
}

static bool open_pool(struct exo_channel *channel, uint64_t mapped, uint64_t at,
                      struct exo_port_pool *its)
{
    struct exo_pool *pool = part(channel, mapped, at, sizeof(*pool));
    if (pool == NULL || load_acquire(&pool->magic) != EXO_POOL_MAGIC)
        return false;
    *its = (struct exo_port_pool){pool, load_relaxed(&pool->block_size), load_relaxed(&pool->count),
                                  0};
    if (its->count == 0 || its->count > UINT32_MAX || its->size == 0 ||
        its->size > mapped / its->count ||
        part(channel, mapped, at, exo_pool_size(its->size, its->count)) == NULL)
        return false;
    its->blocks_at = PAGE_UP(sizeof(*pool) + its->count * sizeof(struct exo_block));
    return true;
}

static bool open_ring(struct exo_channel *channel, uint64_t mapped, uint64_t at,
                      struct exo_port *port)
{
    struct exo_ring *ring = part(channel, mapped, at, sizeof(*ring));
    if (ring == NULL || load_acquire(&ring->magic) != EXO_RING_MAGIC)
        return false;
    uint32_t order = load_relaxed(&ring->order);
    port->ring = ring;
    return order >= 1 && order <= EXO_RING_ORDER_MAX &&
           part(channel, mapped, at, exo_ring_size(order)) != NULL;
}

int exo_channel_open(struct exo_channel *channel, uint64_t size, struct exo_port *port)
{
    struct exo_mapped mapped = {channel, size};
    memset(port, 0, sizeof(*port));
    if (size < sizeof(*channel) || load_acquire(&channel->magic) != EXO_CHANNEL_MAGIC ||
        load_relaxed(&channel->size) > size)
        return -EBADMSG;
    uint64_t roster_at = load_relaxed(&channel->roster_at);
    struct exo_roster *roster = part(channel, size, roster_at, exo_roster_size(EXO_CHANNEL_ENDS));
    if (roster == NULL || exo_roster_check(roster, &mapped) != 0 ||
        load_relaxed(&roster->count) != EXO_CHANNEL_ENDS ||
        !open_ring(channel, size, load_relaxed(&channel->ring_at), port))
        return -EBADMSG;
    uint32_t count = load_relaxed(&channel->pool_count);
    if (count > EXO_CHANNEL_POOLS)
        return -EBADMSG;
    for (uint32_t i = 0; i < count; i++)
        if (!open_pool(channel, size, load_relaxed(&channel->pools_at[i]), &port->pools[i]))
            return -EBADMSG;
    port->channel = channel;
    port->roster = roster;
    port->size = size;
    port->pool_count = count;
    return 0;
}

int exo_port_send(struct exo_port *port, const void *data, uint32_t size)
{
    return exo_ring_push(port->ring, port->owner, 0, data, size);
}

int exo_port_send_block(struct exo_port *port, const struct exo_port_block *block,
                        const void *extra, uint32_t size)
{
    const struct exo_port_pool *its = &port->pools[block->pool];
    struct exo_block *entry = pool_block(its->pool, block->index);
    uint64_t position;
    int error = 0;
    if (size > EXO_CHANNEL_EXTRA || block->size > its->size)
        return -EMSGSIZE;
    if (load_relaxed(&entry->word) != block_word(EXO_BLOCK_HELD, port->owner, 0))
        return -EBADF;
    struct exo_ring_slot *slot = exo_ring_claim(port->ring, port->owner, &position, &error);
    if (slot == NULL)
        return error;
    struct exo_block_ref ref = {.pool_away = (char *)its->pool - (char *)port->ring,
                                .size = block->size,
                                .index = block->index};
    store_relaxed(&entry->ring_away, -ref.pool_away);
    store_release(&entry->word, block_word(EXO_BLOCK_SENT, port->owner, position & UINT32_MAX));
    memcpy(slot->payload, &ref, sizeof(ref));
    memcpy((char *)slot->payload + sizeof(ref), extra, size);
    exo_ring_publish(port->ring, slot, position, 0, EXO_RING_BLOCK, (uint32_t)sizeof(ref) + size);
    return 0;
}

/* Which of the pools a message means, by what this process knows of them. */
static uint32_t find_pool(const struct exo_port *port, const struct exo_block_ref *ref)
{
    for (uint32_t i = 0; i < port->pool_count; i++) {
        const struct exo_port_pool *its = &port->pools[i];
        if (ref->pool_away == (char *)its->pool - (char *)port->ring && ref->index < its->count &&
            ref->size <= its->size)
            return i;
    }
    return EXO_CHANNEL_POOLS;
}

static int take_block(struct exo_port *port, const struct exo_ring_slot *slot, uint64_t position,
                      uint32_t size, struct exo_port_message *message)
{
    struct exo_block_ref ref;
    memcpy(&ref, slot->payload, sizeof(ref));
    uint32_t which = find_pool(port, &ref);
    if (which == EXO_CHANNEL_POOLS || size < sizeof(ref) || size > EXO_RING_PAYLOAD)
        return -EBADMSG;
    struct exo_block *entry = pool_block(port->pools[which].pool, ref.index);
    uint64_t word = load_acquire(&entry->word);
    if (block_state(word) != EXO_BLOCK_SENT || (uint32_t)(word >> 32) != (uint32_t)position ||
        !compare_exchange(&entry->word, &word, block_word(EXO_BLOCK_HELD, port->owner, 0)))
        return -EBADF;
    message->has_block = 1;
    message->block = (struct exo_port_block){which, ref.index, ref.size};
    message->size = size - (uint32_t)sizeof(ref);
    memcpy(message->payload, (const char *)slot->payload + sizeof(ref), message->size);
    return 0;
}

int exo_port_receive(struct exo_port *port, struct exo_port_message *message)
{
    uint64_t position, header;
    int error = 0;
    do {
        struct exo_ring_slot *slot =
            exo_ring_take(port->ring, port->owner, &position, &header, &error);
        if (slot == NULL)
            return error;
        uint32_t size = ring_size_of(header);
        if (ring_flags(header) & EXO_RING_BLOCK) {
            error = take_block(port, slot, position, size, message);
        } else {
            message->has_block = 0;
            message->size = size < EXO_RING_PAYLOAD ? size : EXO_RING_PAYLOAD;
            memcpy(message->payload, slot->payload, message->size);
            error = 0;
        }
        exo_ring_release(port->ring, slot, position);
    } while (error == -EBADF); /* it was its last receiver's, who has died over it */
    return error;
}

int exo_port_block_create(struct exo_port *port, uint64_t size, struct exo_port_block *block)
{
    int error = -EMSGSIZE;
    for (uint32_t i = 0; i < port->pool_count; i++) {
        if (port->pools[i].size < size)
            continue;
        long index = exo_block_create(port->pools[i].pool, port->owner);
        if (index >= 0 && (uint64_t)index < port->pools[i].count) {
            *block = (struct exo_port_block){i, (uint32_t)index, size};
            return 0;
        }
        error = -EAGAIN;
    }
    return error;
}

void exo_port_block_free(struct exo_port *port, const struct exo_port_block *block)
{
    exo_block_free(port->pools[block->pool].pool, block->index, port->owner);
    exo_port_ring_bell(&port->channel->freed);
}

void *exo_port_block_at(const struct exo_port *port, const struct exo_port_block *block)
{
    const struct exo_port_pool *its = &port->pools[block->pool];
    return (char *)its->pool + its->blocks_at + block->index * its->size;
}

void exo_port_block_count_copy(struct exo_port *port, const struct exo_port_block *block,
                               uint64_t size)
{
    fetch_add(&port->pools[block->pool].pool->copied, size);
}
