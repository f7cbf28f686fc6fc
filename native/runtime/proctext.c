/* Text files below /proc that exo makes: each is a memfd that the kernel process filled. As on
 * Linux the text is made anew whenever it is read from its start.
 *
 * It is fresh, and not made twice, if the thread has made no call since it opened the file, but for
 * looking at that file. DIFFERS: what sendfile, splice and copy_file_range take from such a file is
 * the text of the last open or read.
 */
#include "proctext.h"
#include "legacy.h"
#include "path.h"
#include "text.h"
#include "translate.h"

#define O_WRONLY_ 1
#define O_TRUNC_ 01000
#define TEXT_MAX_SIZE (1 << 30)

static uint16_t now(void)
{
    return (uint16_t)(area()->host_calls + area()->legacy_calls);
}

static bool is_new(const struct exo_fd *entry)
{
    return (entry->flags & EXO_FD_TEXT_NEW) && entry->stamp == now();
}

void exo_text_opened(struct exo_fd *entry)
{
    entry->flags |= EXO_FD_TEXT | EXO_FD_TEXT_NEW;
    entry->stamp = now();
}

/* The guest's fd is read-only; the same file is opened anew to be written. */
static long replace_text(int host, int fresh)
{
    char self[40] = "/proc/self/fd/";
    exo_put_number(self + strlen(self), (uint64_t)host);
    long fd = HOST_3(__NR_open, self, O_WRONLY_ | O_TRUNC_ | O_CLOEXEC_, 0);
    if (fd < 0)
        return fd;
    long size = HOST_4(__NR_sendfile, fd, fresh, 0, TEXT_MAX_SIZE);
    HOST_1(__NR_close, fd);
    return size < 0 ? size : 0;
}

long exo_text_before_read(struct exo_fd *entry, long offset)
{
    struct exo_path path;
    bool new = is_new(entry);
    if (offset == -1 && !new)
        offset = HOST_3(__NR_lseek, entry->host, 0, SEEK_CUR_);
    entry->flags &= (uint16_t)~EXO_FD_TEXT_NEW;
    if (new || offset != 0)
        return 0;
    if (exo_path_of_fd(&path, entry->host) <= EXO_PATH_PLAIN)
        return -ESRCH;
    long fresh = exo_legacy_fetch(&path);
    if (fresh < 0)
        return fresh == -ENOENT ? -ESRCH : fresh;
    long error = replace_text(entry->host, (int)fresh);
    HOST_1(__NR_close, fresh);
    return error;
}

long exo_text_stat(struct exo_fd *entry, struct k_stat *stat)
{
    struct exo_path path;
    bool new = is_new(entry);
    long kind = exo_path_of_fd(&path, entry->host);
    long error = kind <= EXO_PATH_PLAIN ? -ENOENT : HOST_2(__NR_stat, path.host, stat);
    if (error != 0) { /* the process is gone: its file still is what it was */
        error = HOST_2(__NR_fstat, entry->host, stat);
        stat->mode = S_IFREG_ | 0444;
        stat->nlink = 1;
        stat->size = stat->blocks = 0;
    }
    if (new)
        entry->stamp = now();
    return error;
}
