/* fifo(7): opening: who waits for whom, O_NONBLOCK, O_RDWR, EINTR, kills; other names, permissions, /proc. */
#include "pipes.h"

#include <pthread.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>

static char got[1 << 17];

static void *open_to_write(void *name)
{
    return (void *)(long)open(name, O_WRONLY);
}

static void makes(void)
{
    struct stat at, of;
    mkdir("dir", 0755);
    int dir = open("dir", O_RDONLY | O_DIRECTORY);
    umask(022);
    CHECK(mknod("node", S_IFIFO | 0666, 0) == 0 && mknodat(dir, "in", S_IFIFO | 0640, 0) == 0);
    CHECK(stat("node", &at) == 0 && fstatat(dir, "in", &of, 0) == 0);
    printf("made: %o %o\n", at.st_mode, of.st_mode);
    FAILS(mkfifo("node", 0600));
    FAILS(mknodat(dir, "nowhere/in", S_IFIFO | 0600, 0));
    FAILS(mkfifo("", 0600));
    FAILS(mkfifo((char *)8, 0600));
    FAILS(open("node", O_WRONLY | O_NONBLOCK));
    FAILS(open("node", O_RDONLY | O_NONBLOCK | O_DIRECTORY));
    FAILS(open("node", O_RDONLY | O_NONBLOCK | O_DIRECT));
    FAILS(open("node", O_CREAT | O_EXCL | O_RDWR, 0600));
    FAILS(open("node/", O_RDONLY | O_NONBLOCK));
    int reads = open("node", O_RDONLY | O_NONBLOCK | O_CLOEXEC);
    int writes = open("node", O_WRONLY | O_TRUNC | O_APPEND | O_CREAT, 0600);
    printf("flags %o %o, %d %d\n", fcntl(reads, F_GETFL), fcntl(writes, F_GETFL),
           fcntl(reads, F_GETFD), fcntl(writes, F_GETFD));
    CHECK(fstat(reads, &of) == 0);
    printf("the same %d, mode %o, links %d, size %ld, pipe %d\n",
           at.st_ino == of.st_ino && at.st_dev == of.st_dev, of.st_mode, (int)of.st_nlink,
           (long)of.st_size, fcntl(reads, F_GETPIPE_SZ));
    CHECK(chmod("node", 0611) == 0 && fstat(writes, &of) == 0);
    printf("mode %o\n", of.st_mode);
    CHECK(fchmod(reads, 0644) == 0 && stat("node", &at) == 0);
    printf("mode %o\n", at.st_mode);
    FAILS(lseek(reads, 0, SEEK_SET));
    FAILS(pread(reads, got, 1, 0));
    FAILS(ftruncate(writes, 0));
    FAILS(read(writes, got, 1));
    FAILS(write(reads, got, 1));
    close(reads);
    close(writes);
    close(dir);
}

/* Each waits for the other; what is written and left behind at once is there to be read. */
static void meetings(void)
{
    CHECK(mkfifo("meet", 0600) == 0);
    for (int i = 0; i < 6; i++) {
        pid_t child = fork();
        if (child == 0) {
            int fd = open("meet", i % 2 ? O_RDONLY : O_WRONLY);
            if (i % 2)
                _exit(read(fd, got, 100) == 4 && read(fd, got, 100) == 0 ? 7 : 8);
            _exit(write(fd, "four", 4) == 4 ? 7 : 8);
        }
        if (i < 4)
            until_asleep(child, child);
        int fd = open("meet", i % 2 ? O_WRONLY : O_RDONLY);
        if (i % 2) {
            CHECK(write(fd, "four", 4) == 4);
            close(fd);
            CHECK(reap(child) == 7);
        } else {
            CHECK(reap(child) == 7);
            CHECK(read(fd, got, 100) == 4 && read(fd, got, 100) == 0);
            close(fd);
        }
    }
    pthread_t thread;
    void *result;
    pthread_create(&thread, NULL, open_to_write, "meet");
    int fd = open("meet", O_RDONLY);
    pthread_join(thread, &result);
    CHECK(write((int)(long)result, "thread", 6) == 6);
    printf("met; by a thread: %zd\n", read(fd, got, 100));
    close(fd);
    close((int)(long)result);
    FAILS(open("meet", O_WRONLY | O_NONBLOCK));
}

static int heard[2];

static void on_alarm(int sig)
{
    count_signal(sig);
    CHECK(write(heard[1], "", 1) == 1);
}

/* A child that interrupts us when we sleep, then opens it, too, until it is killed. */
static pid_t interrupter(int count)
{
    pid_t child = fork();
    if (child != 0)
        return child;
    for (int i = 0; i < count; i++) {
        until_asleep(getppid(), getppid());
        kill(getppid(), SIGALRM);
        CHECK(read(heard[0], got, 1) == 1);
    }
    until_asleep(getppid(), getppid());
    CHECK(open("meet", O_RDONLY | O_NONBLOCK) >= 0);
    for (;;)
        pause();
}

static void end(pid_t child)
{
    kill(child, SIGKILL);
    CHECK(reap(child) == 128 + SIGKILL);
}

static void interrupted(void)
{
    struct sigaction action = {.sa_handler = on_alarm};
    make(heard, 0);
    sigaction(SIGALRM, &action, NULL);
    pid_t child = interrupter(1);
    FAILS(open("meet", O_WRONLY));
    printf("signals %d\n", (int)signals);
    end(child);
    action.sa_flags = SA_RESTART;
    sigaction(SIGALRM, &action, NULL);
    signals = 0;
    child = interrupter(2);
    int fd = open("meet", O_WRONLY);
    printf("restarted: %d, signals %d\n", fd >= 0, (int)signals);
    end(child);
    close(fd);
    shut(heard);
}

/* With both ends in hand. */
static void both(void)
{
    int fd = open("meet", O_RDWR);
    CHECK(fd >= 0);
    FAILS(read(open("meet", O_RDONLY | O_NONBLOCK), got, 1));
    pid_t waits = fork();
    if (waits == 0)
        _exit(read(fd, got, 10) == 2 ? 7 : 8);
    until_asleep(waits, waits);
    CHECK(write(fd, "me", 2) == 2);
    printf("to oneself: %d\n", reap(waits));
    close(fd);
    CHECK(mkfifo("both", 0600) == 0);
    int reads = open("both", O_RDONLY | O_NONBLOCK), writes = open("both", O_WRONLY);
    CHECK(write(writes, "before", 6) == 6);
    fd = open("both", O_RDWR | O_NONBLOCK);
    CHECK(write(fd, "after", 5) == 5);
    printf("before it: %zd", read(fd, got, 3));
    printf(", after: %zd %.8s\n", read(reads, got, 20), got);
    close(writes);
    FAILS(read(reads, got, 1));
    close(fd);
    printf("nobody: %zd\n", read(reads, got, 1));
    for (int i = 3; i < 30; i++)
        close(i);
}

/* A waiting opener that is killed leaves nothing behind. */
static void killed(void)
{
    for (int i = 0; i < 2; i++) {
        pid_t child = fork();
        if (child == 0)
            _exit(open("node", i ? O_RDONLY : O_WRONLY) < 0);
        until_asleep(child, child);
        kill(child, SIGKILL);
        CHECK(reap(child) == 128 + SIGKILL);
        FAILS(open("node", O_WRONLY | O_NONBLOCK));
        int reads = open("node", O_RDONLY | O_NONBLOCK);
        printf("nobody writes: %zd\n", read(reads, got, 1));
        close(reads);
    }
}

static void show_link(int fd, const char *name)
{
    char path[64], link[4096], here[4096];
    snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
    ssize_t size = readlink(path, link, sizeof(link) - 1);
    CHECK(size > 0 && getcwd(here, sizeof(here) - 64) != NULL);
    link[size > 0 ? size : 0] = 0;
    snprintf(here + strlen(here), 64, "/%s", name);
    printf("%s: %s\n", name, strcmp(link, here) == 0 ? "as it should" : link);
}

/* However it is called, it is the same one. */
static void names(void)
{
    CHECK(mkfifo("first", 0600) == 0 && link("first", "second") == 0 &&
          symlink("second", "third") == 0);
    int reads = open("first", O_RDONLY | O_NONBLOCK), writes = open("second", O_WRONLY);
    CHECK(reads >= 0 && writes >= 0 && write(writes, "ab", 2) == 2);
    int more = open("third", O_RDONLY);
    printf("by other names: %zd", read(more, got, 1));
    printf(" %zd", read(reads, got, 5));
    FAILS(open("third", O_RDONLY | O_NOFOLLOW));
    CHECK(rename("second", "fourth") == 0);
    show_link(writes, "fourth");
    int last = open("fourth", O_WRONLY | O_NONBLOCK);
    CHECK(last >= 0 && write(last, "cde", 3) == 3);
    printf("renamed: %zd\n", read(more, got, 100));
    CHECK(unlink("first") == 0 && unlink("fourth") == 0);
    CHECK(write(writes, "f", 1) == 1);
    printf("without a name: %zd\n", read(reads, got, 100));
    show_link(writes, "fourth (deleted)");
    CHECK(mkfifo("first", 0600) == 0);
    FAILS(open("first", O_WRONLY | O_NONBLOCK));
    for (int i = 3; i < 30; i++)
        close(i);
}

/* By what /proc has of it, and by an fd that is only a name. */
static void again(void)
{
    char path[64];
    int name = open("meet", O_PATH), reads = open("meet", O_RDONLY | O_NONBLOCK);
    int writes = open("meet", O_WRONLY);
    CHECK(write(writes, "12345", 5) == 5);
    FAILS(read(name, got, 1));
    snprintf(path, sizeof(path), "/proc/self/fd/%d", reads);
    int again = open(path, O_RDONLY);
    printf("again: %zd", read(again, got, 2));
    printf(" %zd", read(reads, got, 1));
    snprintf(path, sizeof(path), "/proc/self/fd/%d", name);
    int other = open(path, O_RDONLY | O_NONBLOCK);
    printf(" %zd\n", read(other, got, 10));
    FAILS(read(other, got, 1));
    CHECK(write(writes, "x", 1) == 1 && read(again, got, 1) == 1);
    for (int i = 3; i < 30; i++)
        close(i);
}

static void permissions(void)
{
    pid_t child = fork();
    if (child == 0) {
        CHECK(mkfifo("mine", 0200) == 0);
        chmod(".", 0777);
        if (geteuid() == 0)
            CHECK(chmod("mine", 0602) == 0 && setgid(65534) == 0 && setuid(65534) == 0);
        FAILS(open("mine", O_RDONLY | O_NONBLOCK));
        FAILS(open("mine", O_RDWR));
        FAILS(open("mine", O_WRONLY | O_NONBLOCK));
        FAILS(open("mine", O_RDONLY));
        _exit(failures);
    }
    CHECK(reap(child) == 0);
}

int main(void)
{
    makes();
    meetings();
    interrupted();
    both();
    killed();
    names();
    again();
    permissions();
    return finish();
}
