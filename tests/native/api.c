/* The native API: pipes in all their orders and ends, kills included; channels, spawn, batches. */
#include "setup.h"

#include <errno.h>
#include <exo/api.h>
#include <fcntl.h>
#include <poll.h>
#include <sys/ioctl.h>

#define BYTES (4UL << 20)
#define ROUNDS 40
#define ROUNDS_S 4.0

static int ends[2];

/* Forks; the child keeps libc's robust list, and dies with its parent. */
static pid_t fork_plain(void)
{
    pid_t parent = getpid(), pid = fork();
    CHECK(pid >= 0);
    if (pid == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        if (getppid() != parent)
            _exit(1);
    }
    return pid;
}

/* Byte number n of every stream. */
static uint8_t byte_at(uint64_t n)
{
    return (uint8_t)(n * 2654435761U >> 13);
}

static void send_bytes(uint64_t from, uint64_t count, uint64_t *chance, uint32_t largest)
{
    static uint8_t data[1 << 17];
    for (uint64_t done = 0; done < count;) {
        uint64_t size = 1 + random_below(chance, largest);
        size = size < count - done ? size : count - done;
        for (uint64_t i = 0; i < size; i++)
            data[i] = byte_at(from + done + i);
        CHECK_SAME(exo_write(ends[1], data, size), size);
        done += size;
    }
}

/* Until the end: how many there were. */
static uint64_t check_bytes(uint64_t from, uint64_t *chance, uint32_t largest)
{
    static uint8_t data[1 << 17];
    uint64_t count = from;
    for (;;) {
        ssize_t size = exo_read(ends[0], data, 1 + random_below(chance, largest));
        CHECK(size >= 0);
        if (size == 0)
            return count - from;
        for (ssize_t i = 0; i < size; i++)
            CHECK_SAME(data[i], byte_at(count + (uint64_t)i));
        count += (uint64_t)size;
    }
}

static void make(void)
{
    CHECK_SAME(exo_pipe(ends), 0);
}

static void test_one_process(void)
{
    uint64_t chance = 3;
    begin_phase("one process");
    make();
    char data[100];
    CHECK_SAME(exo_write(ends[1], "", 0), 0);
    CHECK_SAME(exo_write(ends[0], "a", 1), -1);
    CHECK_SAME(errno, EBADF);
    CHECK_SAME(exo_read(ends[1], data, 1), -1);
    CHECK_SAME(errno, EBADF);
    for (uint64_t i = 0; i < 5000; i++) {
        send_bytes(i * 50, 50, &chance, 50);
        CHECK_SAME(exo_read(ends[0], data, 100), 50);
        CHECK_SAME((uint8_t)data[49], byte_at(i * 50 + 49));
    }
    CHECK_SAME(exo_close(ends[1]), 0);
    CHECK_SAME(exo_read(ends[0], data, 100), 0);
    CHECK_SAME(exo_close(ends[0]), 0);
    CHECK_SAME(exo_close(ends[0]), -1);
    CHECK_SAME(errno, EBADF);
}

static void test_stream(uint32_t writes, uint32_t reads, bool child_writes)
{
    uint64_t chance = writes + reads;
    make();
    pid_t child = fork_plain();
    bool writer = (child == 0) == child_writes;
    CHECK_SAME(exo_close(ends[!writer]), 0);
    if (writer)
        send_bytes(0, BYTES, &chance, writes);
    else
        CHECK_SAME(check_bytes(0, &chance, reads), BYTES);
    CHECK_SAME(exo_close(ends[writer]), 0);
    if (child == 0)
        _exit(0);
    CHECK_SAME(reap(child), 0);
}

static void test_streams(void)
{
    static const uint32_t sizes[] = {60, 4096, 100000};
    for (size_t i = 0; i < COUNT(sizes); i++)
        for (size_t j = 0; j < COUNT(sizes); j++) {
            begin_phase("streams");
            test_stream(sizes[i], sizes[j], (i + j) & 1);
        }
}

/* Lines of several writers stay whole, up to PIPE_BUF, and in each one's order. */
static void test_writers(void)
{
    enum { WRITERS = 3, LINES = 4000, LINE = 40 };
    pid_t children[WRITERS];
    uint32_t next[WRITERS] = {0}, line[LINE / 4];
    begin_phase("writers");
    make();
    for (uint32_t w = 0; w < WRITERS; w++) {
        if ((children[w] = fork_plain()) != 0)
            continue;
        for (uint32_t i = 0; i < LINES; i++) {
            for (size_t k = 0; k < COUNT(line); k += 2) {
                line[k] = w;
                line[k + 1] = i;
            }
            CHECK_SAME(exo_write(ends[1], line, LINE), LINE);
        }
        _exit(0);
    }
    exo_close(ends[1]);
    for (int i = 0; i < WRITERS * LINES; i++) {
        for (ssize_t done = 0, more; done < LINE; done += more)
            CHECK((more = exo_read(ends[0], (char *)line + done, (size_t)(LINE - done))) > 0);
        CHECK(line[0] < WRITERS);
        for (size_t k = 2; k < COUNT(line); k++)
            CHECK_SAME(line[k], line[k - 2]);
        CHECK_SAME(line[1], next[line[0]]++);
    }
    CHECK_SAME(exo_read(ends[0], line, 1), 0);
    exo_close(ends[0]);
    for (int w = 0; w < WRITERS; w++)
        CHECK_SAME(reap(children[w]), 0);
}

/* Each byte goes to one of several readers. */
static void test_readers(void)
{
    enum { READERS = 3, COUNT_ = 60000 };
    pid_t children[READERS];
    uint64_t *sum = map_shared(4096), expected = 0;
    begin_phase("readers");
    make();
    for (int r = 0; r < READERS; r++) {
        if ((children[r] = fork_plain()) != 0)
            continue;
        uint8_t data[64];
        exo_close(ends[1]);
        for (ssize_t size; (size = exo_read(ends[0], data, sizeof(data))) > 0;)
            for (ssize_t i = 0; i < size; i++)
                __atomic_fetch_add(sum, data[i], __ATOMIC_RELAXED);
        _exit(0);
    }
    exo_close(ends[0]);
    for (uint64_t i = 0; i < COUNT_; i++) {
        uint8_t data = byte_at(i);
        expected += data;
        CHECK_SAME(exo_write(ends[1], &data, 1), 1);
    }
    exo_close(ends[1]);
    for (int r = 0; r < READERS; r++)
        CHECK_SAME(reap(children[r]), 0);
    CHECK_SAME(*sum, expected);
    munmap(sum, 4096);
}

/* Whoever writes behind the reader's end is told, however that has come. */
static void test_no_reader(bool killed)
{
    char data[64] = {0};
    make();
    pid_t child = fork_plain();
    if (child == 0) {
        exo_close(ends[1]);
        for (int i = 0; i < 1000; i++)
            if (exo_read(ends[0], data, sizeof(data)) <= 0)
                _exit(1);
        if (killed)
            raise(SIGKILL);
        exo_close(ends[0]);
        _exit(0);
    }
    exo_close(ends[0]);
    for (int i = 0; i < 1000; i++)
        if (exo_write(ends[1], data, sizeof(data)) < 0)
            break;
    int end = reap(child); /* from now on there is none */
    CHECK(end == 0 || end == 128 + SIGKILL);
    CHECK_SAME(exo_write(ends[1], data, 1), -1);
    CHECK_SAME(errno, EPIPE);
    exo_close(ends[1]);
}

static void on_signal(int signal UNUSED) {}

static void test_interrupted(void)
{
    char data[8];
    begin_phase("interrupted");
    make();
    struct sigaction action = {.sa_handler = on_signal};
    sigaction(SIGUSR1, &action, NULL);
    pid_t child = fork_plain();
    if (child == 0) {
        for (;;) { /* until the parent says that it has been */
            kill(getppid(), SIGUSR1);
            struct pollfd look = {.fd = ends[0], .events = POLLIN};
            if (poll(&look, 1, 1) == 1)
                _exit(0);
        }
    }
    CHECK_SAME(exo_read(ends[0], data, sizeof(data)), -1);
    CHECK_SAME(errno, EINTR);
    CHECK_SAME(write(ends[1], "", 1), 1);
    CHECK_SAME(reap(child), 0);
    exo_close(ends[0]);
    exo_close(ends[1]);
}

/* A writer is killed: what has come is what it has sent, in order, and then there is the end. */
static void test_killed_writer(uint64_t *chance)
{
    make();
    pid_t child = fork_plain();
    uint64_t mine = *chance;
    if (child == 0) {
        exo_close(ends[0]);
        for (uint64_t n = 0;; n += 6000)
            send_bytes(n, 6000, &mine, 3000);
    }
    exo_close(ends[1]);
    uint8_t data[4096];
    uint64_t count = 0, limit = 10000 + random_below(chance, 400000);
    while (count < limit) {
        ssize_t size = exo_read(ends[0], data, 1 + random_below(chance, 4000));
        CHECK(size > 0);
        CHECK_SAME(data[0], byte_at(count));
        count += (uint64_t)size;
    }
    CHECK(kill(child, SIGKILL) == 0);
    check_bytes(count, chance, 4000);
    CHECK_SAME(reap(child), 128 + SIGKILL);
    exo_close(ends[0]);
}

/* A reader is killed: another one goes on, and gets all from somewhere on. */
static void test_killed_reader(uint64_t *chance)
{
    make();
    uint8_t data[2000];
    pid_t child = fork_plain();
    if (child == 0) {
        exo_close(ends[1]);
        for (;;)
            exo_read(ends[0], data, sizeof(data));
    }
    pid_t writer = fork_plain();
    uint64_t total = 100000 + random_below(chance, 400000);
    if (writer == 0) {
        exo_close(ends[0]);
        send_bytes(0, total, chance, 3000);
        for (int i = 0; i < 256; i++) /* the end can be told */
            CHECK_SAME(exo_write(ends[1], "end.", 4), 4);
        _exit(0);
    }
    exo_close(ends[1]);
    for (uint32_t i = random_below(chance, 2000); i > 0; i--)
        sched_yield();
    kill(child, SIGKILL);
    CHECK_SAME(reap(child), 128 + SIGKILL);
    ssize_t size;
    uint8_t last = 0;
    while ((size = exo_read(ends[0], data, sizeof(data))) > 0)
        last = data[size - 1];
    CHECK_SAME(size, 0);
    CHECK(last == '.' || last == 0);
    CHECK_SAME(reap(writer), 0);
    exo_close(ends[0]);
}

static void test_kills(void)
{
    uint64_t chance = 1;
    double end_s = now_s() + ROUNDS_S;
    for (int i = 0; i < ROUNDS && now_s() < end_s; i++) {
        begin_phase("killed writer");
        test_killed_writer(&chance);
        begin_phase("killed reader");
        test_killed_reader(&chance);
        begin_phase("no reader");
        test_no_reader(i & 1);
    }
}

static void *read_in_thread(void *count)
{
    uint64_t chance = 9;
    *(uint64_t *)count = check_bytes(0, &chance, 3000);
    return NULL;
}

static void test_threads(void)
{
    pthread_t reader;
    uint64_t chance = 5, count = 0;
    begin_phase("threads");
    make();
    CHECK_SAME(pthread_create(&reader, NULL, read_in_thread, &count), 0);
    send_bytes(0, BYTES, &chance, 3000);
    exo_close(ends[1]);
    CHECK_SAME(pthread_join(reader, NULL), 0);
    CHECK_SAME(count, BYTES);
    exo_close(ends[0]);
}

/* However many are made, nothing stays. */
static void test_many(void)
{
    begin_phase("many");
    for (int i = 0; i < 3000; i++) {
        make();
        char byte;
        for (int k = 0; k < 4; k++) {
            CHECK_SAME(exo_write(ends[1], "x", 1), 1);
            CHECK_SAME(exo_read(ends[0], &byte, 1), 1);
        }
        exo_close(ends[i & 1]);
        exo_close(ends[!(i & 1)]);
    }
    uint64_t lines = 0;
    FILE *maps = fopen("/proc/self/maps", "r");
    for (int c; (c = getc(maps)) != EOF;)
        lines += c == '\n';
    fclose(maps);
    CHECK(lines < 1000);
}

static void test_channel_and_spawn(void)
{
    struct exo_chan *channel;
    char got[9000] = {0};
    begin_phase("channel and spawn");
    CHECK_SAME(exo_chan_create(&channel, 3, 0, 0), -EINVAL);
    CHECK_SAME(exo_chan_create(&channel, 4, 8192, 2), 0);
    CHECK_SAME(exo_chan_receive(channel, got, sizeof(got), 0), -EAGAIN);
    CHECK_SAME(exo_chan_receive(channel, got, sizeof(got), 1000), -ETIMEDOUT);
    CHECK_SAME(exo_chan_send(channel, "small", 6, 0), 0);
    CHECK_SAME(exo_chan_send(channel, got, 8192, 0), 0);
    CHECK_SAME(exo_chan_send(channel, got, 8193, 0), -EMSGSIZE);
    CHECK_SAME(exo_chan_receive(channel, got, 3, 0), 6);
    CHECK_SAME(exo_chan_receive(channel, got, sizeof(got), 0), 8192);
    exo_chan_close(channel);
    int fds[2];
    CHECK_SAME(pipe2(fds, O_CLOEXEC), 0);
    struct exo_spawn_fd list[] = {{fds[1], 1}};
    pid_t pid = exo_spawn("echo", (char *[]){"echo", "said", NULL}, NULL, list, 1);
    CHECK(pid > 0);
    close(fds[1]);
    CHECK_SAME(exo_spawn_wait(pid), 0);
    CHECK_SAME(exo_spawn_wait(pid), -ECHILD);
    CHECK_SAME(read(fds[0], got, sizeof(got)), 5);
    CHECK_SAME(exo_spawn("/nonesuch", (char *[]){"x", NULL}, NULL, NULL, 0), -ENOENT);
    close(fds[0]);
}

static void test_batches(void)
{
    static struct exo_batch batch;
    static char large[EXO_API_BATCH + 10], got[2 * EXO_API_BATCH];
    int fds[2], bytes;
    begin_phase("batches");
    CHECK_SAME(pipe(fds), 0);
    exo_batch_begin(&batch, fds[1]);
    CHECK_SAME(exo_batch_write(&batch, "first", 5), 5); /* nobody waits for what follows */
    CHECK_SAME(read(fds[0], got, sizeof(got)), 5);
    for (int i = 0; i < 1000; i++)
        CHECK_SAME(exo_batch_write(&batch, "abc", 3), 3);
    double until_s = now_s() + 2e-9 * EXO_API_BATCH_NS;
    while (now_s() < until_s)
        ;
    CHECK_SAME(exo_batch_write(&batch, "old", 3), 3); /* takes what waits along */
    CHECK_SAME(ioctl(fds[0], FIONREAD, &bytes), 0);
    CHECK_SAME(bytes, 3003);
    CHECK_SAME(exo_batch_write(&batch, large, sizeof(large)), sizeof(large));
    CHECK_SAME(exo_batch_write(&batch, "last", 4), 4);
    CHECK_SAME(exo_batch_flush(&batch), 0);
    CHECK_SAME(read(fds[0], got, 3003), 3003);
    CHECK(memcmp(got + 2997, "abcold", 6) == 0);
    CHECK_SAME(read(fds[0], got, sizeof(got)), sizeof(large) + 4);
    struct iovec parts[] = {{"one", 3}, {"", 0}, {"two", 3}};
    CHECK_SAME(exo_write_parts(fds[1], parts, 3), 0);
    CHECK_SAME(read(fds[0], got, sizeof(got)), 6);
    close(fds[0]);
    CHECK_SAME(exo_batch_write(&batch, large, sizeof(large)), -EPIPE);
    close(fds[1]);
}

int main(void)
{
    begin(100);
    signal(SIGPIPE, SIG_IGN);
    test_one_process();
    test_streams();
    test_writers();
    test_readers();
    test_interrupted();
    test_kills();
    test_many();
    test_batches();
    test_channel_and_spawn();
    test_threads();
    return 0;
}
