/* Memory of arguments of which the table of calls says no more than that they may be addresses: what they
 * lead to depends on the command, and whoever decodes knows. So there is enough for all of them. */
#include "record.h"

#define TEXT 0xffff /* a string */
#define LIMIT 128   /* of an array */

/* Bytes before and after the call. */
static const struct row {
    uint16_t nr, arg, before, after;
} rows[] = {
    {__NR_quotactl, 3, 112, 112},
    {__NR_quotactl, 3, TEXT, 0},
    {__NR_quotactl_fd, 3, 112, 112},
    {__NR_quotactl_fd, 3, TEXT, 0},
    {__NR_ptrace, 2, 16, 0},
    {__NR_ptrace, 3, 512, 512},
    {__NR_perf_event_open, 0, 128, 0},
    {__NR_bpf, 1, 128, 0},
    {__NR_landlock_add_rule, 2, 16, 0},
    {__NR_landlock_create_ruleset, 0, 8, 0},
    {__NR_seccomp, 2, 16, 8},
    {__NR_prctl, 2, 16, 0},
    {__NR_mount, 4, TEXT, 0},
    {__NR_fsconfig, 3, TEXT, 0},
    {__NR_mount_setattr, 3, 64, 0},
    {__NR_io_cancel, 1, 64, 0},
    {__NR_io_uring_register, 2, 256, 0},
    {__NR_sched_setattr, 1, 56, 0},
    {__NR_name_to_handle_at, 2, 8, 136},
    {__NR_name_to_handle_at, 3, 0, 4},
    {__NR_open_by_handle_at, 1, 136, 0},
    {__NR_set_thread_area, 0, 16, 0},
    {__NR_get_thread_area, 0, 16, 0},
    {__NR__sysctl, 0, 48, 0},
    {__NR_kcmp, 4, 12, 0},
    {__NR_shmctl, 2, 0, 112},
    {__NR_msgctl, 2, 0, 120},
    {__NR_semctl, 3, 0, 104},
    {__NR_keyctl, 1, TEXT, 0},
    {__NR_keyctl, 1, 12, 0},
    {__NR_keyctl, 2, TEXT, 256},
    {__NR_keyctl, 2, 256, 0},
    {__NR_keyctl, 3, TEXT, 0},
    {__NR_io_uring_enter, 4, 8, 0},
};

static void pointers(struct exo_stage *stage, uint64_t at, uint64_t count, uint64_t size)
{
    uint64_t pointer;
    count = count < LIMIT ? count : LIMIT;
    exo_record_piece(stage, at, count * sizeof(pointer), false);
    for (uint64_t i = 0; i < count && guest_get(&pointer, at + i * sizeof(pointer)) == 0; i++)
        exo_record_piece(stage, pointer, size, false);
}

void exo_record_union(struct exo_stage *stage, const struct exo_regs *regs, bool after)
{
    const uint64_t args[6] = {regs->rdi, regs->rsi, regs->rdx, regs->r10, regs->r8, regs->r9};
    uint32_t nr = exo_called_of(stage)->nr;
    for (uint32_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        const struct row *row = &rows[i];
        uint16_t size = after ? row->after : row->before;
        if (row->nr != nr)
            continue;
        if (size == TEXT)
            exo_record_string(stage, args[row->arg], KR->recording.string_limit);
        else
            exo_record_piece(stage, args[row->arg], size, after);
    }
    if (nr == __NR_io_submit && !after)
        pointers(stage, regs->rdx, regs->rsi, 64);
    if (nr == __NR_process_madvise && !after)
        exo_record_piece(stage, regs->rsi, (regs->rdx < LIMIT ? regs->rdx : LIMIT) * 16, false);
}
