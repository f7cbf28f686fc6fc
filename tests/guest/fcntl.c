/* fcntl(2): flags, duplicates, record locks of both kinds, pipe sizes, owners. */
#include "check.h"
#include <sys/file.h>

static int fd;

static int lock(int fd_, int command, short type, off_t start, off_t size)
{
    struct flock range = {.l_type = type, .l_whence = SEEK_SET, .l_start = start, .l_len = size};
    return fcntl(fd_, command, &range) == -1 ? errno : 0;
}

static const char *in_child(int command, short type, off_t start, off_t size)
{
    pid_t pid = fork();
    if (pid == 0) {
        int own = open("file", O_RDWR);
        _exit(lock(own, command, type, start, size));
    }
    return error_name(reap(pid));
}

static void record_locks(void)
{
    CHECK(lock(fd, F_SETLK, F_WRLCK, 0, 10) == 0);
    CHECK(lock(fd, F_SETLK, F_RDLCK, 20, 10) == 0);
    printf("write over write: %s\n", in_child(F_SETLK, F_WRLCK, 5, 1));
    printf("read over write: %s\n", in_child(F_SETLK, F_RDLCK, 5, 1));
    printf("read over read: %s\n", in_child(F_SETLK, F_RDLCK, 20, 5));
    printf("write over read: %s\n", in_child(F_SETLK, F_WRLCK, 25, 1));
    printf("elsewhere: %s\n", in_child(F_SETLK, F_WRLCK, 40, 0));
    pid_t parent = getpid(), pid = fork();
    if (pid == 0) {
        struct flock range = {.l_type = F_WRLCK, .l_whence = SEEK_SET, .l_start = 0, .l_len = 100};
        CHECK(fcntl(fd, F_GETLK, &range) == 0);
        printf("holder: parent %d type %d start %ld size %ld\n", range.l_pid == parent,
               range.l_type, (long)range.l_start, (long)range.l_len);
        _exit(0);
    }
    CHECK(reap(pid) == 0);
    CHECK(lock(fd, F_SETLK, F_UNLCK, 3, 4) == 0);
    printf("hole: %s, rest: %s\n", in_child(F_SETLK, F_WRLCK, 3, 4),
           in_child(F_SETLK, F_WRLCK, 8, 1));
    close(open("file", O_RDONLY));
    printf("dropped by any close: %s\n", in_child(F_SETLK, F_WRLCK, 0, 0));
    CHECK(lock(fd, F_OFD_SETLK, F_WRLCK, 0, 0) == 0);
    close(open("file", O_RDONLY));
    printf("of the description: %s\n", in_child(F_OFD_SETLK, F_WRLCK, 0, 0));
    CHECK(lock(fd, F_OFD_SETLK, F_UNLCK, 0, 0) == 0);
    int second = open("file", O_RDWR);
    CHECK(flock(fd, LOCK_EX) == 0);
    FAILS(flock(second, LOCK_EX | LOCK_NB));
    CHECK(flock(fd, LOCK_UN) == 0 && flock(second, LOCK_SH | LOCK_NB) == 0);
    close(second);
}

int main(void)
{
    fd = open("file", O_RDWR | O_CREAT | O_TRUNC, 0600);
    printf("flags %o\n", fcntl(fd, F_GETFL) & ~0100000);
    CHECK(fcntl(fd, F_SETFL, O_APPEND | O_NONBLOCK | O_RDONLY) == 0);
    printf("flags %o\n", fcntl(fd, F_GETFL) & ~0100000);
    CHECK(fcntl(fd, F_DUPFD, 30) == 30 && fcntl(fd, F_DUPFD_CLOEXEC, 30) == 31);
    printf("descriptor flags %d %d\n", fcntl(30, F_GETFD), fcntl(31, F_GETFD));
    FAILS(fcntl(fd, F_DUPFD, -1));
    FAILS(fcntl(fd, F_DUPFD, 1 << 30));
    FAILS(fcntl(fd, 9999));
    FAILS(fcntl(99, F_GETFD));
    record_locks();
    int pipes[2];
    CHECK(pipe2(pipes, O_NONBLOCK | O_CLOEXEC) == 0);
    printf("pipe: size %d flags %o %d\n", fcntl(pipes[1], F_GETPIPE_SZ), fcntl(pipes[0], F_GETFL),
           fcntl(pipes[0], F_GETFD));
    printf("resized %d\n", fcntl(pipes[1], F_SETPIPE_SZ, 100));
    char buffer[10000] = "";
    printf("fits %zd\n", write(pipes[1], buffer, sizeof buffer));
    FAILS(write(pipes[1], buffer, 1));
    FAILS(fcntl(fd, F_GETPIPE_SZ));
    CHECK(fcntl(pipes[0], F_SETOWN, getpid()) == 0 && fcntl(pipes[0], F_GETOWN) == getpid());
    return finish();
}
