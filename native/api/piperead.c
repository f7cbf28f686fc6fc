/* exo/api.h: reading from a pipe by its lane. pipe.c has the rules. */
#include <poll.h>
#include <sched.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <exo/api.h>

#include "lane.h"

static bool has_data(struct lane *lane, size_t size)
{
    return waiting(lane) >= size || !load_acquire(&lane->fast);
}

static size_t get(struct lane *lane, char *data, size_t size)
{
    uint64_t tail = lane->r.tail, at = tail % SIZE, full = waiting(lane);
    size_t part = size < full ? size : full, first = part < SIZE - at ? part : SIZE - at;
    memcpy(data, lane->data + at, first);
    memcpy(data + first, lane->data, part - first);
    store_release(&lane->r.tail, tail + part);
    return part;
}

/* Has writers turn to the pipe, unless they have done so, or something has come. 0; EINTR. */
static int slow_down(struct lane *lane)
{
    int error = 0;
    for (uint32_t i = 0; error == 0 && load_acquire(&lane->fast) && waiting(lane) == 0; i++) {
        if (try(lane, &lane->w.lock)) {
            if (waiting(lane) == 0)
                store_release(&lane->fast, 0);
            pthread_mutex_unlock(&lane->w.lock);
            break;
        }
        if (i < YIELDS)
            sched_yield();
        else
            error = exo_lane_wait_writer(lane);
    }
    return error;
}

/* With both locks. */
static void count_again(struct lane *lane, int fd)
{
    int bytes = 0;
    if (load_acquire(&lane->lost) && ioctl(fd, FIONREAD, &bytes) == 0) {
        store_release(&lane->w.piped, lane->r.piped + (uint64_t)bytes);
        store_release(&lane->lost, 0);
    }
}

void exo_lane_note_holder(struct lane *lane, uint32_t process, uint32_t thread)
{
    store_relaxed(&lane->holder, process);
    store_relaxed(&lane->holder_thread, thread);
}

static void ask_for_lane(struct lane *lane, int fd)
{
    struct pollfd look = {.fd = fd, .events = POLLIN};
    int error = pthread_mutex_trylock(&lane->awake); /* EBUSY: by this reader, or by another one */
    if (settle(lane, &lane->awake, error) == 0)
        exo_lane_note_holder(lane, (uint32_t)getpid(), (uint32_t)syscall(SYS_gettid));
    store_release(&lane->left, 0);
    if (!try(lane, &lane->w.lock)) {
        store_relaxed(&lane->wanted, 1);
        return;
    }
    count_again(lane, fd);
    if (poll(&look, 1, 0) == 0 || !(look.revents & POLLHUP))
        exo_lane_speed_up(lane);
    pthread_mutex_unlock(&lane->w.lock);
}

/* Nothing has come while it was worth waiting: the host wakes the reader, who tries more rarely. */
static int give_up(struct lane *lane)
{
    lane->r.rest = lane->r.rest * 2 < REST_MAX ? lane->r.rest * 2 + 1 : REST_MAX;
    lane->r.reads = lane->r.rest;
    return slow_down(lane);
}

/* Nothing is known to be in the pipe: whether that still holds once writers can see that the reader
 * takes whatever comes. */
static bool stays_slow(struct lane *lane)
{
    store_release(&lane->unbound, 1);
    full_fence();
    if (!load_acquire(&lane->fast) && waiting(lane) == 0 &&
        load_acquire(&lane->piped) <= lane->r.piped)
        return true;
    exo_lane_set(&lane->unbound, 0, &lane->writer_waits);
    return false;
}

/* With the readers' lock: bytes from the lane; 0: they come by the pipe, at most *size of them;
 * -EINTR. */
static ssize_t read_lane(struct lane *lane, char *data, size_t *size)
{
    for (;;) {
        uint64_t piped = load_acquire(&lane->w.piped);
        bool fast = load_acquire(&lane->fast);
        uint64_t full = waiting(lane);
        uint64_t first = load_acquire(&lane->piped); /* once it is known what is in the lane */
        if (first <= lane->r.piped) {
            if (full > 0)
                return (ssize_t)get(lane, data, *size);
            if (!fast && piped <= lane->r.piped && stays_slow(lane))
                return 0;
            first = fast ? 0 : piped;
        }
        if (first > lane->r.piped) {
            *size = first - lane->r.piped < *size ? first - lane->r.piped : *size;
            return 0;
        }
        if (spin(lane, &lane->r.tries, has_data, 1))
            lane->r.rest = 0;
        else if (give_up(lane) != 0)
            return -EINTR;
    }
}

static ssize_t read_pipe(struct lane *lane, int fd, void *data, size_t size)
{
    ssize_t done = read(fd, data, size);
    if (done > 0)
        store_release(&lane->r.piped, lane->r.piped + (uint64_t)done);
    store_release(&lane->unbound, 0);
    return done;
}

static void look_for_lane(struct lane *lane, int fd)
{
    if (lane->r.tries == 0 || load_acquire(&lane->fast) || waiting(lane) > 0)
        return;
    if (lane->r.reads > 0)
        lane->r.reads--;
    else
        ask_for_lane(lane, fd);
}

static ssize_t read_with_lane(struct lane *lane, int fd, void *data, size_t size)
{
    int error = errno;
    look_for_lane(lane, fd);
    ssize_t done = read_lane(lane, data, &size);
    errno = error;
    if (done == 0)
        done = read_pipe(lane, fd, data, size);
    error = done == -EINTR ? EINTR : errno;
    pthread_mutex_unlock(&lane->r.lock);
    errno = error;
    return done < 0 ? -1 : done;
}

ssize_t exo_read(int fd, void *data, size_t size)
{
    struct lane *lane = exo_lane_of(fd, true);
    if (lane == NULL || size == 0)
        return read(fd, data, size);
    int before = errno, error = exo_lane_acquire(&lane->r.lock);
    errno = error == EINTR ? EINTR : before;
    if (error == EINTR)
        return -1;
    if (!exo_lane_take_reads(lane, fd, error))
        return read(fd, data, size);
    return read_with_lane(lane, fd, data, size);
}
