/* execve(2): arguments, environment, scripts, and each way to fail. */
#include "check.h"
#include <sys/stat.h>

static char *none[] = {NULL};

static void file(const char *name, const char *text, mode_t mode)
{
    int fd = open(name, O_WRONLY | O_CREAT | O_TRUNC, 0600);
    CHECK(fd >= 0 && write(fd, text, strlen(text)) == (ssize_t)strlen(text));
    CHECK(fchmod(fd, mode) == 0 && close(fd) == 0);
}

static int child(const char *path, char **argv, char **envp)
{
    pid_t pid = fork();
    if (pid == 0) {
        execve(path, argv, envp);
        printf("%s\n", error_name(errno));
        _exit(99);
    }
    return reap(pid);
}

static void errors(void)
{
    char *argv[] = {"x", NULL};
    char *huge = malloc(200000);
    memset(huge, 'x', 199999);
    huge[199999] = 0;
    char *too_long[] = {"x", huge, NULL};
    file("plain", "not executable", 0600);
    file("noexec", "neither ELF nor script", 0700);
    file("truncated", "\177ELF\2\1\1", 0700);
    file("badscript", "#!./nonesuch\n", 0700);
    file("empty", "", 0700);
    CHECK(symlink("loop", "loop") == 0);
    FAILS(execve("nonesuch", argv, none));
    FAILS(execve("", argv, none));
    FAILS(execve("plain", argv, none));
    FAILS(execve(".", argv, none));
    FAILS(execve("plain/x", argv, none));
    FAILS(execve("noexec", argv, none));
    FAILS(execve("truncated", argv, none));
    FAILS(execve("badscript", argv, none));
    FAILS(execve("empty", argv, none));
    FAILS(execve("loop", argv, none));
    FAILS(execve("/proc/self/exe", too_long, none));
    FAILS(execve((char *)8, argv, none));
    FAILS(execve("/proc/self/exe", (char **)8, none));
    free(huge);
}

int main(int argc, char **argv, char **envp)
{
    if (argc != 1 || envp[0] == NULL || strcmp(argv[0], "echo") == 0) {
        for (int i = strchr(argv[0], '/') ? 1 : 0; i < argc; i++)
            printf("[%s]", strchr(argv[i], '/') ? "path" : argv[i]);
        for (int i = 0; envp[i]; i++)
            printf("{%s}", envp[i]);
        printf("\n");
        return 10 + argc;
    }
    char self[4096], script[4200];
    ssize_t length = readlink("/proc/self/exe", self, sizeof self - 1);
    CHECK(length > 0);
    self[length] = 0;
    char *arguments[] = {"echo", "two words", "", "\xff\1", NULL};
    char *environment[] = {"A=1", "B=", "no equals sign", NULL};
    printf("status %d\n", child(self, arguments, environment));
    printf("no arguments: status %d\n", child(self, none, none));
    snprintf(script, sizeof script, "#! %s one argument \nrest\n", self);
    file("script", script, 0700);
    printf("script: status %d\n", child("./script", (char *[]){"name", "arg", NULL}, environment));
    file("nested", "#!./script\n", 0700);
    printf("nested: status %d\n", child("./nested", (char *[]){"name", "arg", NULL}, none));
    pid_t pid = fork();
    if (pid == 0) {
        fexecve(open(self, O_RDONLY | O_CLOEXEC), arguments, environment);
        _exit(99);
    }
    printf("fexecve: status %d\n", reap(pid));
    pid = fork();
    if (pid == 0) {
        syscall(SYS_execveat, open(".", O_PATH), "script", arguments, environment, 0);
        _exit(98);
    }
    printf("execveat: status %d\n", reap(pid));
    errors();
    return finish();
}
