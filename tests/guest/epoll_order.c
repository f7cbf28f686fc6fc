/* epoll(7): which of several ready fds is told first: whichever became ready first, and what stays ready after being
 * told comes behind the others. Level-triggered, edge-triggered and one-shot, all at once and a few at a time.
 */
#include "check.h"
#include <sys/epoll.h>
#include <sys/socket.h>

#define COUNT 7

static int set, ends[COUNT][2];
static const int order[COUNT] = {4, 1, 6, 0, 5, 3, 2};

static void make(uint32_t events, bool sockets)
{
    set = epoll_create1(0);
    for (int i = 0; i < COUNT; i++) {
        CHECK((sockets ? socketpair(AF_UNIX, SOCK_STREAM, 0, ends[i]) : pipe(ends[i])) == 0);
        struct epoll_event event = {.events = EPOLLIN | events, .data.u32 = (uint32_t)i};
        CHECK(epoll_ctl(set, EPOLL_CTL_ADD, ends[i][0], &event) == 0);
    }
}

static void end(void)
{
    close(set);
    for (int i = 0; i < COUNT; i++) {
        close(ends[i][0]);
        close(ends[i][1]);
    }
}

static void tell(int max)
{
    struct epoll_event events[COUNT];
    int count = epoll_wait(set, events, max, 0);
    for (int i = 0; i < count; i++)
        printf("%s%u", i ? " " : "", events[i].data.u32);
    printf(count > 0 ? "; " : "none; ");
}

static void put(int i)
{
    CHECK(write(ends[i][1], "x", 1) == 1);
}

static void take(int i)
{
    char c;
    CHECK(read(ends[i][0], &c, 1) == 1);
}

static void try(uint32_t events, bool sockets, int max, const char *name)
{
    make(events, sockets);
    tell(COUNT); /* nothing yet */
    for (int i = 0; i < COUNT; i++)
        put(order[i]);
    for (int i = 0; i < 6; i++)
        tell(max);
    take(order[0]);
    take(order[3]);
    tell(max);
    put(order[3]);
    put(order[0]);
    for (int i = 0; i < 4; i++)
        tell(max);
    printf("%s%s by %d\n", name, sockets ? ", sockets" : "", max);
    end();
}

int main(void)
{
    for (int sockets = 0; sockets < 2; sockets++)
        for (int max = 1; max <= COUNT; max += max < 4 ? 2 : 4) {
            try(0, sockets, max, "level");
            try(EPOLLET, sockets, max, "edge");
            try(EPOLLONESHOT, sockets, max, "once");
        }
    return finish();
}
