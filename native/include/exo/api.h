/* The native API for C programs, which exo-cc adds: channels, pipes, shared memory,
 * spawn, batched writes.
 *
 * Works on exo-um and on plain Linux, between processes started by exo_spawn() or fork(). Functions
 * give a result or -errno. A channel is shared memory with a ring: messages of up to 56 bytes travel
 * in it, larger ones in blocks, and nobody calls the host unless somebody has to wait. It is the one
 * that exo_std's programs have (exo_um/std/channel.py), so a Python program may be at the other end.
 */
#ifndef EXO_API_H
#define EXO_API_H

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>
#include <sys/uio.h>

#ifdef __cplusplus
extern "C" {
#endif

#define EXO_API_FOREVER UINT64_MAX
#define EXO_API_INLINE 56 /* bytes of a message that needs no block */
#define EXO_API_BATCH 8192
#define EXO_API_BATCH_NS 20000

/* --- Channels: any number of processes send, any number receive; each message goes to one. */

struct exo_chan;

/* A channel of `messages` (a power of two, from 2 to 2^20) that may wait in it, with `blocks` of
 * `block_size` bytes (a multiple of 4096) for large ones. -EINVAL, -ENOMEM, -EMFILE. */
int exo_chan_create(struct exo_chan **channel, uint32_t messages, uint64_t block_size,
                    uint64_t blocks);
/* One that another process has made, by its fd, which is then the channel's. -EBADMSG, -EPERM: it is
 * none; -EAGAIN: 63 processes have it. After fork(), the child opens a dup(2) of exo_chan_fd(). */
int exo_chan_open(struct exo_chan **channel, int fd);
int exo_chan_fd(const struct exo_chan *channel);
/* Copies a message in. Waits up to timeout_ns while there is no room: -ETIMEDOUT (0: -EAGAIN).
 * -EMSGSIZE: larger than a block; -EPIPE: nobody is left who could receive, -EOWNERDEAD: as that
 * one was killed; -EINTR. */
int exo_chan_send(struct exo_chan *channel, const void *data, size_t size, uint64_t timeout_ns);
/* Copies a message out; its size, of which at most `size` bytes are copied. Errors as above; -EPIPE:
 * nobody is left who could send, and nothing is left. */
ssize_t exo_chan_receive(struct exo_chan *channel, void *buffer, size_t size, uint64_t timeout_ns);
/* The others see it go. */
void exo_chan_close(struct exo_chan *channel);

/* --- Pipes: as pipe2(2), read(2), write(2) and close(2), results and errno alike, but that bytes go
 * through shared memory while the reader is awake. For processes that have the pipe by fork() and use
 * it by these functions only: no dup(2), fcntl(2), poll(2), exec. Other fds go to the host's calls.
 * As with those, an fd is not closed while another thread uses it. */

int exo_pipe(int fds[2]);
int exo_pipe2(int fds[2], int flags);
ssize_t exo_read(int fd, void *data, size_t size);
ssize_t exo_write(int fd, const void *data, size_t size);
int exo_close(int fd);

/* --- Shared memory: as mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0),
 * result (MAP_FAILED) and errno alike, but that of 128 KiB and more the first MiB is there at once, and
 * large pages are asked for from 2 MiB on. munmap(2) takes it away. */
void *exo_shared_map(size_t size);

/* --- Spawn: fork and exec in one, without copying the caller's memory. */

struct exo_spawn_fd {
    int ours;   /* an open fd; -1: theirs is closed */
    int theirs; /* its number in the child */
};

/* Starts a file, searched on PATH if it has no slash; envp NULL: the caller's. Of fds without
 * FD_CLOEXEC, and of those listed, the child has copies; the list is gone through in order, in the
 * child. Its pid; the errors of execve(2). */
pid_t exo_spawn(const char *file, char *const argv[], char *const envp[],
                const struct exo_spawn_fd *fds, size_t count);
/* Its exit status, 128 + the signal that killed it; waits. -ECHILD. */
int exo_spawn_wait(pid_t pid);

/* --- Batched writes: small ones that follow each other fast are written together, in order. For one
 * thread. What waits is lost if the process is killed, so nothing waits long: a write that comes
 * EXO_API_BATCH_NS or more after the one before is written at once, and what has waited for as long
 * goes with the next. So a kill loses no more than what was written in the last EXO_API_BATCH_NS
 * before the last write; with write(2), a kill that much earlier would have. */

struct exo_batch {
    int fd;
    uint32_t size;     /* bytes that wait in data */
    uint64_t since_ns; /* CLOCK_MONOTONIC */
    char data[EXO_API_BATCH];
};

/* Nothing waits. */
void exo_batch_begin(struct exo_batch *batch, int fd);
/* All of data, now or with what follows: size. Errors of write(2), of what waited before, too. */
ssize_t exo_batch_write(struct exo_batch *batch, const void *data, size_t size);
/* Writes what waits; to be called before waiting for an answer, and at the end. */
int exo_batch_flush(struct exo_batch *batch);
/* Writes all parts, by one writev(2) where it takes all. Parts are changed. 0; errors of writev(2). */
int exo_write_parts(int fd, struct iovec *parts, int count);

/* Whether system calls enter exo-um's runtime directly: 1, or 0 on plain Linux. */
int exo_is_direct(void);

#ifdef __cplusplus
}
#endif
#endif
