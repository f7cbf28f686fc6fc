/* FIFOs that guests have made, by their inodes: which pipe of the region has what is in them. */
#ifndef EXO_CORE_FIFO_H
#define EXO_CORE_FIFO_H

#include "pipe.h"

#define EXO_FIFO_NONE UINT32_MAX
#define EXO_FIFO_ASKS                                                                              \
    8U /* in a pipe's nonblock: somebody may have O_NONBLOCK there, ask the host */
#define EXO_FIFO_SMALL 16U /* ... its twin has been made as small as can be */

/* A guest has made one. */
void exo_fifo_note(struct exo_kr *kr, const uint64_t key[3], uint32_t name);
/* Its row, by inode or by the last name; EXO_FIFO_NONE. */
uint32_t exo_fifo_find(struct exo_kr *kr, const uint64_t key[3]);
uint32_t exo_fifo_named(const struct exo_kr *kr, uint32_t name);
/* The pipe, made if there is none, with one more user of that side; held. 0: it is the host's. */
uint32_t exo_fifo_join(struct exo_kr *kr, uint32_t row, const uint64_t key[3], int side);
/* Takes that back. */
void exo_fifo_part(struct exo_kr *kr, uint32_t pipe, int side);
/* If the pipe is the host's by now: so is the FIFO from now on, since a guest has it open there. */
void exo_fifo_set_host(struct exo_kr *kr, const struct exo_pipe *pipe);
/* The same by its row: the pipe that is to be brought there, 0 none. */
uint32_t exo_fifo_give_up(struct exo_kr *kr, uint32_t row, const uint64_t key[3]);

static inline bool exo_pipe_is_fifo(const struct exo_pipe *pipe)
{
    return __builtin_expect(__atomic_load_n(&pipe->fifo, __ATOMIC_RELAXED) != 0, 0);
}

#endif
