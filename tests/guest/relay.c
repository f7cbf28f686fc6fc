/* Relays: what is read from one pipe and written from the same memory to another one. Whatever happens in between,
 * to the memory, to the pipes and to who has them, the bytes are those that write(2) finds, and pipes are as full and
 * give as much as on any Linux.
 */
#include "pipes.h"

#include <sys/mman.h>

#define PAGE 4096
#define ALL 65536
#define STREAM (24L << 20)

static char bytes[ALL], got[2 * ALL], kept[3 * ALL];
static uint32_t number;

/* Other bytes each time. */
static void renew(void)
{
    number++;
    for (uint32_t i = 0; i < ALL / 4; i++)
        ((uint32_t *)bytes)[i] = number * 65599 + i * 31;
}

/* Much has gone through it. */
static void make_busy(int fds[2])
{
    make(fds, 0);
    for (int i = 0; i < 40; i++) {
        renew();
        CHECK(write(fds[1], bytes, ALL) == ALL && read(fds[0], got, ALL) == ALL);
        CHECK(memcmp(bytes, got, ALL) == 0);
    }
}

static void check_there(int fd, const char *expected, long size)
{
    static char there[ALL];
    for (long at = 0; at < size;) {
        long done = read(fd, there + at, (size_t)(size - at));
        CHECK(done > 0);
        if (done <= 0)
            return;
        at += done;
    }
    CHECK(memcmp(there, expected, (size_t)size) == 0);
}

static long fill_from(const int *from, char *buffer, size_t size)
{
    renew();
    CHECK(write(from[1], bytes, ALL) == ALL);
    return read(from[0], buffer, size);
}

/* How much more fits, by pages. */
static void say_room(const char *what, const int *fds)
{
    long room = 0, done;
    int there = waiting(fds[0]), flags = fcntl(fds[1], F_GETFL);
    CHECK(fcntl(fds[1], F_SETFL, flags | O_NONBLOCK) == 0);
    while ((done = write(fds[1], got, PAGE)) > 0)
        room += done;
    CHECK(fcntl(fds[1], F_SETFL, flags) == 0);
    printf("%s: %d there, room for %ld\n", what, there, room);
}

static void by_sizes(void)
{
    static const size_t reads[] = {ALL, 5 * PAGE, 3 * PAGE + 7, 100};
    static const size_t shifts[] = {0, 1, PAGE, PAGE + 64};
    int from[2];
    make_busy(from);
    for (int i = 0; i < 4; i++)
        for (int j = 0; j < 4; j++) {
            int to[2];
            make(to, 0);
            long size = fill_from(from, got + i * 8, reads[i]);
            CHECK(size == (long)reads[i]);
            long part = size > (long)shifts[j] ? size - (long)shifts[j] : 0;
            CHECK(write(to[1], got + i * 8 + shifts[j], (size_t)part) == part);
            say_room("sizes", to);
            check_there(to[0], bytes + shifts[j], part);
            check_there(from[0], bytes + size, ALL - size);
            shut(to);
        }
    shut(from);
}

/* A byte is changed, the first, the last, one of each page; the same is written twice, and to two. */
static void changed(void)
{
    static const long places[] = {0, ALL - 1, 5 * PAGE, 5 * PAGE + 4095, 77};
    int from[2], to[2], other[2];
    make_busy(from);
    make(to, 0);
    make(other, 0);
    for (int i = 0; i < 5; i++) {
        CHECK(fill_from(from, got, ALL) == ALL);
        got[places[i]] ^= 0x40;
        CHECK(write(to[1], got, ALL) == ALL);
        got[places[i]] ^= 0x40;
        CHECK(write(other[1], got, ALL) == ALL);
        check_there(other[0], bytes, ALL);
        bytes[places[i]] ^= 0x40;
        check_there(to[0], bytes, ALL);
    }
    for (int i = 0; i < 20; i++) {
        CHECK(fill_from(from, got, ALL) == ALL);
        CHECK(write(to[1], got, ALL) == ALL && write(other[1], got, ALL) == ALL);
        memset(got, i, ALL); /* what is in the pipes stays as it was */
        memcpy(kept, bytes, PAGE);
        for (int j = 0; j < 6; j++) {
            fill_from(from, got + ALL, ALL);
            CHECK(memcmp(got + ALL, bytes, ALL) == 0);
        }
        check_there(to[0], kept, PAGE);
        check_there(other[0], kept, PAGE);
        CHECK(read(to[0], got, ALL) == ALL - PAGE && read(other[0], got, ALL) == ALL - PAGE);
    }
    shut(from);
    shut(to);
    shut(other);
}

/* Memory that is not there any more, or may only be read. */
static void memory_gone(void)
{
    int from[2], to[2];
    make_busy(from);
    for (int i = 0; i < 3; i++) {
        make(to, 0);
        char *memory = mmap(NULL, ALL, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        CHECK(fill_from(from, memory, ALL) == ALL);
        if (i == 0)
            munmap(memory + 5 * PAGE, PAGE);
        else
            mprotect(memory + (i - 1) * 5 * PAGE, ALL - (i - 1) * 5 * PAGE, i == 1 ? PROT_READ : PROT_NONE);
        long done = write(to[1], memory, ALL);
        printf("gone %d: %ld\n", i, done);
        say_room("gone", to);
        check_there(to[0], bytes, done);
        FAILS(write(to[1], memory + 5 * PAGE, i == 1 ? 0 : PAGE));
        munmap(memory, ALL);
        shut(to);
    }
    shut(from);
}

/* Full pipes, packets, large pipes, and what fcntl(2) says. */
static void modes(void)
{
    int from[2], to[2];
    make_busy(from);
    make(to, O_NONBLOCK);
    CHECK(write(to[1], bytes, 3 * PAGE + 10) == 3 * PAGE + 10);
    CHECK(fill_from(from, got, ALL) == ALL);
    printf("full: %ld\n", (long)write(to[1], got, ALL));
    FAILS(write(to[1], got, PAGE));
    shut(to);
    make(to, O_DIRECT);
    CHECK(fill_from(from, got, ALL) == ALL && write(to[1], got, 3 * PAGE) == 3 * PAGE);
    printf("packets: %ld\n", (long)read(to[0], got, ALL));
    shut(to);
    make(to, 0);
    CHECK(fcntl(to[1], F_SETPIPE_SZ, 4 * ALL) == 4 * ALL);
    for (int i = 0; i < 3; i++) {
        CHECK(fill_from(from, got, ALL) == ALL && write(to[1], got, ALL) == ALL);
        memcpy(kept + i * ALL, bytes, ALL);
    }
    check_there(to[0], kept, 5 * PAGE);
    say_room("large", to);
    CHECK(fcntl(from[1], F_SETPIPE_SZ, 16 * ALL) == 16 * ALL);
    say_room("larger", from);
    CHECK(read(from[0], got, ALL) == ALL);
    shut(from);
    check_there(to[0], kept + 5 * PAGE, 11 * PAGE);
    check_there(to[0], kept + ALL, ALL);
    printf("left: %d\n", waiting(to[0]));
    shut(to);
}

/* The first pipe goes, the second becomes the host's, is teed and spliced from. */
static void afterwards(void)
{
    int from[2], to[2], third[2];
    char name[64];
    for (int i = 0; i < 4; i++) {
        make_busy(from);
        make(to, 0);
        make(third, 0);
        CHECK(fill_from(from, got, ALL) == ALL && write(to[1], got, ALL) == ALL);
        memcpy(kept, bytes, ALL);
        shut(from);
        make_busy(from); /* may get what the other one had */
        snprintf(name, sizeof(name), "/proc/self/fd/%d", to[0]);
        int opened = i == 0 ? open(name, O_RDONLY) : -1;
        if (i == 1)
            CHECK(tee(to[0], third[1], ALL, 0) == ALL);
        if (i == 2)
            CHECK(splice(to[0], NULL, third[1], NULL, ALL, 0) == ALL);
        printf("afterwards: %d and %d\n", waiting(to[0]), waiting(third[0]));
        if (i == 1 || i == 2)
            check_there(third[0], kept, ALL);
        if (i != 2)
            check_there(i == 0 ? opened : to[0], kept, ALL);
        close(opened);
        shut(from);
        shut(to);
        shut(third);
    }
}

static uint64_t sum_of(uint64_t sum, const char *data, long size)
{
    for (long i = 0; i < size; i++)
        sum = (sum ^ (uint8_t)data[i]) * 1099511628211U;
    return sum;
}

static void write_stream(int to)
{
    for (long sent = 0; sent < STREAM; sent += ALL) {
        renew();
        CHECK(write(to, bytes, ALL) == ALL);
    }
}

/* Some of it is changed by the way, always the same. */
static void relay(int from, int to, long every)
{
    long sum = 0;
    for (long done; (done = read(from, got, sizeof(got))) > 0; sum += done) {
        long next = (sum + every - 1) / every * every;
        for (; next < sum + done; next += every)
            got[next - sum] ^= 1;
        for (long at = 0, part; at < done; at += part)
            if ((part = write(to, got + at, (size_t)(done - at))) <= 0)
                _exit(1);
    }
}

static void chain(long every)
{
    int a[2], b[2], c[2];
    make(a, 0);
    make(b, 0);
    make(c, 0);
    pid_t pids[3];
    for (int i = 0; i < 3; i++)
        if ((pids[i] = fork()) == 0) {
            close(i == 0 ? c[1] : a[1]);
            close(i == 1 ? c[1] : b[1]);
            if (i == 0)
                close(b[1]), close(a[0]), number = 7, write_stream(a[1]);
            else if (i == 1)
                close(c[1]), relay(a[0], b[1], every);
            else
                close(a[1]), relay(b[0], c[1], every * 3);
            _exit(failures);
        }
    close(a[0]), close(a[1]), close(b[0]), close(b[1]), close(c[1]);
    uint64_t sum = 14695981039346656037U;
    long size = 0;
    for (long done; (done = read(c[0], got, sizeof(got))) > 0; size += done)
        sum = sum_of(sum, got, done);
    for (int i = 0; i < 3; i++)
        CHECK(reap(pids[i]) == 0);
    printf("stream: %ld bytes, %016llx\n", size, (unsigned long long)sum);
    close(c[0]);
}

int main(void)
{
    by_sizes();
    changed();
    memory_gone();
    modes();
    afterwards();
    chain(STREAM + 1);
    chain(1000003);
    return finish();
}
