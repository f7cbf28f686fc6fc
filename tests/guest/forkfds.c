/* Fds of a forked child, while another thread opens and closes files: the child has what fcntl(2)
 * says it has, no more behind its back, so a reader sees the end of a pipe though children live.
 */
#include "check.h"

#include <dirent.h>
#include <poll.h>
#include <pthread.h>
#include <sys/socket.h>

#define CHILDREN 200
#define HIGHEST 256

static bool stop;

/* The end of a pipe comes when its last writer has gone: here at once, and in each child as soon as
 * that has closed what it inherited. */
static bool sees_end(int reader)
{
    char byte;
    struct pollfd polled = {.fd = reader, .events = POLLIN};
    return poll(&polled, 1, 10000) == 1 && read(reader, &byte, 1) == 0;
}

static void *open_and_close(void *ended)
{
    while (!__atomic_load_n(&stop, __ATOMIC_RELAXED) && *(bool *)ended) {
        int ends[2], pair[2];
        int null = open("/dev/null", O_RDONLY);
        if (pipe(ends) != 0 || socketpair(AF_UNIX, SOCK_STREAM, 0, pair) != 0)
            abort();
        close(null);
        close(ends[1]);
        close(pair[1]);
        *(bool *)ended = sees_end(ends[0]) && sees_end(pair[0]);
        close(ends[0]);
        close(pair[0]);
    }
    return ended;
}

/* Whether /proc/self/fd and fcntl(2) agree on every number. */
static bool is_consistent(void)
{
    char listed[HIGHEST] = {0};
    DIR *folder = opendir("/proc/self/fd");
    if (folder == NULL)
        return false;
    for (struct dirent *entry; (entry = readdir(folder)) != NULL;)
        if (entry->d_name[0] != '.')
            listed[atoi(entry->d_name) % HIGHEST] = 1;
    for (int fd = 0; fd < HIGHEST; fd++)
        if (listed[fd] != (fcntl(fd, F_GETFD) >= 0))
            return false;
    closedir(folder);
    return true;
}

/* A child: checks itself, closes all that it has but its leash, says so, and lives until the parent
 * lets go of it. */
static void child(int result, int leash)
{
    char byte = is_consistent() ? 'y' : 'n';
    for (int fd = 0; fd < HIGHEST; fd++)
        if (fd != result && fd != leash)
            close(fd);
    if (write(result, &byte, 1) != 1)
        _exit(1);
    close(result);
    _exit(read(leash, &byte, 1) == 0 ? 0 : 2);
}

int main(void)
{
    pthread_t thread;
    int leash[2], result[2];
    pid_t pids[CHILDREN];
    int consistent = 0;
    bool ended = true;
    CHECK(pipe(leash) == 0 && pipe(result) == 0);
    CHECK(pthread_create(&thread, NULL, open_and_close, &ended) == 0);
    for (int i = 0; i < CHILDREN; i++) {
        char byte = 'n';
        pids[i] = fork();
        if (pids[i] == 0)
            child(result[1], leash[0]);
        CHECK(pids[i] > 0 && read(result[0], &byte, 1) == 1);
        consistent += byte == 'y';
    }
    __atomic_store_n(&stop, true, __ATOMIC_RELAXED);
    pthread_join(thread, NULL);
    CHECK(ended);
    CHECK(consistent == CHILDREN);
    close(leash[1]);
    for (int i = 0; i < CHILDREN; i++)
        CHECK(reap(pids[i]) == 0);
    return finish();
}
