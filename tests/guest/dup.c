/* dup(2), dup2(2), dup3(2): lowest numbers, shared offsets and flags, close-on-exec, errors. */
#include "check.h"
#include <sys/resource.h>

int main(void)
{
    int fd = open("file", O_RDWR | O_CREAT | O_TRUNC, 0600), other = open("file", O_RDONLY);
    printf("first %d, next %d\n", fd, other);
    int copy = dup(fd);
    CHECK(write(fd, "hello", 5) == 5 && lseek(copy, 0, SEEK_CUR) == 5);
    CHECK(lseek(other, 0, SEEK_CUR) == 0);
    CHECK(fcntl(copy, F_SETFL, O_APPEND) == 0);
    printf("status flags shared: %d\n", (fcntl(fd, F_GETFL) & O_APPEND) != 0);
    CHECK(fcntl(fd, F_SETFD, FD_CLOEXEC) == 0);
    printf("descriptor flags not: %d\n", fcntl(copy, F_GETFD));
    CHECK(close(other) == 0);
    printf("lowest free: %d\n", dup(fd));
    CHECK(dup2(fd, 20) == 20 && dup2(fd, fd) == fd && dup3(fd, 21, O_CLOEXEC) == 21);
    printf("flags of dup2 to 20: %d, to itself %d, of dup3: %d\n", fcntl(20, F_GETFD),
           fcntl(fd, F_GETFD), fcntl(21, F_GETFD));
    int pipes[2];
    CHECK(pipe(pipes) == 0);
    CHECK(dup2(fd, pipes[1]) == pipes[1]);
    char c;
    printf("dup2 closed the writer: read %zd\n", read(pipes[0], &c, 1));
    close(fd);
    close(20);
    CHECK(write(copy, "!", 1) == 1 && lseek(21, 0, SEEK_CUR) == 6);
    FAILS(dup(fd));
    FAILS(dup2(fd, 22));
    FAILS(dup2(fd, fd));
    FAILS(dup2(copy, -1));
    FAILS(dup2(copy, 1 << 30));
    FAILS(dup3(copy, copy, 0));
    FAILS(dup3(copy, 22, 12345));
    FAILS(close(fd));
    struct rlimit limit;
    CHECK(getrlimit(RLIMIT_NOFILE, &limit) == 0);
    limit.rlim_cur = 32;
    CHECK(setrlimit(RLIMIT_NOFILE, &limit) == 0);
    int count = 0;
    while (dup(copy) >= 0)
        count++;
    printf("filled up to the limit with %d: %s\n", count, error_name(errno));
    FAILS(dup2(copy, 32));
    FAILS(open("file", O_RDONLY));
    FAILS(pipe(pipes));
    for (int number = 3; number < 32; number++)
        close(number);
    int saved = dup(1);
    close(0);
    close(1);
    close(2);
    CHECK(open("file", O_RDONLY) == 0 && open("out", O_WRONLY | O_CREAT, 0600) == 1);
    dup2(saved, 1);
    printf("standard descriptors reopened\n");
    return finish();
}
