/* Waiting for several fds: poll(2), select(2), and the masks of their p-variants and of
 * io_pgetevents(2).
 *
 * Guest fd numbers are mostly the host's (both take the lowest free one); then the guest's own array
 * goes to the host. Else a translated copy does, and only the results are written back.
 */
#include "poll.h"
#include "translate.h"

#define MASK_SIZE 8
#define SELECT_COUNT 1024 /* fds named in one select */
#define SELECT_LIMIT 65536

#define IN_SET 0x00d9  /* POLLIN | POLLRDNORM | POLLRDBAND | POLLHUP | POLLERR */
#define OUT_SET 0x030c /* POLLOUT | POLLWRNORM | POLLWRBAND | POLLERR */
#define EX_SET 0x0002  /* POLLPRI */

long exo_poll_mask(struct exo_wait_mask **mask, uint64_t from, uint64_t size)
{
    uint64_t guest;
    if (from == 0) {
        *mask = NULL;
        return 0;
    }
    if (size != MASK_SIZE)
        return -EINVAL;
    if (guest_get(&guest, from) != 0)
        return -EFAULT;
    **mask = exo_wait_mask_from(guest);
    return 0;
}

/* The host's own: 0 for none. */
static long for_host(const struct exo_wait_mask *mask)
{
    return mask == NULL ? 0 : (long)&mask->host;
}

long exo_poll_host(const void *fds, uint64_t count, long timeout, struct exo_wait_mask *mask)
{
    return EXO_WAIT(mask, __NR_ppoll, (long)fds, (long)count, timeout, for_host(mask), MASK_SIZE,
                    0);
}

/* A bad timeout is found before anything else. */
long exo_poll_check_timeout(uint64_t from)
{
    int64_t timeout[2];
    if (from == 0)
        return 0;
    if (guest_get(&timeout, from) != 0)
        return -EFAULT;
    return timeout[0] < 0 || (uint64_t)timeout[1] >= 1000000000 ? -EINVAL : 0;
}

static bool poll_is_same(uint64_t fds, uint64_t count)
{
    for (uint64_t i = 0; i < count; i++) {
        int fd;
        if (guest_get(&fd, fds + i * sizeof(struct k_pollfd)) != 0)
            return true; /* the host says EFAULT */
        if (fd >= 0 && (exo_fd_twin(fd) != fd || exo_poll_is_pipe(fd)))
            return false;
    }
    return true;
}

static long poll_copy(struct k_pollfd *copy, uint64_t fds, uint64_t count, long timeout,
                      struct exo_wait_mask *mask)
{
    if (guest_read(copy, fds, count * sizeof(*copy)) != 0)
        return -EFAULT;
    long ready = exo_poll_mixed(copy, copy + count, count, timeout, mask);
    for (uint64_t i = 0; ready >= 0 && i < count; i++) {
        uint64_t to = fds + i * sizeof(*copy) + offsetof(struct k_pollfd, revents);
        if (guest_put(to, &copy[i].revents) != 0)
            return -EFAULT;
    }
    return ready;
}

/* timeout is the address of a timespec, the guest's or ours, or 0. */
static long do_poll(uint64_t fds, uint64_t count, long timeout, struct exo_wait_mask *mask)
{
    struct k_pollfd copy[2 * EXO_POLL_COUNT];
    if (count > exo_fd_limit())
        return -EINVAL;
    if (poll_is_same(fds, count))
        return exo_poll_host((const void *)fds, count, timeout, mask);
    if (count <= EXO_POLL_COUNT)
        return poll_copy(copy, fds, count, timeout, mask);
    long scratch = HOST_6(__NR_mmap, 0, 2 * count * sizeof(copy[0]), PROT_READ_ | PROT_WRITE_,
                          MAP_PRIVATE_ | MAP_ANONYMOUS_, -1, 0);
    if (scratch < 0)
        return scratch;
    long ready = poll_copy((struct k_pollfd *)scratch, fds, count, timeout, mask);
    HOST_2(__NR_munmap, scratch, 2 * count * sizeof(copy[0]));
    return ready;
}

SYSCALL(poll)
{
    int milliseconds = (int)c;
    int64_t timeout[2] = {milliseconds / 1000, (int64_t)(milliseconds % 1000) * 1000000};
    long ready = do_poll((uint64_t)a, (uint32_t)b, milliseconds < 0 ? 0 : (long)timeout, NULL);
    return ready;
}

SYSCALL(ppoll)
{
    struct exo_wait_mask room, *mask = &room;
    long error = exo_poll_check_timeout((uint64_t)c);
    if (error == 0)
        error = exo_poll_mask(&mask, (uint64_t)d, (uint64_t)e);
    return error ? error : do_poll((uint64_t)a, (uint32_t)b, c, mask);
}

/* Word i of a guest's fd set; 0 for a set not given. */
static long set_word(uint64_t set, uint64_t i, uint64_t *word)
{
    *word = 0;
    return set == 0 ? 0 : guest_get(word, set + i * 8);
}

/* The fds named in the sets below limit, as pollfds with guest numbers; their count or -errno. */
static long collect(struct k_pollfd *polls, const uint64_t *sets, uint64_t limit, bool *same)
{
    static const int16_t events[3] = {IN_SET, OUT_SET, EX_SET};
    long count = 0;
    *same = true;
    for (uint64_t i = 0; i * 64 < limit; i++) {
        uint64_t words[3];
        for (int k = 0; k < 3; k++)
            if (set_word(sets[k], i, &words[k]) != 0)
                return -EFAULT;
        for (uint64_t bits = words[0] | words[1] | words[2]; bits != 0; bits &= bits - 1) {
            unsigned bit = (unsigned)__builtin_ctzl(bits);
            int fd = (int)(i * 64 + bit), host = exo_fd_twin(fd);
            if ((uint64_t)fd >= limit)
                break;
            if (host < 0)
                return -EBADF;
            if (count == SELECT_COUNT)
                return -ENOMEM;
            *same &= host == fd && !exo_poll_is_pipe(fd);
            polls[count].fd = fd;
            polls[count].revents = 0;
            polls[count].events = 0;
            for (int k = 0; k < 3; k++)
                if (words[k] >> bit & 1)
                    polls[count].events |= events[k];
            count++;
        }
    }
    return count;
}

/* Clears and sets the guest's sets by what poll found; the number of bits set. */
static long report(const struct k_pollfd *polls, long count, const uint64_t *sets, uint64_t limit)
{
    static const int16_t events[3] = {IN_SET, OUT_SET, EX_SET};
    long bits = 0;
    for (int k = 0; k < 3; k++) {
        for (uint64_t i = 0; sets[k] != 0 && i * 64 < limit; i++) {
            uint64_t word = 0;
            for (long n = 0; n < count; n++)
                if ((uint64_t)polls[n].fd / 64 == i && (polls[n].events & events[k] & ~8) &&
                    (polls[n].revents & events[k]))
                    word |= 1UL << (polls[n].fd % 64), bits++;
            if (guest_put(sets[k] + i * 8, &word) != 0)
                return -EFAULT;
        }
    }
    return bits;
}

static long select_by_poll(struct k_pollfd *polls, long count, const uint64_t *sets, uint64_t limit,
                           long timeout, struct exo_wait_mask *mask)
{
    struct k_pollfd hosts[SELECT_COUNT];
    long ready = exo_poll_mixed(polls, hosts, (uint64_t)count, timeout, mask);
    return ready < 0 ? ready : report(polls, count, sets, limit);
}

/* nr and last are the host call to make if the numbers agree: select or pselect6. */
static long do_select(long nr, int limit, const uint64_t *sets, long timeout, long host_timeout,
                      struct exo_wait_mask *mask, long last)
{
    struct k_pollfd polls[SELECT_COUNT];
    bool same;
    if (limit < 0)
        return -EINVAL;
    uint64_t fds = (uint64_t)limit > SELECT_LIMIT ? SELECT_LIMIT : (uint64_t)limit;
    struct exo_fd_table *table = exo_kr_at(KR, area()->task->fd_table);
    if (fds > table->count) /* the host looks no further than its table either */
        fds = table->count;
    long count = collect(polls, sets, fds, &same);
    if (count < 0)
        return count;
    if (same)
        return EXO_WAIT(mask, nr, (long)fds, (long)sets[0], (long)sets[1], (long)sets[2],
                        host_timeout, last);
    return select_by_poll(polls, count, sets, fds, timeout, mask);
}

SYSCALL(select)
{
    int64_t timeval[2], timeout[2] = {0}, given_ns = 0;
    const uint64_t sets[3] = {(uint64_t)b, (uint64_t)c, (uint64_t)d};
    if (e != 0) {
        if (guest_get(&timeval, e) != 0)
            return -EFAULT;
        if (timeval[0] < 0 || timeval[1] < 0)
            return -EINVAL;
        timeout[0] = timeval[0] + timeval[1] / 1000000;
        timeout[1] = timeval[1] % 1000000 * 1000;
        given_ns = timeout[1];
    }
    long ready = do_select(__NR_select, (int)a, sets, e ? (long)timeout : 0, e, NULL, 0);
    if (e != 0 && ready >= 0 && timeout[1] != given_ns) { /* poll told what was left */
        timeval[0] = timeout[0];
        timeval[1] = timeout[1] / 1000;
        guest_put(e, &timeval);
    }
    return ready;
}

SYSCALL(pselect6)
{
    const uint64_t sets[3] = {(uint64_t)b, (uint64_t)c, (uint64_t)d};
    uint64_t pack[2] = {0}, own[2];
    struct exo_wait_mask room, *mask = &room;
    if (f != 0 && guest_get(&pack, f) != 0)
        return -EFAULT;
    long error = exo_poll_check_timeout((uint64_t)e);
    if (error == 0)
        error = exo_poll_mask(&mask, pack[0], pack[1]);
    if (error != 0)
        return error;
    own[0] = (uint64_t)for_host(mask);
    own[1] = MASK_SIZE;
    return do_select(__NR_pselect6, (int)a, sets, e, e, mask, (long)own);
}

SYSCALL(io_pgetevents)
{
    uint64_t pack[2] = {0}, own[2];
    int64_t timeout[2];
    struct exo_wait_mask room, *mask = &room;
    if ((e != 0 && guest_get(&timeout, e) != 0) || (f != 0 && guest_get(&pack, f) != 0))
        return -EFAULT;
    long error = exo_poll_mask(&mask, pack[0], pack[1]);
    if (error != 0)
        return error;
    own[0] = (uint64_t)for_host(mask);
    own[1] = MASK_SIZE;
    return EXO_WAIT(mask, __NR_io_pgetevents, a, b, c, d, e, (long)own);
}
