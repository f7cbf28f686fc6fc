/* Telling `exo-um trace` what a task does: struct exo_recording. Off, nothing of it is ever run. */
#ifndef EXO_RUNTIME_RECORD_H
#define EXO_RUNTIME_RECORD_H

#include <asm-generic/errno-base.h>

#include <exo/ringset.h>

#include "signal.h"

static inline uint64_t exo_tsc(void)
{
    uint32_t low, high;
    __asm__ volatile("rdtsc" : "=a"(low), "=d"(high));
    return (uint64_t)high << 32 | low;
}

static inline struct exo_stage *exo_stage_of(const struct exo_area *mine)
{
    return &KR->stages[mine->slot];
}

static inline struct exo_called *exo_called_of(struct exo_stage *stage)
{
    return (struct exo_called *)(void *)stage->data;
}

static inline struct exo_ringset *exo_record_rings(struct exo_kr *kr)
{
    return (struct exo_ringset *)(((uintptr_t)kr->recording.rings + 127) & ~127UL);
}

/* Whether a signal has cut a call short. */
static inline bool exo_record_is_cut(long result)
{
    return unlikely(result == -EINTR || result == -EXO_ERESTART || result == -EXO_ERESTARTNOHAND);
}

/* record.c: a call of a watched task. */
long exo_record_call(long a, long b, long c, long d, long e, long f);
/* dispatch.c */
long exo_observe_unrecorded(long a, long b, long c, long d, long e, long f);

/* recordcount.c: for -c alone, without events. */
long exo_tally_call(struct exo_area *mine, uint32_t nr, const long *args);
void exo_tally_add(struct exo_area *mine, uint32_t nr, long result, uint64_t cycles);
void exo_tally_leave(struct exo_area *mine);

/* recordstack.c: tells who calls, and waits until that was looked at. */
void exo_record_stack(struct exo_area *mine);

/* recordpush.c: an event of this task; waits for room, and stops watching when nobody takes it. */
void exo_record_push(struct exo_area *mine, uint32_t kind, const void *data, uint32_t size);

/* recordmem.c: what of the call's arguments is in memory, before and after it. */
void exo_record_memory(struct exo_stage *stage, const struct exo_regs *regs, bool after);
/* Appends a piece of the guest's memory, as much as is there and has room. */
void exo_record_piece(struct exo_stage *stage, uint64_t at, uint64_t size, bool after);
/* Bytes of our own, as if they stood there. */
void exo_record_own(struct exo_stage *stage, uint64_t at, const void *data, uint64_t size,
                    bool after);
void exo_record_string(struct exo_stage *stage, uint64_t at, uint64_t limit);

/* Makes room: tells the pieces before the call itself. False: nobody takes them. */
bool exo_record_flush(struct exo_stage *stage);

/* recordunion.c: ... and for what a command decides. */
void exo_record_union(struct exo_stage *stage, const struct exo_regs *regs, bool after);

/* recordfds.c: what the call's fds lead to, and after it the one that it has made. */
void exo_record_fds(struct exo_stage *stage, const struct exo_regs *regs, bool after);

/* recordcut.c: whether a call on that fd, cut short by a signal, has ended for good. */
bool exo_record_is_timed(uint32_t nr, int fd);

/* recorddeep.c: the same for memory that other memory leads to. */
void exo_record_deep(struct exo_stage *stage, const struct exo_regs *regs, bool after);

/* recordorigin.c: where the call was made; and what program runs, by the addresses it was mapped at. */
void exo_record_origin(struct exo_stage *stage, const struct exo_regs *regs);
void exo_record_image(uint64_t bias, uint64_t interp_bias, const char *interp);

/* recordlife.c */
void exo_record_attach(struct exo_area *new);
void exo_record_executed(void);
void exo_record_change(void);
void exo_record_signal(const struct k_siginfo *info);
void exo_record_end(uint32_t status, bool whole);

/* recordtamper.c: what is to be done to this call; NULL nothing. */
const struct exo_tamper *exo_record_tamper(struct exo_stage *stage, uint32_t nr);
void exo_record_delay(uint64_t ns);
void exo_record_kill(uint32_t signal);

#endif
