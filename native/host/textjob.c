/* /proc/PID/maps, smaps and cmdline as the guest sees them. Source: proc(5).
 *
 * maps and smaps are without the runtime's mappings, and code that is mapped from a patched copy shows
 * as the file it is a copy of. The rest of the text is the host's.
 */
#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <exo/core.h>

#include "content.h"
#include "host.h"

#define PATH_COLUMN 73
#define PERMISSIONS 4

/* One mapping of the text, with the lines that follow it in smaps. */
struct mapping {
    const char *at, *lines, *end; /* its line, what follows, the next one's */
    const char *permissions, *path;
    uint64_t start, stop, offset, inode;
    uint32_t major, minor;
};

/* The guest's mappings. */
struct mappings {
    struct mapping *all;
    uint64_t count, room;
};

static const char *line_end(const char *at, const char *end)
{
    const char *newline = memchr(at, '\n', (size_t)(end - at));
    return newline == NULL ? end : newline + 1;
}

/* Whether a mapping begins here; what smaps says of one begins with a capital letter. */
static bool is_head(char c)
{
    return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f');
}

static uint64_t number(const char **at, uint64_t base)
{
    uint64_t value = 0;
    while (is_head(**at)) {
        char c = *(*at)++;
        value = value * base + (uint64_t)(c <= '9' ? c - '0' : c - 'a' + 10);
    }
    while (**at == ' ' || **at == '-' || **at == ':')
        (*at)++;
    return value;
}

/* The text ends with a newline, where any number stops. */
static void parse(struct mapping *mapping, const char *at)
{
    mapping->at = at;
    mapping->start = number(&at, 16);
    mapping->stop = number(&at, 16);
    mapping->permissions = at;
    at += strcspn(at, " \n");
    at += *at == ' ';
    mapping->offset = number(&at, 16);
    mapping->major = (uint32_t)number(&at, 16);
    mapping->minor = (uint32_t)number(&at, 16);
    mapping->inode = number(&at, 10);
    mapping->path = at;
}

static bool is_ours(const struct mapping *mapping)
{
    return mapping->start < EXO_WINDOW_END && mapping->stop > EXO_WINDOW_BASE;
}

static struct mapping *next_place(struct mappings *mappings)
{
    if (mappings->count == mappings->room) {
        uint64_t room = mappings->room == 0 ? 64 : 2 * mappings->room;
        struct mapping *all = realloc(mappings->all, room * sizeof(*all));
        if (all == NULL)
            return NULL;
        mappings->all = all;
        mappings->room = room;
    }
    return &mappings->all[mappings->count];
}

static int split(struct mappings *mappings, const struct exo_text *text)
{
    const char *at = text->at, *end = text->at + text->size;
    if (text->size > 0 && end[-1] != '\n')
        return -EIO;
    while (at < end) {
        struct mapping *mapping = next_place(mappings);
        if (mapping == NULL)
            return -ENOMEM;
        parse(mapping, at);
        mapping->lines = at = line_end(at, end);
        while (at < end && !is_head(*at))
            at = line_end(at, end);
        mapping->end = at;
        mappings->count += !is_ours(mapping);
    }
    return 0;
}

static bool is_copy(const struct exo_job *job, const struct mapping *mapping)
{
    return mapping->inode == job->copies_inode && mapping->major == job->copies_major &&
           mapping->minor == job->copies_minor;
}

/* Another part of the file that the code of mapping i is from, beside it; NULL. */
static const struct mapping *neighbour(const struct exo_job *job, const struct mappings *mappings,
                                       uint64_t i)
{
    const struct mapping *one = &mappings->all[i], *before = one - 1, *after = one + 1;
    if (i > 0 && before->stop == one->start && *before->path == '/' && !is_copy(job, before))
        return before;
    if (i + 1 < mappings->count && after->start == one->stop && *after->path == '/' &&
        !is_copy(job, after))
        return after;
    return NULL;
}

/* Where in its file the code is; false: these are stubs. */
static bool find_code(struct exo_kr *kr, uint64_t at, uint64_t *offset)
{
    for (uint32_t i = 0; i < kr->copy_count && i < EXO_COPY_COUNT; i++) {
        const struct exo_copy *copy = exo_copy_at(kr, i);
        uint64_t within = at - copy->at - EXO_COPY_EXTRA_SIZE;
        if (at >= copy->at + EXO_COPY_EXTRA_SIZE && within < copy->text_size) {
            *offset = copy->text_offset + within;
            return true;
        }
    }
    return false;
}

/* The line of a mapping of a copy, as that of a file would be. */
static void put_line(struct exo_content *content, const struct mapping *mapping, uint64_t offset,
                     const struct mapping *file)
{
    static const struct mapping none = {.path = "\n"};
    char head[160];
    if (file == NULL)
        file = &none;
    int size = snprintf(head, sizeof head, "%08lx-%08lx %.*s %08lx %02x:%02x %lu ", mapping->start,
                        mapping->stop, PERMISSIONS, mapping->permissions, offset, file->major,
                        file->minor, file->inode);
    if (*file->path != '\n' && size < PATH_COLUMN)
        size += snprintf(head + size, sizeof head - (size_t)size, "%*s", PATH_COLUMN - size, "");
    exo_content_put(content, head, (uint64_t)size);
    exo_content_put(content, file->path, strcspn(file->path, "\n") + 1);
}

/* What stays as it is, is written in as long stretches as there are. */
static void put_all(struct exo_content *content, const struct exo_job *job,
                    const struct mappings *mappings)
{
    const char *from = NULL, *to = NULL;
    for (uint64_t i = 0; i < mappings->count; i++) {
        const struct mapping *mapping = &mappings->all[i];
        bool copy = is_copy(job, mapping);
        uint64_t offset;
        if (copy || mapping->at != to) {
            exo_content_put(content, from, (uint64_t)(to - from));
            from = copy ? mapping->lines : mapping->at;
        }
        to = mapping->end;
        if (copy && !find_code(job->kr, mapping->offset, &offset))
            from = to;
        else if (copy)
            put_line(content, mapping, offset, neighbour(job, mappings, i));
    }
    exo_content_put(content, from, (uint64_t)(to - from));
}

int64_t exo_host_copy_maps(const struct exo_job *job)
{
    struct mappings mappings = {0};
    struct exo_content content;
    struct exo_text text;
    int64_t result = exo_text_read(&text, job->path);
    if (result == 0)
        result = split(&mappings, &text);
    if (result == 0) {
        exo_content_begin(&content, job->name);
        put_all(&content, job, &mappings);
        result = exo_content_end(&content);
    }
    free(mappings.all);
    free(text.at);
    return result;
}

/* Without the two words that the loader was given in front of the guest's. */
int64_t exo_host_copy_cmdline(const struct exo_job *job)
{
    static const char mark[] = "exo1:";
    struct exo_content content;
    struct exo_text text;
    int64_t result = exo_text_read(&text, job->path);
    if (result == 0) {
        const char *at = text.at, *end = text.at + text.size;
        bool marked = text.size >= sizeof mark && memcmp(at, mark, sizeof mark - 1) == 0;
        for (int words = marked ? 2 : 0; words > 0 && at < end; words--) {
            const char *nul = memchr(at, '\0', (size_t)(end - at));
            at = nul == NULL ? end : nul + 1;
        }
        exo_content_begin(&content, job->name);
        exo_content_put(&content, at, (uint64_t)(end - at));
        result = exo_content_end(&content);
    }
    free(text.at);
    return result;
}
