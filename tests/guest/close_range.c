/* close_range(2) and closing everything: what stays, close-on-exec, unsharing. */
#include "check.h"
#include <dirent.h>
#include <linux/close_range.h>
#include <pthread.h>

static void open_ones(const char *name)
{
    printf("%s:", name);
    for (int fd = 0; fd < 64; fd++) {
        int flags = fcntl(fd, F_GETFD);
        if (flags >= 0)
            printf(" %d%s", fd, flags & FD_CLOEXEC ? "c" : "");
    }
    printf("\n");
}

static void fill(void)
{
    int fd = open("/dev/null", O_RDWR);
    for (int number = 3; number < 20; number++)
        CHECK(dup2(fd, number) == number);
}

static void *unshare_and_close(void *argument)
{
    (void)argument;
    CHECK(syscall(SYS_close_range, 3, ~0u, CLOSE_RANGE_UNSHARE) == 0);
    CHECK(fcntl(5, F_GETFD) == -1);
    return NULL;
}

int main(void)
{
    fill();
    CHECK(syscall(SYS_close_range, 5, 8, 0) == 0);
    open_ones("5 to 8 closed");
    CHECK(syscall(SYS_close_range, 10, 12, CLOSE_RANGE_CLOEXEC) == 0);
    open_ones("10 to 12 marked");
    CHECK(syscall(SYS_close_range, 15, ~0u, 0) == 0);
    open_ones("15 and up closed");
    FAILS(syscall(SYS_close_range, 8, 5, 0));
    FAILS(syscall(SYS_close_range, 5, 8, 77));
    fill();
    pthread_t thread;
    CHECK(pthread_create(&thread, NULL, unshare_and_close, NULL) == 0);
    CHECK(pthread_join(thread, NULL) == 0);
    open_ones("unshared by a thread");
    int count = 0, own = 0;
    DIR *directory = opendir("/proc/self/fd");
    CHECK(directory != NULL);
    for (struct dirent *entry; (entry = readdir(directory));) {
        count += entry->d_name[0] != '.';
        own += atoi(entry->d_name) == dirfd(directory);
    }
    closedir(directory);
    printf("/proc/self/fd: %d, its own %d\n", count, own);
    for (int fd = 3; fd < 70000; fd++)
        close(fd);
    open_ones("closed one by one");
    pid_t pid = fork();
    if (pid == 0) {
        CHECK(syscall(SYS_close_range, 0, ~0u, 0) == 0);
        CHECK(open("/dev/null", O_RDWR) == 0 && dup(0) == 1);
        execl("/bin/sh", "sh", "-c", "exit 13", NULL);
        _exit(1);
    }
    printf("all closed, then exec: %d\n", reap(pid));
    return finish();
}
