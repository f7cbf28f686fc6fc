/* Memory that the table of calls says too little about: what other memory leads to, of which another
 * argument's value decides. */

#include "record.h"

#define NAME_LIMIT 128
#define CONTROL_LIMIT 4096
#define LIST_LIMIT 65536 /* items, whatever is asked for */
#define UC_SIGMASK 296
#define IOC_SIZE(command) ((command) >> 16 & 0x3fff)
#define TERMIOS_SIZE 36

struct vector {
    uint64_t base, size;
};

/* Of an array whose items lead somewhere, how many are shown. */
static uint64_t shown(uint64_t count)
{
    bool whole = KR->recording.flags & EXO_RECORDING_WHOLE;
    uint64_t limit = whole ? LIST_LIMIT : KR->recording.string_limit;
    return count < limit ? count : limit;
}

/* Buffers, up to so many bytes in all. */
static void vectors(struct exo_stage *stage, uint64_t at, uint64_t count, uint64_t total,
                    bool after)
{
    struct vector item;
    uint64_t limit = KR->recording.string_limit + 1UL;
    count = shown(count);
    exo_record_piece(stage, at, count * sizeof(item), after);
    for (uint64_t i = 0; i < count && total > 0; i++) {
        if (guest_get(&item, at + i * sizeof(item)) != 0)
            return;
        uint64_t here = item.size < total ? item.size : total;
        exo_record_piece(stage, item.base, here < limit ? here : limit, after);
        total -= here;
    }
}

struct message {
    uint64_t name, name_size, vectors, count, control, control_size, flags;
};

static void message(struct exo_stage *stage, uint64_t at, uint64_t total, bool after)
{
    struct message it;
    if (guest_get(&it, at) != 0)
        return;
    exo_record_piece(stage, at, sizeof(it), after);
    uint64_t size = (uint32_t)it.name_size;
    exo_record_piece(stage, it.name, size < NAME_LIMIT ? size : NAME_LIMIT, after);
    vectors(stage, it.vectors, it.count, total, after);
    exo_record_piece(stage, it.control,
                     it.control_size < CONTROL_LIMIT ? it.control_size : CONTROL_LIMIT, after);
}

static void messages(struct exo_stage *stage, uint64_t at, uint64_t count, bool after)
{
    for (uint64_t i = 0; i < shown(count); i++)
        message(stage, at + i * 64, UINT64_MAX, after);
}

/* An address that the call fills in, and how long it is. */
static void filled(struct exo_stage *stage, uint64_t at, uint64_t size_at, bool after)
{
    uint32_t size;
    if (!after || guest_get(&size, size_at) != 0)
        return;
    exo_record_piece(stage, at, size < NAME_LIMIT ? size : NAME_LIMIT, true);
}

static void words_of(struct exo_stage *stage, uint64_t at)
{
    uint64_t pointer, limit = shown(LIST_LIMIT);
    for (uint64_t i = 0; i <= limit; i++) {
        exo_record_piece(stage, at + i * 8UL, 8, false);
        if (guest_get(&pointer, at + i * 8UL) != 0 || pointer == 0)
            break;
        exo_record_string(stage, pointer, KR->recording.string_limit);
    }
}

static void program(struct exo_stage *stage, uint64_t argv, uint64_t envp)
{
    uint64_t pointer, size = 0;
    words_of(stage, argv);
    if (KR->recording.flags & EXO_RECORDING_WHOLE) {
        words_of(stage, envp);
        return;
    }
    while (size < LIST_LIMIT * 8UL && guest_get(&pointer, envp + size) == 0 && pointer != 0)
        size += 8;
    exo_record_piece(stage, envp, size + 8, false);
}

static void sets(struct exo_stage *stage, const struct exo_regs *regs, bool after)
{
    uint64_t size = ((uint32_t)regs->rdi + 63) / 64 * 8;
    size = size < 128 ? size : 128;
    exo_record_piece(stage, regs->rsi, size, after);
    exo_record_piece(stage, regs->rdx, size, after);
    exo_record_piece(stage, regs->r10, size, after);
}

static void control(struct exo_stage *stage, const struct exo_regs *regs, bool after)
{
    uint32_t command = (uint32_t)regs->rsi;
    uint64_t size = IOC_SIZE(command);
    if (size == 0)
        size = command >> 8 == 0x54 || command >> 8 == 0x89 ? TERMIOS_SIZE : 0;
    exo_record_piece(stage, regs->rdx, size < 256 ? size : 256, after);
}

static void of_files(struct exo_stage *stage, const struct exo_regs *regs, uint32_t nr, bool after)
{
    long result = exo_called_of(stage)->result;
    switch (nr) {
    case __NR_readv:
    case __NR_preadv:
    case __NR_preadv2:
    case __NR_process_vm_readv:
        if (after)
            vectors(stage, regs->rsi, regs->rdx, (uint64_t)result, true);
        break;
    case __NR_writev:
    case __NR_pwritev:
    case __NR_pwritev2:
    case __NR_vmsplice:
    case __NR_process_vm_writev:
        if (!after)
            vectors(stage, regs->rsi, regs->rdx, UINT64_MAX, false);
        break;
    case __NR_ioctl:
        control(stage, regs, after);
        break;
    case __NR_fcntl:
        if ((uint32_t)regs->rsi >= 5 && (uint32_t)regs->rsi < 64)
            exo_record_piece(stage, regs->rdx, 32, after);
        break;
    case __NR_openat2:
        if (!after)
            exo_record_piece(stage, regs->rdx, regs->r10 < 64 ? regs->r10 : 64, false);
        break;
    case __NR_getdents:
    case __NR_getdents64:
        if (after)
            exo_record_piece(stage, regs->rsi, (uint64_t)result, true);
        break;
    default:
        break;
    }
}

static void of_sockets(struct exo_stage *stage, const struct exo_regs *regs, uint32_t nr,
                       bool after)
{
    long result = exo_called_of(stage)->result;
    switch (nr) {
    case __NR_sendmsg:
        if (!after)
            message(stage, regs->rsi, UINT64_MAX, false);
        break;
    case __NR_recvmsg:
        message(stage, regs->rsi, after ? (uint64_t)result : 0, after);
        break;
    case __NR_sendmmsg:
    case __NR_recvmmsg:
        if (after)
            messages(stage, regs->rsi, (uint64_t)result, true);
        break;
    case __NR_bind:
    case __NR_connect:
        if (!after)
            exo_record_piece(stage, regs->rsi, regs->rdx < 128 ? regs->rdx : 128, false);
        break;
    case __NR_accept:
    case __NR_accept4:
    case __NR_getsockname:
    case __NR_getpeername:
        filled(stage, regs->rsi, regs->rdx, after);
        break;
    case __NR_recvfrom:
        filled(stage, regs->r8, regs->r9, after);
        break;
    case __NR_sendto:
        if (!after)
            exo_record_piece(stage, regs->r8, regs->r9 < 128 ? regs->r9 : 128, false);
        break;
    case __NR_getsockopt:
        filled(stage, regs->r10, regs->r8, after);
        break;
    default:
        break;
    }
}

static void of_tasks(struct exo_stage *stage, const struct exo_regs *regs, uint32_t nr, bool after)
{
    uint64_t pair[11];
    switch (nr) {
    case __NR_execve:
        if (!after)
            program(stage, regs->rsi, regs->rdx);
        break;
    case __NR_execveat:
        if (!after)
            program(stage, regs->rdx, regs->r10);
        break;
    case __NR_clone:
        if (after)
            exo_record_piece(stage, regs->rdx, 4, true);
        break;
    case __NR_clone3:
        if (!after)
            exo_record_piece(stage, regs->rdi, regs->rsi < 88 ? regs->rsi : 88, false);
        if (after && guest_read(pair, regs->rdi, 64) == 0) {
            exo_record_piece(stage, pair[1], 4, true);
            exo_record_piece(stage, pair[3], 4, true);
        }
        break;
    case __NR_sched_getattr:
        if (after)
            exo_record_piece(stage, regs->rsi, regs->rdx < 56 ? regs->rdx : 56, true);
        break;
    case __NR_prctl:
    case __NR_arch_prctl:
        exo_record_piece(stage, regs->rsi, 16, after);
        break;
    case __NR_capget:
    case __NR_capset:
        exo_record_piece(stage, regs->rsi, 24, after);
        break;
    default:
        break;
    }
}

/* What IPC_SET takes; what others give, recordunion.c takes. */
static void of_ipc(struct exo_stage *stage, uint64_t command, uint64_t at, uint64_t size,
                   bool after)
{
    if (!after && command == 1)
        exo_record_piece(stage, at, size, false);
}

static void of_waits(struct exo_stage *stage, const struct exo_regs *regs, uint32_t nr, bool after)
{
    uint64_t pair[2];
    switch (nr) {
    case __NR_select:
        sets(stage, regs, after);
        break;
    case __NR_pselect6:
        sets(stage, regs, after);
        if (!after && guest_get(&pair, regs->r9) == 0)
            exo_record_piece(stage, pair[0], 8, false);
        break;
    case __NR_rt_sigreturn:
        if (!after)
            exo_record_piece(stage, regs->rsp + UC_SIGMASK, 8, false);
        break;
    case __NR_msgsnd:
    case __NR_msgrcv:
        exo_record_piece(stage, regs->rsi, 8UL + KR->recording.string_limit, after);
        break;
    case __NR_shmctl:
    case __NR_msgctl:
        of_ipc(stage, regs->rsi, regs->rdx, nr == __NR_shmctl ? 112 : 120, after);
        break;
    case __NR_semctl:
        of_ipc(stage, regs->rdx, regs->r10, 104, after);
        break;
    case __NR_mincore:
        if (after)
            exo_record_piece(stage, regs->rdx, 32, true);
        break;
    default:
        break;
    }
}

void exo_record_deep(struct exo_stage *stage, const struct exo_regs *regs, bool after)
{
    uint32_t nr = exo_called_of(stage)->nr;
    of_files(stage, regs, nr, after);
    of_sockets(stage, regs, nr, after);
    of_tasks(stage, regs, nr, after);
    of_waits(stage, regs, nr, after);
    exo_record_union(stage, regs, after);
}
