/* Whole messages in a socket's ring: none is torn, lost or told twice, between threads and where the writer is
 * killed at any moment; what guests scribble leads nowhere; UDP's receivers.
 */
#include "core/sockrecord.h"
#include "setup.h"

#define MESSAGES 20000
#define KILLS 100
#define LIMIT 212992

static uint32_t make_sock(struct exo_kr *kr, uint16_t family, uint32_t type)
{
    uint32_t number = exo_sock_create(kr, EXO_SOCK_FRESH, family, 17);
    exo_object_hold(kr, 0);
    CHECK(number != 0);
    exo_sock_at(kr, number)->type = type;
    exo_sock_at(kr, number)->limit = LIMIT;
    return number;
}

/* A message's size and bytes follow from its number. */
static uint32_t size_of(uint32_t i)
{
    return i % 50 == 0 ? i % 9 * 23000 : i * 37 % 700;
}

static bool push(struct exo_kr *kr, struct exo_sock *to, uint32_t i)
{
    static _Thread_local uint8_t bytes[EXO_RECORD_MAX];
    struct exo_record record = {.size = size_of(i)};
    memset(bytes, (int)(i & 0xff), record.size);
    const uint64_t vector[1][2] = {{(uint64_t)(uintptr_t)bytes, record.size}};
    struct exo_span span = {.vector = vector, .left = record.size};
    record.cred[0] = i;
    exo_lock_acquire(&to->input);
    long done = exo_record_fits(to, LIMIT, record.size)
                    ? exo_record_push_locked(kr, to, &record, &span)
                    : 0;
    exo_lock_release(&to->input);
    CHECK(done >= 0);
    return done == 1;
}

/* The next one's number, or -1. */
static long pull(struct exo_kr *kr, struct exo_sock *from)
{
    static uint8_t bytes[EXO_RECORD_MAX];
    const uint64_t vector[1][2] = {{(uint64_t)(uintptr_t)bytes, sizeof(bytes)}};
    struct exo_span span = {.vector = vector, .left = sizeof(bytes)};
    struct exo_record record;
    long number = -1;
    exo_lock_acquire(&from->output);
    if (exo_record_look(kr, from, &record)) {
        number = record.cred[0];
        CHECK(record.size == size_of(record.cred[0]));
        CHECK(exo_record_peek_locked(kr, from, &record, &span) == (long)record.size);
        exo_record_drop_locked(from, &record);
        for (uint32_t i = 0; i < record.size; i++)
            CHECK(bytes[i] == (uint8_t)record.cred[0]);
    }
    exo_lock_release(&from->output);
    return number;
}

struct shared {
    struct exo_kr *kr;
    struct exo_sock *sock;
};

static void one_side(struct worker *worker)
{
    struct shared *shared = worker->shared;
    self_init();
    for (uint32_t i = 0; i < MESSAGES;) {
        bool done = worker->index == 0 ? push(shared->kr, shared->sock, i)
                                       : pull(shared->kr, shared->sock) == (long)i;
        i += done;
        if (!done)
            sched_yield();
    }
}

static void test_threads(struct exo_kr *kr)
{
    begin_phase("threads");
    struct shared shared = {kr, exo_sock_at(kr, make_sock(kr, AF_UNIX_, EXO_SOCK_DGRAM))};
    run_threads(2, one_side, &shared);
    CHECK(exo_sock_size(shared.sock) == 0 && exo_record_sum(kr, shared.sock) == 0);
}

/* What was there before the writer's end is whole, and in order. */
static void test_killed(struct exo_kr *kr)
{
    begin_phase("killed");
    struct exo_sock *sock = exo_sock_at(kr, make_sock(kr, AF_UNIX_, EXO_SOCK_DGRAM));
    for (int i = 0; i < KILLS; i++) {
        long last = -1, next;
        pid_t pid = fork_child();
        if (pid == 0)
            for (uint32_t j = 0;;)
                j += push(kr, sock, j);
        while (last < i * 7 % 200)
            if ((next = pull(kr, sock)) >= 0) {
                CHECK(next == last + 1);
                last = next;
            }
        kill(pid, SIGKILL);
        CHECK(reap(pid) == 128 + SIGKILL);
        while ((next = pull(kr, sock)) >= 0)
            CHECK(next == ++last);
    }
}

/* Whatever is written there, looking ends, and stays within the ring. */
static void test_scribbled(struct exo_kr *kr)
{
    begin_phase("scribbled");
    struct exo_sock *sock = exo_sock_at(kr, make_sock(kr, AF_UNIX_, EXO_SOCK_SEQPACKET));
    for (uint32_t i = 0; i < 2000; i++) {
        struct exo_record record;
        sock->tail = i * 2654435761U;
        sock->head = sock->tail + i * 977 % (2 * EXO_SOCK_SIZE);
        sock->start = i % 3 == 0 ? sock->tail + i : 0;
        memset(exo_sock_byte_at(kr, sock, sock->tail & ~63U), (int)(i & 0xff), 16);
        if (exo_record_look(kr, sock, &record))
            CHECK(record.size <= EXO_RECORD_MAX);
        CHECK(exo_record_sum(kr, sock) <= EXO_SOCK_SIZE);
    }
}

static struct exo_sock_name v4(uint32_t address, uint16_t port)
{
    struct exo_sock_name name = {.family = AF_INET_, .port = port};
    for (int i = 0; i < 4; i++)
        name.address[i] = (uint8_t)(address >> (24 - 8 * i));
    return name;
}

static uint32_t bound_to(struct exo_kr *kr, uint32_t address, uint16_t port, bool shares)
{
    uint32_t number = make_sock(kr, AF_INET_, EXO_SOCK_DGRAM);
    struct exo_sock *sock = exo_sock_at(kr, number);
    struct exo_sock_name name = v4(address, port);
    sock->options[EXO_SOCK_REUSEADDR] = sock->options[EXO_SOCK_REUSEPORT] = shares;
    exo_lock_acquire(&kr->net_lock);
    CHECK(exo_sock_bind_locked(kr, sock, &name) == 0);
    exo_lock_release(&kr->net_lock);
    return number;
}

static uint32_t find(struct exo_kr *kr, uint32_t address, uint16_t port, uint16_t from_port)
{
    struct exo_sock_name to = v4(address, port), from = v4(0x7f000001, from_port);
    exo_lock_acquire(&kr->net_lock);
    uint32_t number = exo_udp_find_locked(kr, &to, &from);
    exo_lock_release(&kr->net_lock);
    return number;
}

/* The nearest gets it: connected with the sender, then bound to the very address, then to any. */
static void test_receivers(struct exo_kr *kr)
{
    begin_phase("receivers");
    uint32_t any = bound_to(kr, 0, 1, true), one = bound_to(kr, 0x7f000001, 1, true);
    CHECK(find(kr, 0x7f000001, 1, 9) == one && find(kr, 0x7f000002, 1, 9) == any);
    CHECK(find(kr, 0x7f000001, 2, 9) == 0);
    uint32_t friend = bound_to(kr, 0x7f000001, 1, true);
    exo_sock_at(kr, friend)->remote = v4(0x7f000001, 9);
    exo_sock_at(kr, friend)->mode = EXO_SOCK_CONNECTED;
    CHECK(find(kr, 0x7f000001, 1, 9) == friend && find(kr, 0x7f000001, 1, 8) == one);
    uint32_t other = bound_to(kr, 0x7f000001, 1, true), seen[2] = {0};
    for (uint16_t from = 100; from < 400; from++) {
        uint32_t number = find(kr, 0x7f000001, 1, from);
        CHECK(number == one || number == other);
        CHECK(find(kr, 0x7f000001, 1, from) == number);
        seen[number == one]++;
    }
    CHECK(seen[0] > 50 && seen[1] > 50);
    exo_sock_part(kr, other);
    exo_sock_part(kr, friend);
    CHECK(find(kr, 0x7f000001, 1, 9) == one);
}

int main(void)
{
    begin(60);
    struct exo_kr *kr = region_create();
    self_init();
    test_killed(kr); /* before there are threads */
    test_threads(kr);
    test_scribbled(kr);
    test_receivers(kr);
    region_destroy(kr);
    return 0;
}
