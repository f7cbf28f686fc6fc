/* A pipe's lane of shared memory: its layout, its locks, and what readers and writers share. pipe.c
 * says how it is used.
 */
#ifndef EXO_API_LANE_H
#define EXO_API_LANE_H

#include <errno.h>
#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "atomic.h"

#define SIZE 65536U
#define PIPE_ATOMIC 4096 /* PIPE_BUF */
#define NATIVE_READS 2   /* who reads no more than this needs no lane */
#define TRIES_MIN 64     /* looks at the other side before it is waited for in the host */
#define TRIES_MAX 4096
#define REST_MAX 64 /* reads without another try, after tries in vain */
#define YIELDS 64   /* for who has something to do that takes no time, unless it has been stopped */

struct lane {
    struct { /* the writers', under their lock */
        _Alignas(64) pthread_mutex_t lock;
        uint32_t tries;     /* looks for room before the pipe is taken */
        uint64_t tail_seen; /* room enough may be known without looking at the reader's line */
        _Alignas(64) uint64_t head; /* bytes ever written to the lane */
        uint64_t piped;             /* bytes ever written to the pipe */
    } w;
    struct {
        _Alignas(64) pthread_mutex_t lock;
        uint32_t tries;             /* looks for bytes before the pipe is waited for */
        uint32_t reads;             /* how many more go to the pipe before the lane is tried */
        uint32_t rest;              /* what `reads` becomes after the next try in vain */
        _Alignas(64) uint64_t tail; /* bytes ever read from the lane */
        uint64_t piped;             /* bytes ever read from the pipe */
    } r;
    _Alignas(64) uint32_t fast;
    uint32_t wanted;  /* a reader could not set `fast`, as somebody was writing */
    uint32_t lost;    /* who was killed may not have counted what went through the pipe */
    uint32_t unbound; /* a reader takes from the pipe whatever comes */
    uint32_t left;    /* a reader has closed its end, and nobody has asked for the lane since */
    uint64_t piped;   /* bytes of the pipe that come before what is in the lane */
    uint32_t reader_waits; /* for a writer that has been stopped; writer_waits: for a reader */
    uint32_t writer_waits;
    uint32_t holder; /* the process that has noted itself in `awake`, and its thread */
    uint32_t holder_thread;
    _Alignas(64) pthread_mutex_t awake;
    _Alignas(64) char data[SIZE];
};

/* The lane of a pipe's end, the one that is read or the other; NULL: it has none. */
struct lane *exo_lane_of(int fd, bool reads);
/* With the writers' lock: has them turn to the lane, if that may be. */
void exo_lane_speed_up(struct lane *lane);
/* error: of exo_lane_acquire(), pthread_mutex_trylock() of the readers' lock. Whether it is held. */
bool exo_lane_take_reads(struct lane *lane, int fd, int error);
/* A reader that has the readers' lock is noted in `awake`, or in it no more. */
void exo_lane_note_holder(struct lane *lane, uint32_t process, uint32_t thread);

/* Learns from a new mutex how libc keeps them. */
void exo_lane_learn(pthread_mutex_t *mutex);
/* As pthread_mutex_lock(), but EINTR: a signal's handler has been run. */
int exo_lane_acquire(pthread_mutex_t *mutex);
/* With the readers' lock: until something is in the lane, `fast` is clear, or the writers' lock may be
 * free. With the writers': until `unbound` is clear, or the readers' may be free. 0; EINTR. */
int exo_lane_wait_writer(struct lane *lane);
int exo_lane_wait_reader(struct lane *lane);
/* Changes a word that may be waited for, as `waits` says. */
void exo_lane_set(uint32_t *word, uint32_t value, const uint32_t *waits);

/* 0: held, whatever has become of who held it before. */
static inline int settle(struct lane *lane, pthread_mutex_t *mutex, int error)
{
    if (error == EOWNERDEAD) {
        store_release(&lane->lost, 1);
        error = pthread_mutex_consistent(mutex);
    }
    return error;
}

static inline bool try(struct lane *lane, pthread_mutex_t *mutex)
{
    return settle(lane, mutex, pthread_mutex_trylock(mutex)) == 0;
}

/* As many tries as have been worth it: whether what is waited for has come. */
static inline bool spin(struct lane *lane, uint32_t *tries, bool (*is_there)(struct lane *, size_t),
                        size_t size)
{
    uint32_t budget = *tries;
    for (uint32_t i = 0; i < budget; i++) {
        if (is_there(lane, size)) {
            *tries = budget * 2 < TRIES_MAX ? budget * 2 : TRIES_MAX;
            return true;
        }
        spin_pause();
    }
    if (budget != 0)
        *tries = budget / 2 > TRIES_MIN ? budget / 2 : TRIES_MIN;
    return is_there(lane, size);
}

/* Of what another process may have written over, no more than there can be. */
static inline uint64_t waiting(const struct lane *lane)
{
    uint64_t bytes = load_acquire(&lane->w.head) - load_relaxed(&lane->r.tail);
    return bytes <= SIZE ? bytes : 0;
}

#endif
