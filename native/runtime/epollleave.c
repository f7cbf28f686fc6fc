/* What an epoll set watches becomes the host's, or the whole set: the host's epoll, the set's twin, gets
 * the files as the guest wants them.
 *
 * A file is put there by the number under which the guest has added it, so by a process that has set
 * and file by that number. Where no such process looks at the set again, what it watches is forgotten.
 */
#include "epoll.h"
#include "event.h"
#include "pipe.h"
#include "sockdgram.h"
#include "translate.h"

#define F_GETFD_ 1

/* Under the number that the host knows the file by in that epoll, which must be open. */
static bool exchange_twin(const struct exo_watch *watch, int epoll)
{
    struct exo_epoll_event event = {.events = watch->events, .data = watch->data};
    return HOST_4(__NR_epoll_ctl, epoll, EPOLL_CTL_DEL_, watch->host, 0) == 0 &&
           HOST_4(__NR_epoll_ctl, epoll, EPOLL_CTL_ADD_, watch->host, &event) == 0;
}

/* The same where that is another file's by now, and host is an fd of the file's: those two change
 * places for a moment, which nobody else must see. */
static bool exchange_for(const struct exo_watch *watch, int epoll, int host)
{
    if (!exo_alone() || watch->host < 0 ||
        (watch->host >= EXO_FD_COPIES && watch->host <= EXO_FD_LOADER))
        return false;
    long flags = HOST_2(__NR_fcntl, watch->host, F_GETFD_);
    long saved = HOST_3(__NR_fcntl, watch->host, F_DUPFD_CLOEXEC, 0);
    if (saved < 0 || flags < 0)
        return false;
    HOST_3(__NR_dup3, host, watch->host, 0);
    bool done = exchange_twin(watch, epoll);
    HOST_3(__NR_dup3, saved, watch->host, flags & 1 ? O_CLOEXEC_ : 0);
    HOST_1(__NR_close, saved);
    return done;
}

/* The same where that is closed, or another's. */
static bool exchange_by(const struct exo_watch *watch, int epoll, int host)
{
    long same = HOST_3(__NR_fcntl, host, F_DUPFD_CLOEXEC, watch->host);
    bool done = same == watch->host ? exchange_twin(watch, epoll) : false;
    if (same >= 0)
        HOST_1(__NR_close, same);
    return done || (same != watch->host && exchange_for(watch, epoll, host));
}

/* The set has one more of the host's. */
static void note_host(uint32_t set, uint32_t events)
{
    if (events & (EXO_EPOLLET | EXO_EPOLLONESHOT))
        store_release(&exo_epoll_at(KR, set)->once, 1);
    fetch_add(&exo_epoll_at(KR, set)->hosts, 1);
}

bool exo_watch_to_host(uint32_t number, int epoll, int host)
{
    const struct exo_watch *watch = exo_watch_at(KR, number);
    if (load_relaxed(&watch->events) == 0) { /* removed; only the twin has not noticed */
        HOST_4(__NR_epoll_ctl, epoll, EPOLL_CTL_DEL_, watch->host, 0);
        exo_watch_remove(KR, exo_object_watch(KR, watch->object), number);
        return true;
    }
    if (!(watch->host == host ? exchange_twin(watch, epoll) : exchange_by(watch, epoll, host)))
        return false;
    note_host(exo_watch_group_of(KR, number)->set, watch->events);
    exo_watch_remove(KR, exo_object_watch(KR, watch->object), number);
    return true;
}

/* This process's entries, one after the other. */
static struct exo_fd *next_entry(uint32_t *i, struct exo_fd *now)
{
    uint64_t offset = area()->task->fd_table;
    const struct exo_fd_table *table = exo_kr_at(KR, offset);
    while (*i < load_acquire(&table->used)) {
        struct exo_fd *at = exo_fd_at(KR, offset, (int)(*i)++);
        *now = exo_fd_now(at);
        if (now->host >= 0 && (now->flags & EXO_FD_OBJECT))
            return at;
    }
    return NULL;
}

static bool find_entry(uint16_t kind, uint32_t number, struct exo_fd *entry)
{
    for (uint32_t i = 0; next_entry(&i, entry) != NULL;)
        if ((entry->flags & kind) && entry->stamp == (uint16_t)number)
            return true;
    return false;
}

bool exo_set_find(uint32_t set, struct exo_fd *entry)
{
    return find_entry(EXO_FD_EPOLL, set, entry);
}

bool exo_event_find(uint32_t number, struct exo_fd *entry)
{
    return find_entry(EXO_FD_EVENT, number, entry);
}

static bool find_own(uint32_t number, struct exo_sock_end *end)
{
    for (uint32_t i = 0; (end->at = next_entry(&i, &end->fd)) != NULL;)
        if ((end->fd.flags & EXO_FD_SOCKET) && end->fd.stamp == (uint16_t)number)
            return true;
    return false;
}

void exo_sock_heard(uint32_t number)
{
    struct exo_sock_end end = {.sock = exo_sock_at(KR, number)};
    if (exo_sock_is_unix_dgram(end.sock)) {
        uint32_t news = 0;
        if (exo_dgram_is_mixed(end.sock) && find_own(number, &end) && exo_dgram_look(&end))
            news = EXO_POLL_INS;
        if (load_relaxed(&end.sock->no_room) && exo_sock_is_ready(KR, end.sock, EXO_SOCK_OUT)) {
            store_relaxed(&end.sock->no_room, 0);
            news |= EXO_POLL_OUTS;
        }
        if (news != 0)
            exo_watchers_wake(&end.sock->watch, news);
    }
    if (load_relaxed(&end.sock->bells) >= EXO_SOCK_BELLS_UDP &&
        find_entry(EXO_FD_SOCKET, number, &end.fd))
        exo_sock_hush(&end);
}

void exo_watches_begin_anew(struct exo_fd of)
{
    uint32_t *list = exo_object_watch(KR, exo_object_of(of));
    uint32_t number = list == NULL ? 0 : load_acquire(list);
    uint32_t limit = EXO_WATCH_GROUP_COUNT * EXO_WATCH_GROUP_SIZE;
    while (number != 0 && limit-- > 0) {
        const struct exo_watch *watch = exo_watch_at(KR, number);
        uint32_t next = load_acquire(&watch->next), in = exo_watch_group_of(KR, number)->set;
        struct exo_epoll_event event = {.events = watch->events, .data = watch->data};
        struct exo_fd set;
        if (exo_set_find(in, &set) &&
            HOST_4(__NR_epoll_ctl, set.host, EPOLL_CTL_ADD_, of.host, &event) == 0) {
            note_host(in, event.events);
            exo_watch_remove(KR, list, number);
        }
        number = next;
    }
}

void exo_watches_of_sock_to_host(uint32_t number)
{
    struct exo_fd entry;
    if (exo_watched(&exo_sock_at(KR, number)->watch) && find_entry(EXO_FD_SOCKET, number, &entry))
        exo_watches_to_host(entry);
}

void exo_watchers_wake(const uint32_t *watch, uint32_t events)
{
    if (!exo_watch_tell(KR, watch, events))
        return;
    uint32_t number = load_acquire(watch), limit = EXO_WATCH_GROUP_COUNT * EXO_WATCH_GROUP_SIZE;
    while (number != 0 && limit-- > 0) {
        struct exo_fd set;
        if (exo_set_find(exo_watch_group_of(KR, number)->set, &set))
            exo_epoll_ring(set);
        number = load_acquire(&exo_watch_at(KR, number)->next);
    }
}

void exo_watches_to_host(struct exo_fd of)
{
    uint32_t *watch = exo_object_watch(KR, exo_object_of(of));
    uint32_t number = watch == NULL ? 0 : load_acquire(watch);
    uint32_t limit = EXO_WATCH_GROUP_COUNT * EXO_WATCH_GROUP_SIZE;
    while (number != 0 && limit-- > 0) {
        uint32_t next = load_acquire(&exo_watch_at(KR, number)->next);
        struct exo_fd set;
        if (exo_set_find(exo_watch_group_of(KR, number)->set, &set))
            exo_watch_to_host(number, set.host, of.host);
        number = next;
    }
}

/* Brings all entries that lead to the object to the host. */
static void all_to_host(uint32_t object)
{
    struct exo_fd now;
    struct exo_fd *at;
    for (uint32_t i = 0; (at = next_entry(&i, &now)) != NULL;)
        if (exo_object_of(now) == object)
            exo_object_to_host(at);
}

void exo_watch_stray(struct exo_fd set, uint32_t number)
{
    struct exo_watch *watch = exo_watch_at(KR, number);
    uint32_t object = load_acquire(&watch->object);
    if (object == 0)
        return;
    if (!exo_watch_to_host(number, set.host, load_relaxed(&watch->host)))
        all_to_host(object);
    uint32_t *list = exo_object_watch(KR, object);
    if (load_acquire(&watch->object) == object && list != NULL)
        exo_watch_remove(KR, list, number);
}

static void watches_to_host(struct exo_fd of)
{
    const struct exo_epoll *set = exo_epoll_at(KR, of.stamp);
    for (uint32_t i = 0; i < load_acquire(&set->group_count) && i < EXO_SET_GROUP_COUNT; i++) {
        uint32_t group = set->groups[i];
        uint64_t used = load_acquire(&KR->watch_groups[group % EXO_WATCH_GROUP_COUNT].used);
        for (; used != 0; used &= used - 1) {
            uint32_t bit = (uint32_t)__builtin_ctzll(used);
            uint32_t number = group * EXO_WATCH_GROUP_SIZE + bit;
            uint32_t object = load_acquire(&exo_watch_at(KR, number)->object);
            if (object != 0)
                all_to_host(object);
        }
    }
}

static bool settle_set(struct exo_fd *at)
{
    struct exo_fd was = exo_fd_now(at), plain = was;
    if (was.host < 0 || !(was.flags & EXO_FD_EPOLL))
        return false;
    struct exo_epoll *set = exo_epoll_at(KR, was.stamp);
    exo_lock_acquire(&set->lock);
    bool same = exo_fd_same(exo_fd_now(at), was);
    bool stays = set->mode == EXO_SET_OWN && exo_epoll_holds_sockets(KR, was.stamp, 0);
    if (same && !stays) /* from now on nothing is added */
        store_release(&set->mode, (uint32_t)EXO_SET_HOST);
    exo_lock_release(&set->lock);
    if (!same || stays)
        return !same;
    watches_to_host(was);
    exo_watches_to_host(was);
    plain.flags &= (uint16_t)~EXO_FD_EPOLL;
    plain.stamp = 0;
    return !exo_fd_make_plain(at, was, plain);
}

/* DIFFERS: a set with sockets of exo's in it stays exo's; sent out of the instance, or put into a set of the
 * host's, it tells little of them. */
void exo_epoll_to_host(struct exo_fd *at)
{
    while (settle_set(at))
        ;
}

bool exo_fd_make_plain(struct exo_fd *at, struct exo_fd was, struct exo_fd plain)
{
    exo_object_hold(KR, was.stamp);
    bool done = exo_fd_change(KR, area()->task->fd_table, at, was, plain);
    if (done)
        exo_object_unref(KR, was);
    exo_object_hold(KR, 0);
    return done;
}

/* A socket stays exo's: from now on its twin is to be read whenever it is itself, as near as may be.
 * DIFFERS: what has come before, and room to write, a set that is the host's does not see. */
static void sock_to_host(struct exo_fd *at)
{
    struct exo_sock_end end;
    if (!exo_sock_enter(&end, at))
        return;
    store_release(&end.sock->signals, 1);
    exo_watches_to_host(end.fd);
}

void exo_object_to_host(struct exo_fd *at)
{
    uint16_t flags = load_acquire(&at->flags);
    if (flags & EXO_FD_PIPE)
        exo_pipe_to_host(at);
    else if (flags & EXO_FD_EPOLL)
        exo_epoll_to_host(at);
    else if (flags & EXO_FD_EVENT)
        exo_event_to_host(at);
    else if (flags & EXO_FD_SOCKET)
        sock_to_host(at);
}
