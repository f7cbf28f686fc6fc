/* libexo_preload.so, for LD_PRELOAD: gives a program that its own dynamic loader has started exo-um's
 * runtime, before anything of the program or of libc's start-up has run.
 *
 * Maps exo-guest, which lies beside this file, to where it is linked, and enters it (exo/preload.h). No libc:
 * this is the first code to run after the loader's own, on glibc by -z initfirst. Inside exo-um already, it
 * does nothing. Where it fails the program goes on natively after a line on stderr, unless exo-um run has
 * said EXO_PRELOAD=required.
 *
 * In the environment: EXO_STATS=FILE, EXO_NET=exo|host, EXO_PATCH=0.
 */
#include <asm/errno.h>
#include <elf.h>
#include <fcntl.h>
#include <linux/auxvec.h>
#include <stdbool.h>
#include <stddef.h>
#include <sys/mman.h>
#include <sys/syscall.h>

#include <exo/direct.h>
#include <exo/preload.h>

#define HWCAP2_FSGSBASE 2
#define PATH_SIZE 4096
/* From <prefix>/lib/pythonX.Y/site-packages/exo_um/_native/libexo_preload.so to <prefix>. */
#define UP_TO_PREFIX 6

void enter(struct exo_preload *with, uint64_t entry);

static long call(long nr, long a, long b, long c, long d, long e, long f)
{
    register long r10 __asm__("r10") = d, r8 __asm__("r8") = e, r9 __asm__("r9") = f;
    __asm__ volatile("syscall"
                     : "+a"(nr)
                     : "D"(a), "S"(b), "d"(c), "r"(r10), "r"(r8), "r"(r9)
                     : "rcx", "r11", "memory");
    return nr;
}

static long open_file(const char *path, long flags)
{
    return call(SYS_open, (long)path, flags | O_CLOEXEC, 0, 0, 0, 0);
}

static void close_file(long fd)
{
    call(SYS_close, fd, 0, 0, 0, 0, 0);
}

/* A file byte by byte. */
struct reader {
    long fd, at, got;
    unsigned char buffer[1024];
};

static bool start_reading(struct reader *file, const char *path)
{
    file->fd = open_file(path, O_RDONLY);
    file->at = file->got = 0;
    return file->fd >= 0;
}

static int next_byte(struct reader *from)
{
    if (from->at >= from->got) {
        from->got = call(SYS_read, from->fd, (long)from->buffer, sizeof from->buffer, 0, 0, 0);
        from->at = 0;
    }
    return from->got <= 0 ? -1 : from->buffer[from->at++];
}

/* Up to an end byte; its length, -1 at the file's end. What does not fit is cut. */
static long next_text(struct reader *from, char *text, long size, int end)
{
    long length = 0;
    int byte;
    while ((byte = next_byte(from)) >= 0 && byte != end)
        if (length < size - 1)
            text[length++] = (char)byte;
    text[length] = '\0';
    return byte < 0 && length == 0 ? -1 : length;
}

/* Where text goes on after prefix, NULL. */
static const char *skip(const char *text, const char *prefix)
{
    for (; *prefix != '\0'; prefix++, text++)
        if (*text != *prefix)
            return NULL;
    return text;
}

static bool is(const char *text, const char *other)
{
    const char *rest = skip(text, other);
    return rest != NULL && *rest == '\0';
}

static void append(char *to, const char *text)
{
    long length = 0;
    while (to[length] != '\0')
        length++;
    while (length < PATH_SIZE - 1 && *text != '\0')
        to[length++] = *text++;
    to[length] = '\0';
}

/* What is known before exo-guest is entered. */
static struct {
    char self[PATH_SIZE], guest[PATH_SIZE], launcher[PATH_SIZE];
    char stats[PATH_SIZE], runtime[PATH_SIZE];
    bool required;
} known;

static uint64_t hexadecimal(const char **text)
{
    uint64_t number = 0;
    for (;; ++*text) {
        unsigned digit = (unsigned char)**text;
        if (digit - '0' < 10)
            number = number << 4 | (digit - '0');
        else if (digit - 'a' < 6)
            number = number << 4 | (digit - 'a' + 10);
        else
            return number;
    }
}

/* Our own path: that of the mapping in which this code is. */
static bool find_self(void)
{
    struct reader maps;
    uint64_t here = (uint64_t)(uintptr_t)find_self;
    bool found = false;
    if (!start_reading(&maps, "/proc/self/maps"))
        return false;
    while (!found && next_text(&maps, known.self, PATH_SIZE, '\n') >= 0) {
        const char *at = known.self;
        uint64_t start = hexadecimal(&at);
        at++;
        found = here >= start && here < hexadecimal(&at);
    }
    close_file(maps.fd);
    long from = 0, to = 0;
    while (known.self[from] != '\0' && known.self[from] != '/')
        from++;
    while ((known.self[to++] = known.self[from]) != '\0')
        from++;
    return found && known.self[0] == '/';
}

static void cut_last(char *path, int times)
{
    long length = 0;
    while (path[length] != '\0')
        length++;
    for (; times > 0; times--) {
        while (length > 0 && path[length] != '/')
            length--;
        path[length] = '\0';
    }
}

static void find_others(void)
{
    append(known.guest, known.self);
    cut_last(known.guest, 1);
    append(known.guest, "/exo-guest");
    append(known.launcher, known.self);
    cut_last(known.launcher, UP_TO_PREFIX);
    append(known.launcher, "/bin/exo-um");
}

/* Takes an entry of LD_PRELOAD that is this file out of the list; whether nothing is left. */
static bool leave_list(char *list)
{
    char *to = list, *from = list;
    while (*from != '\0') {
        char *end = from;
        while (*end != '\0' && *end != ':' && *end != ' ')
            end++;
        const char *rest = skip(from, known.self);
        bool ours = rest == end;
        if (!ours && to != list)
            *to++ = ':';
        while (from < end && !ours)
            *to++ = *from++;
        from = *end == '\0' ? end : end + 1;
    }
    *to = '\0';
    return to == list;
}

/* Takes what is ours from a variable; whether the program is not to see it. */
static bool take_variable(char *variable, uint32_t *flags)
{
    const char *value;
    if (skip(variable, "XDG_RUNTIME_DIR=") != NULL)
        append(known.runtime, variable);
    else if ((value = skip(variable, "LD_PRELOAD=")) != NULL)
        return leave_list(variable + (value - variable));
    if (is(variable, "EXO_NET=exo"))
        *flags |= EXO_PRELOAD_NET_EXO;
    if (is(variable, "EXO_PATCH=0"))
        *flags |= EXO_PRELOAD_NO_PATCH;
    known.required |= is(variable, "EXO_PRELOAD=required");
    if ((value = skip(variable, "EXO_STATS=")) != NULL)
        append(known.stats, value);
    return value != NULL || skip(variable, "EXO_NET=") != NULL ||
           skip(variable, "EXO_PATCH=") != NULL || skip(variable, "EXO_PRELOAD=") != NULL;
}

/* What the programs that ours executes need not know: they are inside already. */
static void take_environment(char **envp, uint32_t *flags)
{
    char **to = envp;
    for (; *envp != NULL; envp++)
        if (!take_variable(*envp, flags))
            *to++ = *envp;
    *to = NULL;
}

enum { STAT_NAME = 2, STAT_THREADS = 20, STAT_STACK = 28 }; /* fields of proc(5)'s stat, from 1 on */

static uint64_t stat_field(const char *line, long length, int field)
{
    while (length > 0 && line[length] != ')') /* the name before may hold anything */
        length--;
    const char *at = line + length;
    for (int spaces = STAT_NAME; *at != '\0' && spaces < field; at++)
        spaces += *at == ' ';
    uint64_t number = 0;
    for (; *at >= '0' && *at <= '9'; at++)
        number = number * 10 + (uint64_t)(*at - '0');
    return number;
}

/* Where the host put argc: not every libc hands it to constructors. NULL: not known. */
static long *find_stack(uint64_t *threads)
{
    static char line[1024];
    struct reader stat;
    if (!start_reading(&stat, "/proc/self/stat"))
        return NULL;
    long length = next_text(&stat, line, sizeof line, '\n');
    close_file(stat.fd);
    *threads = stat_field(line, length, STAT_THREADS);
    return (long *)stat_field(line, length, STAT_STACK);
}

static bool has_fsgsbase(char **envp)
{
    while (*envp != NULL)
        envp++;
    const uint64_t *auxv = (const uint64_t *)(envp + 1);
    for (; auxv[0] != AT_NULL; auxv += 2)
        if (auxv[0] == AT_HWCAP2)
            return auxv[1] & HWCAP2_FSGSBASE;
    return false;
}

/* GS base lies in the runtime's window in every guest, and is 0 natively here. */
static bool is_inside(uint32_t flags)
{
    uint64_t base = 0;
    if (flags & EXO_PRELOAD_FSGSBASE)
        __asm__ volatile("rdgsbase %0" : "=r"(base));
    return base >> EXO_DIRECT_WINDOW_SHIFT == EXO_DIRECT_WINDOW;
}

static long map_segment(long fd, const Elf64_Phdr *segment)
{
    long prot = (segment->p_flags & PF_R ? PROT_READ : 0) |
                (segment->p_flags & PF_W ? PROT_WRITE : 0) |
                (segment->p_flags & PF_X ? PROT_EXEC : 0);
    long how = MAP_PRIVATE | MAP_FIXED_NOREPLACE | (segment->p_filesz ? 0 : MAP_ANONYMOUS);
    long got = call(SYS_mmap, (long)segment->p_vaddr, (long)segment->p_memsz, prot, how,
                    segment->p_filesz ? fd : -1, (long)segment->p_offset * !!segment->p_filesz);
    if (got >= 0 && (uint64_t)got != segment->p_vaddr) {
        call(SYS_munmap, got, (long)segment->p_memsz, 0, 0, 0, 0);
        return -EEXIST;
    }
    return got < 0 ? got : 0;
}

/* Maps exo-guest, whose segments are one of the file and one of nothing; its entry, or -errno. */
static long map_guest(long fd)
{
    static union {
        Elf64_Ehdr header;
        char bytes[1024];
    } start;
    long got = call(SYS_pread64, fd, (long)&start, sizeof start, 0, 0, 0);
    const Elf64_Phdr *segments = (const void *)(start.bytes + sizeof start.header);
    if (got < (long)sizeof start || start.header.e_phoff != sizeof start.header ||
        start.header.e_phnum > (sizeof start - sizeof start.header) / sizeof *segments)
        return -ENOEXEC;
    for (int i = 0; i < start.header.e_phnum; i++) {
        long error = segments[i].p_type == PT_LOAD ? map_segment(fd, &segments[i]) : 0;
        if (error != 0)
            return error;
    }
    return (long)start.header.e_entry;
}

static void say(const char *text)
{
    long length = 0;
    while (text[length] != '\0')
        length++;
    call(SYS_write, 2, (long)text, length, 0, 0, 0);
}

static void fail(const char *what, const char *where)
{
    say("exo-um: libexo_preload.so: ");
    say(what);
    say(where);
    say(known.required ? "\n" : "; going on without exo-um\n");
    if (known.required)
        call(SYS_exit_group, 125, 0, 0, 0, 0, 0);
}

static void install(struct exo_preload *with)
{
    find_others();
    long fd = open_file(known.guest, O_RDONLY);
    if (fd < 0) {
        fail("cannot open ", known.guest);
        return;
    }
    long entry = map_guest(fd);
    close_file(fd);
    if (entry < 0) {
        fail("the addresses are taken that are needed for ", known.guest);
        return;
    }
    with->launcher = known.launcher;
    with->stats = known.stats;
    with->runtime = known.runtime;
    with->loader = (int32_t)open_file(known.guest, O_PATH);
    enter(with, (uint64_t)entry);
    if (with->failed != NULL)
        fail("the host refuses: ", with->failed);
}

static __attribute__((constructor)) void begin(void)
{
    uint64_t threads = 0;
    long *stack = find_stack(&threads);
    if (stack == NULL || !find_self()) {
        fail("/proc is needed", "");
        return;
    }
    if (threads != 1) { /* loaded late, by dlopen(3) */
        fail("the program has threads already", "");
        return;
    }
    char **envp = (char **)(stack + stack[0] + 2);
    struct exo_preload with = {.flags = has_fsgsbase(envp) ? EXO_PRELOAD_FSGSBASE : 0};
    if (is_inside(with.flags))
        return;
    take_environment(envp, &with.flags);
    install(&with);
}
