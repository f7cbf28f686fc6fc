/* Reads a case's arguments and gives those in memory their place; shows afterwards what the call
 * has written. cases.py writes the arguments:
 *
 *   #-1        a number                     v0       a variable
 *   s6100      bytes with room behind them  e6100    bytes whose last one ends a page
 *   b16,x      16 bytes, shown as x         g16      the last 16 bytes of a page
 *   (x 4:#1 8:s61 )   values of 4 and 8 bytes in a row, shown as x
 */
#define _GNU_SOURCE
#include "world.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>

#define ARENA ((uint8_t *)0x100020000000)
#define ARENA_SIZE 0x200000
#define EDGES ((uint8_t *)0x100021000000) /* every other page is there */
#define EDGE_COUNT 64
#define READ_ONLY ((uint8_t *)0x100022000000)
#define PAGE 4096UL
#define UNTOUCHED 0xa5
#define BUFFER_COUNT 64

int64_t variables[VAR_COUNT + 32];
const char *const variable_names[VAR_COUNT] = {"self", "child", "parent", "group", "session"};

static struct buffer buffers[BUFFER_COUNT];
static uint8_t *copies[BUFFER_COUNT];
static size_t buffer_count, arena_used, edges_used;

static void map(uint8_t *at, size_t size, int protection)
{
    if (mmap(at, size, protection, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0) != at)
        _Exit(98);
}

void memory_reset(void)
{
    if (arena_used == 0) {
        map(ARENA, ARENA_SIZE, PROT_READ | PROT_WRITE);
        for (size_t i = 0; i < EDGE_COUNT; i++)
            map(EDGES + 2 * i * PAGE, PAGE, PROT_READ | PROT_WRITE);
        map(READ_ONLY, PAGE, PROT_READ);
    }
    arena_used = 16;
    edges_used = buffer_count = 0;
}

static uint8_t *take(size_t size)
{
    uint8_t *at = ARENA + arena_used;
    arena_used += (size + 31) & ~15UL;
    if (arena_used > ARENA_SIZE)
        _Exit(97);
    return at;
}

static uint8_t *take_edge(size_t size)
{
    return EDGES + (2 * (edges_used++ % EDGE_COUNT) + 1) * PAGE - size;
}

static void note(uint8_t *at, size_t size, char format)
{
    if (format != '-' && buffer_count < BUFFER_COUNT)
        buffers[buffer_count++] = (struct buffer){at, (uint32_t)size, format};
}

static size_t read_hex(const char **text, uint8_t *to)
{
    size_t size = 0;
    unsigned int byte;
    while (sscanf(*text, "%2x", &byte) == 1 && **text != ' ') {
        to[size++] = (uint8_t)byte;
        *text += 2;
    }
    return size;
}

static int64_t read_bytes(const char **text, bool edge)
{
    static uint8_t bytes[65536];
    size_t size = read_hex(text, bytes);
    uint8_t *at = edge ? take_edge(size) : take(size);
    memcpy(at, bytes, size);
    return (int64_t)at;
}

static int64_t read_buffer(const char **text)
{
    size_t size = strtoul(*text, (char **)text, 10);
    uint8_t *at = take(size);
    memset(at, UNTOUCHED, size);
    note(at, size, (*text)[1]);
    *text += 2;
    return (int64_t)at;
}

static int64_t read_edge(const char **text)
{
    size_t size = strtoul(*text, (char **)text, 10);
    uint8_t *at = take_edge(size);
    memset(at, UNTOUCHED, size);
    note(at, size, '?');
    return (int64_t)at;
}

static int64_t read_struct(const char **text)
{
    uint8_t bytes[4096];
    size_t size = 0;
    char format = *(*text)++;
    for (;;) {
        while (**text == ' ')
            (*text)++;
        if (**text == ')')
            break;
        size_t width = strtoul(*text, (char **)text, 10);
        (*text)++; /* the colon */
        int64_t value = read_argument(text);
        memcpy(bytes + size, &value, width);
        size += width;
    }
    (*text)++;
    uint8_t *at = take(size);
    memcpy(at, bytes, size);
    note(at, size, format);
    return (int64_t)at;
}

int64_t read_argument(const char **text)
{
    while (**text == ' ')
        (*text)++;
    switch (*(*text)++) {
    case '#':
        return (int64_t)strtoull(*text, (char **)text, 10);
    case 'v':
        return variables[strtoul(*text, (char **)text, 10)];
    case 'n': /* a negated variable: a process group for kill(2) */
        return -variables[strtoul(*text, (char **)text, 10)];
    case 's':
        return read_bytes(text, false);
    case 'e':
        return read_bytes(text, true);
    case 'b':
        return read_buffer(text);
    case 'g':
        return read_edge(text);
    case '(':
        return read_struct(text);
    default:
        _Exit(96);
    }
}

void memory_mark(void)
{
    for (size_t i = 0; i < buffer_count; i++) {
        copies[i] = take(buffers[i].size);
        memcpy(copies[i], buffers[i].at, buffers[i].size);
    }
}

static void show_hex(const uint8_t *at, size_t size)
{
    say(" [");
    for (size_t i = 0; i < size; i++) {
        size_t run = 1;
        while (i + run < size && at[i + run] == at[i])
            run++;
        if (run > 4) {
            say("(%02x*%zu)", at[i], run);
            i += run - 1;
        } else {
            say("%02x", at[i]);
        }
    }
    say("]");
}

static void show_text(const uint8_t *at, size_t size)
{
    say(" \"");
    for (size_t i = 0; i < size && at[i] != 0; i++)
        say(at[i] >= ' ' && at[i] < 127 ? "%c" : "\\x%02x", at[i]);
    say("\"");
}

static void show_int(int32_t number)
{
    for (size_t i = 0; i < VAR_COUNT; i++)
        if (labs(number) > SMALL_NUMBERS && labs(number) == variables[i]) {
            say(number < 0 ? " -%s" : " %s", variable_names[i]);
            return;
        }
    say(" %d", number);
}

static void show_ints(const uint8_t *at, size_t size)
{
    int32_t number;
    say(" {");
    for (size_t i = 0; i + 4 <= size; i += 4) {
        memcpy(&number, at + i, 4);
        show_int(number);
    }
    say(" }");
}

static void show_stat(const uint8_t *at)
{
    struct stat stat;
    memcpy(&stat, at, sizeof(stat));
    say(" {%o %d:%d x%lu %ld %lx %ld}", stat.st_mode, stat.st_uid, stat.st_gid, stat.st_nlink,
        stat.st_size, stat.st_rdev & ~0xffUL, stat.st_blksize);
}

static void show_statx(const uint8_t *at)
{
    struct statx stat;
    memcpy(&stat, at, sizeof(stat));
    say(" {%x %o %d:%d x%u %llu %u}", stat.stx_mask, stat.stx_mode, stat.stx_uid, stat.stx_gid,
        stat.stx_nlink, stat.stx_size, stat.stx_blksize);
}

static void show_one(const struct buffer *buffer, int64_t result)
{
    size_t length = result > 0 && (uint64_t)result < buffer->size ? (size_t)result : buffer->size;
    switch (buffer->format) {
    case 'x':
        return show_hex(buffer->at, buffer->size);
    case 'h':
        return show_hex(buffer->at, result > 0 ? length : 0);
    case 't':
        return show_text(buffer->at, length);
    case 'i':
        return show_ints(buffer->at, buffer->size);
    case 'S':
        return show_stat(buffer->at);
    case 'X':
        return show_statx(buffer->at);
    default:
        say(" touched");
    }
}

/* Only what has changed since memory_mark() is shown. */
void memory_show(int64_t result)
{
    for (size_t i = 0; i < buffer_count; i++)
        if (memcmp(copies[i], buffers[i].at, buffers[i].size) != 0) {
            if (buffer_count > 1)
                say(" %zu:", i);
            show_one(&buffers[i], result);
            memcpy(copies[i], buffers[i].at, buffers[i].size);
        }
}
