/* execve(2) from a thread that is not the first one: pid kept, the other threads gone. */
#include "check.h"
#include <dirent.h>
#include <pthread.h>

static volatile int spinning;

static void *spin(void *argument)
{
    spinning = 1;
    for (;;)
        (void)argument;
    return NULL;
}

static void *block(void *argument)
{
    for (;;)
        pause();
    return argument;
}

static void *execute(void *argument)
{
    char pid[16], round[4];
    snprintf(pid, sizeof pid, "%d", getpid());
    snprintf(round, sizeof round, "%d", *(int *)argument + 1);
    CHECK(syscall(SYS_gettid) != getpid());
    execl("/proc/self/exe", "exec_thread", pid, round, NULL);
    return NULL;
}

static int tasks(void)
{
    int count = 0;
    DIR *directory = opendir("/proc/self/task");
    for (struct dirent *entry; directory && (entry = readdir(directory));)
        count += entry->d_name[0] != '.';
    closedir(directory);
    return count;
}

int main(int argc, char **argv)
{
    int round = argc > 2 ? atoi(argv[2]) : 0;
    if (round > 0)
        printf("round %d: pid kept %d, tid is pid %d, tasks %d\n", round, atoi(argv[1]) == getpid(),
               syscall(SYS_gettid) == getpid(), tasks());
    if (round == 5)
        return finish();
    pthread_t threads[4];
    for (int i = 0; i < 3; i++)
        CHECK(pthread_create(&threads[i], NULL, i ? block : spin, NULL) == 0);
    while (!spinning)
        sleep_ms(1);
    CHECK(pthread_create(&threads[3], NULL, execute, &round) == 0);
    /* The first thread waits in different ways when it is swept away. */
    if (round % 2)
        pthread_join(threads[3], NULL);
    for (;;)
        pause();
}
