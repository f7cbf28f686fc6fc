/* exo/api.h: spawn, over posix_spawn(3), and where a program runs. */
#include <errno.h>
#include <spawn.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <exo/api.h>

extern char **environ;
extern char exo_direct_entry[8] __attribute__((weak, visibility("hidden")));

/* dup2 of a number to itself would leave it close-on-exec: posix_spawn takes that flag away. */
static int list_fds(posix_spawn_file_actions_t *actions, const struct exo_spawn_fd *fds,
                    size_t count)
{
    int error = 0;
    for (size_t i = 0; i < count && error == 0; i++)
        error = fds[i].ours < 0
                    ? posix_spawn_file_actions_addclose(actions, fds[i].theirs)
                    : posix_spawn_file_actions_adddup2(actions, fds[i].ours, fds[i].theirs);
    return error;
}

pid_t exo_spawn(const char *file, char *const argv[], char *const envp[],
                const struct exo_spawn_fd *fds, size_t count)
{
    posix_spawn_file_actions_t actions;
    pid_t pid = 0;
    int error = posix_spawn_file_actions_init(&actions);
    if (error != 0)
        return -error;
    error = list_fds(&actions, fds, count);
    if (error == 0)
        error = posix_spawnp(&pid, file, &actions, NULL, argv, envp != NULL ? envp : environ);
    posix_spawn_file_actions_destroy(&actions);
    return error != 0 ? -error : pid;
}

int exo_spawn_wait(pid_t pid)
{
    int status;
    while (waitpid(pid, &status, 0) < 0) {
        if (errno != EINTR)
            return -errno;
    }
    return WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status);
}

int exo_is_direct(void)
{
    static const char none[8];
    return exo_direct_entry != NULL && memcmp(exo_direct_entry, none, sizeof(none)) != 0;
}
