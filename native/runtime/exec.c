/* execve(2), execveat(2).
 *
 * The runtime opens and checks the program first, so that errors come back to the caller, then has
 * the host execute the loader anew, with the open files and two arguments of its own in front:
 * "exo1:SLOT:EXE:INTERP" and the program's path. What the host does at exec (threads die, handlers
 * reset, close-on-exec) thereby happens to the guest.
 */
#include <linux/limits.h>

#include "exec.h"
#include "nap.h"
#include "robust.h"
#include "text.h"
#include "trace.h"
#include "translate.h"

#define STACK_NEEDED 0x5000 /* by the calls that work on it */

_Static_assert(AREA_ALTSTACK_END + sizeof(struct exo_program) + STACK_NEEDED <= AREA_STRUCT,
               "exo_program on the runtime's stack");

struct exo_program *exo_program_create(void)
{
    struct exo_program *program =
        (struct exo_program *)((uint64_t)area() - AREA_STRUCT + AREA_ALTSTACK_END);
    program->exe = program->interp = -1;
    program->prefix_count = 0;
    program->why = "";
    return program;
}

static void close_files(struct exo_program *program)
{
    if (program->exe >= 0)
        HOST_1(__NR_close, program->exe);
    if (program->interp >= 0)
        HOST_1(__NR_close, program->interp);
    program->exe = program->interp = -1;
}

void exo_program_free(struct exo_program *program)
{
    close_files(program);
}

/* An open file that may be executed: regular, with execute permission, not on a noexec mount. */
static long open_executable(int dirfd, const char *path, int flags)
{
    struct k_stat stat;
    bool by_fd = path[0] == '\0' && (flags & AT_EMPTY_PATH_);
    char self[40] = "/proc/self/fd/";
    if (by_fd && dirfd == AT_FDCWD_) {
        path = ".";
    } else if (
        by_fd) { /* a second open file, since the guest's may be O_PATH, or at another offset */
        exo_put_number(self + strlen(self), (uint64_t)dirfd);
        path = self;
    }
    int mode = O_CLOEXEC_ | (flags & AT_SYMLINK_NOFOLLOW_ ? O_NOFOLLOW_ : 0);
    long fd =
        HOST_4(__NR_openat, dirfd, path, mode | 04000 /* O_NONBLOCK: not hang on a FIFO */, 0);
    if (fd == -ENOENT && path == self) /* no /proc behind chroot(2) */
        fd = HOST_3(__NR_fcntl, dirfd, F_DUPFD_CLOEXEC, 0);
    if (fd < 0)
        return fd == -ENXIO ? -EACCES : fd; /* a socket */
    long error = HOST_2(__NR_fstat, fd, &stat);
    if (error == 0 && (stat.mode & S_IFMT_) != S_IFREG_)
        error = -EACCES;
    if (error == 0) /* looks at the mount's noexec, too */
        error = HOST_4(__NR_faccessat2, fd, "", 1, AT_EMPTY_PATH_ | AT_EACCESS_);
    if (error == 0)
        return fd;
    HOST_1(__NR_close, fd);
    return error;
}

static bool is_blank(char c)
{
    return c == ' ' || c == '\t';
}

/* Splits the line after "#!" in place: interpreter, and the one argument it may have. */
static long parse_script(char *line, long size, char **interp, char **argument)
{
    long end = 2;
    while (end < size && line[end] != '\n' && line[end] != '\0')
        end++;
    bool cut = end == EXO_SCRIPT_LINE;
    line[end] = '\0';
    char *at = line + 2;
    while (is_blank(*at))
        at++;
    *interp = at;
    while (*at && !is_blank(*at))
        at++;
    if (at == *interp || (cut && *at == '\0'))
        return -ENOEXEC;
    *argument = NULL;
    if (*at == '\0')
        return 0;
    *at++ = '\0';
    while (is_blank(*at))
        at++;
    char *last = line + end;
    while (last > at && is_blank(last[-1]))
        *--last = '\0';
    *argument = *at ? at : NULL;
    return 0;
}

static void put_in_front(struct exo_program *program, char *text)
{
    for (unsigned i = program->prefix_count++; i > 0; i--)
        program->prefix[i] = program->prefix[i - 1];
    program->prefix[0] = text;
}

static long open_interp(struct exo_program *program)
{
    if (program->elf.interp == NULL)
        return 0;
    long fd = open_executable(AT_FDCWD_, program->elf.interp, 0);
    program->why = "its ELF interpreter is missing";
    if (fd < 0)
        return fd;
    program->interp = (int)fd;
    exo_elf_open(&program->interp_elf, (int)fd);
    long error = exo_elf_check(&program->interp_elf, (int)fd, program->interp_name, &program->why);
    return error == -ENOEXEC ? -ELIBBAD : error;
}

/* One more "#!": the interpreter takes the script's place. */
static long enter_script(struct exo_program *program, int depth, char *script, char **interp)
{
    char *line = program->lines[depth], *argument;
    memset(line, 0, EXO_SCRIPT_LINE + 1);
    long size = HOST_4(__NR_pread64, program->exe, line, EXO_SCRIPT_LINE, 0);
    program->why = "a script with a broken first line";
    long error = size < 0 ? size : parse_script(line, size, interp, &argument);
    if (error != 0)
        return error;
    /* The script's own name replaces argv[0], which came from the level above. */
    if (program->prefix_count > 0)
        program->prefix[0] = script;
    else
        put_in_front(program, script);
    if (argument != NULL)
        put_in_front(program, argument);
    put_in_front(program, *interp);
    return 0;
}

long exo_program_open(struct exo_program *program, int host_dirfd, int flags)
{
    char *path = program->path;
    for (int depth = 0;; depth++) {
        program->why = "";
        const char *name = exo_host_name(&program->found, path);
        long fd =
            open_executable(depth == 0 ? host_dirfd : AT_FDCWD_, name, depth == 0 ? flags : 0);
        if (fd < 0)
            return fd;
        close_files(program);
        program->exe = (int)fd;
        exo_elf_open(&program->elf, (int)fd);
        const unsigned char *magic = program->elf.header.e_ident;
        if (magic[0] != '#' || magic[1] != '!') {
            long error = exo_elf_check(&program->elf, (int)fd, program->interp_name, &program->why);
            return error != 0 ? error : open_interp(program);
        }
        if (depth == EXO_SCRIPT_DEPTH)
            return -ELOOP;
        long error = enter_script(program, depth, path, &path);
        if (error != 0)
            return error;
    }
}

/* Entries of a NULL-terminated array of the guest's. */
static long count_strings(uint64_t array)
{
    uint64_t pointer = 1;
    long count = 0;
    while (array != 0) {
        if (guest_get(&pointer, array + (uint64_t)count * 8) != 0)
            return -EFAULT;
        if (pointer == 0)
            break;
        if (++count > 0x7fffff)
            return -E2BIG;
    }
    return count;
}

/* The host's close-on-exec flags become what the guest's are. */
static void settle_cloexec(void)
{
    uint64_t offset = area()->task->fd_table;
    struct exo_fd_table *table = exo_kr_at(KR, offset);
    for (uint32_t i = 0; i < table->used; i++) {
        struct exo_fd *entry = exo_fd_at(KR, offset, (int)i);
        bool wanted = entry->flags & EXO_FD_CLOEXEC, is = entry->flags & EXO_FD_HOST_CLOEXEC;
        if (entry->host < 0 || wanted == is)
            continue;
        HOST_3(__NR_fcntl, entry->host, 2 /* F_SETFD */, wanted);
        entry->flags ^= EXO_FD_HOST_CLOEXEC;
    }
}

/* The caller's fd table and filters become the process's, should it have its own; again: back. */
static void swap_own(void)
{
    if (area()->task != area()->leader)
        exo_fd_table_swap(KR, area()->slot, area()->task->leader_slot);
    exo_filter_swap(KR, area()->slot, area()->task->leader_slot);
}

static void keep_across_exec(int fd)
{
    if (fd >= 0)
        HOST_3(__NR_fcntl, fd, 2 /* F_SETFD */, 0);
}

static void put_info(char *to, const struct exo_program *program)
{
    to = exo_put_text(to, "exo1:");
    to = exo_put_number(to, area()->task->leader_slot);
    to = exo_put_text(to, ":");
    to = exo_put_number(to, (uint64_t)program->exe + 1);
    to = exo_put_text(to, ":");
    exo_put_number(to, (uint64_t)program->interp + 1);
}

#define ARGUMENT_MAX_SIZE 131072 /* MAX_ARG_STRLEN */

/* A script's own name takes the place of argv[0], which has to be readable all the same. */
static long check_string(uint64_t argv)
{
    uint64_t at;
    if (guest_get(&at, argv) != 0)
        return -EFAULT;
    for (uint64_t end = at + ARGUMENT_MAX_SIZE; at < end; at++) {
        long byte = guest_byte(at);
        if (byte <= 0)
            return byte;
    }
    return -E2BIG;
}

/* The new argument array: ours, the scripts', the guest's; an empty one gets "" as in the host. */
static long build_argv(struct exo_program *program, char *info, uint64_t argv, long argc,
                       uint64_t *to)
{
    unsigned at = 0;
    bool script = program->prefix_count > 0;
    to[at++] = (uint64_t)info;
    to[at++] = (uint64_t)program->path;
    for (unsigned i = 0; i < program->prefix_count; i++)
        to[at++] = (uint64_t)program->prefix[i];
    if (argc == 0 && !script)
        to[at++] = (uint64_t) "";
    uint64_t skip = script && argc > 0 ? 1 : 0;
    long error = skip == 0 ? 0 : check_string(argv);
    if (error != 0)
        return error;
    uint64_t rest = (uint64_t)argc - skip;
    if (guest_read(to + at, argv + skip * 8, rest * 8) != 0)
        return -EFAULT;
    to[at + rest] = 0;
    return 0;
}

static uint64_t *argument_array(struct exo_program *program, uint64_t count)
{
    if (count <= EXO_EXEC_ARGUMENTS)
        return program->argv;
    long got = HOST_6(__NR_mmap, 0, (count + 16) * 8, PROT_READ_ | PROT_WRITE_,
                      MAP_PRIVATE_ | MAP_ANONYMOUS_, -1, 0);
    return got < 0 ? NULL : (uint64_t *)got;
}

/* The child of a vfork by a lone thread, which waits for it. */
static bool is_lone_vfork(void)
{
    const struct exo_child *birth = &area()->birth;
    return (birth->flags & CLONE_VFORK_) && !birth->racing && !area()->adopted;
}

static long execute(const struct exo_program *program, const uint64_t *argv, uint64_t envp)
{
    uint64_t none = 0;
    if (is_lone_vfork() ? load_relaxed(&exo_mm.tasks) > 2 : !exo_alone()) /* others open files */
        fetch_or(&area()->leader->flags, EXO_TASK_STRANGERS);
    settle_cloexec();
    keep_across_exec(program->exe);
    keep_across_exec(program->interp);
    exo_actions_before_exec(area()->sighand);
    swap_own();
    exo_robust_release_all();
    exo_trace_before_exec();
    fetch_and(&area()->leader->flags, ~(uint32_t)EXO_TASK_SHARES_MEMORY);
    exo_mask_before_exec();
    long error = host_wait(__NR_execveat, EXO_FD_LOADER, (long)"", (long)argv,
                           envp ? (long)envp : (long)&none, AT_EMPTY_PATH_, 0);
    exo_mask_after_failed_exec();
    exo_trace_after_failed_exec();
    swap_own();
    return error;
}

long exo_program_run(struct exo_program *program, uint64_t argv, uint64_t envp)
{
    char info[64];
    long argc = count_strings(argv), envc = count_strings(envp);
    if (argc < 0 || envc < 0)
        return argc < 0 ? argc : envc;
    uint64_t *array = argument_array(program, (uint64_t)argc);
    if (array == NULL)
        return -ENOMEM;
    put_info(info, program);
    long error = build_argv(program, info, argv, argc, array);
    if (error == 0)
        error = execute(program, array, envp);
    if (array != program->argv)
        HOST_2(__NR_munmap, array, ((uint64_t)argc + 16) * 8);
    return error;
}

/* A script that its interpreter could not open: by an fd that exec closes. */
static bool gone_after_exec(const struct exo_program *program, int dirfd)
{
    struct exo_fd *entry = exo_fd_entry(dirfd);
    return program->prefix_count > 0 && entry != NULL && (entry->flags & EXO_FD_CLOEXEC);
}

static long do_exec(int dirfd, uint64_t path, uint64_t argv, uint64_t envp, int flags)
{
    exo_nap_pay();
    struct exo_program *program = exo_program_create();
    long error = guest_string(program->path, path, EXO_PATH_SIZE);
    if (error >= 0 && (flags & ~(AT_EMPTY_PATH_ | AT_SYMLINK_NOFOLLOW_)))
        error = error == 0 && !(flags & AT_EMPTY_PATH_) ? -ENOENT : -EINVAL;
    if (error >= 0) {
        bool by_fd = error == 0 && (flags & AT_EMPTY_PATH_);
        int host = program->path[0] == '/' ? AT_FDCWD_ : exo_dirfd_host(dirfd);
        error = host == -EBADF ? -EBADF : error == 0 && !by_fd ? -ENOENT : 0;
        if (error == 0)
            error = exo_program_open(program, host, flags);
        bool named = by_fd || (dirfd != AT_FDCWD_ && program->path[0] != '/');
        if (error == 0 && named && gone_after_exec(program, dirfd))
            error = -ENOENT;
        if (error == 0 && named)
            exo_name_by_fd(program->path, dirfd);
        if (error == 0)
            error = exo_program_run(program, argv, envp);
    }
    exo_program_free(program);
    return error;
}

SYSCALL(execve)
{
    return do_exec(AT_FDCWD_, (uint64_t)a, (uint64_t)b, (uint64_t)c, 0);
}

SYSCALL(execveat)
{
    return do_exec((int)a, (uint64_t)b, (uint64_t)c, (uint64_t)d, (int)e);
}
