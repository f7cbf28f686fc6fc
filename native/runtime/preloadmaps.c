/* The platform preload: the code that was mapped before us, from /proc/self/maps. */
#include "preload.h"
#include "stub.h"
#include "text.h"

#define LINE_SIZE (EXO_PATH_SIZE + 128)

struct lines {
    long fd;
    uint32_t at, got;
    char buffer[1024];
};

static int next_byte(struct lines *from)
{
    if (from->at == from->got) {
        long got = HOST_3(__NR_read, from->fd, from->buffer, sizeof(from->buffer));
        from->got = got > 0 ? (uint32_t)got : 0;
        from->at = 0;
    }
    return from->at == from->got ? -1 : (uint8_t)from->buffer[from->at++];
}

/* False at the end. What does not fit is cut. */
static bool next_line(struct lines *from, char *line)
{
    uint32_t size = 0;
    int byte;
    while ((byte = next_byte(from)) >= 0 && byte != '\n')
        if (size < LINE_SIZE - 1)
            line[size++] = (char)byte;
    line[size] = '\0';
    return byte >= 0 || size > 0;
}

static uint64_t hexadecimal(const char **text)
{
    uint64_t number = 0;
    for (;; ++*text) {
        char digit = **text; // NOLINT(clang-analyzer-core.uninitialized.Assign): texts have a NUL
        if (digit >= '0' && digit <= '9')
            number = number << 4 | (uint64_t)(digit - '0');
        else if (digit >= 'a' && digit <= 'f')
            number = number << 4 | (uint64_t)(digit - 'a' + 10);
        else
            return number;
    }
}

struct mapping {
    uint64_t start, end, offset, inode;
    const char *flags, *path;
};

/* "start-end rwxp offset major:minor inode   path", proc(5). */
static void parse(struct mapping *found, const char *at)
{
    found->start = hexadecimal(&at);
    at++;
    found->end = hexadecimal(&at);
    found->flags = at + 1;
    at += 6;
    found->offset = hexadecimal(&at);
    for (int spaces = 0; spaces < 2 && *at; at++)
        spaces += *at == ' ';
    found->inode = exo_get_number(at, &at);
    while (*at == ' ')
        at++;
    found->path = at;
}

static void add(const struct mapping *found)
{
    struct k_stat stat;
    if (found->flags[2] != 'x' || found->flags[1] == 'w' || found->flags[3] != 'p' ||
        found->path[0] != '/' || in_window(found->start, found->end - found->start))
        return;
    long fd = HOST_3(__NR_open, found->path, O_RDONLY_ | O_CLOEXEC_, 0);
    if (fd < 0)
        return;
    if (HOST_2(__NR_fstat, fd, &stat) == 0 && stat.ino == found->inode)
        exo_map_add(found->start, found->end - found->start, found->offset, (int)fd);
    HOST_1(__NR_close, fd);
}

void exo_preload_maps(void)
{
    char line[LINE_SIZE];
    struct mapping found;
    struct lines from = {.fd = HOST_3(__NR_open, "/proc/self/maps", O_RDONLY_ | O_CLOEXEC_, 0)};
    if (from.fd < 0)
        return; /* then every call traps */
    exo_mm_lock();
    while (next_line(&from, line)) {
        parse(&found, line);
        add(&found);
    }
    exo_mm_unlock();
    HOST_1(__NR_close, from.fd);
}
