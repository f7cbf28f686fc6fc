/* fifo(7): other names of one, permissions, and opening it by what /proc has of it. */
#include "fifos.h"

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
    int name = open("line", O_PATH), reads = open("line", O_RDONLY | O_NONBLOCK);
    int writes = open("line", O_WRONLY);
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
    CHECK(mkfifo("line", 0600) == 0);
    names();
    again();
    permissions();
    return finish();
}
