/*
 * fuzz_exec MUTANTS: executes each program of a file and prints how it ended, one line each,
 * then "done N". A record is a 32-bit size and that many bytes. test_elf_fuzz.py makes the file.
 */
#include "check.h"
#include <sys/resource.h>
#include <sys/time.h>

/* In the child: limits that survive execve, then the mutant. Tells an error through fd. */
static void execute(int fd)
{
    char *argv[] = {"mutant", NULL}, *envp[] = {NULL};
    int null = open("/dev/null", O_RDWR);
    for (int standard = 0; standard < 3; standard++)
        dup2(null, standard);
    setrlimit(RLIMIT_CPU, &(struct rlimit){1, 1});
    setrlimit(RLIMIT_AS, &(struct rlimit){1ul << 30, 1ul << 30});
    setitimer(ITIMER_REAL, &(struct itimerval){{0, 0}, {2, 0}}, NULL);
    execve("./mutant", argv, envp);
    int error = errno;
    (void)!write(fd, &error, sizeof error);
    _exit(0);
}

static void run(int number)
{
    int pipes[2], error = 0, status = 0;
    if (pipe2(pipes, O_CLOEXEC) != 0) {
        printf("%d no pipe\n", number);
        return;
    }
    pid_t pid = fork();
    if (pid == 0)
        execute(pipes[1]);
    close(pipes[1]);
    ssize_t got = read(pipes[0], &error, sizeof error);
    close(pipes[0]);
    while (waitpid(pid, &status, 0) == -1 && errno == EINTR)
        ;
    if (got == sizeof error)
        printf("%d exec %s\n", number, error_name(error));
    else if (WIFSIGNALED(status))
        printf("%d signal %d\n", number, WTERMSIG(status));
    else
        printf("%d exit %d\n", number, WEXITSTATUS(status));
}

int main(int argc, char **argv)
{
    static char bytes[1 << 16];
    static char buffer[1 << 16];
    int file = open(argc > 1 ? argv[1] : "", O_RDONLY | O_CLOEXEC), count = 0;
    uint32_t size;
    setvbuf(stdout, buffer, _IOLBF, sizeof buffer);
    if (file < 0)
        return 1;
    while (read(file, &size, sizeof size) == sizeof size) {
        if (size > sizeof bytes || read(file, bytes, size) != (ssize_t)size)
            return 2;
        int removed = unlink("mutant");
        int mutant = open("mutant", O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0700);
        if (mutant < 0 || write(mutant, bytes, size) != (ssize_t)size || close(mutant) != 0) {
            fprintf(stderr, "mutant %d: removed %d, fd %d: %s\n", count, removed, mutant,
                    strerror(errno));
            return 3;
        }
        run(count++);
    }
    printf("done %d\n", count);
    return 0;
}
