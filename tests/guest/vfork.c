/* vfork(2) and posix_spawn(3): the child borrows memory and the parent waits for exec or exit. */
#include "check.h"
#include <spawn.h>

extern char **environ;

static void spawn(char *self)
{
    posix_spawn_file_actions_t actions;
    posix_spawnattr_t attributes;
    int pipes[2];
    pid_t pid;
    sigset_t all;
    CHECK(pipe(pipes) == 0);
    posix_spawn_file_actions_init(&actions);
    posix_spawn_file_actions_adddup2(&actions, pipes[1], 1);
    posix_spawn_file_actions_addclose(&actions, pipes[0]);
    posix_spawnattr_init(&attributes);
    sigfillset(&all);
    posix_spawnattr_setsigdefault(&attributes, &all);
    posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETSIGDEF);
    char *arguments[] = {self, "spawned", NULL};
    CHECK(posix_spawn(&pid, self, &actions, &attributes, arguments, environ) == 0);
    close(pipes[1]);
    char text[40] = "";
    size_t size = 0;
    for (ssize_t got; (got = read(pipes[0], text + size, sizeof text - 1 - size)) > 0;)
        size += (size_t)got;
    close(pipes[0]);
    printf("spawned said: %s", text);
    printf("spawned status %d\n", reap(pid));
    int error = posix_spawn(&pid, "./nonesuch", NULL, NULL, arguments, environ);
    printf("spawn of nothing: %s\n", error_name(error));
}

int main(int argc, char **argv)
{
    if (argc > 1) {
        printf("%s\n", argv[1]);
        return argc == 2 ? 7 : 8;
    }
    volatile int shared = 0;
    pid_t child = vfork();
    if (child == 0) {
        shared = 33;
        _exit(3);
    }
    printf("memory %d\n", shared);
    printf("exit %d\n", reap(child));
    child = vfork();
    if (child == 0) {
        execl("/proc/self/exe", "vfork", "exec-ed", "two", NULL);
        _exit(99);
    }
    printf("exec %d\n", reap(child));
    child = vfork();
    if (child == 0) {
        execl("./nonesuch", "nonesuch", NULL);
        shared = errno;
        _exit(127);
    }
    printf("no exec %d %s\n", reap(child), error_name(shared));
    child = vfork();
    if (child == 0) {
        kill(getpid(), SIGKILL);
        _exit(1);
    }
    printf("killed %d\n", reap(child));
    for (int i = 0; i < 20; i++)
        spawn("/proc/self/exe");
    return finish();
}
