/* Calls made by handlers that interrupted the same calls: opening, duplicating, mapping, forking.
 * Whatever the interrupted call had locked, the handler's must neither wait for nor break.
 */
#include "check.h"
#include <sys/mman.h>
#include <sys/time.h>

static volatile sig_atomic_t hits, failed;

static void work(void)
{
    int pipes[2], fd = open("/dev/null", O_RDWR);
    void *page = mmap(NULL, 8192, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (fd < 0 || page == MAP_FAILED || pipe(pipes) != 0) {
        failed++;
        return;
    }
    int copy = dup(fd);
    if (copy < 0 || copy == fd || dup2(fd, copy) != copy || fcntl(copy, F_GETFD) != 0)
        failed++;
    if (close(copy) != 0 || close(fd) != 0 || close(pipes[0]) != 0 || close(pipes[1]) != 0)
        failed++;
    if (munmap(page, 8192) != 0)
        failed++;
}

static void handler(int number)
{
    int error = errno;
    (void)number;
    hits++;
    work();
    if (hits % 16 == 0) {
        pid_t pid = fork();
        if (pid == 0) {
            work();
            _exit(failed != 0);
        }
        int status;
        while (waitpid(pid, &status, 0) == -1)
            if (errno != EINTR)
                failed++;
        if (status != 0)
            failed++;
    }
    errno = error;
}

int main(void)
{
    struct sigaction action = {.sa_handler = handler, .sa_flags = SA_RESTART};
    int lowest = open("/dev/null", O_RDONLY);
    sigaction(SIGALRM, &action, NULL);
    setitimer(ITIMER_REAL, &(struct itimerval){{0, 300}, {0, 300}}, NULL);
    while (hits < 400)
        work();
    setitimer(ITIMER_REAL, &(struct itimerval){0}, NULL);
    printf("failed %d, fds left open %d\n", (int)failed,
           open("/dev/null", O_RDONLY) - lowest - 1);
    return finish();
}
