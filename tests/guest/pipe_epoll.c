/* A stream through a pipe that is mostly full or mostly empty, both sides waiting by epoll: level- and
 * edge-triggered, with reads and writes of different sizes.
 */
#include "check.h"

#include <sys/epoll.h>

#define TOTAL (1L << 20)

static char data[1 << 16];

static int watching(int fd, uint32_t events)
{
    struct epoll_event event = {.events = events};
    int set = epoll_create1(0);
    CHECK(set >= 0);
    CHECK(epoll_ctl(set, EPOLL_CTL_ADD, fd, &event) == 0);
    return set;
}

static void await(int set)
{
    struct epoll_event event;
    int count;
    do
        count = epoll_wait(set, &event, 1, -1);
    while (count < 0 && errno == EINTR);
    CHECK(count == 1);
}

static void write_all(int fd, size_t size, uint32_t edge)
{
    int set = watching(fd, EPOLLOUT | edge);
    for (long left = TOTAL; left > 0;) {
        ssize_t done = write(fd, data, (long)size < left ? size : (size_t)left);
        if (done < 0)
            CHECK(errno == EAGAIN);
        if (done < 0)
            await(set);
        else
            left -= done;
    }
}

static long read_all(int fd, size_t size, uint32_t edge)
{
    int set = watching(fd, EPOLLIN | edge);
    long sum = 0;
    for (;;) {
        ssize_t done = read(fd, data, size);
        if (done == 0)
            return sum;
        if (done < 0)
            CHECK(errno == EAGAIN);
        if (done < 0)
            await(set);
        else
            sum += done;
    }
}

static void stream(size_t writes, size_t reads, uint32_t edge)
{
    int fds[2], status;
    CHECK(pipe2(fds, O_NONBLOCK) == 0);
    pid_t child = fork();
    if (child == 0) {
        close(fds[0]);
        write_all(fds[1], writes, edge);
        _exit(0);
    }
    close(fds[1]);
    CHECK(read_all(fds[0], reads, edge) == TOTAL);
    close(fds[0]);
    CHECK(waitpid(child, &status, 0) == child && status == 0);
    printf("%zu by %zu%s\n", writes, reads, edge ? ", edges" : "");
}

int main(void)
{
    static const size_t sizes[][2] = {{65536, 65536}, {65536, 1000}, {3000, 65536}, {4096, 4096}};
    for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
        stream(sizes[i][0], sizes[i][1], 0);
        stream(sizes[i][0], sizes[i][1], EPOLLET);
    }
    return finish();
}
