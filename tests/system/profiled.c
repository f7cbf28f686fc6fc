/* For test_profile.py: known patterns of system calls. Lines are found by their comments. */
#define _GNU_SOURCE
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#define NOINLINE __attribute__((noinline))

static NOINLINE void copy(int from, int to)
{
    char buffer[512];
    ssize_t got;
    while ((got = read(from, buffer, sizeof(buffer))) > 0) /* copy reads */
        if (write(to, buffer, (size_t)got) != got)         /* copy writes */
            _exit(1);
}

static NOINLINE void change(int from, int to)
{
    char buffer[2000];
    for (int i = 0; i < 20; i++) {
        if (read(from, buffer, sizeof(buffer)) <= 0)
            _exit(1);
        memset(buffer, i, sizeof(buffer));
        if (write(to, buffer, sizeof(buffer)) < 0) /* change writes */
            _exit(1);
    }
}

static NOINLINE void talk(int to)
{
    for (int i = 0; i < 1000; i++)
        if (write(to, "line of text\n", 13) != 13) /* talk writes */
            _exit(1);
}

static NOINLINE void print(int to)
{
    FILE *stream = fdopen(dup(to), "w");
    for (int i = 0; i < 40; i++) {
        fputs("some words\n", stream);
        fflush(stream); /* print flushes */
    }
}

static NOINLINE void look(void)
{
    struct stat status;
    for (int i = 0; i < 100; i++)
        stat("/etc/passwd", &status);
    for (int i = 0; i < 30; i++)
        if (access("/nowhere/at/all", F_OK) == 0)
            _exit(1);
}

static NOINLINE void ask(void)
{
    for (int i = 0; i < 20; i++)
        close(open("/proc/self/stat", O_RDONLY)); /* ask asks */
}

static void *in_a_thread(void *to)
{
    talk(*(int *)to);
    return NULL;
}

static void play_all(char **argv)
{
    int from = open(argv[2], O_RDONLY), to = open(argv[3], O_CREAT | O_TRUNC | O_WRONLY, 0600);
    copy(from, to);
    lseek(from, 0, SEEK_SET);
    change(from, to);
    getppid();
    talk(to);
    getppid();
    print(to);
    look();
    ask();
}

int main(int argc, char **argv)
{
    if (argc < 4)
        return 2;
    int to = open("/dev/null", O_WRONLY);
    if (strcmp(argv[1], "all") == 0) {
        play_all(argv);
    } else if (strcmp(argv[1], "threads") == 0) {
        pthread_t threads[3];
        for (int i = 0; i < 3; i++)
            pthread_create(&threads[i], NULL, in_a_thread, &to);
        for (int i = 0; i < 3; i++)
            pthread_join(threads[i], NULL);
    } else if (strcmp(argv[1], "forks") == 0) {
        for (int i = 0; i < 3; i++)
            if (fork() == 0) {
                talk(to);
                _exit(0);
            }
        while (wait(NULL) > 0)
            ;
    } else if (strcmp(argv[1], "killed") == 0) {
        talk(to);
        raise(SIGKILL);
    } else if (strcmp(argv[1], "waits") == 0) {
        talk(to);
        if (write(1, "ready\n", 6) != 6)
            return 1;
        pause();
    }
    return 7;
}
