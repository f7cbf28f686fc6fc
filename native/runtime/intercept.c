/* Interception: Syscall User Dispatch, seccomp by instruction pointer, or another process's ptrace.
 *
 * The first two leave calls alone that the runtime's own text makes, and raise SIGSYS for all others. The
 * seccomp filter is inherited by fork and exec, so the runtime must always stand at the same
 * address (it is linked there); Syscall User Dispatch is forgotten by both and armed again.
 * With ptrace nothing is armed here: the tracer (exo_um/kernel/tracing.py) sends a thread to
 * exo_entry itself. A guest's forks and execs stay traced; what the kernel process starts waits
 * until the tracer has it.
 * Sources: Documentation/admin-guide/syscall-user-dispatch.rst, seccomp(2).
 */
#include <linux/filter.h>
#include <linux/prctl.h>
#include <linux/seccomp.h>

#include "intercept.h"

#define FUTEX_WAIT_ 0

extern const char __executable_start[], etext[], exo_entry[];

void exo_intercept_arm(void)
{
    if (exo_mm.intercept != EXO_INTERCEPT_DISPATCH)
        return;
    uint64_t start = (uint64_t)__executable_start;
    if (HOST_5(__NR_prctl, PR_SET_SYSCALL_USER_DISPATCH, PR_SYS_DISPATCH_ON, start,
               (uint64_t)etext - start, 0) != 0)
        exo_die("the host has no Syscall User Dispatch (Linux 5.11); try --intercept seccomp");
}

#define LOAD(field) BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, field))
#define RETURN(what) BPF_STMT(BPF_RET | BPF_K, (what))

static void await_tracer(void)
{
    uint32_t *traced = &area()->task->traced;
    store_release(&KR->entry, (uint64_t)exo_entry);
    while (load_acquire(traced) == 0)
        HOST_4(__NR_futex, traced, FUTEX_WAIT_, 0, 0);
}

long exo_intercept_init(void)
{
    if (exo_mm.intercept == EXO_INTERCEPT_PTRACE)
        await_tracer();
    if (exo_mm.intercept != EXO_INTERCEPT_SECCOMP)
        return 0;
    uint64_t start = (uint64_t)__executable_start, end = (uint64_t)etext;
    struct sock_filter filter[] = {
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, instruction_pointer) + 4),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, (uint32_t)(start >> 32), 0, 4),
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, instruction_pointer)),
        BPF_JUMP(BPF_JMP | BPF_JGE | BPF_K, (uint32_t)start, 0, 2),
        BPF_JUMP(BPF_JMP | BPF_JGT | BPF_K, (uint32_t)end, 1, 0),
        RETURN(SECCOMP_RET_ALLOW),
        RETURN(SECCOMP_RET_TRAP),
    };
    struct sock_fprog program = {.len = sizeof(filter) / sizeof(filter[0]), .filter = filter};
    long error = HOST_5(__NR_prctl, PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
    return error != 0 ? error : HOST_3(__NR_seccomp, SECCOMP_SET_MODE_FILTER, 0, &program);
}
