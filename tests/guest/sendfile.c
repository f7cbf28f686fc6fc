/* sendfile(2) into sockets, from all kinds of fds, by those that fstat(2) has seen before and others. */
#include "check.h"
#include <fcntl.h>
#include <signal.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/sendfile.h>
#include <sys/socket.h>
#include <sys/stat.h>

static char text[5000];
static int pair[2];

static void show(const char *what, int from, off_t *offset, size_t size)
{
    ssize_t sent = sendfile(pair[0], from, offset, size);
    int error = sent < 0 ? errno : 0;
    char got[sizeof text];
    ssize_t came = recv(pair[1], got, sizeof got, MSG_DONTWAIT);
    printf("  %s: %zd %s, offset %ld, at %ld, came %zd\n", what, sent, strerror(error),
           offset == NULL ? -1 : (long)*offset, (long)lseek(from, 0, SEEK_CUR), came);
}

static void each_way(int from)
{
    static const off_t offsets[] = {0, 1000, 4999, 5000, 6000, -1};
    struct stat stat;
    for (int seen = 0; seen < 2; seen++) {
        for (size_t i = 0; i < sizeof offsets / sizeof *offsets; i++) {
            off_t offset = offsets[i];
            show("placed", from, &offset, 300);
        }
        show("where it stands", from, NULL, 100);
        show("nothing", from, NULL, 0);
        show("less than nothing", from, NULL, (size_t)-1 << 62 << 1);
        fstat(from, &stat);
    }
}

static void of_kind(const char *what, int from)
{
    printf("%s\n", what);
    CHECK(from >= 0);
    each_way(from);
    close(from);
}

static int full_socket(void)
{
    while (send(pair[0], text, sizeof text, MSG_DONTWAIT) > 0)
        ;
    return errno;
}

/* Which of two errors is told. */
static void in_what_order(const char *path)
{
    struct stat stat;
    int writes = open(path, O_WRONLY), reads = open(path, O_RDONLY);
    off_t offset = 0;
    fstat(writes, &stat);
    fstat(reads, &stat);
    CHECK(full_socket() == EAGAIN);
    fcntl(pair[0], F_SETFL, O_NONBLOCK);
    errno = 0;
    ssize_t sent = sendfile(pair[0], writes, &offset, 10);
    printf("full, to write only: %zd %s\n", sent, strerror(errno));
    sent = sendfile(pair[0], reads, &offset, 10);
    printf("full: %zd %s\n", sent, strerror(errno));
    close(pair[1]);
    sent = sendfile(pair[0], writes, &offset, 10);
    printf("broken, to write only: %zd %s\n", sent, strerror(errno));
    sent = sendfile(pair[0], reads, &offset, 10);
    printf("broken: %zd %s\n", sent, strerror(errno));
    int other = dup(reads);
    close(reads);
    CHECK(open("/", O_RDONLY) == reads); /* a number that was a file's */
    socketpair(AF_UNIX, SOCK_STREAM, 0, pair);
    sent = sendfile(pair[0], reads, &offset, 10);
    printf("the number of a file before: %zd %s\n", sent, strerror(errno));
    show("a copy", other, &offset, 10);
    dup2(other, reads);
    show("a copy of it", reads, &offset, 10);
}

int main(void)
{
    signal(SIGPIPE, SIG_IGN);
    char path[] = "/tmp/sendfile-XXXXXX";
    int file = mkstemp(path), pipes[2];
    memset(text, 'x', sizeof text);
    CHECK(write(file, text, sizeof text) == sizeof text && lseek(file, 10, SEEK_SET) == 10);
    CHECK(socketpair(AF_UNIX, SOCK_STREAM, 0, pair) == 0 && pipe(pipes) == 0);
    CHECK(write(pipes[1], text, 2000) == 2000);
    of_kind("mkstemp", file);
    of_kind("to read", open(path, O_RDONLY));
    of_kind("to write", open(path, O_WRONLY));
    of_kind("a path", open(path, O_PATH));
    of_kind("a directory", open("/", O_RDONLY));
    of_kind("a pipe", pipes[0]);
    of_kind("zeros", open("/dev/zero", O_RDONLY));
    of_kind("null", open("/dev/null", O_RDONLY));
    of_kind("a memfd", memfd_create("it", 0));
    of_kind("an eventfd", eventfd(3, EFD_NONBLOCK));
    of_kind("a link below /proc", open("/proc/sys/kernel/ostype", O_RDONLY));
    in_what_order(path);
    return unlink(path);
}
