/* AF_UNIX datagram sockets in the region: names, peers that go, and how much waits; with several writers at one
 * receiver, each of which sees its own limit.
 */
#include "core/sockrecord.h"
#include "setup.h"

#define LIMIT 212992
#define SENDERS 3
#define EACH 20000
#define MOST 10

static uint32_t make_sock(struct exo_kr *kr)
{
    uint32_t number = exo_sock_create(kr, EXO_SOCK_FRESH, AF_UNIX_, 0);
    exo_object_hold(kr, 0);
    CHECK(number != 0);
    exo_sock_at(kr, number)->type = EXO_SOCK_DGRAM;
    exo_sock_at(kr, number)->limit = LIMIT;
    return number;
}

static void drop(struct exo_kr *kr, uint32_t number)
{
    __atomic_fetch_sub(&exo_sock_at(kr, number)->ends, 1, __ATOMIC_RELEASE);
    exo_sock_part(kr, number);
    exo_object_free(kr, number);
}

static void connect_to(struct exo_kr *kr, uint32_t from, uint32_t to)
{
    exo_sock_at(kr, from)->peer_generation = exo_sock_at(kr, to)->generation;
    exo_sock_at(kr, from)->peer = to;
}

static uint32_t find(struct exo_kr *kr, uint64_t inode)
{
    const uint64_t key[2] = {inode, 77};
    exo_lock_acquire(&kr->net_lock);
    uint32_t number = exo_dgram_find_locked(kr, key);
    exo_lock_release(&kr->net_lock);
    return number;
}

static void name(struct exo_kr *kr, uint32_t number, uint64_t inode)
{
    const uint64_t key[2] = {inode, 77};
    exo_lock_acquire(&kr->net_lock);
    exo_dgram_name_locked(kr, exo_sock_at(kr, number), key);
    exo_lock_release(&kr->net_lock);
}

static void test_names(struct exo_kr *kr)
{
    begin_phase("names");
    uint32_t numbers[200];
    for (uint32_t i = 0; i < 200; i++) {
        numbers[i] = make_sock(kr);
        name(kr, numbers[i], i);
    }
    for (uint32_t i = 0; i < 200; i += 2)
        drop(kr, numbers[i]);
    for (uint32_t i = 0; i < 200; i++)
        CHECK(find(kr, i) == (i % 2 != 0 ? numbers[i] : 0));
    for (uint32_t i = 1; i < 200; i += 2)
        drop(kr, numbers[i]);
    CHECK(find(kr, 1) == 0);
}

/* A socket that goes is nobody's peer any more, nor is the one that gets its number. */
static void test_peers(struct exo_kr *kr)
{
    uint32_t server = make_sock(kr), one = make_sock(kr), other = make_sock(kr);
    connect_to(kr, one, server);
    connect_to(kr, other, server);
    connect_to(kr, server, one);
    CHECK(exo_dgram_peer(kr, exo_sock_at(kr, one)) == server &&
          exo_dgram_peer(kr, exo_sock_at(kr, server)) == one);
    CHECK(exo_dgram_is_mutual(kr, exo_sock_at(kr, one), exo_sock_at(kr, server)));
    CHECK(!exo_dgram_is_mutual(kr, exo_sock_at(kr, other), exo_sock_at(kr, server)));
    drop(kr, server);
    CHECK(exo_dgram_peer(kr, exo_sock_at(kr, one)) == 0 &&
          exo_dgram_peer(kr, exo_sock_at(kr, other)) == 0);
    uint32_t again = make_sock(kr);
    CHECK(again == server && exo_dgram_peer(kr, exo_sock_at(kr, one)) == 0);
    CHECK(exo_sock_at(kr, again)->peer == 0);
    drop(kr, again);
    drop(kr, one);
    drop(kr, other);
}

/* 1, or 0 if it does not fit. */
static long push(struct exo_kr *kr, struct exo_sock *from, struct exo_sock *to, uint32_t size,
                 uint32_t tag)
{
    static const uint8_t bytes[100000];
    const uint64_t vector[1][2] = {{(uint64_t)(uintptr_t)bytes, size}};
    struct exo_span span = {.vector = vector, .left = size};
    struct exo_record record = {.size = size, .sent_by = from->generation, .name_size = 8};
    const uint8_t own[8] = {(uint8_t)size, (uint8_t)tag};
    record.cred[0] = tag;
    exo_lock_acquire(&to->input);
    long done = exo_dgram_fits(kr, from, to, size)
                    ? exo_record_push_named_locked(kr, to, &record, own, &span)
                    : 0;
    exo_lock_release(&to->input);
    CHECK(done >= 0);
    return done;
}

/* The next one's tag, or -1. */
static long pull(struct exo_kr *kr, struct exo_sock *from)
{
    struct exo_record record;
    uint8_t own[EXO_UNIX_NAME_MAX];
    long tag = -1;
    exo_lock_acquire(&from->output);
    if (exo_record_look(kr, from, &record)) {
        exo_record_name_locked(kr, from, &record, own);
        CHECK(record.name_size == 8 && own[0] == (uint8_t)record.size);
        CHECK(own[1] == (uint8_t)record.cred[0]);
        tag = record.cred[0];
        exo_record_drop_locked(from, &record);
    }
    exo_lock_release(&from->output);
    return tag;
}

static void test_limits(struct exo_kr *kr)
{
    uint32_t server = make_sock(kr), client = make_sock(kr), count = 0;
    struct exo_sock *to = exo_sock_at(kr, server), *from = exo_sock_at(kr, client);
    while (push(kr, from, to, 1, 0) == 1)
        count++;
    CHECK(count == MOST + 1);
    connect_to(kr, client, server);
    CHECK(!exo_dgram_has_room(kr, from, to) && !exo_dgram_eases(kr, to));
    CHECK(exo_sock_poll(kr, from) == 0 && from->no_room == 1);
    CHECK(pull(kr, to) == 0 && exo_dgram_has_room(kr, from, to) && exo_dgram_eases(kr, to));
    connect_to(kr, server, client);
    for (; push(kr, from, to, 1, 0) == 1; count++)
        ;
    CHECK(count == 278 + 1); /* as SO_SNDBUF has it, and the one that was pulled */
    while (pull(kr, to) >= 0)
        ;
    connect_to(kr, server, server);
    CHECK(push(kr, from, to, 60000, 0) == 1);
    CHECK(exo_dgram_fits(kr, from, to, 60000) && !exo_dgram_has_room(kr, from, to));
    uint32_t third = make_sock(kr);
    CHECK(exo_dgram_has_room(kr, exo_sock_at(kr, third), to));
    drop(kr, third);
    drop(kr, client);
    drop(kr, server);
}

struct shared {
    struct exo_kr *kr;
    struct exo_sock *to, *from[SENDERS];
};

static void read_all(const struct shared *shared)
{
    uint32_t next[SENDERS] = {0};
    for (uint32_t i = 0; i < SENDERS * EACH;) {
        long tag = pull(shared->kr, shared->to);
        if (tag >= 0)
            CHECK((uint32_t)tag % (1 << 24) == next[tag >> 24]++);
        else
            sched_yield();
        i += tag >= 0;
    }
}

static void one_of_them(struct worker *worker)
{
    const struct shared *shared = worker->shared;
    uint32_t own = (uint32_t)worker->index;
    self_init();
    if (own == SENDERS) {
        read_all(shared);
        return;
    }
    for (uint32_t i = 0; i < EACH;) {
        bool done = push(shared->kr, shared->from[own], shared->to, i % 600, own << 24 | i) == 1;
        i += done;
        if (!done)
            sched_yield();
    }
}

static void test_threads(struct exo_kr *kr)
{
    begin_phase("threads");
    struct shared shared = {.kr = kr, .to = exo_sock_at(kr, make_sock(kr))};
    for (uint32_t i = 0; i < SENDERS; i++)
        shared.from[i] = exo_sock_at(kr, make_sock(kr));
    run_threads(SENDERS + 1, one_of_them, &shared);
    CHECK(exo_sock_size(shared.to) == 0);
}

int main(void)
{
    begin(60);
    struct exo_kr *kr = region_create();
    self_init();
    kr->datagrams = MOST;
    test_names(kr);
    test_peers(kr);
    test_limits(kr);
    test_threads(kr);
    region_destroy(kr);
    return 0;
}
