/* How late the answer is to a call that the kernel process serves, in us, while another guest keeps it
 * busy: held_up alone | maps | smaps | killed. One line per call; there is one each half millisecond,
 * and its time counts from when it was due: what holds one up makes those behind it late, too.
 */
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "clock.h"

#define COUNT 3000
#define PAUSE_US 500
#define MAPPINGS 30000 /* twice */
#define THREADS 4000
#define STACK_SIZE 16384

static double samples[COUNT];

/* A file that the kernel process makes. */
static void ask(void)
{
    close(open("/proc/sys/kernel/osrelease", O_RDONLY));
}

static void read_forever(const char *path)
{
    char *memory = mmap(NULL, MAPPINGS * 8192UL, PROT_READ | PROT_WRITE,
                        MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    for (long i = 0; i < MAPPINGS; i++)
        mprotect(memory + i * 8192, 4096, PROT_READ);
    for (;;)
        close(open(path, O_RDONLY));
}

static void *sleep_forever(void *unused)
{
    for (;;)
        pause();
    return unused;
}

/* Children that are killed while they make such calls, beside many tasks. */
static void kill_forever(void)
{
    pthread_attr_t attributes;
    pthread_t thread;
    pthread_attr_init(&attributes);
    pthread_attr_setstacksize(&attributes, STACK_SIZE);
    for (int i = 0; i < THREADS; i++)
        pthread_create(&thread, &attributes, sleep_forever, NULL);
    int begun[2];
    char byte = 0;
    if (pipe(begun) < 0)
        return;
    for (unsigned round = 0;; round++) {
        pid_t child = fork();
        if (child == 0 && write(begun[1], &byte, 1) > 0)
            for (;;)
                ask();
        if (read(begun[0], &byte, 1) < 1)
            return;
        usleep(200 + round * 37 % 200);
        kill(child, SIGKILL);
        waitpid(child, NULL, 0);
    }
}

static pid_t start(const char *what)
{
    pid_t child = strcmp(what, "alone") == 0 ? -1 : fork();
    if (child != 0)
        return child;
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (strcmp(what, "killed") == 0)
        kill_forever();
    read_forever(strcmp(what, "maps") == 0 ? "/proc/self/maps" : "/proc/self/smaps");
    _exit(1);
}

static void sleep_until(double due)
{
    time_t s = (time_t)(due / 1e6);
    struct timespec until = {s, (long)((due - (double)s * 1e6) * 1e3)};
    clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &until, NULL);
}

int main(int argc, char **argv)
{
    pid_t other = start(argc > 1 ? argv[1] : "alone");
    usleep(other > 0 ? 500000 : 0);
    double due = now_us() + PAUSE_US;
    prctl(PR_SET_TIMERSLACK, 1);
    for (int i = 0; i < COUNT; i++, due += PAUSE_US) {
        sleep_until(due);
        ask();
        samples[i] = now_us() - due;
    }
    if (other > 0) {
        kill(other, SIGKILL);
        waitpid(other, NULL, 0);
    }
    for (int i = 0; i < COUNT; i++)
        printf("%.1f\n", samples[i]);
    return 0;
}
