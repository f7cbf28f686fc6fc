/* splice(2), tee(2), vmsplice(2) and what fcntl(2) says of a pipe's size and packets: how much is moved, what
 * is full then, what is refused, and who waits.
 */
#include "pipes.h"

#include <sys/uio.h>

#define NOW SPLICE_F_NONBLOCK

static char bytes[1 << 17], got[1 << 17];

/* A call's result, how much is in both, and how much more fits into the second. */
static void say(const char *what, long result, const int *from, const int *to)
{
    printf("%s: %ld %s, %d and %d", what, result, result < 0 ? error_name(errno) : "",
           waiting(from[0]), waiting(to[0]));
    long room = 0, done;
    int flags = fcntl(to[1], F_GETFL);
    CHECK(fcntl(to[1], F_SETFL, flags | O_NONBLOCK) == 0);
    while ((done = write(to[1], bytes, 4096)) > 0)
        room += done;
    CHECK(fcntl(to[1], F_SETFL, flags) == 0);
    printf(", room %ld\n", room);
}

static bool same(int fd, long offset, long size)
{
    for (long sum = 0; sum < size;) {
        long done = read(fd, got, (size_t)(size - sum));
        if (done <= 0 || memcmp(got, bytes + offset + sum, (size_t)done) != 0)
            return false;
        sum += done;
    }
    return true;
}

static void between_pipes(bool tees)
{
    static const long writes[][3] = {
        {100, 0, 0}, {4096, 4096, 4096}, {5000, 3000, 9000}, {65536, 0, 0}, {1, 65000, 0}};
    static const size_t sizes[] = {1, 100, 4096, 5000, 10000, 65536, 1 << 20};
    for (size_t i = 0; i < sizeof(writes) / sizeof(writes[0]); i++) {
        for (size_t j = 0; j < sizeof(sizes) / sizeof(sizes[0]); j++) {
            int from[2], to[2];
            long all = 0;
            make(from, O_NONBLOCK);
            make(to, 0);
            for (int k = 0; k < 3 && writes[i][k] != 0; k++)
                all += write(from[1], bytes + all, (size_t)writes[i][k]);
            long done = tees ? tee(from[0], to[1], sizes[j], 0)
                             : splice(from[0], NULL, to[1], NULL, sizes[j], 0);
            say(tees ? "tee" : "splice", done, from, to);
            CHECK(same(to[0], 0, done));
            CHECK(same(from[0], tees ? 0 : done, tees ? all : all - done));
            CHECK(write(from[1], bytes, 7) == 7 && read(from[0], got, 8) == 7);
            shut(from);
            shut(to);
        }
    }
}

static void may_be_added_to(void)
{
    int from[2], to[2];
    make(from, O_NONBLOCK);
    make(to, O_NONBLOCK);
    CHECK(write(from[1], bytes, 100) == 100);
    say("whole", splice(from[0], NULL, to[1], NULL, 100, 0), from, to);
    CHECK(write(from[1], bytes, 100) == 100);
    while (read(to[0], got, sizeof(got)) > 0)
        ;
    say("part", splice(from[0], NULL, to[1], NULL, 50, 0), from, to);
    shut(from);
    shut(to);
    for (int part = 0; part < 2; part++) {
        make(from, O_NONBLOCK);
        make(to, O_NONBLOCK);
        CHECK(write(from[1], bytes, 100) == 100);
        CHECK(splice(from[0], NULL, to[1], NULL, part ? 60 : 100, 0) == (part ? 60 : 100));
        for (int i = 0; i < 15; i++)
            CHECK(write(to[1], bytes, 4096) == 4096);
        printf("behind it: %zd\n", write(to[1], bytes, 10));
        shut(from);
        shut(to);
    }
}

static void refused(void)
{
    int one[2], other[2], file = open("refused", O_RDWR | O_CREAT | O_TRUNC, 0600);
    off_t offset = 0;
    struct iovec vector = {bytes, 10};
    make(one, 0);
    make(other, 0);
    FAILS(splice(one[0], NULL, one[1], NULL, 10, NOW));
    FAILS(tee(one[0], one[1], 10, NOW));
    FAILS(splice(one[0], NULL, other[1], NULL, 10, NOW));
    FAILS(tee(one[0], other[1], 10, NOW));
    FAILS(splice(one[0], &offset, other[1], NULL, 10, NOW));
    FAILS(splice(one[0], NULL, other[1], &offset, 10, NOW));
    FAILS(splice(one[1], NULL, other[1], NULL, 10, NOW));
    FAILS(splice(one[0], NULL, other[0], NULL, 10, NOW));
    FAILS(tee(one[1], other[1], 10, NOW));
    FAILS(tee(one[0], file, 10, NOW));
    FAILS(tee(file, one[1], 10, NOW));
    FAILS(splice(one[0], NULL, other[1], NULL, 10, 64));
    FAILS(tee(one[0], other[1], 10, 64));
    FAILS(splice(-1, NULL, other[1], NULL, 10, NOW));
    FAILS(splice(one[0], NULL, 99, NULL, 10, NOW));
    FAILS(splice(99, NULL, 99, NULL, 0, NOW));
    FAILS(splice(one[0], NULL, one[1], NULL, 0, NOW));
    FAILS(splice(one[0], NULL, file, NULL, 10, NOW));
    FAILS(splice(file, NULL, one[1], NULL, 10, NOW));
    FAILS(splice(file, (void *)8, one[1], NULL, 10, NOW));
    offset = -1;
    FAILS(splice(file, &offset, one[1], NULL, 10, NOW));
    FAILS(vmsplice(one[0], &vector, 1, NOW));
    FAILS(vmsplice(file, &vector, 1, NOW));
    FAILS(vmsplice(one[1], &vector, 0, NOW));
    FAILS(vmsplice(one[1], &vector, 1, 64));
    FAILS(vmsplice(one[1], (void *)8, 1, NOW));
    vector.iov_base = (void *)8;
    FAILS(vmsplice(one[1], &vector, 1, NOW));
    int other_file = open("refused", O_RDWR | O_APPEND);
    CHECK(write(one[1], bytes, 10) == 10);
    FAILS(splice(one[0], NULL, other_file, NULL, 10, NOW));
    CHECK(waiting(one[0]) == 10);
    close(other_file);
    close(file);
    shut(one);
    shut(other);
}

static void files(void)
{
    static const off_t offsets[] = {0, 1, 4000, 4096, 70000, 100000};
    static const size_t sizes[] = {1, 4096, 8192, 65536, 1 << 20};
    int from = open("from", O_RDWR | O_CREAT | O_TRUNC, 0600);
    CHECK(write(from, bytes, 100000) == 100000);
    for (size_t i = 0; i < sizeof(offsets) / sizeof(offsets[0]); i++) {
        for (size_t j = 0; j < sizeof(sizes) / sizeof(sizes[0]); j++) {
            int fds[2], to = open("to", O_RDWR | O_CREAT | O_TRUNC, 0600);
            off_t offset = offsets[i], back = 3;
            make(fds, 0);
            long done = splice(from, &offset, fds[1], NULL, sizes[j], 0);
            printf("at %ld: %ld, %d waiting, now %ld\n", (long)offsets[i], done, waiting(fds[0]),
                   (long)offset);
            long out = done > 0 ? splice(fds[0], NULL, to, &back, sizes[j], 0) : 0;
            printf("to %ld, %ld left, at %ld\n", out, (long)waiting(fds[0]), (long)back);
            CHECK(pread(to, got, (size_t)out, 3) == out);
            CHECK(memcmp(got, bytes + offsets[i], (size_t)out) == 0);
            CHECK(lseek(from, offsets[i], SEEK_SET) == offsets[i]);
            done = splice(from, NULL, fds[1], NULL, sizes[j], NOW);
            say("where it stands", done, fds, fds);
            printf("stands at %ld\n", (long)lseek(from, 0, SEEK_CUR));
            out = splice(fds[0], NULL, to, NULL, 5000, NOW);
            printf("%ld written, stands at %ld\n", out, (long)lseek(to, 0, SEEK_CUR));
            close(to);
            shut(fds);
        }
    }
    close(from);
}

static void memory(void)
{
    static const size_t sizes[] = {1, 4096, 10000, 65536, 100000};
    for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
        int fds[2];
        char *pages = (char *)(((uintptr_t)bytes + 4095) & ~4095UL);
        struct iovec out[2] = {{pages + 100, sizes[i] < 100 ? 0 : 100}, {pages + 200, sizes[i]}};
        struct iovec in[2] = {{got, 50}, {got + 50, sizeof(got) - 50}};
        make(fds, 0);
        long done = vmsplice(fds[1], out, 2, 0);
        printf("vmsplice: %ld, %d waiting\n", done, waiting(fds[0]));
        CHECK(vmsplice(fds[0], in, 2, 0) == done);
        CHECK(memcmp(got + (sizes[i] < 100 ? 0 : 100), pages + 200, 1) == 0);
        done = vmsplice(fds[1], out, 2, NOW);
        say("again", done, fds, fds);
        FAILS(vmsplice(fds[1], out, 2, NOW));
        shut(fds);
    }
}

static void ends(void)
{
    int one[2], other[2], file = open("from", O_RDWR);
    struct iovec vector = {bytes, 10};
    make(one, 0);
    make(other, 0);
    CHECK(write(one[1], bytes, 10) == 10);
    close(other[0]);
    FAILS(splice(one[0], NULL, other[1], NULL, 10, 0));
    FAILS(tee(one[0], other[1], 10, 0));
    FAILS(splice(file, NULL, other[1], NULL, 10, 0));
    FAILS(vmsplice(other[1], &vector, 1, 0));
    printf("%d signals, %d waiting\n", (int)signals, waiting(one[0]));
    signals = 0;
    close(other[1]);
    make(other, 0);
    close(one[1]);
    printf("%zd, then %zd\n", splice(one[0], NULL, other[1], NULL, 100, 0),
           splice(one[0], NULL, other[1], NULL, 100, 0));
    printf("%zd, %zd, %zd\n", tee(one[0], other[1], 100, 0),
           splice(one[0], NULL, file, NULL, 100, 0), vmsplice(one[0], &vector, 1, 0));
    close(one[0]);
    shut(other);
    close(file);
}

/* The child writes late, or reads late. */
static void waits(void)
{
    int one[2], other[2];
    make(one, 0);
    make(other, 0);
    pid_t parent = getpid(), child = fork();
    if (child == 0) {
        until_asleep(parent, parent);
        CHECK(write(one[1], bytes, 5000) == 5000);
        until_asleep(parent, parent);
        _exit(read(other[0], got, 5000) == 5000 ? 0 : 1);
    }
    long done = splice(one[0], NULL, other[1], NULL, 70000, 0);
    printf("waited for bytes: %s\n", done > 0 ? "some" : "none");
    while (done < 5000)
        done += splice(one[0], NULL, other[1], NULL, 70000, 0);
    for (int i = 0; i < 14; i++)
        CHECK(write(other[1], bytes, 4096) == 4096);
    CHECK(write(one[1], bytes, 10) == 10);
    printf("waited for room: %zd\n", splice(one[0], NULL, other[1], NULL, 70000, 0));
    CHECK(reap(child) == 0);
    shut(one);
    shut(other);
}

static void interrupted(void)
{
    int one[2], other[2];
    make(one, 0);
    make(other, 0);
    signals = 0;
    alarm(1);
    FAILS(splice(one[0], NULL, other[1], NULL, 10, 0));
    printf("%d signals\n", (int)signals);
    shut(one);
    shut(other);
}

static void sizes(void)
{
    static const int wanted[] = {0,     1,      4096,    5000,    8192, 65536,
                                 65537, 100000, 1 << 19, 1 << 20, -1};
    int fds[2];
    make(fds, O_NONBLOCK);
    for (size_t i = 0; i < sizeof(wanted) / sizeof(wanted[0]); i++) {
        int made = fcntl(fds[i % 2], F_SETPIPE_SZ, wanted[i]);
        printf("%d: %d %s, %d", wanted[i], made, made < 0 ? error_name(errno) : "",
               fcntl(fds[1 - i % 2], F_GETPIPE_SZ));
        long sum = 0, done;
        while ((done = write(fds[1], bytes, 5000)) > 0)
            sum += done;
        printf(", holds %ld", sum);
        FAILS(fcntl(fds[0], F_SETPIPE_SZ, 4096));
        CHECK(fcntl(fds[0], F_SETPIPE_SZ, 1 << 20) == 1 << 20);
        CHECK(same(fds[0], 0, 5000 < sum ? 5000 : sum));
        while (read(fds[0], got, sizeof(got)) > 0)
            ;
    }
    shut(fds);
}

static void packets(void)
{
    int fds[2], other[2];
    make(fds, O_DIRECT | O_NONBLOCK);
    make(other, O_NONBLOCK);
    CHECK(write(fds[1], bytes, 10) == 10 && write(fds[1], bytes, 20) == 20);
    CHECK(write(fds[1], bytes, 5000) == 5000);
    printf("%d waiting:", waiting(fds[0]));
    printf(" %zd", read(fds[0], got, 5));
    printf(" %zd", read(fds[0], got, 100));
    printf(" %zd", read(fds[0], got, sizeof(got)));
    printf(" %zd", read(fds[0], got, sizeof(got)));
    printf(" %zd\n", read(fds[0], got, sizeof(got)));
    int count = 0;
    while (write(fds[1], bytes, 1) == 1)
        count++;
    printf("%d packets, direct %d\n", count, (fcntl(fds[1], F_GETFL) & O_DIRECT) != 0);
    printf("%zd spliced:", splice(fds[0], NULL, other[1], NULL, 3, 0));
    printf(" %zd", read(other[0], got, 100));
    printf(" %zd\n", read(other[0], got, 100));
    CHECK(fcntl(fds[1], F_SETFL, O_NONBLOCK) == 0);
    CHECK(write(fds[1], bytes, 1) == 1 && write(fds[1], bytes, 1) == 1);
    CHECK(fcntl(other[1], F_SETFL, O_NONBLOCK | O_DIRECT) == 0);
    CHECK(write(other[1], bytes, 7) == 7 && write(other[1], bytes, 8) == 8);
    printf("made so: %zd\n", read(other[0], got, 100));
    shut(fds);
    shut(other);
}

int main(void)
{
    struct sigaction action = {.sa_handler = count_signal};
    sigaction(SIGPIPE, &action, NULL);
    sigaction(SIGALRM, &action, NULL);
    for (size_t i = 0; i < sizeof(bytes); i++)
        bytes[i] = (char)(i * 7 + (i >> 8));
    between_pipes(false);
    between_pipes(true);
    may_be_added_to();
    refused();
    files();
    memory();
    ends();
    waits();
    interrupted();
    sizes();
    packets();
    return finish();
}
