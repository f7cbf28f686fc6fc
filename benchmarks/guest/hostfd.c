/* What calls cost whose object is the host's: hostfd timer (set, asked and read) | signal (sent to itself
 * and read) | wait (epoll_wait of a timer and a signalfd, neither ready) | fifo (64 bytes written and
 * read) | memfd (64 bytes written and read); cycles, in one process.
 */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include <fcntl.h>
#include <signal.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/signalfd.h>
#include <sys/stat.h>
#include <sys/timerfd.h>

#include "../native/pin.h"
#include "clock.h"

#define SAMPLES 3000

static char data[128];
static int timer, signals, set, file;

static void must(bool holds)
{
    if (!holds)
        _exit(4);
}

static void do_timer(void)
{
    struct itimerspec time = {.it_value = {100, 0}};
    must(timerfd_settime(timer, 0, &time, NULL) == 0 && timerfd_gettime(timer, &time) == 0);
    must(read(timer, data, 8) < 0);
}

static void do_signal(void)
{
    must(kill(getpid(), SIGUSR1) == 0);
    must(read(signals, data, sizeof(data)) == sizeof(data));
}

static void do_wait(void)
{
    struct epoll_event event;
    must(epoll_wait(set, &event, 1, 0) == 0);
}

static void do_fifo(void)
{
    must(write(file, data, 64) == 64 && read(file, data, 64) == 64);
}

static void do_memfd(void)
{
    must(pwrite(file, data, 64, 0) == 64 && pread(file, data, 64, 0) == 64);
}

static int open_fifo(void)
{
    char folder[] = "/tmp/hostfd.XXXXXX", name[32];
    must(mkdtemp(folder) != NULL);
    snprintf(name, sizeof(name), "%s/fifo", folder);
    must(mkfifo(name, 0600) == 0);
    int fd = open(name, O_RDWR);
    unlink(name);
    rmdir(folder);
    return fd;
}

static void set_up(bool fifo)
{
    sigset_t mask;
    sigemptyset(&mask);
    sigaddset(&mask, SIGUSR1);
    sigprocmask(SIG_BLOCK, &mask, NULL);
    timer = timerfd_create(CLOCK_BOOTTIME, TFD_NONBLOCK);
    signals = signalfd(-1, &mask, SFD_NONBLOCK);
    set = epoll_create1(0);
    struct epoll_event event = {.events = EPOLLIN};
    must(epoll_ctl(set, EPOLL_CTL_ADD, timer, &event) == 0);
    must(epoll_ctl(set, EPOLL_CTL_ADD, signals, &event) == 0);
    file = fifo ? open_fifo() : memfd_create("hostfd", 0);
    must(file >= 0);
}

static void measure(void (*run)(void))
{
    static double samples[SAMPLES];
    for (int i = -100; i < SAMPLES; i++) {
        uint64_t began = cycles();
        for (int j = 0; j < 10; j++)
            run();
        if (i >= 0)
            samples[i] = (double)(cycles() - began) / 10;
    }
    for (int i = 0; i < SAMPLES; i++)
        printf("%.1f\n", samples[i]);
}

int main(int argc, char **argv)
{
    static const char *const names[] = {"timer", "signal", "wait", "fifo", "memfd"};
    static void (*const runs[])(void) = {do_timer, do_signal, do_wait, do_fifo, do_memfd};
    pin(0);
    for (unsigned k = 0; argc == 2 && k < sizeof(names) / sizeof(names[0]); k++) {
        if (strcmp(argv[1], names[k]) != 0)
            continue;
        set_up(runs[k] == do_fifo);
        measure(runs[k]);
        return 0;
    }
    fprintf(stderr, "usage: hostfd timer|signal|wait|fifo|memfd\n");
    return 2;
}
