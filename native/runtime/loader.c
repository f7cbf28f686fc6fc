/* The loader: what the host executes in place of every guest program.
 *
 * argv is "exo1:SLOT:EXE:INTERP", the program's path, then the guest's own arguments; EXE and INTERP
 * are open fds plus one, 0 for none. (With exo/preload.h's word it is another story: preload.c.) EXE 0 is an instance's first program, still to be found: the
 * kernel process gave only its path. The stack the host built, past those two words, becomes the
 * guest's.
 */
#include <linux/auxvec.h>
#include <linux/futex.h>
#include <linux/prctl.h>

#include "exec.h"
#include "file.h"
#include "intercept.h"
#include "loader.h"
#include "mdwe.h"
#include "pipe.h"
#include "preload.h"
#include "record.h"
#include "text.h"
#include "trace.h"
#include "translate.h"

#define PIE_BASE 0x555555554000UL   /* 2/3 of the address space, as ELF_ET_DYN_BASE */
#define PIE_RANDOM_MASK 0xfffffffUL /* 28 bits of pages */
#define BRK_RANDOM_PAGES 0x2000     /* 32 MiB, as the host */
#define ADDR_NO_RANDOMIZE 0x0040000
#define PROT_GROWSDOWN_ 0x01000000
#define HWCAP2_FSGSBASE 2

noreturn void exo_loader(uint64_t *stack);

struct boot {
    uint64_t *stack; /* argc, argv, envp, auxv as the guest finds them */
    char *path;
    uint32_t slot;
    int exe, interp;
    uint64_t bias, interp_bias; /* of what was mapped */
    bool first;                 /* started by the kernel process */
};

static uint64_t now_ns(void)
{
    uint64_t time[2] = {0};
    host_call_early(__NR_clock_gettime, 1 /* CLOCK_MONOTONIC */, (long)time, 0, 0, 0, 0);
    return time[0] * 1000000000 + time[1];
}

void exo_note_phase(enum exo_boot_phase phase)
{
    if (KR->stats.boot_ns[phase] == 0)
        KR->stats.boot_ns[phase] = now_ns();
}

static void note_phase(const struct boot *boot, enum exo_boot_phase phase)
{
    if (boot->first)
        exo_note_phase(phase);
}

static noreturn void fail(const char *why)
{
    exo_say("exo-um: loader: ");
    exo_say(why);
    exo_say("\n");
    host_call_early(__NR_exit_group, 126, 0, 0, 0, 0, 0);
    __builtin_trap();
}

/* Takes our two words off the stack. */
static void parse(struct boot *boot, uint64_t *stack)
{
    const char *info = stack[0] < 2 ? NULL : exo_skip((const char *)stack[1], "exo1:");
    if (info == NULL)
        fail("started by hand; use exo-um run");
    boot->slot = (uint32_t)exo_get_number(info, &info);
    boot->first = info[1] == '-'; /* ":-1:" from the kernel process */
    boot->exe = boot->interp = -1;
    if (!boot->first) {
        boot->exe = (int)exo_get_number(info + 1, &info) - 1;
        boot->interp = (int)exo_get_number(info + 1, &info) - 1;
    }
    boot->path = (char *)stack[2];
    boot->stack = stack + 2;
    boot->stack[0] = stack[0] - 2;
}

static bool map_of_region(uint64_t size)
{
    return host_call_early(__NR_mmap, EXO_KR_BASE, (long)size, PROT_READ_ | PROT_WRITE_,
                           MAP_SHARED_ | MAP_FIXED_, EXO_FD_KR, 0) == EXO_KR_BASE;
}

static void map_region(void)
{
    bool whole = map_of_region(EXO_KR_MAPPED_SIZE);
    if (!whole && !map_of_region(EXO_KR_LIMITED_SIZE))
        fail("cannot map the kernel region");
    if (KR->magic != EXO_ABI_MAGIC || KR->version != EXO_ABI_VERSION)
        fail("the kernel region has another version");
    if (KR->size == EXO_KR_LIMITED_SIZE)
        host_call_early(__NR_munmap, EXO_KR_BASE + EXO_KR_LIMITED_SIZE,
                        EXO_KR_MAPPED_SIZE - EXO_KR_LIMITED_SIZE, 0, 0, 0, 0);
    else if (!whole)
        fail("cannot map the kernel region");
    /* Not in a guest's core dump, which would show what others do. */
    host_call_early(__NR_madvise, EXO_KR_BASE, (long)KR->size, MADV_DONTDUMP_, 0, 0, 0);
    exo_mm.flags = KR->flags;
    exo_mm.intercept = KR->intercept;
}

void exo_set_gs(struct exo_area *mine)
{
    if (exo_has_fsgsbase)
        __asm__ volatile("wrgsbase %0" : : "r"(mine));
    else
        host_call_early(__NR_arch_prctl, 0x1001 /* ARCH_SET_GS */, (long)mine, 0, 0, 0, 0);
}

/* With an instruction, where the host allows it. */
static void set_gs(const struct boot *boot, struct exo_area *mine)
{
    const uint64_t *auxv = boot->stack + boot->stack[0] + 2;
    while (*auxv)
        auxv++;
    for (auxv++; auxv[0] != AT_NULL; auxv += 2)
        if (auxv[0] == AT_HWCAP2)
            exo_has_fsgsbase = (auxv[1] & HWCAP2_FSGSBASE) != 0;
    exo_set_gs(mine);
}

extern const char exo_entry[];
const struct exo_direct exo_direct = {EXO_DIRECT_MAGIC, (uint64_t)exo_entry};

/* The first thread's area; other threads of the process died at exec, their slots go. */
static void attach(const struct boot *boot)
{
    struct exo_area *mine = exo_area_create();
    if (mine == NULL)
        fail("no memory");
    /* Whoever executes becomes its process's first thread. */
    long tid = boot->first ? host_call_early(__NR_set_tid_address, 0, 0, 0, 0, 0, 0)
                           : (long)KR->tasks[boot->slot].host_tgid;
    set_gs(boot, mine);
    if (!(exo_mm.flags & EXO_KR_NO_PATCH))
        mine->direct = &exo_direct;
    mine->sighand = exo_sighand_create(NULL);
    mine->sighand->inherited = KR->tasks[boot->slot].ignored;
    exo_area_attach(mine, boot->slot, (uint32_t)tid);
    exo_task_set_host(KR, boot->slot, (uint32_t)tid, (uint32_t)tid);
    for (uint32_t i = 1; i < KR->task_high; i++)
        if (i != boot->slot && KR->tasks[i].state != EXO_TASK_FREE &&
            KR->tasks[i].leader_slot == boot->slot)
            exo_task_free(KR, i);
    struct exo_task *task = mine->task;
    uint32_t old = fetch_and(&task->flags, ~(uint32_t)(EXO_TASK_SHARES_VM | EXO_TASK_LEADER_EXITED |
                                                       EXO_TASK_VFORK_WATCHED));
    if (old & EXO_TASK_VFORK_WATCHED)
        HOST_3(__NR_futex, &task->flags, FUTEX_WAKE, INT32_MAX);
    if (!boot->first)
        task->flags |= EXO_TASK_EXECED;
    task->flags = exo_mdwe_inherit(task->flags);
    task->robust_list = 0;
    if (task->host_pgid == 0) /* leads a session of its own; who started it could not know */
        task->host_pgid = (uint32_t)tid;
    store_release(&task->state, EXO_TASK_ALIVE);
    exo_mm.tasks = 1;
    struct k_stack alt = exo_area_altstack(mine);
    HOST_2(__NR_sigaltstack, &alt, 0);
    exo_signal_init();
    exo_trace_after_exec();
}

/* A table of its own, without what was close-on-exec. */
static void settle_fds(void)
{
    struct exo_task *task = area()->task;
    struct exo_fd_table *table = exo_kr_at(KR, task->fd_table);
    if (table->users > 1) {
        uint64_t own = exo_fd_table_clone(KR, task->fd_table);
        if (own == 0)
            exo_signal_kill_self(SIGSEGV_);
        exo_fd_table_replace(KR, area()->slot, own);
        table = exo_kr_at(KR, own);
    }
    for (uint32_t i = 0; i < table->used; i++) {
        struct exo_fd *entry = exo_fd_at(KR, task->fd_table, (int)i);
        struct exo_fd was = exo_fd_now(entry);
        if (was.host != EXO_FD_HOST_RESERVED && !(was.flags & EXO_FD_CLOEXEC))
            continue;
        bool pipe = was.host >= 0 && (was.flags & EXO_FD_OBJECT);
        if (pipe)
            exo_object_hold(KR, was.stamp);
        exo_fd_unreserve(KR, task->fd_table, (int)i);
        if (pipe)
            exo_fd_gone(was);
    }
}

/* An instance's first program: errors are told to a person, with a shell's exit status. */
static noreturn void refuse(const struct exo_program *program, long error)
{
    bool missing = error == -ENOENT || error == -ENOTDIR;
    const char *why = program->why;
    if (why[0] == '\0')
        why = missing                  ? "no such file or directory"
              : error == -EACCES       ? "permission denied"
              : error == -ELOOP        ? "too many levels of symbolic links or scripts"
              : error == -E2BIG        ? "argument list too long"
              : error == -ENAMETOOLONG ? "file name too long"
                                       : "cannot be executed";
    exo_say("exo-um: ");
    exo_say(program->path);
    exo_say(": ");
    exo_say(why);
    exo_say("\n");
    HOST_1(__NR_exit_group, missing ? 127 : 126);
    __builtin_trap();
}

static struct exo_program *find_first(struct boot *boot)
{
    struct exo_program *program = exo_program_create();
    if (strlen(boot->path) >= EXO_PATH_SIZE)
        refuse(program, -ENAMETOOLONG);
    exo_put_text(program->path, boot->path);
    long error = exo_program_open(program, AT_FDCWD_, 0);
    if (error == 0 && program->prefix_count > 0) { /* a script: with its interpreter's arguments */
        uint64_t *argv = boot->stack + 1;
        error = exo_program_run(program, (uint64_t)argv, (uint64_t)(argv + boot->stack[0] + 1));
    }
    if (error != 0)
        refuse(program, error);
    return program;
}

static bool read_again(struct exo_elf *elf, int fd, char *interp)
{
    const char *why;
    exo_elf_open(elf, fd);
    return exo_elf_check(elf, fd, interp, &why) == 0;
}

/* The program the parent has opened and checked; what changed since is fatal, as at exec. */
static struct exo_program *take_opened(const struct boot *boot)
{
    struct exo_program *program = exo_program_create();
    program->exe = boot->exe;
    program->interp = boot->interp;
    if (!read_again(&program->elf, boot->exe, program->interp_name) ||
        (boot->interp >= 0 &&
         !read_again(&program->interp_elf, boot->interp, program->interp_name)))
        exo_signal_kill_self(SIGSEGV_);
    return program;
}

static uint64_t random_word(void)
{
    uint64_t word = 0;
    if (HOST_1(__NR_personality, 0xffffffff) & ADDR_NO_RANDOMIZE)
        return 0;
    HOST_3(__NR_getrandom, &word, sizeof(word), 0);
    return word;
}

static void set_auxv(uint64_t *auxv, const struct exo_program *program,
                     const struct exo_image_map *exe, uint64_t base, const char *path)
{
    for (; auxv[0] != AT_NULL; auxv += 2) {
        switch (auxv[0]) {
        case AT_PHDR:
            auxv[1] = exe->phdrs;
            break;
        case AT_PHENT:
            auxv[1] = sizeof(Elf64_Phdr);
            break;
        case AT_PHNUM:
            auxv[1] = program->elf.header.e_phnum;
            break;
        case AT_BASE:
            auxv[1] = base;
            break;
        case AT_ENTRY:
            auxv[1] = exe->entry;
            break;
        case AT_EXECFN:
            auxv[1] = (uint64_t)path;
            break;
        default:
            break;
        }
    }
}

/* Tells the host what the guest's process looks like: break, arguments, auxv (prctl(2), PR_SET_MM). */
static void set_host_view(const struct boot *boot, const struct exo_image_map *exe, uint64_t *envp,
                          uint64_t *auxv, uint64_t auxv_size)
{
    uint64_t *argv = boot->stack + 1;
    const char *env_end = (const char *)(envp[0] ? envp[0] : (uint64_t)boot->path);
    for (uint64_t *at = envp; *at; at++)
        env_end = (const char *)*at + strlen((const char *)*at) + 1;
    struct prctl_mm_map map = {.start_code = exe->code_start,
                               .end_code = exe->code_end,
                               .start_data = exe->data_start,
                               .end_data = exe->data_end,
                               .start_brk = exo_mm.brk_start,
                               .brk = exo_mm.brk_start,
                               .start_stack = (uint64_t)boot->stack,
                               .arg_start = argv[0],
                               .arg_end = envp[0] ? envp[0] : (uint64_t)env_end,
                               .env_start = envp[0] ? envp[0] : (uint64_t)env_end,
                               .env_end = (uint64_t)env_end,
                               .auxv = (void *)auxv,
                               .auxv_size = (uint32_t)auxv_size,
                               .exe_fd = (uint32_t)-1};
    exo_mm.own_brk = HOST_5(__NR_prctl, PR_SET_MM, PR_SET_MM_MAP, &map, sizeof(map), 0) != 0;
}

static void set_names(const char *path, int exe)
{
    const char *base = path;
    for (const char *at = path; *at; at++)
        if (*at == '/' && at[1])
            base = at + 1;
    HOST_2(__NR_prctl, PR_SET_NAME, base);
    HOST_3(__NR_dup3, exe, EXO_FD_EXE, O_CLOEXEC_);
}

static uint64_t place(struct boot *boot, struct exo_program *program)
{
    struct exo_image_map exe, interp = {0};
    uint64_t random = random_word();
    uint64_t hint = program->interp < 0 && program->elf.header.e_type == ET_DYN
                        ? 0
                        : PIE_BASE + ((random & PIE_RANDOM_MASK) << 12);
    if (exo_elf_map(&exe, &program->elf, program->exe, hint) != 0)
        exo_signal_kill_self(SIGSEGV_);
    uint64_t exe_end = exo_mm.image_end; /* with its stubs, if they went there */
    if (program->interp >= 0 && exo_elf_map(&interp, &program->interp_elf, program->interp, 0) != 0)
        exo_signal_kill_self(SIGSEGV_);
    uint64_t *envp = boot->stack + boot->stack[0] + 2, *auxv = envp;
    while (*auxv)
        auxv++;
    auxv++;
    uint64_t *end = auxv;
    while (end[0] != AT_NULL)
        end += 2;
    uint64_t base = program->interp < 0 ? 0 : interp.start;
    boot->bias = exe.bias;
    boot->interp_bias = interp.bias;
    set_auxv(auxv, program, &exe, base, boot->path);
    exo_mm.brk_start = exe_end;
    if (random != 0)
        exo_mm.brk_start += (random >> 32) % BRK_RANDOM_PAGES * 4096;
    exo_mm.brk_end = exo_mm.brk_start;
    set_host_view(boot, &exe, envp, auxv, (uint64_t)(end + 2 - auxv) * 8);
    return program->interp < 0 ? exe.entry : interp.entry;
}

noreturn void exo_loader(uint64_t *stack)
{
    struct boot boot;
    if (stack[0] == 2 && exo_skip((const char *)stack[1], EXO_PRELOAD_WORD) != NULL)
        exo_preload((struct exo_preload *)stack[2]);
    parse(&boot, stack);
    uint64_t started = boot.first ? now_ns() : 0;
    map_region();
    if (boot.first && KR->stats.boot_ns[EXO_BOOT_LOADER] == 0)
        KR->stats.boot_ns[EXO_BOOT_LOADER] = started;
    attach(&boot);
    note_phase(&boot, EXO_BOOT_REGION);
    settle_fds();
    struct exo_program *program = boot.first ? find_first(&boot) : take_opened(&boot);
    uint64_t entry = place(&boot, program);
    note_phase(&boot, EXO_BOOT_LOADED);
    set_names(boot.path, program->exe);
    if (fetch_and(&area()->leader->flags, ~(uint32_t)EXO_TASK_STRANGERS) & EXO_TASK_STRANGERS) {
        exo_program_free(program); /* not in the table */
        exo_fd_close_strangers();
    }
    if (exo_elf_wants_executable_stack(&program->elf))
        HOST_3(__NR_mprotect, (uint64_t)boot.stack & ~4095UL, 4096,
               PROT_READ_ | PROT_WRITE_ | PROT_EXEC_ | PROT_GROWSDOWN_);
    exo_program_free(program);
    fetch_add(&KR->stats.execs, 1);
    if (boot.first && HOST_5(__NR_prctl, PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0) == 1)
        area()->task->security |= EXO_SECURITY_NO_NEW_PRIVS;
    if (boot.first && exo_intercept_init() != 0)
        fail("the host refuses a seccomp filter");
    exo_record_executed();
    exo_record_image(boot.bias, boot.interp_bias, program->elf.interp);
    exo_intercept_arm();
    note_phase(&boot, EXO_BOOT_ENTRY);
    if (area()->adopted)
        exo_trace_executed(entry, (uint64_t)boot.stack);
    exo_start(entry, (uint64_t)boot.stack);
}
