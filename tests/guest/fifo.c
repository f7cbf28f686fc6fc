/* fifo(7): what is in one and who is told: ends that come and go, poll, select, epoll, many at both ends. */
#include "fifos.h"

#include <poll.h>
#include <sys/epoll.h>
#include <sys/select.h>

static int state(int fd)
{
    struct pollfd poll_fd = {fd, POLLIN | POLLOUT | POLLRDHUP | POLLPRI, 0};
    CHECK(poll(&poll_fd, 1, 0) == (poll_fd.revents != 0));
    return poll_fd.revents;
}

static int selected(int fd)
{
    fd_set in, out;
    struct timeval now = {0, 0};
    FD_ZERO(&in);
    FD_ZERO(&out);
    FD_SET(fd, &in);
    FD_SET(fd, &out);
    select(fd + 1, &in, &out, NULL, &now);
    return FD_ISSET(fd, &in) * 10 + FD_ISSET(fd, &out);
}

static void show(const char *when, int a, int b)
{
    printf("%s: %x %x, %02d %02d\n", when, state(a), state(b), selected(a), selected(b));
}

/* POLLHUP comes to who has seen a writer; others are told nothing. */
static void states(void)
{
    int reads = reader(O_NONBLOCK);
    show("alone", reads, reads);
    printf("read %zd\n", read(reads, got, 1));
    int writes = writer(O_NONBLOCK);
    show("both", reads, writes);
    FAILS(read(reads, got, 1));
    CHECK(write(writes, "x", 1) == 1);
    show("a byte", reads, writes);
    close(writes);
    show("without a writer", reads, reads);
    int late = reader(O_NONBLOCK);
    show("a late one", reads, late);
    CHECK(read(late, got, 10) == 1);
    show("and empty", reads, late);
    printf("read %zd", read(reads, got, 1));
    printf(" %zd\n", read(late, got, 1));
    writes = writer(O_NONBLOCK);
    show("a new writer", reads, late);
    long sum = 0, done;
    while ((done = write(writes, bytes, 5000)) > 0)
        sum += done;
    printf("full with %ld\n", sum);
    show("full", reads, writes);
    close(late);
    close(reads);
    show("without a reader", writes, writes);
    signal(SIGPIPE, count_signal);
    FAILS(write(writes, "x", 1));
    printf("signals %d, nothing: %zd\n", (int)signals, write(writes, "x", 0));
    reads = reader(O_NONBLOCK);
    show("a new reader", reads, writes);
    printf("what was left: %d\n", waiting(reads));
    close(writes);
    for (sum = 0; (done = read(reads, got, sizeof(got))) > 0; sum += done)
        ;
    printf("read %ld, then %zd\n", sum, done);
    writes = writer(0);
    CHECK(write(writes, "lost", 4) == 4);
    shut_all();
    reads = reader(0);
    printf("after all have gone: %zd\n", read(reads, got, 10));
    shut_all();
}

/* The end of one writer, then data of the next. */
static void turns(void)
{
    int reads = reader(0);
    for (int i = 0; i < 5; i++) {
        pid_t child = fork();
        if (child == 0) {
            int fd = open("line", O_WRONLY);
            _exit(write(fd, bytes, 1000 + i) != 1000 + i);
        }
        CHECK(reap(child) == 0);
        printf("turn %d: %zd", i, read(reads, got, sizeof(got)));
        printf(" %zd\n", read(reads, got, 1));
    }
    shut_all();
}

/* Asleep in poll, select, epoll and read: a first writer, its data, its end. */
static void asleep(void)
{
    static const char *const hows[] = {"read", "poll", "select", "epoll", "edge"};
    for (int how = 0; how < 5; how++) {
        int reads = reader(0), result = -1, told[2] = {-1, -1};
        int keeps = writer(0);
        pid_t child = fork();
        if (child == 0) {
            close(reads);
            until_asleep(getppid(), getppid());
            CHECK(write(keeps, "data", 4) == 4);
            until_asleep(getppid(), getppid());
            _exit(0);
        }
        close(keeps);
        int set = how > 2 ? epoll_create1(0) : -1;
        struct epoll_event event = {.events = how == 4 ? EPOLLIN | EPOLLET : EPOLLIN};
        CHECK(set < 0 || epoll_ctl(set, EPOLL_CTL_ADD, reads, &event) == 0);
        for (int i = 0; i < 2; i++) {
            struct pollfd poll_fd = {reads, POLLIN, 0};
            fd_set in;
            FD_ZERO(&in);
            FD_SET(reads, &in);
            if (how == 1)
                CHECK(poll(&poll_fd, 1, -1) == 1);
            if (how == 2)
                CHECK(select(reads + 1, &in, NULL, NULL, NULL) == 1);
            if (how > 2)
                CHECK(epoll_wait(set, &event, 1, -1) == 1);
            told[i] = how == 1 ? poll_fd.revents : how > 2 ? (int)event.events : 0;
            result = (int)read(reads, got, 100);
            printf("%s: %x, read %d\n", hows[how], told[i], result);
        }
        CHECK(reap(child) == 0);
        shut_all();
    }
}

/* Four who write lines, four who read them. */
static void crowd(void)
{
    int reads = reader(0), writes = writer(0), lines = 0, torn = 0, results[2];
    char line[1000];
    make(results, 0);
    for (int i = 0; i < 8; i++) {
        if (fork() != 0)
            continue;
        if (i < 4) {
            close(writes);
            for (ssize_t size; (size = read(reads, line, sizeof(line))) > 0; lines++)
                for (int j = 0; j < size; j++)
                    torn += line[j] != line[0];
            int sums[2] = {lines, torn};
            _exit(write(results[1], sums, sizeof(sums)) != sizeof(sums));
        }
        for (int j = 0; j < 250; j++) {
            memset(line, 'a' + (i * 250 + j) % 26, sizeof(line));
            CHECK(write(writes, line, sizeof(line)) == sizeof(line));
        }
        _exit(failures);
    }
    close(writes);
    close(reads);
    int all = 0, sums[2];
    for (int i = 0; i < 4; i++) {
        CHECK(read(results[0], sums, sizeof(sums)) == sizeof(sums));
        all += sums[0];
        torn += sums[1];
    }
    while (wait(NULL) > 0)
        ;
    printf("lines read %d, torn %d\n", all, torn);
    shut_all();
}

int main(void)
{
    CHECK(mkfifo("line", 0600) == 0);
    states();
    turns();
    asleep();
    crowd();
    unlink("line");
    return finish();
}
