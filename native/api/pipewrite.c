/* exo/api.h: writing to a pipe by its lane, as long as its reader is awake. pipe.c has the rules. */
#include <sched.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <exo/api.h>

#include "lane.h"

static uint64_t room_of(struct lane *lane, size_t size)
{
    uint64_t room = SIZE - (lane->w.head - lane->w.tail_seen);
    if (room < size || room > SIZE) {
        lane->w.tail_seen = load_acquire(&lane->r.tail);
        room = SIZE - (lane->w.head - lane->w.tail_seen);
    }
    return room <= SIZE ? room : 0;
}

static bool has_room(struct lane *lane, size_t size)
{
    return room_of(lane, size) >= size;
}

static size_t put(struct lane *lane, const char *data, size_t size)
{
    uint64_t head = lane->w.head, at = head % SIZE, room = room_of(lane, size);
    size_t part = size < room ? size : room, first = part < SIZE - at ? part : SIZE - at;
    memcpy(lane->data + at, data, first);
    memcpy(lane->data, data + first, part - first);
    store_release(&lane->w.head, head + part);
    return part;
}

/* Whether the reader that has set `fast` lives, and has not closed its end. */
static bool reader_lives(struct lane *lane)
{
    if (!try(lane, &lane->awake))
        return !load_acquire(&lane->left);
    pthread_mutex_unlock(&lane->awake);
    return false;
}

/* A reader was killed: it may have had some of the bytes that come first. */
static void count_first(struct lane *lane, int fd)
{
    int bytes = 0;
    uint64_t first = load_acquire(&lane->piped) - lane->r.piped;
    if ((int64_t)first > 0 && ioctl(fd, FIONREAD, &bytes) == 0 && first > (uint64_t)bytes)
        store_release(&lane->r.piped, lane->piped - (uint64_t)bytes);
    exo_lane_set(&lane->unbound, 0, &lane->writer_waits);
}

bool exo_lane_take_reads(struct lane *lane, int fd, int error)
{
    if (error == EOWNERDEAD)
        count_first(lane, fd);
    return settle(lane, &lane->r.lock, error) == 0;
}

/* What is written to the pipe from now on comes behind the lane: a reader that has come before there
 * was something in it, and finds something in the pipe, must have gone. 0; EINTR. */
static int turn_to_pipe(struct lane *lane, int fd)
{
    int error = 0;
    full_fence();
    for (uint32_t i = 0; error == 0 && load_acquire(&lane->unbound); i++) {
        if (exo_lane_take_reads(lane, fd, pthread_mutex_trylock(&lane->r.lock))) {
            pthread_mutex_unlock(&lane->r.lock);
            break;
        }
        if (i < YIELDS)
            sched_yield();
        else
            error = exo_lane_wait_reader(lane);
    }
    if (error == 0)
        exo_lane_set(&lane->fast, 0, &lane->reader_waits);
    return error;
}

/* With the writers' lock: what goes into the lane, *done; the rest goes to the pipe. 0; EINTR. */
static int write_fast(struct lane *lane, int fd, const char *data, size_t size, size_t *done)
{
    if (reader_lives(lane)) {
        do {
            size_t left = size - *done, need = size <= PIPE_ATOMIC ? size : 1;
            if (!has_room(lane, need) && !spin(lane, &lane->w.tries, has_room, need))
                break;
            *done += put(lane, data + *done, left);
        } while (*done < size);
    }
    return *done < size ? turn_to_pipe(lane, fd) : 0;
}

/* With the writers' lock: what is in the pipe now comes before what is going to be in the lane. But
 * a reader that has seen nothing in either may sleep in the host, and is to be woken by the pipe. */
void exo_lane_speed_up(struct lane *lane)
{
    if (waiting(lane) != 0)
        return;
    store_release(&lane->piped, lane->w.piped);
    store_release(&lane->fast, 1);
    full_fence();
    if (load_acquire(&lane->unbound) && load_acquire(&lane->r.piped) == lane->w.piped)
        store_release(&lane->fast, 0);
    else
        store_relaxed(&lane->wanted, 0);
}

static int write_lane(struct lane *lane, int fd, const char *data, size_t size, size_t *done)
{
    if (load_relaxed(&lane->wanted) && !load_relaxed(&lane->fast) && !load_acquire(&lane->lost))
        exo_lane_speed_up(lane);
    return load_relaxed(&lane->fast) ? write_fast(lane, fd, data, size, done) : 0;
}

static ssize_t write_pipe(struct lane *lane, int fd, const char *data, size_t size)
{
    ssize_t done = size > 0 ? write(fd, data, size) : 0;
    if (done > 0)
        store_release(&lane->w.piped, lane->w.piped + (uint64_t)done);
    return done;
}

static ssize_t write_with_lane(struct lane *lane, int fd, const char *data, size_t size)
{
    int before = errno;
    size_t done = 0;
    int error = write_lane(lane, fd, data, size, &done);
    errno = before;
    ssize_t more = error == 0 ? write_pipe(lane, fd, data + done, size - done) : -1;
    error = error == 0 ? errno : error;
    pthread_mutex_unlock(&lane->w.lock);
    errno = error;
    return more >= 0 ? (ssize_t)done + more : done > 0 ? (ssize_t)done : -1;
}

ssize_t exo_write(int fd, const void *data, size_t size)
{
    struct lane *lane = exo_lane_of(fd, false);
    if (lane == NULL || size == 0)
        return write(fd, data, size);
    int before = errno, error = exo_lane_acquire(&lane->w.lock);
    errno = error == EINTR ? EINTR : before;
    if (error == EINTR)
        return -1;
    if (settle(lane, &lane->w.lock, error) != 0)
        return write(fd, data, size);
    return write_with_lane(lane, fd, data, size);
}
