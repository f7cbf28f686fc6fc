/* Waiting for several fds of which some are exo's pipes: poll(2) and select(2).
 *
 * What is in a pipe, the region says; whether anybody is left at the other end, the twin. To sleep is to
 * have the host look at the twins, prepared so that they say what the pipes do: an empty pipe's is
 * empty until a writer puts a byte in, a full one's has one until a reader takes it out (pipewait.c).
 * Nothing of what wakes is taken here, so it does not matter when the pipe becomes the host's
 * meanwhile: then its twin tells the truth by itself.
 */
#include "epoll.h"
#include "event.h"
#include "fifo.h"
#include "patience.h"
#include "pipe.h"
#include "poll.h"
#include "sockdgram.h"
#include "translate.h"

#define IN (POLLIN_ | POLLRDNORM_)
#define OUT (POLLOUT_ | POLLWRNORM_)
#define ASLEEP_ON_SOCKET 9
#define ASLEEP_ON_SET 10
#define LOOKS_MOST 2 /* fds: who waits for more has others to serve it, and they need the CPU */
#define GONE (POLLERR_ | POLLHUP_) /* told whether asked for or not */

/* The entry if it leads to an object whose state the region knows. */
static struct exo_fd *own_end(int fd)
{
    struct exo_fd *at = fd < 0 ? NULL : exo_fd_entry(fd);
    uint32_t object = at == NULL ? 0 : exo_object_of(exo_fd_now(at));
    if (object == 0 || !(exo_object_state(KR, object) & EXO_STATE_HOST))
        return object != 0 ? at : NULL;
    struct exo_sock_end end;
    if (load_relaxed(&at->flags) & EXO_FD_SOCKET)
        exo_sock_enter(&end, at); /* it forgets the socket, and its twin what rang */
    return NULL;
}

bool exo_poll_is_pipe(int fd)
{
    return own_end(fd) != NULL;
}

/* asks: the twin of a set has something. */
static int16_t state_of(struct exo_fd *at, bool asks)
{
    struct exo_fd fd = exo_fd_now(at);
    if (fd.flags & EXO_FD_EPOLL)
        return (int16_t)(exo_set_state(fd, asks) & ~EXO_STATE_HOST);
    return (int16_t)(exo_object_state(KR, exo_object_of(exo_fd_now(at))) & ~EXO_STATE_HOST);
}

/* The same with what the host knows of the other end; a count may come to know it a moment later. */
static int16_t state_with(struct exo_fd *at, int16_t told)
{
    struct exo_fd fd = exo_fd_now(at);
    int16_t gone = told & GONE;
    if (fd.flags & EXO_FD_SOCKET) {
        struct exo_sock_end end;
        bool dgram = exo_sock_is_unix_dgram(exo_sock_at(KR, fd.stamp));
        if (told != 0 && dgram && exo_sock_enter(&end, at))
            exo_dgram_look(&end);
        else if (gone != 0)
            exo_sock_lose_peer(KR, exo_sock_at(KR, fd.stamp));
        return state_of(at, false);
    }
    bool rang =
        (fd.flags & EXO_FD_PIPE) && (told & POLLIN_) && exo_pipe_is_fifo(exo_pipe_at(KR, fd.stamp));
    if (rang && exo_fifo_hears(at))
        return told;
    if (gone != 0 && (fd.flags & EXO_FD_PIPE)) /* the next call is to ask the host, too */
        exo_pipe_at(KR, fd.stamp)->used[fd.flags & EXO_FD_PIPE_WRITES ? 0 : 1] = UINT32_MAX;
    return state_of(at, told != 0) | gone;
}

/* The twin of a socket rings for all that it waits for; a listener's has the connections. */
static int16_t asked_of_twin(const struct exo_fd *at, int16_t events)
{
    const struct exo_sock *sock = exo_sock_at(KR, at->stamp);
    bool listens = load_acquire(&sock->mode) == EXO_SOCK_LISTENS;
    if (exo_sock_is_unix_dgram(sock)) /* for room see sockroom.c */
        return (int16_t)((events & (IN | POLLRDHUP_) ? IN : 0) | (events & OUT));
    return events & (listens ? IN : IN | OUT | POLLRDHUP_ | POLLPRI_) ? IN : 0;
}

/* The twin may have a message, of which the region does not know. */
static bool may_have_more(const struct exo_fd *at, const struct k_pollfd *poll)
{
    return (load_relaxed(&at->flags) & EXO_FD_SOCKET) && (poll->events & IN) &&
           !(poll->revents & IN) && exo_dgram_is_mixed(exo_sock_at(KR, at->stamp));
}

/* Fills in what pipes have, and in hosts what the host is to look at; how many have something. */
static long look(struct k_pollfd *polls, struct k_pollfd *hosts, uint64_t count, bool *has_others)
{
    long ready = 0;
    *has_others = false;
    for (uint64_t i = 0; i < count; i++) {
        struct exo_fd *at = own_end(polls[i].fd);
        polls[i].revents = 0;
        hosts[i] = (struct k_pollfd){.fd = polls[i].fd};
        if (at != NULL) {
            hosts[i].fd = load_relaxed(&at->host);
            polls[i].revents = state_of(at, false) & (polls[i].events | GONE);
            hosts[i].events = polls[i].events & (IN | OUT);
            if (load_relaxed(&at->flags) & EXO_FD_SOCKET)
                hosts[i].events = asked_of_twin(at, polls[i].events);
            *has_others |= may_have_more(at, &polls[i]) || exo_fifo_asks(at);
        } else if (polls[i].fd >= 0) {
            hosts[i].fd = exo_fd_or_bad(polls[i].fd);
            hosts[i].events = polls[i].events;
            *has_others = true;
        }
        ready += polls[i].revents != 0;
    }
    return ready;
}

/* Adds what the host has found. Of a pipe the twin knows only who is left. */
static long merge(struct k_pollfd *polls, const struct k_pollfd *hosts, uint64_t count)
{
    long ready = 0;
    for (uint64_t i = 0; i < count; i++) {
        struct exo_fd *at = own_end(polls[i].fd);
        if (at == NULL)
            polls[i].revents = hosts[i].revents;
        else
            polls[i].revents = state_with(at, hosts[i].revents) & (polls[i].events | GONE);
        ready += polls[i].revents != 0;
    }
    return ready;
}

/* Undoes what settle() did for the first count; hosts: what woke us, if that is known. */
static void rise(const struct k_pollfd *polls, const struct k_pollfd *hosts, const uint8_t *asleep,
                 uint64_t count)
{
    for (uint64_t i = 0; i < count; i++) {
        struct exo_fd *at = asleep[i] ? exo_fd_entry(polls[i].fd) : NULL;
        if (at != NULL && asleep[i] == ASLEEP_ON_SOCKET)
            exo_sock_rise(at->stamp, polls[i].events, hosts != NULL && (hosts[i].revents & IN));
        else if (at != NULL && asleep[i] == ASLEEP_ON_SET)
            exo_epoll_rise(KR, at->stamp);
        else if (at != NULL && (load_relaxed(&at->flags) & EXO_FD_PIPE))
            exo_pipe_rise(exo_pipe_at(KR, at->stamp), asleep[i] - 1);
        else if (at != NULL && (load_relaxed(&at->flags) & EXO_FD_EVENT))
            exo_event_rise(exo_event_at(KR, at->stamp));
    }
    store_release(&area()->task->asleep_on, 0);
}

/* Prepares one twin for a sleep that waits for events: false if there is something by now. */
static bool settle_one(struct exo_fd *at, int16_t events, uint8_t *asleep)
{
    uint16_t flags = load_relaxed(&at->flags);
    bool writes = flags & EXO_FD_PIPE_WRITES;
    if (flags & EXO_FD_SOCKET) {
        if (exo_sock_at(KR, at->stamp)->mode == EXO_SOCK_LISTENS)
            return true; /* its twin has the connections */
        *asleep = ASLEEP_ON_SOCKET;
        return exo_sock_settle(at, events);
    }
    if (flags & EXO_FD_EPOLL) {
        if (!(events & IN))
            return true;
        *asleep = ASLEEP_ON_SET;
        bool settled = exo_epoll_settle(KR, at->stamp);
        if (settled)
            exo_timers_settle(at->stamp);
        return settled;
    }
    if ((flags & EXO_FD_EVENT) && (events & POLLOUT_) &&
        !exo_is_timer(exo_event_at(KR, at->stamp))) {
        exo_object_to_host(at); /* its room is never watched for: the host may */
        return false;
    }
    if (!(events & (writes ? OUT : IN)))
        return true;
    if (!(flags & EXO_FD_EVENT ? exo_event_settle(at) : exo_pipe_settle(at)))
        return false;
    *asleep = writes ? 1 + EXO_PIPE_WRITES : 1 + EXO_PIPE_READS;
    return true;
}

/* Prepares all twins; false if an object has something by now. */
static bool settle(const struct k_pollfd *polls, uint8_t *asleep, uint64_t count)
{
    store_release(&area()->task->asleep_on, EXO_ASLEEP_POLLS);
    store_release(&area()->task->polls, (uint32_t)__builtin_ia32_rdtsc()); /* as never before */
    for (uint64_t i = 0; i < count; i++) {
        struct exo_fd *at = own_end(polls[i].fd);
        asleep[i] = 0;
        if (at != NULL && !settle_one(at, polls[i].events, &asleep[i])) {
            rise(polls, NULL, asleep, i);
            return false;
        }
    }
    return true;
}

struct looked {
    struct k_pollfd *polls, *hosts;
    uint64_t count;
};

static bool has_news(const void *object, UNUSED int what)
{
    const struct looked *at = object;
    bool has_others;
    return look(at->polls, at->hosts, at->count, &has_others) > 0;
}

/* By thread: what one waits for is mostly the same. */
static struct exo_patience *patience_of(void)
{
    static struct exo_patience patiences[16];
    return &patiences[area()->index % 16];
}

static bool is_over(long timeout)
{
    int64_t left[2];
    return timeout != 0 && guest_get(&left, timeout) == 0 && left[0] == 0 && left[1] == 0;
}

/* asleep: which pipes we have said we sleep on, by side + 1. */
static long wait_mixed(struct k_pollfd *polls, struct k_pollfd *hosts, uint8_t *asleep,
                       uint64_t count, long timeout, struct exo_wait_mask *mask)
{
    for (;;) {
        bool has_others;
        long ready = look(polls, hosts, count, &has_others);
        if (ready > 0 && !has_others)
            return ready;
        if (ready > 0 || is_over(timeout)) {
            int64_t now[2] = {0};
            long error = exo_poll_host(hosts, count, (long)now, mask);
            return error < 0 ? error : merge(polls, hosts, count);
        }
        const struct looked at = {polls, hosts, count};
        if (!has_others && count <= LOOKS_MOST && exo_look(patience_of(), has_news, &at, 0))
            continue;
        uint32_t since = exo_moment();
        if (!settle(polls, asleep, count))
            continue;
        long result = exo_poll_host(hosts, count, timeout, mask);
        if (result > 0)
            exo_slept(patience_of(), since);
        rise(polls, result > 0 ? hosts : NULL, asleep, count);
        if (result < 0)
            return result;
        ready = merge(polls, hosts, count);
        if (ready > 0 || result == 0)
            return ready;
    }
}

long exo_poll_mixed(struct k_pollfd *polls, struct k_pollfd *hosts, uint64_t count, long timeout,
                    struct exo_wait_mask *mask)
{
    uint8_t own[EXO_POLL_COUNT];
    if (count <= EXO_POLL_COUNT)
        return wait_mixed(polls, hosts, own, count, timeout, mask);
    long scratch =
        HOST_6(__NR_mmap, 0, count, PROT_READ_ | PROT_WRITE_, MAP_PRIVATE_ | MAP_ANONYMOUS_, -1, 0);
    if (scratch < 0)
        return scratch;
    long ready = wait_mixed(polls, hosts, (uint8_t *)scratch, count, timeout, mask);
    HOST_2(__NR_munmap, scratch, count);
    return ready;
}
