/* Cycles for 56 bytes one way between two processes on two CPUs by what the host has:
 * hostipc PIPE|UNIX|MQ|EVENTFD (eight bytes). Half of to and fro.
 */
#include <fcntl.h>
#include <mqueue.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "bench/clock.h"
#include "pin.h"

#define ROUNDS 3000
#define WARM 200

/* to[i] is written and from[i] read by side i. */
static int to[2], from[2];
static size_t size = 56;
static int is_queue;

static void send_one(int side, const char *data)
{
    long done = is_queue ? mq_send(to[side], data, size, 0) : write(to[side], data, size);
    if (done < 0)
        _exit(4);
}

static void receive_one(int side, char *data)
{
    long done = is_queue ? mq_receive(from[side], data, size, NULL) : read(from[side], data, size);
    if (done < 0)
        _exit(5);
}

static int queue(int number)
{
    char name[64];
    struct mq_attr attributes = {.mq_maxmsg = 8, .mq_msgsize = (long)size};
    snprintf(name, sizeof(name), "/exo-bench-%d-%d", getpid(), number);
    int fd = mq_open(name, O_RDWR | O_CREAT | O_EXCL, 0600, &attributes);
    mq_unlink(name);
    return fd;
}

static int open_all(const char *what)
{
    int one[2], two[2];
    if (strcmp(what, "unix") == 0) {
        if (socketpair(AF_UNIX, SOCK_STREAM, 0, one) != 0)
            return -1;
        to[0] = from[0] = one[0];
        to[1] = from[1] = one[1];
        return 0;
    }
    is_queue = strcmp(what, "mq") == 0;
    if (is_queue || strcmp(what, "eventfd") == 0) {
        size = is_queue ? size : 8;
        one[0] = one[1] = is_queue ? queue(0) : eventfd(0, 0);
        two[0] = two[1] = is_queue ? queue(1) : eventfd(0, 0);
    } else if (pipe(one) != 0 || pipe(two) != 0)
        return -1;
    to[0] = one[1];
    from[1] = one[0];
    to[1] = two[1];
    from[0] = two[0];
    return to[0] < 0 || to[1] < 0 ? -1 : 0;
}

int main(int argc, char **argv)
{
    static double samples[ROUNDS];
    char data[56] = {1};
    if (open_all(argc > 1 ? argv[1] : "pipe") != 0) {
        perror("open");
        return 1;
    }
    pid_t child = fork();
    int side = child == 0;
    if (side)
        prctl(PR_SET_PDEATHSIG, SIGKILL);
    pin(side);
    for (int i = 0; i < WARM + ROUNDS; i++) {
        uint64_t began = cycles();
        if (side == 0)
            send_one(side, data);
        receive_one(side, data);
        if (side == 1)
            send_one(side, data);
        else if (i >= WARM)
            samples[i - WARM] = (double)(cycles() - began) / 2;
    }
    if (side)
        _exit(0);
    waitpid(child, NULL, 0);
    for (int i = 0; i < ROUNDS; i++)
        printf("%.1f\n", samples[i]);
    return 0;
}
