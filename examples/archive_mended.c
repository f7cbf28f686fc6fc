/* Puts files one behind the other into an archive, with an index of where every hundredth line begins.
 *
 *     archive OUT FILE...        writes OUT and OUT.index
 *
 * archive.c after docs/tutorial.md has found out why that one is slow.
 */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

static int out;
static FILE *index_file;
static long lines, offset;

static void give_up(const char *name)
{
    perror(name);
    exit(1);
}

static int is_wanted(void)
{
    static int known = -1;
    struct stat status;
    if (known < 0)
        known = stat("archive.noindex", &status) != 0;
    return known;
}

static void note_line(long at)
{
    if (is_wanted())
        fprintf(index_file, "%ld\n", at);
}

static void count_lines(const char *data, long size)
{
    for (long i = 0; i < size; i++)
        if (data[i] == '\n' && lines++ % 100 == 0)
            note_line(offset + i);
}

static void add(const char *path)
{
    static char block[65536];
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
    index_file = fopen(name, "w");
    if (out < 0 || index_file == NULL)
        give_up(argv[1]);
    for (int i = 2; i < argc; i++)
        add(argv[i]);
    if (fclose(index_file) != 0)
        give_up(name);
    printf("%d files, %ld lines, %ld bytes\n", argc - 2, lines, offset);
    return 0;
}
