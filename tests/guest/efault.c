/* EFAULT: bad pointers give an error, never a signal, whatever the call. */
#include "check.h"
#include <poll.h>
#include <sched.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <sys/uio.h>

#define BAD ((void *)8)
#define RAW(name, ...) FAILS(syscall(SYS_##name, __VA_ARGS__))

static int fd, pipes[2], pair[2];

static void files(char *edge)
{
    RAW(read, fd, BAD, 1);
    RAW(write, fd, BAD, 1);
    RAW(pread64, fd, BAD, 1, 0);
    RAW(pwrite64, fd, BAD, 1, 0);
    RAW(read, pipes[0], BAD, 1);
    RAW(write, pipes[1], BAD, 1);
    RAW(readv, fd, BAD, 1);
    RAW(readv, fd, (&(struct iovec){BAD, 1}), 1);
    RAW(writev, pipes[1], (&(struct iovec){BAD, 1}), 1);
    RAW(open, BAD, 0);
    RAW(openat, AT_FDCWD, edge - 3, O_RDONLY);
    RAW(stat, BAD, BAD);
    RAW(stat, ".", BAD);
    RAW(fstat, fd, BAD);
    RAW(newfstatat, AT_FDCWD, ".", BAD, 0);
    RAW(statx, AT_FDCWD, ".", 0, 0xfff, BAD);
    RAW(statfs, ".", BAD);
    RAW(access, BAD, 0);
    RAW(getcwd, BAD, 4096);
    RAW(chdir, BAD);
    RAW(readlink, "/proc/self/exe", BAD, 100);
    RAW(rename, "file", BAD);
    RAW(unlink, BAD);
    RAW(mkdir, BAD, 0700);
    RAW(symlink, BAD, "x");
    RAW(getdents64, open(".", O_RDONLY), BAD, 4096);
    RAW(pipe2, BAD, 0);
    RAW(utimensat, AT_FDCWD, "file", BAD, 0);
    RAW(sendfile, pipes[1], fd, BAD, 1);
    RAW(copy_file_range, fd, BAD, fd, NULL, 1, 0);
}

static void processes(void)
{
    RAW(clock_gettime, CLOCK_REALTIME, BAD);
    RAW(clock_getres, CLOCK_REALTIME, BAD);
    RAW(gettimeofday, BAD, NULL);
    RAW(time, BAD);
    RAW(nanosleep, BAD, NULL);
    RAW(clock_nanosleep, CLOCK_MONOTONIC, 0, BAD, NULL);
    RAW(uname, BAD);
    RAW(sysinfo, BAD);
    RAW(times, BAD);
    RAW(getrlimit, RLIMIT_NOFILE, BAD);
    RAW(prlimit64, 0, RLIMIT_NOFILE, BAD, NULL);
    RAW(getrusage, RUSAGE_SELF, BAD);
    RAW(getresuid, BAD, BAD, BAD);
    RAW(getrandom, BAD, 16, 0);
    RAW(rt_sigaction, SIGUSR1, BAD, NULL, 8);
    RAW(rt_sigaction, SIGUSR1, NULL, BAD, 8);
    RAW(rt_sigprocmask, SIG_BLOCK, BAD, NULL, 8);
    RAW(rt_sigpending, BAD, 8);
    RAW(rt_sigtimedwait, BAD, NULL, NULL, 8);
    RAW(rt_sigsuspend, BAD, 8);
    RAW(sigaltstack, BAD, NULL);
    RAW(setitimer, 0, BAD, NULL);
    RAW(getitimer, 0, BAD);
    RAW(timer_create, CLOCK_REALTIME, NULL, BAD);
    RAW(timerfd_settime, syscall(SYS_timerfd_create, CLOCK_MONOTONIC, 0), 0, BAD, NULL);
    RAW(sched_getaffinity, 0, 128, BAD);
    RAW(getgroups, 100, BAD);
    RAW(prctl, 16, BAD);
    RAW(memfd_create, BAD, 0);
    pid_t pid = fork();
    if (pid == 0)
        _exit(0);
    CHECK(waitid(P_PID, (id_t)pid, &(siginfo_t){0}, WEXITED | WNOWAIT) == 0);
    RAW(wait4, pid, BAD, 0, NULL);
    printf("it was reaped all the same: %d\n", reap(pid));
}

static void sockets(void)
{
    RAW(socketpair, AF_UNIX, SOCK_STREAM, 0, BAD);
    RAW(sendto, pair[0], BAD, 1, 0, NULL, 0);
    RAW(sendmsg, pair[0], BAD, 0);
    RAW(recvmsg, pair[0], BAD, MSG_DONTWAIT);
    RAW(getsockname, pair[0], BAD, BAD);
    RAW(getsockopt, pair[0], SOL_SOCKET, SO_TYPE, BAD, BAD);
    RAW(setsockopt, pair[0], SOL_SOCKET, SO_RCVBUF, BAD, 4);
    RAW(bind, pair[0], BAD, 16);
    RAW(connect, pair[0], BAD, 16);
    CHECK(send(pair[1], "data", 4, 0) == 4);
    RAW(recvfrom, pair[0], BAD, 4, 0, NULL, NULL);
    RAW(poll, BAD, 1, 0);
    RAW(select, 8, BAD, NULL, NULL, NULL);
    RAW(epoll_ctl, syscall(SYS_epoll_create1, 0), 1, pair[0], BAD);
    RAW(futex, BAD, 0, 0, NULL, NULL, 0);
}

int main(void)
{
    char *edge = mmap(NULL, 8192, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    edge += 4096;
    CHECK(mprotect(edge, 4096, PROT_NONE) == 0);
    memcpy(edge - 3, "fil", 3);
    fd = open("file", O_RDWR | O_CREAT | O_TRUNC, 0600);
    CHECK(write(fd, "contents", 8) == 8 && lseek(fd, 0, SEEK_SET) == 0);
    CHECK(pipe(pipes) == 0 && write(pipes[1], "pipe data", 9) == 9);
    CHECK(socketpair(AF_UNIX, SOCK_STREAM, 0, pair) == 0);
    files(edge);
    memcpy(edge - 5, "file", 5);
    printf("a path that ends with its page: %d\n", access(edge - 5, F_OK));
    char text[16] = "";
    CHECK(read(pipes[0], text, 9) == 9);
    printf("the pipe kept its data: %s\n", text);
    struct iovec parts[2] = {{text, 4}, {BAD, 4}};
    printf("second part bad: readv %zd", preadv(fd, parts, 2, 0));
    printf(" writev %zd\n", writev(fd, parts, 2));
    processes();
    sockets();
    return finish();
}
