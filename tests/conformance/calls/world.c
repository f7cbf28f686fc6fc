/* Builds the files and fds that every case finds, and tells what a case has changed of them. */
#define _GNU_SOURCE
#include "world.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/inotify.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/timerfd.h>
#include <sys/un.h>
#include <unistd.h>

#define ALPHABET "abcdefghijklmnopqrstuvwxyz"

static const char *const names[] = {
    ".",     "file",     "empty",    "dir",  "dir/inner", "link", "dirlink", "dangling",
    "loop",  "fifo",     "exe",      "ro",   "secret",    "hole", "second",  "locked",
    "locked/in", "sock", "new",
};
#define NAME_COUNT (sizeof(names) / sizeof(names[0]))

static struct stat files[NAME_COUNT];
static struct description {
    long offset, ready, flags;
} descriptions[FD_END];

static void must(bool good, const char *what)
{
    if (good)
        return;
    dprintf(2, "world: %s: %s\n", what, strerror(errno));
    _exit(99);
}

static void put_file(const char *name, const char *text, size_t size, mode_t mode)
{
    int fd = open(name, O_WRONLY | O_CREAT | O_TRUNC, 0600);
    must(fd >= 0 && write(fd, text, size) == (ssize_t)size && fchmod(fd, mode) == 0, name);
    close(fd);
}

static void put_socket(void)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX, .sun_path = "sock"};
    int fd = socket(AF_UNIX, SOCK_STREAM, 0);
    must(bind(fd, (struct sockaddr *)&address, sizeof(address)) == 0, "sock");
    close(fd);
}

/* Empties the directory that we are in; nothing is deeper than two. */
static void empty_here(void)
{
    struct dirent *entry;
    DIR *here = opendir(".");
    must(here != NULL, "opendir");
    while ((entry = readdir(here)) != NULL) {
        const char *name = entry->d_name;
        if (strcmp(name, ".") == 0 || strcmp(name, "..") == 0 || unlink(name) == 0)
            continue;
        must(chmod(name, 0755) == 0 && chdir(name) == 0, name);
        empty_here();
        must(chdir("..") == 0 && rmdir(name) == 0, name);
    }
    closedir(here);
}

static void build_files(void)
{
    must(fchmod(FD_HERE, 0755) == 0 && fchown(FD_HERE, geteuid(), getegid()) == 0, ".");
    empty_here();
    put_file("file", ALPHABET, 26, 0644);
    put_file("empty", "", 0, 0644);
    must(mkdir("dir", 0755) == 0 && mkdir("locked", 0755) == 0, "dir");
    put_file("dir/inner", "inner", 5, 0644);
    put_file("locked/in", "in", 2, 0644);
    must(chmod("locked", 0) == 0, "locked");
    must(symlink("file", "link") == 0 && symlink("dir", "dirlink") == 0, "link");
    must(symlink("nowhere", "dangling") == 0 && symlink("loop", "loop") == 0, "loop");
    must(mkfifo("fifo", 0644) == 0, "fifo");
    put_file("exe", "#!/bin/sh\nexit 7\n", 17, 0755);
    put_file("ro", "ro", 2, 0444);
    put_file("secret", "secret", 6, 0);
    put_file("second", "second", 6, 0640);
    put_file("hole", "", 0, 0644);
    must(truncate("hole", 1 << 20) == 0, "hole");
    put_socket();
    for (size_t i = 0; i < NAME_COUNT; i++)
        if (lstat(names[i], &files[i]) != 0)
            memset(&files[i], 0, sizeof(files[i]));
}

static void place(int fd, int number)
{
    must(fd >= 0 && dup2(fd, number) == number, "fd");
    if (fd != number)
        close(fd);
}

static void place_pair(const int *pair, int number)
{
    place(pair[0], number);
    place(pair[1], number + 1);
}

static void build_streams(void)
{
    int pair[2];
    must(pipe2(pair, O_NONBLOCK) == 0 && write(pair[1], "hello", 5) == 5, "pipe");
    place_pair(pair, FD_PIPE_R);
    must(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, pair) == 0, "socketpair");
    must(write(pair[0], "hi", 2) == 2 && write(pair[1], "hi", 2) == 2, "socketpair");
    place_pair(pair, FD_SOCK_A);
    must(socketpair(AF_UNIX, SOCK_DGRAM | SOCK_NONBLOCK, 0, pair) == 0, "socketpair");
    must(write(pair[0], "hi", 2) == 2 && write(pair[1], "hi", 2) == 2, "socketpair");
    place_pair(pair, FD_DGRAM_A);
    place(socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0), FD_TCP);
    place(socket(AF_INET, SOCK_DGRAM | SOCK_NONBLOCK, 0), FD_UDP);
    must(pipe2(pair, O_NONBLOCK) == 0, "pipe2");
    place_pair(pair, FD_EMPTY_R);
}

static void build_notifiers(void)
{
    struct epoll_event event = {.events = EPOLLIN, .data.u64 = 0x1234};
    sigset_t signals;
    sigemptyset(&signals);
    sigaddset(&signals, SIGUSR1);
    place(eventfd(1, EFD_NONBLOCK), FD_EVENT);
    place(epoll_create1(0), FD_EPOLL);
    must(epoll_ctl(FD_EPOLL, EPOLL_CTL_ADD, FD_PIPE_R, &event) == 0, "epoll_ctl");
    place(timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK), FD_TIMER);
    place(signalfd(-1, &signals, SFD_NONBLOCK), FD_SIGNAL);
    place(inotify_init1(IN_NONBLOCK), FD_INOTIFY);
    place((int)syscall(SYS_pidfd_open, getpid(), 0), FD_PIDFD);
}

static void build_terminal(void)
{
    int unlock = 0, number;
    char name[32];
    int master = open("/dev/ptmx", O_RDWR | O_NOCTTY | O_NONBLOCK);
    must(master >= 0 && ioctl(master, TIOCSPTLCK, &unlock) == 0, "ptmx");
    must(ioctl(master, TIOCGPTN, &number) == 0, "ptmx");
    snprintf(name, sizeof(name), "/dev/pts/%d", number);
    place(master, FD_PTM);
    place(open(name, O_RDWR | O_NOCTTY | O_NONBLOCK), FD_PTS);
}

static void build_fds(void)
{
    place(open("file", O_RDWR), FD_REG);
    lseek(FD_REG, 3, SEEK_SET);
    place(open("file", O_RDONLY), FD_RDONLY);
    place(open("empty", O_WRONLY), FD_WRONLY);
    place(open("empty", O_RDWR | O_APPEND), FD_APPEND);
    place(open("dir", O_RDONLY | O_DIRECTORY), FD_DIR);
    build_streams();
    build_notifiers();
    place(memfd_create("memfd", MFD_ALLOW_SEALING), FD_MEMFD);
    must(ftruncate(FD_MEMFD, 4096) == 0, "memfd");
    place(open("file", O_PATH), FD_OPATH);
    place(open("dir", O_PATH), FD_OPATHDIR);
    place(open("/dev/null", O_RDWR), FD_NULL);
    place(open("/dev/zero", O_RDWR), FD_ZERO);
    place(open("/proc/self", O_RDONLY), FD_PROC);
    build_terminal();
}

static struct description describe(int fd)
{
    struct description now = {lseek(fd, 0, SEEK_CUR), -1, fcntl(fd, F_GETFL)};
    int ready;
    if (now.offset == -1 && ioctl(fd, FIONREAD, &ready) == 0)
        now.ready = ready;
    return now;
}

static void close_all(void)
{
    for (int fd = FD_REG; fd < FD_END; fd++)
        close(fd);
}

void world_enter(void)
{
    must(mkdir("t", 0755) == 0 && chdir("t") == 0, "t");
    int here = open(".", O_RDONLY | O_DIRECTORY);
    must(here >= 0 && dup2(here, FD_HERE) == FD_HERE, "t");
    close(here);
}

void world_build(bool files_too)
{
    close_all();
    umask(0);
    if (files_too)
        build_files();
    build_fds();
    umask(022);
    for (int fd = FD_REG; fd < FD_END; fd++)
        descriptions[fd] = describe(fd);
}

static size_t report_file(char *to, size_t size, size_t i)
{
    struct stat now, *old = &files[i];
    if (lstat(names[i], &now) != 0)
        memset(&now, 0, sizeof(now));
    if (now.st_ino == old->st_ino && memcmp(&now.st_ctim, &old->st_ctim, sizeof(now.st_ctim)) == 0)
        return 0;
    if (now.st_ino == 0)
        return (size_t)snprintf(to, size, " %s gone", names[i]);
    return (size_t)snprintf(to, size, " %s%s %o %d:%d x%lu %ld %lu", names[i],
                            old->st_ino != 0 && now.st_ino != old->st_ino ? " another" : "",
                            now.st_mode, now.st_uid, now.st_gid, now.st_nlink,
                            S_ISDIR(now.st_mode) ? 0 : now.st_size, now.st_rdev);
}

static size_t report_description(char *to, size_t size, int fd)
{
    struct description now = describe(fd), *old = &descriptions[fd];
    if (memcmp(&now, old, sizeof(now)) == 0)
        return 0;
    return (size_t)snprintf(to, size, " fd%d offset %ld ready %ld flags %lx", fd, now.offset,
                            now.ready, now.flags);
}

enum change world_report(char *to, size_t size)
{
    size_t used = 0;
    to[0] = '\0';
    for (size_t i = 0; i < NAME_COUNT; i++)
        used += report_file(to + used, size - used, i);
    size_t files_used = used;
    for (int fd = FD_REG; fd < FD_END; fd++)
        if (fd != FD_PROC && fd != FD_PTM && fd != FD_PTS) /* what a terminal holds comes late */
            used += report_description(to + used, size - used, fd);
    return files_used > 0 ? CHANGED_FILES : used > 0 ? CHANGED_FDS : CHANGED_NOTHING;
}
