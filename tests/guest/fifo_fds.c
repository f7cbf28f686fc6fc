/* fifo(7): the fds of one: whose holder is killed, that are sent, copied and executed with; splice(2) and its like. */
#include "fifos.h"
#include "rights.h"

#include <poll.h>
#include <sys/uio.h>

/* The only one at the other end is killed while we sleep. */
static void killed(bool writes)
{
    int keeps = reader(0), ends[2];
    int out = writer(0);
    char byte;
    make(ends, 0);
    signal(SIGPIPE, SIG_IGN);
    pid_t child = fork();
    if (child == 0) {
        close(writes ? out : keeps);
        CHECK(write(ends[1], "x", 1) == 1);
        pause();
        _exit(0);
    }
    CHECK(read(ends[0], &byte, 1) == 1);
    close(writes ? keeps : out);
    pid_t killer = fork();
    if (killer == 0) {
        until_asleep(getppid(), getppid());
        kill(child, SIGKILL);
        _exit(0);
    }
    long sum = 0, done;
    while (writes && (done = write(out, bytes, 4096)) > 0)
        sum += done;
    if (writes)
        printf("%ld written, then %s\n", sum, error_name(errno));
    else
        printf("read %zd", read(keeps, got, 1));
    CHECK(reap(child) == 128 + SIGKILL);
    reap(killer);
    if (!writes) {
        close(keeps);
        keeps = reader(O_NONBLOCK);
        struct pollfd late = {keeps, POLLIN, 0};
        printf(", a late one: %zd", read(keeps, got, 1));
        printf(", %d\n", poll(&late, 1, 0));
    }
    shut_all();
}

static void passed_on(const char *self)
{
    int reads = reader(0), writes = writer(0), fds[2];
    char number[8];
    CHECK(write(writes, "before, ", 8) == 8);
    CHECK(socketpair(AF_UNIX, SOCK_STREAM, 0, fds) == 0);
    pid_t child = fork();
    if (child == 0) {
        int fd = receive_fd(fds[1], 0);
        _exit(write(fd, "by a message", 12) != 12);
    }
    send_fd(fds[0], writes);
    CHECK(reap(child) == 0);
    printf("sent: %zd %.20s\n", read(reads, got, 100), got);
    shut_all();
    reads = reader(0);
    writes = writer(O_APPEND);
    int closes = open("line", O_WRONLY | O_CLOEXEC), copy = dup2(writes, 30);
    child = fork();
    if (child == 0) {
        snprintf(number, sizeof(number), "%d", closes);
        execl(self, self, "30", number, NULL);
        _exit(1);
    }
    CHECK(reap(child) == 0 && copy == 30);
    printf("by another program: %zd %.12s\n", read(reads, got, 100), got);
    shut_all();
}

static int executed(char **argv)
{
    bool closed = fcntl(atoi(argv[2]), F_GETFD) < 0 && errno == EBADF;
    return write(atoi(argv[1]), "another", 7) != 7 || !closed;
}

static void moved(void)
{
    int reads = reader(0), writes = writer(0), fds[2];
    int file = open("file", O_RDWR | O_CREAT | O_TRUNC, 0600);
    loff_t zero = 0;
    make(fds, 0);
    CHECK(write(file, "of a file", 9) == 9 && splice(file, &zero, writes, NULL, 100, 0) == 9);
    printf("spliced %zd", splice(reads, NULL, fds[1], NULL, 5, 0));
    printf(", teed %zd", tee(fds[0], writes, 3, 0));
    struct iovec two[2] = {{bytes, 10}, {bytes, 4}};
    printf(", vmspliced %zd, waiting %d", vmsplice(writes, two, 2, 0), waiting(reads));
    printf(", to a file %zd\n", splice(reads, NULL, file, NULL, 100, 0));
    FAILS(splice(reads, NULL, fds[1], NULL, 5, SPLICE_F_NONBLOCK));
    FAILS(splice(reads, NULL, writes, NULL, 5, 0));
    printf("vectors %zd", writev(writes, two, 2));
    printf(" %zd\n", readv(reads, two, 2));
    printf("size %d", fcntl(reads, F_SETPIPE_SZ, 5000));
    printf(", then %d\n", fcntl(writes, F_GETPIPE_SZ));
    fcntl(writes, F_SETFL, O_NONBLOCK);
    printf("fits %zd\n", write(writes, bytes, 20000));
    close(writes);
    printf("from the end %zd", splice(reads, NULL, fds[1], NULL, 20000, 0));
    printf(" %zd\n", splice(reads, NULL, fds[1], NULL, 20000, 0));
    shut_all();
    unlink("file");
}

int main(int argc, char **argv)
{
    char self[4096];
    if (argc == 3)
        return executed(argv);
    CHECK(realpath("/proc/self/exe", self) != NULL && mkfifo("line", 0600) == 0);
    killed(false);
    killed(true);
    passed_on(self);
    moved();
    unlink("line");
    return finish();
}
