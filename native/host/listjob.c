/* Directories below /proc whose entries are numbers of the instance's: processes, threads, fds; as
 * the records that getdents64(2) gives. Names of a host directory that are no numbers come first.
 *
 * The runtime reads whole records at the file's offset, so d_off is the next record's. What is looked
 * at belongs to guests, which may have written anything anywhere.
 */
#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <exo/core.h>

#include "content.h"
#include "host.h"

enum { ALIGNMENT = 8, BATCH = 8192 };

/* A directory that is being written. */
struct listing {
    struct exo_content content;
    uint64_t size;
    uint32_t used;
    char batch[BATCH];
};

struct numbers {
    uint32_t *all;
    uint64_t count, room;
    int error;
};

static void flush(struct listing *listing)
{
    exo_content_put(&listing->content, listing->batch, listing->used);
    listing->used = 0;
}

static void put(struct listing *listing, const char *name, uint32_t type, uint64_t inode)
{
    size_t length = strlen(name) + 1;
    size_t size = (offsetof(struct dirent64, d_name) + length + ALIGNMENT - 1) & -ALIGNMENT;
    if (size > BATCH - listing->used)
        flush(listing);
    struct dirent64 *record = (struct dirent64 *)(listing->batch + listing->used);
    memset(record, 0, size);
    listing->size += size;
    listing->used += (uint32_t)size;
    record->d_ino = inode;
    record->d_off = (int64_t)listing->size;
    record->d_reclen = (uint16_t)size;
    record->d_type = (uint8_t)type;
    memcpy(record->d_name, name, length);
}

static bool is_number(const char *name)
{
    return name[strspn(name, "0123456789")] == '\0';
}

static int put_host(struct listing *listing, const char *path)
{
    DIR *directory = opendir(path);
    if (directory == NULL)
        return -errno;
    for (struct dirent64 *entry; (entry = readdir64(directory)) != NULL;)
        if (!is_number(entry->d_name) && strcmp(entry->d_name, ".") != 0 &&
            strcmp(entry->d_name, "..") != 0)
            put(listing, entry->d_name, entry->d_type, entry->d_ino);
    closedir(directory);
    return 0;
}

static void add(struct numbers *numbers, uint32_t number)
{
    if (numbers->count == numbers->room) {
        uint64_t room = numbers->room == 0 ? 256 : 2 * numbers->room;
        uint32_t *all = realloc(numbers->all, room * sizeof(*all));
        if (all == NULL) {
            numbers->error = -ENOMEM;
            return;
        }
        numbers->all = all;
        numbers->room = room;
    }
    numbers->all[numbers->count++] = number;
}

static void add_tasks(struct numbers *numbers, const struct exo_job *job)
{
    const struct exo_kr *kr = job->kr;
    for (uint32_t slot = 0; slot < kr->task_high && slot < EXO_TASK_COUNT; slot++) {
        uint32_t tid = kr->ids[EXO_TASK_COUNT - 1 - slot].tid;
        uint32_t leader = kr->tasks[slot].leader_slot;
        if (tid != 0 && leader == (job->list == EXO_LIST_PIDS ? slot : job->slot))
            add(numbers, tid);
    }
}

static void add_fds(struct numbers *numbers, const struct exo_job *job)
{
    struct exo_kr *kr = job->kr;
    uint64_t offset = kr->tasks[job->slot].fd_table;
    if (offset == 0 || offset % 8 != 0 || offset > kr->size - sizeof(struct exo_fd_table))
        return;
    const struct exo_fd_table *table = exo_kr_at(kr, offset);
    uint64_t at = __atomic_load_n(&table->entries, __ATOMIC_ACQUIRE), used = table->used;
    if (at % 8 != 0 || at >= kr->size || used > (kr->size - at) / sizeof(struct exo_fd))
        return;
    const struct exo_fd *entries = exo_kr_at(kr, at);
    for (uint64_t i = 0; i < used; i++)
        if (__atomic_load_n(&entries[i].host, __ATOMIC_RELAXED) >= 0)
            add(numbers, (uint32_t)i);
}

static int ascending(const void *a, const void *b)
{
    uint32_t first = *(const uint32_t *)a, second = *(const uint32_t *)b;
    return (first > second) - (first < second);
}

static void put_numbers(struct listing *listing, const struct exo_job *job,
                        const struct numbers *numbers)
{
    char name[16];
    for (uint64_t i = 0; i < numbers->count; i++) {
        uint32_t number = numbers->all[i];
        if (i > 0 && numbers->all[i - 1] == number)
            continue;
        snprintf(name, sizeof name, "%u", number);
        put(listing, name, job->d_type, (uint64_t)job->first_inode + number);
    }
}

static int find_numbers(struct numbers *numbers, const struct exo_job *job)
{
    if (job->slot >= EXO_TASK_COUNT)
        return -EINVAL;
    if (job->list != EXO_LIST_FDS)
        add_tasks(numbers, job);
    else if (job->slot != 0)
        add_fds(numbers, job);
    if (job->one_more >= 0)
        add(numbers, (uint32_t)job->one_more);
    if (numbers->error == 0 && numbers->count > 0)
        qsort(numbers->all, numbers->count, sizeof(*numbers->all), ascending);
    return numbers->error;
}

int64_t exo_host_list(const struct exo_job *job)
{
    struct numbers numbers = {0};
    struct listing listing = {0};
    int error = find_numbers(&numbers, job);
    if (error == 0) {
        exo_content_begin(&listing.content, job->name);
        put(&listing, ".", DT_DIR, job->first_inode);
        put(&listing, "..", DT_DIR, job->first_inode);
        error = job->path == NULL ? 0 : put_host(&listing, job->path);
        put_numbers(&listing, job, &numbers);
        flush(&listing);
        int fd = exo_content_end(&listing.content);
        if (error != 0 && fd >= 0)
            close(fd);
        error = error != 0 ? error : fd;
    }
    free(numbers.all);
    return error;
}
