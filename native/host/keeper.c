/* This process's numbers in rosters: on the host robust list of a thread that does nothing else, and
 * so ends no sooner than the process. The lists of other threads stay glibc's, or exo_self()'s.
 *
 * Rules: under the lock. Which members are on the list is remembered here, since what stands in
 * their nodes can be written by everybody who shares them. The list is whole at each instant.
 *
 * A process is killed in no fixed order: the word may be marked while another of its threads has
 * been told to die and has not stopped for a few microseconds.
 */
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <exo/roster.h>

#include "host.h"

#define LIMIT 2000 /* the host looks at 2048 */
#define STACK_SIZE 65536

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t started = PTHREAD_COND_INITIALIZER;
static struct exo_self keeper;
static struct exo_lock *members[LIMIT]; /* as they were joined: the list is the other way round */
static uint32_t count;

/* The child has the memory, not the thread. */
static void forget(void)
{
    pthread_mutex_init(&lock, NULL);
    keeper = (struct exo_self){0};
    count = 0;
}

static void *keep(void *unused)
{
    (void)unused;
    pthread_mutex_lock(&lock);
    keeper.robust.list = (uint64_t)(uintptr_t)&keeper.robust.list;
    keeper.robust.futex_offset =
        (int64_t)offsetof(struct exo_lock, word) - (int64_t)offsetof(struct exo_lock, node);
    syscall(SYS_set_robust_list, &keeper.robust, sizeof(keeper.robust));
    keeper.host_tid = (uint32_t)syscall(SYS_gettid);
    pthread_cond_signal(&started);
    pthread_mutex_unlock(&lock);
    for (;;)
        pause();
    return NULL;
}

static int start_locked(void)
{
    static bool told;
    pthread_attr_t attributes;
    pthread_t thread;
    sigset_t all, before;
    if (!told && pthread_atfork(NULL, NULL, forget) != 0)
        return -ENOMEM;
    told = true;
    pthread_attr_init(&attributes);
    pthread_attr_setdetachstate(&attributes, PTHREAD_CREATE_DETACHED);
    pthread_attr_setstacksize(&attributes, STACK_SIZE);
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    int error = pthread_create(&thread, &attributes, keep, NULL);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    pthread_attr_destroy(&attributes);
    while (error == 0 && keeper.host_tid == 0)
        pthread_cond_wait(&started, &lock);
    return -error;
}

static int join_locked(struct exo_roster *roster, const struct exo_mapped *mapped)
{
    int error = keeper.host_tid == 0 ? start_locked() : 0;
    if (error != 0)
        return error;
    if (count == LIMIT)
        return -EMFILE;
    int number = exo_roster_take(roster, mapped, &keeper);
    if (number > 0)
        members[count++] = exo_roster_member(roster, (uint32_t)number);
    return number;
}

int exo_host_join(struct exo_roster *roster, const struct exo_mapped *mapped)
{
    pthread_mutex_lock(&lock);
    int number = join_locked(roster, mapped);
    pthread_mutex_unlock(&lock);
    return number;
}

static uint64_t node_of(uint32_t i)
{
    return (uint64_t)(uintptr_t)&members[i]->node;
}

/* By one store: the newer neighbour, or the head, leads on to the older one, or the end. */
static void unlink_locked(uint32_t i)
{
    uint64_t *newer = i + 1 < count ? &members[i + 1]->node : &keeper.robust.list;
    uint64_t older = i > 0 ? node_of(i - 1) : (uint64_t)(uintptr_t)&keeper.robust.list;
    __atomic_store_n(newer, older, __ATOMIC_RELEASE);
    for (count--; i < count; i++)
        members[i] = members[i + 1];
}

int exo_host_leave(struct exo_roster *roster, const struct exo_mapped *mapped, uint32_t number)
{
    struct exo_lock *member = exo_roster_member(roster, number);
    uint32_t i = 0;
    pthread_mutex_lock(&lock);
    while (i < count && members[i] != member)
        i++;
    int error = i == count ? -ENOENT : 0;
    if (error == 0) { /* off the list first: whoever takes the number next writes to its node */
        __atomic_store_n(&keeper.robust.op_pending, node_of(i), __ATOMIC_RELEASE);
        unlink_locked(i);
        exo_roster_give(roster, mapped, number);
        __atomic_store_n(&keeper.robust.op_pending, 0, __ATOMIC_RELEASE);
    }
    pthread_mutex_unlock(&lock);
    return error;
}
