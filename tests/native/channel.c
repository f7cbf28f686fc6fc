/* Channels: layout, messages with and without blocks, waiting, and ends that leave or are killed. */
#include "setup.h"

#include <errno.h>
#include <exo/channel.h>

#define ORDER 5
#define MESSAGES 5000
#define SENDERS 2
#define RECEIVERS 2
#define ROUNDS 60
#define ROUNDS_S 4.0
#define FOREVER UINT64_MAX

#define get(p) __atomic_load_n((p), __ATOMIC_SEQ_CST)
#define add(p, v) __atomic_add_fetch((p), (v), __ATOMIC_SEQ_CST)

static const struct exo_channel_shape shape = {
    .order = ORDER, .kind = EXO_RING_MPMC, .block_size = {4096, 16384}, .block_count = {8, 4}};
static struct exo_mapped mapped;

static struct exo_channel *channel_create(void)
{
    uint64_t size = exo_channel_size(&shape);
    CHECK(size > 0);
    struct exo_channel *channel = map_shared(size);
    CHECK_SAME(exo_channel_init(channel, &shape, "test"), 0);
    mapped = (struct exo_mapped){channel, size};
    return channel;
}

static void channel_destroy(struct exo_channel *channel)
{
    CHECK(munmap(channel, mapped.size) == 0);
}

static void join_it(struct exo_channel *channel, struct exo_port *port)
{
    CHECK_SAME(exo_channel_open(channel, mapped.size, port), 0);
    int number = exo_roster_take(port->roster, &mapped, exo_self());
    CHECK(number > 0);
    exo_port_join(port, (uint32_t)number);
}

static void leave_it(struct exo_port *port)
{
    exo_port_leave(port);
    exo_self()->robust.list = (uint64_t)(uintptr_t)&exo_self()->robust.list;
    exo_roster_give(port->roster, &mapped, port->owner);
    exo_port_stir(port);
}

static bool all_free(const struct exo_port *port)
{
    return exo_pool_free_count(port->pools[0].pool) == 8 &&
           exo_pool_free_count(port->pools[1].pool) == 4;
}

static void test_layout(void)
{
    struct exo_channel_shape bad = shape;
    begin_phase("layout");
    bad.order = 0;
    CHECK_SAME(exo_channel_size(&bad), 0);
    bad = shape;
    bad.block_size[1] = 100;
    CHECK_SAME(exo_channel_size(&bad), 0);
    bad.block_size[1] = 1UL << 50;
    CHECK_SAME(exo_channel_size(&bad), 0);
    struct exo_channel *channel = channel_create();
    struct exo_port port;
    CHECK_SAME(exo_channel_open(channel, mapped.size - 1, &port), -EBADMSG);
    uint64_t *words = (uint64_t *)channel;
    for (int i = 0; i < 6; i++) { /* magic, size, where everything is */
        uint64_t before = words[i];
        words[i] = before + (i == 0 ? 1 : mapped.size);
        CHECK_SAME(exo_channel_open(channel, mapped.size, &port), -EBADMSG);
        words[i] = before;
    }
    CHECK_SAME(exo_channel_open(channel, mapped.size, &port), 0);
    CHECK_SAME(port.pool_count, 2);
    channel_destroy(channel);
}

static void test_messages(void)
{
    struct exo_channel *channel = channel_create();
    struct exo_port_message message;
    struct exo_port_block blocks[13];
    struct exo_port port;
    char data[EXO_RING_PAYLOAD + 1] = "data";
    begin_phase("messages");
    join_it(channel, &port);
    CHECK_SAME(exo_port_receive(&port, &message), -EAGAIN);
    CHECK_SAME(exo_port_send(&port, data, sizeof(data)), -EMSGSIZE);
    CHECK_SAME(exo_port_send(&port, data, 56), 0);
    CHECK_SAME(exo_port_receive(&port, &message), 0);
    CHECK(message.size == 56 && !message.has_block && memcmp(message.payload, data, 56) == 0);
    CHECK_SAME(exo_port_block_create(&port, 16385, &blocks[0]), -EMSGSIZE);
    for (int i = 0; i < 12; i++) {
        CHECK_SAME(exo_port_block_create(&port, 10, &blocks[i]), 0);
        CHECK(blocks[i].pool == (i < 8 ? 0 : 1));
    }
    CHECK_SAME(exo_port_block_create(&port, 10, &blocks[12]), -EAGAIN);
    memcpy(exo_port_block_at(&port, &blocks[9]), "block", 5);
    CHECK_SAME(exo_port_send_block(&port, &blocks[9], data, EXO_CHANNEL_EXTRA + 1), -EMSGSIZE);
    CHECK_SAME(exo_port_send_block(&port, &blocks[9], data, EXO_CHANNEL_EXTRA), 0);
    CHECK_SAME(exo_port_send_block(&port, &blocks[9], data, 0), -EBADF);
    CHECK_SAME(exo_port_receive(&port, &message), 0);
    CHECK(message.has_block && message.size == EXO_CHANNEL_EXTRA);
    CHECK(memcmp(exo_port_block_at(&port, &message.block), "block", 5) == 0);
    for (int i = 0; i < 12; i++)
        exo_port_block_free(&port, &blocks[i]);
    CHECK(all_free(&port));
    leave_it(&port);
    channel_destroy(channel);
}

/* A message that points out of the pools is nobody's. */
static void test_hostile(void)
{
    struct exo_channel *channel = channel_create();
    struct exo_port_message message;
    struct exo_port port;
    begin_phase("hostile");
    join_it(channel, &port);
    for (uint64_t i = 0; i < 4; i++) {
        struct exo_port_block block;
        CHECK_SAME(exo_port_block_create(&port, 10, &block), 0);
        CHECK_SAME(exo_port_send_block(&port, &block, "", 0), 0);
        struct exo_ring_slot *slot = (struct exo_ring_slot *)(port.ring + 1) + i;
        struct exo_block_ref ref;
        memcpy(&ref, slot->payload, sizeof(ref));
        struct exo_block_ref bad[] = {{ref.pool_away + 4096, ref.size, ref.index, 0},
                                      {ref.pool_away, ref.size, 8, 0},
                                      {ref.pool_away, 4097, ref.index, 0},
                                      {1L << 40, ref.size, UINT32_MAX, 0}};
        memcpy(slot->payload, &bad[i], sizeof(ref));
        CHECK_SAME(exo_port_receive(&port, &message), -EBADMSG);
    }
    leave_it(&port);
    channel_destroy(channel);
}

static void expect(struct exo_port *port, uint32_t what, uint64_t deadline_ns, int error)
{
    struct exo_port_wait wait = {.deadline_ns = deadline_ns};
    CHECK_SAME(exo_port_wait(port, what, &wait), error);
}

static void test_waits(void)
{
    struct exo_channel *channel = channel_create();
    struct exo_port port, other;
    uint32_t control = 1;
    struct exo_port_wait wait = {.deadline_ns = FOREVER, .control = &control};
    begin_phase("waits");
    join_it(channel, &port);
    expect(&port, EXO_CHANNEL_DATA, 1, -ETIMEDOUT);
    CHECK_SAME(exo_port_wait(&port, EXO_CHANNEL_DATA, &wait), -ECANCELED);
    join_it(channel, &other);
    CHECK_SAME(exo_port_others(&port, EXO_CHANNEL_SENDS), 1);
    exo_port_role(&port, EXO_CHANNEL_RECEIVES);
    exo_port_role(&other, EXO_CHANNEL_SENDS);
    CHECK_SAME(exo_port_send(&other, "x", 1), 0);
    leave_it(&other);
    expect(&port, EXO_CHANNEL_DATA, FOREVER, 0); /* what was sent comes first */
    struct exo_port_message message;
    CHECK_SAME(exo_port_receive(&port, &message), 0);
    expect(&port, EXO_CHANNEL_DATA, FOREVER, -EPIPE);
    leave_it(&port);
    channel_destroy(channel);
}

struct crowd {
    struct exo_port port;
    uint64_t sum, done;
};

static void wait_in(struct exo_port *port, uint32_t what)
{
    struct exo_port_wait wait = {.deadline_ns = FOREVER, .yields = 2};
    if (!exo_port_spin(port, what, &wait))
        CHECK_SAME(exo_port_wait(port, what, &wait), 0);
}

static void send_all(struct crowd *crowd, uint64_t first)
{
    for (uint64_t i = 1; i <= MESSAGES; i++) {
        uint64_t number = first + i;
        while (exo_port_send(&crowd->port, &number, 8) == -EAGAIN)
            wait_in(&crowd->port, EXO_CHANNEL_ROOM);
    }
}

static void receive_all(struct crowd *crowd)
{
    struct exo_port_message message;
    int error;
    for (;;) {
        while ((error = exo_port_receive(&crowd->port, &message)) == -EAGAIN)
            wait_in(&crowd->port, EXO_CHANNEL_DATA);
        if (error == -EPIPE)
            return;
        CHECK_SAME(error, 0);
        uint64_t number;
        memcpy(&number, message.payload, 8);
        add(&crowd->sum, number);
    }
}

static void one_of_crowd(struct worker *worker)
{
    struct crowd *crowd = worker->shared;
    if (worker->index >= SENDERS) {
        receive_all(crowd);
        return;
    }
    send_all(crowd, worker->index * 1000000UL);
    if (add(&crowd->done, 1) == SENDERS)
        exo_ring_close(crowd->port.ring);
}

static void test_threads(void)
{
    struct exo_channel *channel = channel_create();
    struct crowd crowd = {.sum = 0};
    begin_phase("threads");
    join_it(channel, &crowd.port);
    run_threads(SENDERS + RECEIVERS, one_of_crowd, &crowd);
    uint64_t expected = 0;
    for (uint64_t n = 0; n < SENDERS; n++)
        expected += n * 1000000UL * MESSAGES + (uint64_t)MESSAGES * (MESSAGES + 1) / 2;
    CHECK_SAME(crowd.sum, expected);
    leave_it(&crowd.port);
    channel_destroy(channel);
}

/* Sends numbers, every other one in a block, until it is killed. */
static void be_killed(struct exo_channel *channel)
{
    struct exo_port port;
    struct exo_port_block block;
    join_it(channel, &port);
    exo_port_role(&port, EXO_CHANNEL_SENDS);
    for (uint64_t number = 1;; number++) {
        if (number & 1) {
            while (exo_port_send(&port, &number, 8) == -EAGAIN)
                wait_in(&port, EXO_CHANNEL_ROOM);
            continue;
        }
        while (exo_port_block_create(&port, 8, &block) != 0)
            wait_in(&port, EXO_CHANNEL_BLOCK);
        memcpy(exo_port_block_at(&port, &block), &number, 8);
        while (exo_port_send_block(&port, &block, "", 0) == -EAGAIN)
            wait_in(&port, EXO_CHANNEL_ROOM);
    }
}

static uint64_t number_in(struct exo_port *port, const struct exo_port_message *message)
{
    uint64_t number;
    const void *at =
        message->has_block ? exo_port_block_at(port, &message->block) : message->payload;
    memcpy(&number, at, 8);
    if (message->has_block)
        exo_port_block_free(port, &message->block);
    return number;
}

/* Receives until the sender, which it kills after `limit` messages, is seen to be dead. */
static void outlive(struct exo_port *port, pid_t child, uint64_t limit)
{
    struct exo_port_wait wait = {.deadline_ns = FOREVER};
    struct exo_port_message message;
    for (uint64_t expected = 1;; expected++) {
        int error;
        while ((error = exo_port_receive(port, &message)) == -EAGAIN)
            if ((error = exo_port_wait(port, EXO_CHANNEL_DATA, &wait)) != 0)
                break;
        if (error == -EOWNERDEAD) {
            CHECK(expected > limit);
            return;
        }
        CHECK_SAME(error, 0);
        CHECK_SAME(number_in(port, &message), expected);
        if (expected == limit)
            CHECK(kill(child, SIGKILL) == 0);
    }
}

static void test_killed(void)
{
    uint64_t chance = 1;
    double end_s = now_s() + ROUNDS_S;
    for (int round = 0; round < ROUNDS && now_s() < end_s; round++) {
        struct exo_channel *channel = channel_create();
        struct exo_port port;
        begin_phase("killed");
        join_it(channel, &port);
        exo_port_role(&port, EXO_CHANNEL_RECEIVES);
        pid_t child = fork_child();
        if (child == 0)
            be_killed(channel);
        outlive(&port, child, 1 + random_below(&chance, 300));
        CHECK_SAME(reap(child), 128 + SIGKILL);
        exo_port_bury(&port);
        CHECK(all_free(&port));
        CHECK_SAME(exo_port_others(&port, EXO_CHANNEL_SENDS), 0);
        leave_it(&port);
        channel_destroy(channel);
    }
}

int main(void)
{
    begin(60);
    test_layout();
    test_messages();
    test_hostile();
    test_waits();
    test_killed(); /* before there are threads */
    test_threads();
    return 0;
}
