/* One task polls the sockets of several that answer it, as a database's client does: no answer is overslept. */
#include "check.h"
#include <poll.h>
#include <sys/socket.h>

#define OTHERS 8
#define ROUNDS 1500

static void answer(int fd)
{
    uint32_t number;
    while (read(fd, &number, sizeof number) == sizeof number) {
        number++;
        CHECK(write(fd, &number, sizeof number) == sizeof number);
    }
    _exit(failures);
}

static void start(struct pollfd *polls, int i)
{
    int pair[2];
    CHECK(socketpair(AF_UNIX, SOCK_STREAM, 0, pair) == 0);
    if (fork() == 0) {
        for (int other = 0; other < i; other++)
            close(polls[other].fd);
        close(pair[0]);
        answer(pair[1]);
    }
    close(pair[1]);
    polls[i] = (struct pollfd){.fd = pair[0], .events = POLLIN};
}

/* Takes what has come and asks again; how many have had all their answers. */
static int talk(const struct pollfd *polls, uint32_t *counts)
{
    int ended = 0;
    for (int i = 0; i < OTHERS; i++) {
        uint32_t number;
        if (polls[i].revents & POLLIN) {
            CHECK(read(polls[i].fd, &number, sizeof number) == sizeof number);
            CHECK(number == counts[i] + 1);
            counts[i] = number;
            if (number < ROUNDS)
                CHECK(write(polls[i].fd, &number, sizeof number) == sizeof number);
        }
        ended += counts[i] == ROUNDS;
    }
    return ended;
}

int main(void)
{
    struct pollfd polls[OTHERS];
    uint32_t counts[OTHERS] = {0};
    int status, clean = 0;
    for (int i = 0; i < OTHERS; i++)
        start(polls, i);
    for (int i = 0; i < OTHERS; i++)
        CHECK(write(polls[i].fd, &counts[i], sizeof counts[i]) == sizeof counts[i]);
    do
        CHECK(poll(polls, OTHERS, -1) > 0);
    while (talk(polls, counts) < OTHERS && failures == 0);
    for (int i = 0; i < OTHERS; i++)
        close(polls[i].fd);
    while (wait(&status) > 0)
        clean += status == 0;
    printf("%d of %d ended well\n", clean, OTHERS);
    return finish();
}
