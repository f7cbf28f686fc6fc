/* The fds a program can spoil: all of them closed, every number overwritten, the limit reached. What
 * is not the program's own must survive: it goes on to open, fork, execute and read /proc.
 */
#include "check.h"
#include <dirent.h>
#include <sys/resource.h>
#include <sys/socket.h>

static void alive(const char *name, char **argv)
{
    char text[4096] = "";
    int fd = open("/proc/self/status", O_RDONLY);
    ssize_t size = read(fd, text, sizeof text - 1);
    char pid_line[32];
    snprintf(pid_line, sizeof pid_line, "\nPid:\t%d\n", getpid());
    bool found = size > 0 && strstr(text, pid_line) != NULL;
    close(fd);
    pid_t pid = fork();
    if (pid == 0) {
        execl("/proc/self/exe", argv[0], "again", NULL);
        _exit(99);
    }
    printf("%s: own status %d, fd %d, executed %d\n", name, found, fd, reap(pid));
}

static long fill(void)
{
    long count = 0;
    while (open("/dev/null", O_RDONLY) >= 0)
        count++;
    return count;
}

int main(int argc, char **argv)
{
    if (argc > 1) {
        CHECK(getpid() > 1 && open("/dev/null", O_RDONLY) > 2);
        return failures + 42;
    }
    struct rlimit limit = {200, 200};
    CHECK(setrlimit(RLIMIT_NOFILE, &limit) == 0);
    for (int fd = 3; fd < 4096; fd++)
        close(fd);
    alive("all closed", argv);
    long opened = fill();
    printf("opened %ld, then %s\n", opened, error_name(errno));
    int pipes[2];
    FAILS(pipe(pipes));
    FAILS(dup(0));
    FAILS(socket(AF_UNIX, SOCK_STREAM, 0));
    FAILS(fcntl(0, F_DUPFD, 0));
    FAILS(dup2(0, 200));
    FAILS(fcntl(0, F_DUPFD, 200));
    CHECK(opendir("/proc/self") == NULL && errno == EMFILE);
    close(3);
    alive("one left", argv);
    CHECK(open("/dev/null", O_RDONLY) == 3);
    for (int fd = 3; fd < 200; fd++)
        CHECK(dup2(0, fd) == fd);
    for (int fd = 3; fd < 200; fd++)
        CHECK(fcntl(fd, F_SETFD, fd % 2 ? FD_CLOEXEC : 0) == 0);
    close(100);
    alive("every number overwritten", argv);
    CHECK(syscall(SYS_close_range, 3, ~0U, 0) == 0);
    printf("the lowest: %d\n", open("/dev/null", O_RDONLY));
    alive("closed as a range", argv);
    return finish();
}
