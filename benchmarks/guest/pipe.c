/* What a pipe costs, or a FIFO: pipe [fifo] pair SIZE (a write and its read, one process) | ping SIZE CPU (one way between
 * two processes, the second on that CPU) in cycles | stream SIZE (MB/s of writes of SIZE, two CPUs).
 */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include <fcntl.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include "../native/pin.h"
#include "clock.h"

#define SAMPLES 5000
#define STREAM (256L << 20)

static char data[1 << 16];
static size_t size;
static double samples[SAMPLES];
static bool named;

static void transfer(ssize_t done)
{
    if (done <= 0)
        _exit(4);
}

static void read_all(int fd)
{
    for (size_t at = 0; at < size;) {
        ssize_t done = read(fd, data + at, size - at);
        transfer(done);
        at += (size_t)done;
    }
}

/* Both ends of a FIFO, which has its name no longer. */
static int make_fifo(int *fds)
{
    char folder[] = "/tmp/fifo.XXXXXX", name[32];
    if (mkdtemp(folder) == NULL)
        return -1;
    snprintf(name, sizeof(name), "%s/fifo", folder);
    if (mkfifo(name, 0600) != 0)
        return -1;
    fds[0] = open(name, O_RDONLY | O_NONBLOCK);
    fds[1] = open(name, O_WRONLY);
    unlink(name);
    rmdir(folder);
    return fds[0] < 0 || fds[1] < 0 || fcntl(fds[0], F_SETFL, 0) != 0 ? -1 : 0;
}

static void make(int *fds)
{
    if ((named ? make_fifo(fds) : pipe(fds)) != 0)
        _exit(3);
}

static void pair(void)
{
    int fds[2];
    make(fds);
    pin(0);
    for (int i = -100; i < SAMPLES; i++) {
        uint64_t began = cycles();
        for (int j = 0; j < 10; j++) {
            transfer(write(fds[1], data, size));
            transfer(read(fds[0], data, size));
        }
        if (i >= 0)
            samples[i] = (double)(cycles() - began) / 10;
    }
}

static void echo(int from, int to)
{
    ssize_t done;
    while ((done = read(from, data, sizeof(data))) > 0)
        transfer(write(to, data, (size_t)done));
    _exit(0);
}

static void ping(int cpu)
{
    int to[2], from[2];
    make(to);
    make(from);
    if (fork() == 0) {
        pin(cpu);
        close(to[1]);
        close(from[0]);
        echo(to[0], from[1]);
    }
    pin(0);
    close(to[0]);
    close(from[1]);
    for (int i = -500; i < SAMPLES; i++) {
        uint64_t began = cycles();
        transfer(write(to[1], data, size));
        read_all(from[0]);
        if (i >= 0)
            samples[i] = (double)(cycles() - began) / 2;
    }
    close(to[1]);
    wait(NULL);
}

static void stream(void)
{
    int fds[2];
    make(fds);
    if (fork() == 0) {
        pin(1);
        close(fds[1]);
        while (read(fds[0], data, sizeof(data)) > 0)
            ;
        _exit(0);
    }
    pin(0);
    close(fds[0]);
    double began = now_us();
    for (long sent = 0; sent < STREAM; sent += (long)size)
        transfer(write(fds[1], data, size));
    close(fds[1]);
    wait(NULL);
    printf("%.1f\n", STREAM / (now_us() - began));
}

int main(int argc, char **argv)
{
    named = argc > 1 && strcmp(argv[1], "fifo") == 0;
    argc -= named;
    argv += named;
    const char *what = argc > 2 ? argv[1] : "";
    size = argc > 2 ? strtoul(argv[2], NULL, 0) : 0;
    if (size == 0 || size > sizeof(data))
        return 2;
    if (strcmp(what, "stream") == 0)
        return stream(), 0;
    if (strcmp(what, "pair") == 0)
        pair();
    else
        ping(argc > 3 ? atoi(argv[3]) : 1);
    for (int i = 0; i < SAMPLES; i++)
        printf("%.1f\n", samples[i]);
    return 0;
}
