/* What a relay costs: relay cycles|stream SIZE [SOCKET]. A writer by 64 KiB, a relay that reads up to SIZE and writes
 * what it has got, and a reader, pipes between them, or a socket pair behind the relay, which has CPU 1 to itself.
 * Prints the MB/s of all three, or, with the three taking turns so that nobody waits in a call, the cycles of the
 * relay's read and write of 64 KiB.
 */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/wait.h>

#include "../native/pin.h"
#include "clock.h"

#define CHUNK 65536L
#define STREAM (192L << 20)
#define TURNS 3000
#define WARM 300

static char data[CHUNK], buffer[2 * CHUNK];
static int in[2], out[2];

static void transfer(ssize_t done)
{
    if (done <= 0)
        _exit(4);
}

static void collect(long size)
{
    for (long got = 0; got < size;) {
        ssize_t done = read(out[0], data, sizeof(data));
        transfer(done);
        got += done;
    }
}

static void produce(long size)
{
    for (long sent = 0; sent < size; sent += CHUNK) {
        data[sent / CHUNK % CHUNK]++;
        transfer(write(in[1], data, CHUNK));
    }
}

static void close_all(int keeps, int keeps_too)
{
    int all[] = {in[0], in[1], out[0], out[1]};
    for (int i = 0; i < 4; i++)
        if (all[i] != keeps && all[i] != keeps_too)
            close(all[i]);
}

static void relay(size_t size)
{
    for (ssize_t done; (done = read(in[0], buffer, size)) > 0;)
        for (ssize_t at = 0, part; at < done; at += part) {
            part = write(out[1], buffer + at, (size_t)(done - at));
            transfer(part);
        }
}

static void stream(size_t size)
{
    double began = now_us();
    for (int reads = 0; reads < 2; reads++)
        if (fork() == 0) {
            pin(0);
            close_all(reads ? out[0] : in[1], -1);
            if (reads)
                collect(STREAM);
            else
                produce(STREAM);
            _exit(0);
        }
    pin(1);
    close_all(in[0], out[1]);
    relay(size);
    close(out[1]);
    while (wait(NULL) > 0)
        ;
    printf("%.1f\n", STREAM / (now_us() - began));
}

static void take_turns(size_t size)
{
    static double samples[TURNS];
    if (fork() == 0) {
        pin(0);
        close_all(in[1], out[0]);
        for (int i = 0; i < TURNS + WARM; i++) {
            produce(CHUNK);
            collect(CHUNK);
        }
        _exit(0);
    }
    pin(1);
    close_all(in[0], out[1]);
    for (int i = -WARM; i < TURNS; i++) {
        for (int there = 0; there < CHUNK;)
            if (ioctl(in[0], FIONREAD, &there) != 0)
                _exit(4);
        uint64_t began = cycles();
        ssize_t done = read(in[0], buffer, size);
        transfer(write(out[1], buffer, (size_t)done));
        if (i >= 0)
            samples[i] = (double)(cycles() - began);
    }
    wait(NULL);
    for (int i = 0; i < TURNS; i++)
        printf("%.1f\n", samples[i]);
}

int main(int argc, char **argv)
{
    size_t size = argc > 2 ? strtoul(argv[2], NULL, 0) : 0;
    if (size < CHUNK || size > sizeof(buffer))
        return 2;
    if (pipe(in) != 0 || (argc > 3 ? socketpair(AF_UNIX, SOCK_STREAM, 0, out) : pipe(out)) != 0)
        return 3;
    if (strcmp(argv[1], "cycles") == 0)
        take_turns(size);
    else
        stream(size);
    return 0;
}
