/* Epoll sets on their way in messages (SCM_RIGHTS): they stay exo's, and are counted as sockets are (core/sockflight.c).
 *
 * The host carries the twin. Who receives it knows the set by what fdinfo says of the doorbell in it: whoever sends a set
 * rings there, and the bell says which set it is. A set in which there never was anything of exo's becomes the
 * host's, and so does one that leaves the instance.
 */
#include "epoll.h"
#include "pipe.h"
#include "sock.h"
#include "text.h"
#include "translate.h"

#define TEXT_SIZE 2048

bool exo_set_leave(struct exo_fd *at, uint32_t carrier)
{
    struct exo_fd set = exo_fd_now(at);
    if (set.host < 0 || !(set.flags & EXO_FD_EPOLL) || carrier == 0)
        return false;
    const struct exo_epoll *of = exo_epoll_at(KR, set.stamp);
    if (load_acquire(&of->mode) != EXO_SET_OWN || load_acquire(&of->group_count) == 0)
        return false;
    exo_epoll_ring(set);
    exo_object_hold(KR, set.stamp);
    exo_sock_fly(KR, set.stamp, carrier);
    exo_object_hold(KR, 0);
    return true;
}

void exo_set_stay(struct exo_fd *at, uint32_t carrier)
{
    struct exo_fd set = exo_fd_now(at);
    if (set.host >= 0 && (set.flags & EXO_FD_EPOLL))
        exo_sock_end_flight(KR, set.stamp, carrier, 0);
}

static const char *skip_spaces(const char *text)
{
    while (*text == ' ' || *text == '\t')
        text++;
    return text;
}

static uint64_t get_hex(const char *text)
{
    uint64_t value = 0;
    for (;; text++) {
        unsigned digit = (unsigned)(uint8_t)*text;
        if (digit - '0' <= 9)
            value = value << 4 | (digit - '0');
        else if (digit - 'a' <= 5)
            value = value << 4 | (digit - 'a' + 10);
        else
            return value;
    }
}

/* Of a line "tfd: 61 events: 4 data: e5cafe7100020000 ...", the set; else 0. Source: proc_pid_fdinfo(5). */
static uint32_t set_of_line(const char *line)
{
    const char *at = exo_skip(line, "tfd:"), *after;
    if (at == NULL || exo_get_number(skip_spaces(at), &after) != EXO_FD_DOORBELL)
        return 0;
    while (*after != '\0' && (at = exo_skip(after, "data:")) == NULL)
        after++;
    uint64_t data = *after == '\0' ? 0 : get_hex(skip_spaces(at));
    uint64_t index = (data & ~EXO_EPOLL_TAG_MASK) >> EXO_EPOLL_BELL_SHIFT;
    bool bell = data != 0 && exo_epoll_bell(EXO_EPOLL_FIRST + (uint32_t)index) == data;
    return bell && index != 0 && index < EXO_EPOLL_COUNT ? EXO_EPOLL_FIRST + (uint32_t)index : 0;
}

/* Of all whole lines of text; what is left of the last one is moved to its start. */
static uint32_t set_of_lines(char *text, uint64_t *size)
{
    uint32_t set = 0;
    uint64_t start = 0;
    for (uint64_t i = 0; i < *size; i++) {
        if (text[i] != '\n')
            continue;
        text[i] = '\0';
        set = set != 0 ? set : set_of_line(text + start);
        start = i + 1;
    }
    *size = start != 0 ? *size - start : 0; /* no line is that long */
    memmove(text, text + start, *size);
    return set;
}

uint32_t exo_set_of(long twin)
{
    char text[TEXT_SIZE], path[40] = "/proc/self/fdinfo/";
    uint64_t size = 0;
    uint32_t set = 0;
    long got;
    exo_put_number(path + strlen(path), (uint64_t)twin);
    long fd = HOST_3(__NR_open, path, O_CLOEXEC_, 0);
    if (fd < 0)
        return 0;
    while (set == 0 && (got = HOST_3(__NR_read, fd, text + size, sizeof(text) - size)) > 0) {
        size += (uint64_t)got;
        set = set_of_lines(text, &size);
    }
    HOST_1(__NR_close, fd);
    return set;
}
