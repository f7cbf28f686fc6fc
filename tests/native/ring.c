/* Fusion rings: order, limits, batches; threads at both ends; owners killed anywhere; waiting. */
#include "setup.h"

#include <errno.h>
#include <exo/ring.h>

#define ORDER 6
#define MESSAGES 20000
#define OWNERS 8
#define BATCH 5
#define ROUNDS 200
#define ROUNDS_S 3.0

#define get(p) __atomic_load_n((p), __ATOMIC_SEQ_CST)
#define set(p, v) __atomic_store_n((p), (v), __ATOMIC_SEQ_CST)
#define add(p, v) __atomic_add_fetch((p), (v), __ATOMIC_SEQ_CST)

static const uint32_t kinds[] = {EXO_RING_SPSC, EXO_RING_MPSC, EXO_RING_MPMC};

/* In memory shared by all processes. */
struct shared {
    struct exo_task tasks[OWNERS];           /* for their alive words; 0 is nobody */
    uint64_t sent[OWNERS], received[OWNERS]; /* by the number of the sender */
    uint32_t ready, finish, wrong;
    _Alignas(64) struct exo_ring ring;
    struct exo_ring_slot slots[1 << EXO_RING_ORDER];
};

struct text {
    uint64_t sender, number, check;
};

static struct text text_of(uint64_t sender, uint64_t number)
{
    return (struct text){sender, number, sender * 1000003 ^ ~number};
}

static void ring_init(struct shared *shared, uint32_t order, uint32_t kind)
{
    memset(shared, 0, offsetof(struct shared, ring));
    CHECK_SAME(exo_ring_init(&shared->ring, order, kind, 0), 0);
    exo_owners_set(&shared->ring.owners, &shared->tasks[0].alive.word, sizeof(struct exo_task),
                   OWNERS);
}

static void test_limits(struct shared *shared, uint32_t kind)
{
    struct exo_ring *ring = &shared->ring;
    struct exo_message message;
    char data[EXO_RING_PAYLOAD + 1];
    memset(data, 7, sizeof(data));
    CHECK_SAME(exo_ring_init(ring, 0, kind, 0), -EINVAL);
    CHECK_SAME(exo_ring_init(ring, EXO_RING_ORDER_MAX + 1, kind, 0), -EINVAL);
    CHECK_SAME(exo_ring_init(ring, 2, 3, 0), -EINVAL);
    ring_init(shared, 2, kind);
    for (int lap = 0; lap < 100; lap++) {
        CHECK_SAME(exo_ring_pop(ring, 0, &message), -EAGAIN);
        for (uint32_t i = 0; i < 4; i++) {
            data[0] = (char)i;
            CHECK_SAME(exo_ring_push(ring, 0, 100 + i, data, 1 + i * 18), 0);
        }
        CHECK_SAME(exo_ring_push(ring, 0, 0, data, 1), -EAGAIN);
        CHECK_SAME(exo_ring_count(ring), 4);
        for (uint32_t i = 0; i < 4; i++) {
            CHECK_SAME(exo_ring_pop(ring, 0, &message), 0);
            CHECK_SAME(message.type, 100 + i);
            CHECK_SAME(message.size, 1 + i * 18);
            CHECK_SAME(message.payload[0], i);
            CHECK_SAME(message.payload[i * 18], i == 0 ? 0 : 7);
        }
    }
    CHECK_SAME(exo_ring_push(ring, 0, 0, data, EXO_RING_PAYLOAD + 1), -EMSGSIZE);
    CHECK_SAME(exo_ring_push(ring, 0, 0, data, 1), 0);
    exo_ring_close(ring);
    CHECK_SAME(exo_ring_push(ring, 0, 0, data, 1), -EPIPE);
    CHECK_SAME(exo_ring_pop(ring, 0, &message), 0);
    CHECK_SAME(exo_ring_pop(ring, 0, &message), -EPIPE);
}

static void test_batches(struct shared *shared, uint32_t kind)
{
    struct exo_message messages[40];
    uint64_t data[40], next = 0, sent = 0;
    ring_init(shared, 5, kind);
    for (uint32_t lap = 0; lap < 1000; lap++) {
        uint32_t count = lap % 40 + 1;
        for (uint32_t i = 0; i < count; i++)
            data[i] = sent + i;
        long done = exo_ring_push_many(&shared->ring, 0, 9, data, 8, count);
        CHECK_SAME(done, count < 32 ? count : 32);
        sent += (uint64_t)done;
        if (count >= 32)
            CHECK_SAME(exo_ring_push_many(&shared->ring, 0, 9, data, 8, 1), -EAGAIN);
        while ((done = exo_ring_pop_many(&shared->ring, 0, messages, 7)) > 0)
            for (long i = 0; i < done; i++, next++) {
                CHECK(memcmp(messages[i].payload, &next, 8) == 0);
                CHECK_SAME(messages[i].size, 8);
            }
        CHECK_SAME(done, -EAGAIN);
        CHECK_SAME(next, sent);
    }
}

/* What arrived: whole, and in its sender's order. last: by sender. */
static void note(struct shared *shared, const struct exo_message *message, uint64_t *last)
{
    struct text text, want;
    memcpy(&text, message->payload, sizeof(text));
    want = text_of(text.sender, text.number);
    if (message->size != sizeof(text) || memcmp(&text, &want, sizeof(text)) != 0 ||
        text.sender >= OWNERS || text.number <= last[text.sender]) {
        add(&shared->wrong, 1);
        return;
    }
    last[text.sender] = text.number;
    add(&shared->received[text.sender], 1);
}

static const struct exo_wait_policy patient = {
    .spins = 100, .yields = 10, .sleeps = 1, .timeout_ns = UINT64_MAX};

static void produce(struct shared *shared, uint32_t number, uint32_t owner)
{
    for (uint64_t i = 1; i <= MESSAGES; i++) {
        struct text text = text_of(number, i);
        CHECK_SAME(exo_ring_push_wait(&shared->ring, owner, 1, &text, sizeof(text), &patient), 0);
    }
}

static void consume(struct shared *shared, uint32_t owner)
{
    struct exo_message message;
    uint64_t last[OWNERS] = {0};
    int error;
    while ((error = exo_ring_pop_wait(&shared->ring, owner, &message, &patient)) == 0)
        note(shared, &message, last);
    CHECK_SAME(error, -EPIPE);
}

static uint32_t producers;

static void produce_or_consume(struct worker *worker)
{
    struct shared *shared = worker->shared;
    if (worker->index >= producers) {
        consume(shared, 0);
        return;
    }
    produce(shared, worker->index + 1, 0);
    if (add(&shared->ready, 1) == producers)
        exo_ring_close(&shared->ring);
}

static void test_threads(struct shared *shared, uint32_t kind, uint32_t from, uint32_t to)
{
    begin_phase("threads");
    ring_init(shared, ORDER, kind);
    producers = from;
    run_threads(from + to, produce_or_consume, shared);
    CHECK_SAME(shared->wrong, 0);
    for (uint32_t i = 1; i <= from; i++)
        CHECK_SAME(shared->received[i], MESSAGES);
}

static void be_alive(struct shared *shared, uint32_t owner)
{
    exo_alive_mark(&shared->tasks[owner], exo_self(), NULL);
    add(&shared->ready, 1);
}

/* Messages from number on, up to batch of them; how many. */
static uint64_t produce_some(struct shared *shared, uint32_t owner, uint64_t number, uint32_t batch)
{
    struct text texts[BATCH];
    if (batch == 1) {
        texts[0] = text_of(owner, number);
        CHECK_SAME(exo_ring_push_wait(&shared->ring, owner, 1, texts, sizeof(*texts), &patient), 0);
        return 1;
    }
    for (uint32_t i = 0; i < batch; i++)
        texts[i] = text_of(owner, number + i);
    long done = exo_ring_push_many(&shared->ring, owner, 1, texts, sizeof(*texts), batch);
    if (done == -EAGAIN)
        CHECK_SAME(exo_ring_wait_room(&shared->ring, &patient), 0);
    CHECK(done > 0 || done == -EAGAIN);
    return done > 0 ? (uint64_t)done : 0;
}

static pid_t fork_producer(struct shared *shared, uint32_t owner, uint32_t batch)
{
    pid_t pid = fork_child();
    if (pid != 0)
        return pid;
    be_alive(shared, owner);
    for (uint64_t i = 1; !get(&shared->finish);) {
        i += produce_some(shared, owner, i, batch == 1 ? 1 : 1 + (uint32_t)i % batch);
        set(&shared->sent[owner], i - 1);
    }
    _exit(0);
}

static void consume_batches(struct shared *shared, uint32_t owner, uint32_t batch)
{
    struct exo_message messages[BATCH];
    uint64_t last[OWNERS] = {0};
    long done;
    while ((done = exo_ring_pop_many(&shared->ring, owner, messages, batch)) != -EPIPE) {
        CHECK(done > 0 || done == -EAGAIN);
        for (long i = 0; i < done; i++)
            note(shared, &messages[i], last);
        if (done == -EAGAIN)
            CHECK_SAME(exo_ring_wait_data(&shared->ring, &patient), 0);
    }
}

static pid_t fork_consumer(struct shared *shared, uint32_t owner, uint32_t batch)
{
    pid_t pid = fork_child();
    if (pid != 0)
        return pid;
    be_alive(shared, owner);
    if (batch == 1)
        consume(shared, owner);
    else
        consume_batches(shared, owner, batch);
    _exit(0);
}

/* Two producers and two consumers; one of the four is killed wherever it is. Nothing of the other
 * producer may be lost but what a killed consumer had in hand, and nobody may wait for ever. */
static void killing_round(struct shared *shared, uint32_t victim, uint32_t batch, uint64_t *random)
{
    pid_t pids[4];
    ring_init(shared, 4, EXO_RING_MPMC);
    for (uint32_t i = 0; i < 4; i++)
        pids[i] = i < 2 ? fork_producer(shared, i + 1, batch) : fork_consumer(shared, i + 1, batch);
    while (get(&shared->ready) < 4)
        usleep(20);
    usleep(random_below(random, 600));
    kill(pids[victim], SIGKILL);
    CHECK_SAME(reap(pids[victim]), 128 + SIGKILL);
    usleep(random_below(random, 300));
    set(&shared->finish, 1);
    for (uint32_t i = 0; i < 2; i++)
        if (i != victim)
            CHECK_SAME(reap(pids[i]), 0);
    exo_ring_close(&shared->ring);
    for (uint32_t i = 2; i < 4; i++)
        if (i != victim)
            CHECK_SAME(reap(pids[i]), 0);
    CHECK_SAME(shared->wrong, 0);
    for (uint32_t i = 1; i <= 2; i++) {
        uint64_t lost = shared->sent[i] - shared->received[i];
        if (victim == i - 1) /* killed before it could say what it has sent */
            CHECK(0 - lost <= batch);
        else
            CHECK(lost <= (victim >= 2 ? batch : 0));
    }
}

static int test_killed_anywhere(struct shared *shared, uint32_t batch)
{
    begin_phase("killed anywhere");
    uint64_t random = 7;
    double end = now_s() + ROUNDS_S;
    int round = 0;
    for (; round < ROUNDS && now_s() < end; round++)
        killing_round(shared, (uint32_t)round % 4, batch, &random);
    return round;
}

/* Whole batches of a dead owner: what it had published is there, the rest is nobody's. */
static void test_batch_repair(struct shared *shared)
{
    struct exo_ring *ring = &shared->ring;
    struct exo_message messages[8];
    uint64_t data[8] = {0}, position;
    int error;
    ring_init(shared, 3, EXO_RING_MPMC);
    for (int lap = 0; lap < 20; lap++) {
        set(&shared->tasks[1].alive.word, 1);
        set(&shared->tasks[2].alive.word, 1);
        CHECK_SAME(exo_ring_push_many(ring, 1, 1, data, 8, 6), 6);
        struct exo_ring_slot *first = &shared->slots[0];
        uint64_t ready =
            first->header; /* as before the last step of a push, or the first of a pop */
        first->header = (ready & ~0xffffffffUL) | 1UL << 30 | 5 << 16 | 1;
        CHECK_SAME(exo_ring_pop_many(ring, 2, messages, 8), -EAGAIN);
        CHECK(exo_ring_claim(ring, 2, &position, &error) != NULL && position % 8 == 6);
        set(&shared->tasks[1].alive.word, 0);
        CHECK_SAME(exo_ring_pop_many(ring, 2, messages, 8), 5);
        CHECK_SAME(exo_ring_pop_many(ring, 2, messages, 8), -EAGAIN);
        exo_ring_publish(ring, &shared->slots[6], position, 1, 0, 0);
        CHECK_SAME(exo_ring_push_many(ring, 2, 1, data, 8, 8), 7);
        first = &shared->slots[6]; /* four of the eight are in a dead hand */
        first->header = (first->header & ~0xffffffffUL) | 3UL << 30 | 3 << 16 | 1;
        CHECK_SAME(exo_ring_pop_many(ring, 2, messages, 8), 4);
        CHECK_SAME(exo_ring_push_many(ring, 2, 1, data, 8, 2), 2);
        CHECK_SAME(exo_ring_pop_many(ring, 2, messages, 8), 2);
        while (ring->head % 8 != 0) {
            CHECK_SAME(exo_ring_push(ring, 2, 1, data, 8), 0);
            CHECK_SAME(exo_ring_pop(ring, 2, messages), 0);
        }
    }
}

/* A lone producer or consumer is followed by another. */
static void test_successors(struct shared *shared, uint32_t kind)
{
    begin_phase("successors");
    struct exo_message message;
    uint64_t next = 1;
    ring_init(shared, 3, kind);
    for (int round = 0; round < 50; round++) {
        set(&shared->ready, 0);
        pid_t pid = fork_child();
        if (pid == 0) {
            be_alive(shared, 1);
            for (uint64_t i = next;; i++)
                exo_ring_push_wait(&shared->ring, 1, 1, &i, 8, &patient);
        }
        for (int i = 0; i < 100; i++, next++) {
            CHECK_SAME(exo_ring_pop_wait(&shared->ring, 0, &message, &patient), 0);
            CHECK(memcmp(message.payload, &next, 8) == 0);
        }
        kill(pid, SIGKILL);
        CHECK_SAME(reap(pid), 128 + SIGKILL);
        while (exo_ring_pop(&shared->ring, 0, &message) == 0)
            next++;
    }
}

static void test_waiting(struct shared *shared)
{
    begin_phase("waiting");
    struct exo_message message;
    struct exo_wait_policy brief = {.spins = 10, .yields = 1, .sleeps = 1, .timeout_ns = 20000000};
    struct exo_wait_policy awake = {.spins = 10, .yields = 1, .timeout_ns = 2000000};
    struct exo_wait_policy of_peer = {
        .spins = 10, .yields = 1, .sleeps = 1, .peer = 1, .timeout_ns = UINT64_MAX};
    ring_init(shared, 1, EXO_RING_MPMC);
    double began = now_s();
    CHECK_SAME(exo_ring_pop_wait(&shared->ring, 0, &message, &brief), -ETIMEDOUT);
    CHECK(now_s() - began >= 0.02);
    CHECK_SAME(exo_ring_pop_wait(&shared->ring, 0, &message, &awake), -ETIMEDOUT);
    CHECK_SAME(exo_ring_push(&shared->ring, 0, 1, "a", 1), 0);
    CHECK_SAME(exo_ring_push(&shared->ring, 0, 1, "a", 1), 0);
    CHECK_SAME(exo_ring_push_wait(&shared->ring, 0, 1, "a", 1, &brief), -ETIMEDOUT);
    CHECK_SAME(exo_ring_pop(&shared->ring, 0, &message), 0);
    CHECK_SAME(exo_ring_pop(&shared->ring, 0, &message), 0);
    pid_t pid = fork_child();
    if (pid == 0) {
        be_alive(shared, 1);
        for (;;)
            pause();
    }
    while (get(&shared->ready) < 1)
        usleep(20);
    pid_t killer = fork_child();
    if (killer == 0) {
        usleep(50000);
        kill(pid, SIGKILL);
        _exit(0);
    }
    CHECK_SAME(exo_ring_pop_wait(&shared->ring, 0, &message, &of_peer), -EPIPE);
    CHECK_SAME(reap(pid), 128 + SIGKILL);
    CHECK_SAME(reap(killer), 0);
}

int main(void)
{
    begin(20);
    struct shared *shared = map_shared(sizeof(struct shared));
    for (size_t i = 0; i < COUNT(kinds); i++) {
        begin_phase("limits");
        test_limits(shared, kinds[i]);
        test_batches(shared, kinds[i]);
        test_successors(shared, kinds[i]);
    }
    test_threads(shared, EXO_RING_SPSC, 1, 1);
    test_threads(shared, EXO_RING_MPSC, 3, 1);
    test_threads(shared, EXO_RING_MPMC, 2, 2);
    test_threads(shared, EXO_RING_MPMC, 1, 3);
    test_waiting(shared);
    test_batch_repair(shared);
    for (uint32_t batch = 1; batch <= BATCH; batch += BATCH - 1)
        printf("%d killed, batches of %u\n", test_killed_anywhere(shared, batch), batch);
    return 0;
}
