/* Paths below /proc and /dev/fd.
 *
 * The host's /proc shows the host's pids and fds. A path that leads there is rewritten: pids and
 * fd numbers in it become the host's. A few files and directories whose contents would show host
 * pids are left to the kernel process (posix_x/syscalls/proc.py).
 *
 * DIFFERS: a symbolic link into /proc is followed by the host, which then shows its own numbers.
 */
#include "path.h"
#include "epoll.h"
#include "text.h"
#include "translate.h"

#define PROC_SUPER_MAGIC 0x9fa0

static bool is_end(char c)
{
    return c == '\0' || c == '/';
}

/* The rest after a whole component; NULL if text does not begin with it. */
static const char *component(const char *text, const char *name)
{
    const char *rest = exo_skip(text, name);
    return rest != NULL && is_end(*rest) ? rest : NULL;
}

/* Whether /proc is the host's: behind chroot(2) it may be any directory, or none. */
static bool has_proc(void)
{
    struct {
        uint64_t type, rest[14];
    } statfs;
    return !(area()->leader->flags & EXO_TASK_CHROOTED) ||
           (HOST_2(__NR_statfs, "/proc", &statfs) == 0 && statfs.type == PROC_SUPER_MAGIC);
}

/* Cheap look at the guest's string: could it lead to /proc or /dev? */
bool exo_path_may_be_special(int dirfd, uint64_t path)
{
    long first = guest_byte(path);
    if (first == '/') {
        long second = guest_byte(path + 1);
        return second == 'p' || second == 'd' || second == '/' || second == '.';
    }
    if (first < 0)
        return false; /* NULL or bad: the host has the answer */
    if (dirfd == AT_FDCWD_)
        return (area()->leader->flags & EXO_TASK_IN_PROC) != 0;
    struct exo_fd *entry = exo_fd_entry(dirfd);
    return entry != NULL && (entry->flags & (EXO_FD_PROC | EXO_FD_DIRECTORY));
}

static long translate(struct exo_path *path);

/* Whether what stands behind /proc/PID has passed a link to somewhere else: cwd, root, exe, fd/N. */
static bool leads_out(const char *rest)
{
    const char *task = exo_skip(rest, "/task/");
    while (task != NULL && !is_end(*task))
        task++;
    rest = task != NULL ? task : rest;
    const char *fd = exo_skip(rest, "/fd/");
    return component(rest, "/cwd") || component(rest, "/root") || component(rest, "/exe") ||
           (fd != NULL && *fd != '\0');
}

#define BY_HOST 1 /* the path is the host's from here on */

/* ".." behind the path so far, with `rest` to follow. Below /proc that has to be a directory; behind
 * a link to somewhere else only the host knows where ".." leads. */
static long check_parent(struct exo_path *path, const char *rest)
{
    struct k_stat stat;
    if (component(path->guest, "/proc") == NULL && component(path->guest, "/dev/fd") == NULL)
        return 0;
    long kind = translate(path);
    if (kind <= EXO_PATH_PLAIN)
        return kind;
    const char *behind = component(path->guest, "/proc");
    while (behind != NULL && *behind == '/' && !is_end(behind[1]))
        behind++;
    while (behind != NULL && !is_end(*behind))
        behind++;
    size_t size = strlen(path->host);
    if (behind != NULL && leads_out(behind)) {
        if (size + strlen(rest) + 4 > EXO_HOST_PATH_SIZE)
            return -ENAMETOOLONG;
        exo_put_text(exo_put_text(path->host + size, "/.."), rest);
        return BY_HOST;
    }
    long error = HOST_4(__NR_newfstatat, AT_FDCWD_, path->host, &stat, 0);
    return error != 0 ? error : (stat.mode & S_IFMT_) == S_IFDIR_ ? 0 : -ENOTDIR;
}

static void drop_last(char *path)
{
    char *end = path + strlen(path);
    while (end > path && *--end != '/')
        ;
    *end = '\0';
}

/* Appends the components of from to the absolute path->guest, resolving "." and "..". */
static long normalise(struct exo_path *path, const char *from)
{
    char *to = path->guest;
    while (*from) {
        while (*from == '/')
            from++;
        size_t size = 0, used = strlen(to);
        while (!is_end(from[size]))
            size++;
        bool up = size == 2 && from[0] == '.' && from[1] == '.';
        path->directory = size == 0 || up || (size == 1 && from[0] == '.');
        if (up) {
            long found = check_parent(path, from + size);
            if (found != 0)
                return found;
            drop_last(to);
        } else if (!path->directory) {
            if (used + size + 2 > EXO_PATH_SIZE)
                return -ENAMETOOLONG;
            to[used] = '/';
            memcpy(to + used + 1, from, size);
            to[used + 1 + size] = '\0';
        }
        from += size;
    }
    return 0;
}

/* Puts own pid or tid where the guest wrote self; /dev/fd and its like become /proc paths. Whether
 * there was such a link. */
static bool replace_self(char *path)
{
    char rest[EXO_PATH_SIZE];
    const char *after;
    uint32_t pid = area()->tgid;
    char *to = path;
    if ((after = component(path, "/dev/fd")) != NULL) {
        exo_put_text(rest, after);
        to = exo_put_text(exo_put_number(exo_put_text(to, "/proc/"), pid), "/fd");
    } else if ((after = component(path, "/dev/stdin")) ||
               (after = component(path, "/dev/stdout")) ||
               (after = component(path, "/dev/stderr"))) {
        const char *number = path[8] == 'i' ? "/fd/0" : path[9] == 'u' ? "/fd/1" : "/fd/2";
        exo_put_text(rest, after);
        to = exo_put_text(exo_put_number(exo_put_text(to, "/proc/"), pid), number);
    } else if ((after = component(path, "/proc/self")) != NULL && *after) {
        exo_put_text(rest, after);
        to = exo_put_number(exo_put_text(to, "/proc/"), pid);
    } else if ((after = component(path, "/proc/thread-self")) != NULL && *after) {
        exo_put_text(rest, after);
        to = exo_put_text(exo_put_number(exo_put_text(to, "/proc/"), pid), "/task/");
        to = exo_put_number(to, area()->tid);
    } else {
        return false;
    }
    exo_put_text(to, rest);
    return true;
}

#define MADE "/memfd:exo:" /* what the kernel process calls a directory that it makes */

static const char *put_exo_number(char **to, const char *host_number)
{
    const char *after;
    uint32_t tid = exo_tid_of((uint32_t)exo_get_number(host_number, &after));
    *to = exo_put_number(*to, tid);
    return after;
}

bool exo_path_of_link(char *to, const char *host_link)
{
    const char *made = exo_skip(host_link, MADE), *rest = exo_skip(host_link, "/proc");
    if (made != NULL) {
        exo_put_text(to, made);
        char *deleted = to + strlen(to) - strlen(" (deleted)");
        if (deleted > to && exo_skip(deleted, " (deleted)") != NULL)
            *deleted = '\0';
        return true;
    }
    if (rest == NULL || !is_end(*rest))
        return false;
    to = exo_put_text(to, "/proc");
    if (*rest == '/' && rest[1] >= '1' && rest[1] <= '9') {
        *to++ = '/';
        rest = put_exo_number(&to, rest + 1);
        const char *task = exo_skip(rest, "/task/");
        if (task != NULL) {
            to = exo_put_text(to, "/task/");
            rest = put_exo_number(&to, task);
        }
    }
    exo_put_text(to, rest);
    return true;
}

static bool read_link(char *to, const char *host_path)
{
    char link[EXO_PATH_SIZE];
    long size = HOST_3(__NR_readlink, host_path, link, sizeof(link) - 1);
    link[size > 0 ? size : 0] = '\0';
    return exo_path_of_link(to, link);
}

static bool link_of_fd(char *to, int host)
{
    char self[40] = "/proc/self/fd/";
    exo_put_number(self + strlen(self), (uint64_t)host);
    return read_link(to, self);
}

bool exo_path_of_cwd(char *to)
{
    return (area()->leader->flags & EXO_TASK_IN_PROC) && read_link(to, "/proc/self/cwd");
}

static const char *const owned_names[] = {"/status", "/stat",     "/task", "/fd",   "/fdinfo",
                                          "/sched",  "/children", "/maps", "/smaps"};

/* What stands behind /proc/PID or /proc/PID/task/TID. */
static long translate_entry(struct exo_path *path, char *to, const char *rest, uint32_t slot)
{
    const char *after;
    for (size_t i = 0; i < sizeof(owned_names) / sizeof(owned_names[0]); i++)
        if ((after = exo_skip(rest, owned_names[i])) != NULL && *after == '\0') {
            exo_put_text(to, rest);
            return EXO_PATH_OWNED;
        }
    if ((after = component(rest, "/exe")) != NULL) {
        path->exe = *after == '\0';
        exo_put_text(exo_put_number(exo_put_text(to, "/fd/"), EXO_FD_EXE), after);
        return EXO_PATH_PROC;
    }
    bool info = exo_skip(rest, "/fdinfo/") != NULL;
    if (!info && exo_skip(rest, "/fd/") == NULL) {
        exo_put_text(to, rest);
        return EXO_PATH_PROC;
    }
    int fd = (int)exo_get_number(rest + (info ? 8 : 4), &after);
    uint32_t leader = KR->tasks[slot].leader_slot;
    struct exo_fd *entry = is_end(*after) ? exo_fd_at(KR, KR->tasks[leader].fd_table, fd) : NULL;
    if (entry == NULL || entry->host < 0)
        return -ENOENT;
    if (info && (entry->flags & EXO_FD_EVENT) && leader == area()->task->leader_slot)
        exo_object_to_host(entry); /* which shows what is in it */
    if (!info && *after == '\0' && (entry->flags & EXO_FD_PIPE))
        path->pipe = entry->stamp;
    if (!info && *after == '\0' && (entry->flags & (EXO_FD_PROC | EXO_FD_DIRECTORY)) &&
        link_of_fd(path->text, entry->host))
        path->link = path->text;
    to = exo_put_number(exo_put_text(to, info ? "/fdinfo/" : "/fd/"), (uint64_t)entry->host);
    exo_put_text(to, after);
    return EXO_PATH_PROC;
}

static long translate_pid(struct exo_path *path, uint32_t pid, const char *rest)
{
    const char *after;
    uint32_t slot = exo_task_find(KR, pid);
    if (pid == 1) {
        exo_put_text(exo_put_number(exo_put_text(path->host, "/proc/"), KR->kernel_host_pid), rest);
        return *rest ? EXO_PATH_OWNED : EXO_PATH_PROC;
    }
    if (slot == 0)
        return -ENOENT;
    char *to = exo_put_number(exo_put_text(path->host, "/proc/"), KR->tasks[slot].host_tid);
    const char *task = exo_skip(rest, "/task/");
    if (task == NULL)
        return translate_entry(path, to, rest, slot);
    uint32_t thread = exo_task_find(KR, (uint32_t)exo_get_number(task, &after));
    if (thread == 0 || !is_end(*after) || KR->tasks[thread].tgid != KR->tasks[slot].tgid)
        return -ENOENT;
    to = exo_put_number(exo_put_text(to, "/task/"), KR->tasks[thread].host_tid);
    return translate_entry(path, to, after, thread);
}

/* The files of /proc/sys/kernel that say what uname(2) says, or a pid. */
static bool is_kernel_name(const char *rest)
{
    static const char *const names[] = {"osrelease",  "version", "hostname",
                                        "domainname", "ostype",  "ns_last_pid"};
    const char *name = exo_skip(rest, "/sys/kernel/");
    for (size_t i = 0; name != NULL && i < sizeof(names) / sizeof(names[0]); i++)
        if (component(name, names[i]) != NULL)
            return true;
    return false;
}

/* path->guest is absolute and normalised. */
static long translate(struct exo_path *path)
{
    const char *rest;
    path->by_self |= replace_self(path->guest);
    rest = component(path->guest, "/proc");
    if (rest == NULL)
        return EXO_PATH_PLAIN;
    exo_put_text(path->host, path->guest);
    if (*rest == '\0' || component(rest, "/loadavg") || component(rest, "/locks") ||
        is_kernel_name(rest))
        return EXO_PATH_OWNED;
    if (rest[1] >= '0' && rest[1] <= '9') {
        const char *after;
        uint64_t pid = exo_get_number(rest + 1, &after);
        if (rest[1] == '0' || pid > INT32_MAX)
            return -ENOENT;
        return is_end(*after) ? translate_pid(path, (uint32_t)pid, after) : EXO_PATH_PROC;
    }
    if (component(rest, "/self") != NULL) {
        exo_put_number(path->text, area()->tgid);
        path->link = path->text;
    }
    return EXO_PATH_PROC;
}

/* What a relative path below /proc begins with. */
static long put_base(struct exo_path *path, int dirfd)
{
    if (dirfd == AT_FDCWD_)
        return exo_path_of_cwd(path->guest) ? EXO_PATH_PROC : EXO_PATH_PLAIN;
    int host = exo_fd_host(dirfd);
    if (host < 0)
        return -EBADF;
    return link_of_fd(path->guest, host) ? EXO_PATH_PROC : EXO_PATH_PLAIN;
}

/* A name with a slash behind it has to be a directory's, and links in it are followed. */
static long resolve_whole(struct exo_path *path)
{
    long kind = translate(path);
    if (kind <= EXO_PATH_PLAIN || !path->directory)
        return kind;
    path->link = NULL;
    if (strlen(path->host) + 2 < EXO_HOST_PATH_SIZE)
        exo_put_text(path->host + strlen(path->host), "/");
    return kind;
}

long exo_path_resolve(struct exo_path *path, int dirfd, uint64_t guest_path)
{
    char text[EXO_PATH_SIZE];
    if (likely(!exo_path_may_be_special(dirfd, guest_path)))
        return EXO_PATH_PLAIN;
    long size = guest_string(text, guest_path, sizeof(text));
    if (size < 0)
        return size;
    path->guest[0] = '\0';
    path->link = NULL;
    path->exe = false;
    path->directory = false;
    path->by_self = false;
    path->pipe = 0;
    if (text[0] == '/' && !has_proc())
        return EXO_PATH_PLAIN;
    if (text[0] != '/') {
        long base = put_base(path, dirfd);
        if (base <= 0 || size == 0)
            return base < 0 ? base : EXO_PATH_PLAIN;
    }
    long found = normalise(path, text);
    if (found != 0)
        return found == BY_HOST ? EXO_PATH_PROC : found;
    return resolve_whole(path);
}

const char *exo_host_name(struct exo_path *found, const char *path)
{
    if ((exo_skip(path, "/proc/") == NULL && exo_skip(path, "/dev/fd/") == NULL) || !has_proc())
        return path;
    memset(found, 0, offsetof(struct exo_path, text));
    long by_host = normalise(found, path);
    if (by_host < 0 || (by_host == 0 && resolve_whole(found) <= EXO_PATH_PLAIN))
        return path;
    return found->host;
}

void exo_name_by_fd(char *path, int fd)
{
    char rest[EXO_PATH_SIZE];
    exo_put_text(rest, path);
    char *to = exo_put_number(exo_put_text(path, "/dev/fd/"), (uint64_t)fd);
    if (rest[0] != '\0' && strlen(rest) + 24 < EXO_PATH_SIZE)
        exo_put_text(exo_put_text(to, "/"), rest);
}

long exo_path_of_fd(struct exo_path *path, int host)
{
    path->link = NULL;
    path->exe = false;
    path->directory = path->by_self = false;
    path->pipe = 0;
    return link_of_fd(path->guest, host) ? translate(path) : EXO_PATH_PLAIN;
}
