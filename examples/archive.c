/* Puts files one behind the other into an archive, with an index of where every hundredth line begins.
 *
 *     archive OUT FILE...        writes OUT and OUT.index
 *
 * It is slower than it need be: docs/tutorial.md finds out why, and mends it (archive_mended.c).
 */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

static int out, index_file;
static long lines, offset;

static void give_up(const char *name)
{
    perror(name);
    exit(1);
}

static int is_wanted(void)
{
    struct stat status;
    return stat("archive.noindex", &status) != 0;
}

static void note_line(long at)
{
    char digits[24];
    if (!is_wanted())
        return;
    snprintf(digits, sizeof(digits), "%ld\n", at);
    for (char *digit = digits; *digit; digit++)
        if (write(index_file, digit, 1) != 1)
            give_up("index");
}

static void count_lines(const char *data, long size)
{
    for (long i = 0; i < size; i++)
        if (data[i] == '\n' && lines++ % 100 == 0)
            note_line(offset + i);
}

static void add(const char *path)
{
    char block[512];
    long got;
    int in = open(path, O_RDONLY);
    if (in < 0)
        give_up(path);
    while ((got = read(in, block, sizeof(block))) > 0) {
        count_lines(block, got);
        if (write(out, block, (size_t)got) != got)
            give_up("archive");
        offset += got;
    }
    close(in);
}

int main(int argc, char **argv)
{
    char name[4096];
    if (argc < 3) {
        fprintf(stderr, "usage: archive OUT FILE...\n");
        return 2;
    }
    snprintf(name, sizeof(name), "%s.index", argv[1]);
    out = open(argv[1], O_CREAT | O_TRUNC | O_WRONLY, 0666);
    index_file = open(name, O_CREAT | O_TRUNC | O_WRONLY, 0666);
    if (out < 0 || index_file < 0)
        give_up(argv[1]);
    for (int i = 2; i < argc; i++)
        add(argv[i]);
    printf("%d files, %ld lines, %ld bytes\n", argc - 2, lines, offset);
    return 0;
}
