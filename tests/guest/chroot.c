/* chroot(2): what is found from / afterwards, by oneself, by children and after exec; without a
 * /proc there. For an ordinary user EPERM.
 */
#include "check.h"

#include <sys/mount.h>
#include <sys/stat.h>

static char folder[] = "/tmp/chroot-XXXXXX";

static const char *last_of_cwd(void)
{
    static char name[4096];
    if (getcwd(name, sizeof(name)) == NULL)
        return error_name(errno);
    if (strncmp(name, "(unreachable)", 13) == 0)
        return "(unreachable)";
    return strcmp(name, "/") == 0 ? "/" : strcmp(name, "/below") == 0 ? "/below" : "elsewhere";
}

static void look_around(const char *when)
{
    char link[4096];
    printf("%s, in %s\n", when, last_of_cwd());
    FAILS(access("/file", F_OK));
    FAILS(access("/etc/passwd", F_OK));
    FAILS(open("/proc/self/status", O_RDONLY));
    FAILS(open("/proc", O_RDONLY | O_DIRECTORY));
    FAILS(open("/dev/fd/0", O_RDONLY));
    FAILS(readlink("/proc/self/exe", link, sizeof(link)));
    FAILS(open("/../../file", O_RDONLY));
}

static void execute_inside(int self)
{
    char *argv[] = {"chroot", "inside", NULL}, *envp[] = {NULL};
    FAILS(execve("/missing", argv, envp));
    FAILS(execve("/file", argv, envp));
    fexecve(self, argv, envp); /* a dynamic program has no interpreter here */
    printf("fexecve: %s\n", error_name(errno));
    _exit(0);
}

static int inside(void)
{
    look_around("after exec");
    FAILS(chroot("/below"));
    look_around("further down");
    return finish();
}

static void enter(int self)
{
    int outside = open("/", O_RDONLY | O_DIRECTORY);
    FAILS(chroot(folder));
    look_around("cwd still outside");
    FAILS(chdir("/"));
    look_around("entered");
    FAILS(fchdir(outside));
    FAILS(access("etc/passwd", F_OK));
    FAILS(chdir("/below"));
    if (fork() == 0) {
        look_around("a child");
        execute_inside(self);
    }
    wait(NULL);
}

static void with_proc(void)
{
    int status = 0;
    if (fork() == 0) {
        FAILS(chroot("/")); /* the same root: /proc is there */
        FAILS(open("/proc/self/status", O_RDONLY));
        FAILS(open("/proc/self/fd/0", O_RDONLY));
        _exit(0);
    }
    CHECK(wait(&status) > 0 && status == 0);
}

int main(int argc, char **argv)
{
    int self = open("/proc/self/exe", O_RDONLY | O_CLOEXEC);
    if (argc > 1 && strcmp(argv[1], "inside") == 0)
        return inside();
    CHECK(mkdtemp(folder) != NULL && chdir(folder) == 0);
    CHECK(mkdir("below", 0755) == 0 && close(open("file", O_CREAT | O_WRONLY, 0644)) == 0);
    CHECK(chmod(folder, 0755) == 0);
    FAILS(chroot("missing"));
    FAILS(chroot("file"));
    FAILS(chroot("file/x"));
    FAILS(chroot((const char *)1));
    if (fork() == 0) {
        enter(self);
        _exit(finish());
    }
    wait(NULL);
    with_proc();
    CHECK(rmdir("below") == 0 && unlink("file") == 0 && rmdir(folder) == 0);
    (void)argv;
    return finish();
}
