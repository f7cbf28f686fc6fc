/*
 * What all guest programs share: CHECK reports an expectation that failed, finish() gives the
 * exit status. Output holds no pids, addresses or times: it is compared between runs as it is.
 */
#pragma once
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/types.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static int failures;

#define CHECK(condition)                                                                           \
    do {                                                                                           \
        if (!(condition)) {                                                                        \
            printf("line %d: %s is false, errno %s\n", __LINE__, #condition, error_name(errno));   \
            failures++;                                                                            \
        }                                                                                          \
    } while (0)

/* Prints which error a call that should fail gave. */
#define FAILS(call)                                                                                \
    do {                                                                                           \
        errno = 0;                                                                                 \
        long fails_result = (long)(call);                                                          \
        printf("%s: %s\n", #call, fails_result == -1 ? error_name(errno) : "no error");            \
    } while (0)

static inline const char *error_name(int error)
{
    const char *name = error == 0 ? "0" : strerrorname_np(error);
    return name ? name : "unknown";
}

/* A forked child must not print its parent's buffered lines again. */
__attribute__((constructor)) static void unbuffered(void)
{
    setvbuf(stdout, NULL, _IONBF, 0);
}

static inline int finish(void)
{
    printf("%s\n", failures ? "failed" : "ok");
    return failures != 0;
}

static inline void sleep_ms(long ms)
{
    struct timespec left = {ms / 1000, ms % 1000 * 1000000};
    while (nanosleep(&left, &left) == -1 && errno == EINTR)
        ;
}

/* Waits for one child; its exit status, or 128 + the signal that killed it. */
static inline int reap(pid_t pid)
{
    int status;
    while (waitpid(pid, &status, 0) == -1)
        if (errno != EINTR)
            return -1;
    return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

/* Until the task sleeps, as its stat file says; it should have one thing only to sleep for. */
static inline void until_asleep(pid_t process, pid_t task)
{
    char path[64], text[256], *state = NULL;
    snprintf(path, sizeof path, "/proc/%d/task/%d/stat", (int)process, (int)task);
    while (state == NULL || state[1] != ' ' || state[2] != 'S') {
        sleep_ms(1);
        int fd = open(path, O_RDONLY);
        ssize_t size = fd < 0 ? -1 : read(fd, text, sizeof text - 1);
        close(fd);
        text[size < 0 ? 0 : size] = 0;
        state = strrchr(text, ')');
    }
}
