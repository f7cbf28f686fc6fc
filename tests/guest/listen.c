/* listen(2): a backlog of n lets n + 1 wait to be accepted; further ones connect when there is room. */
#include "tcp_pairs.h"

#include <pthread.h>
#include <sys/epoll.h>

static struct sockaddr_in where;

static int try(int flags)
{
    int fd = socket(AF_INET, SOCK_STREAM | flags, 0);
    int done = connect(fd, (struct sockaddr *)&where, sizeof(where));
    if (done != 0 && errno != EINPROGRESS)
        printf("connect: %s\n", error_name(errno));
    return fd;
}

static void fill(int backlog)
{
    int fds[6], door = listener(backlog, &where), room = 0;
    for (int i = 0; i < 6; i++)
        fds[i] = try(SOCK_NONBLOCK);
    for (int i = 0; i < 6; i++)
        room += (polled(fds[i], i < 3 ? 100 : 0) & POLLOUT) != 0;
    printf("backlog %d: %d connected\n", backlog, room);
    for (int i = 0; i < 6; i++)
        close(fds[i]);
    close(door);
}

static void *connects(void *result)
{
    int fd = try(0);
    *(int *)result = (int)write(fd, "x", 1);
    return (void *)(long)fd;
}

/* One beyond the backlog: what it is told, until there is room. */
static void beyond(void)
{
    char byte;
    struct sockaddr_in name;
    socklen_t size = sizeof(name);
    int door = listener(0, &where), first = try(0), second = try(SOCK_NONBLOCK), set;
    struct epoll_event event = {.events = EPOLLIN | EPOLLOUT, .data.u32 = 7};
    show_poll("beyond", second, 0);
    FAILS(connect(second, (struct sockaddr *)&where, sizeof(where)));
    FAILS(write(second, "x", 1));
    FAILS(read(second, &byte, 1));
    FAILS(getpeername(second, (struct sockaddr *)&name, &size));
    show_error("beyond", second);
    set = epoll_create1(0);
    CHECK(epoll_ctl(set, EPOLL_CTL_ADD, second, &event) == 0);
    CHECK(epoll_wait(set, &event, 1, 0) == 0);
    CHECK(accept(door, NULL, NULL) >= 0);
    printf("room: %x\n", (unsigned)polled(second, 10000));
    CHECK(epoll_wait(set, &event, 1, 10000) == 1);
    printf("room: %x\n", event.events);
    FAILS(connect(second, (struct sockaddr *)&where, sizeof(where)));
    FAILS(connect(second, (struct sockaddr *)&where, sizeof(where)));
    CHECK(write(second, "y", 1) == 1);
    int last = accept(door, NULL, NULL);
    CHECK(read(last, &byte, 1) == 1 && byte == 'y');
    close(first);
    close(second);
    close(last);
    close(set);
    close(door);
}

/* The same, asleep. */
static void asleep(void)
{
    int door = listener(0, &where), first = try(0), wrote = 0;
    void *second;
    pthread_t thread;
    pthread_create(&thread, NULL, connects, &wrote);
    sleep_ms(30);
    CHECK(wrote == 0);
    int one = accept(door, NULL, NULL), other = accept(door, NULL, NULL);
    CHECK(one >= 0 && other >= 0);
    pthread_join(thread, &second);
    printf("asleep: wrote %d\n", wrote);
    close(first);
    close((int)(long)second);
    close(one);
    close(other);
    close(door);
}

/* Whoever gives up is never seen; whose listener goes is refused. */
static void gone(void)
{
    int door = listener(0, &where), first = try(0), second = try(SOCK_NONBLOCK);
    close(second);
    CHECK(accept(door, NULL, NULL) >= 0);
    CHECK(fcntl(door, F_SETFL, O_NONBLOCK) == 0);
    FAILS(accept(door, NULL, NULL));
    close(first);
    close(door);
    door = listener(0, &where);
    first = try(0), second = try(SOCK_NONBLOCK);
    close(door);
    printf("no listener: %x\n", (unsigned)polled(second, 10000));
    show_error("no listener", second);
    show_error("no listener, first", first);
}

/* SO_SNDTIMEO bounds connect(2); a listener may take more later on. */
static void bounded(void)
{
    struct timeval moment = {0, 50000};
    int door = listener(0, &where), first = try(0), second = socket(AF_INET, SOCK_STREAM, 0);
    CHECK(setsockopt(second, SOL_SOCKET, SO_SNDTIMEO, &moment, sizeof(moment)) == 0);
    FAILS(connect(second, (struct sockaddr *)&where, sizeof(where)));
    CHECK(listen(door, 5) == 0);
    printf("more: %x\n", (unsigned)polled(second, 10000));
    close(first);
    close(second);
    close(door);
}

/* Who has sent is told with no bytes of what has come, too. */
static void sender_of_nothing(void)
{
    struct sockaddr_un name = {.sun_family = AF_UNIX, .sun_path = "sender"}, from = {0};
    struct msghdr message = {.msg_name = &from, .msg_namelen = sizeof(from)};
    int door = socket(AF_UNIX, SOCK_STREAM, 0), one = socket(AF_UNIX, SOCK_STREAM, 0);
    CHECK(bind(door, (struct sockaddr *)&name, sizeof(name)) == 0 && listen(door, 1) == 0);
    CHECK(connect(one, (struct sockaddr *)&name, sizeof(name)) == 0);
    int other = accept(door, NULL, NULL);
    CHECK(write(other, "x", 1) == 1 && recvmsg(one, &message, MSG_DONTWAIT) == 0);
    printf("none of one byte: from %u bytes, %s\n", message.msg_namelen, from.sun_path);
    CHECK(read(one, &from, 1) == 1);
    FAILS(recvmsg(one, &message, MSG_DONTWAIT));
    close(one);
    close(other);
    close(door);
    unlink(name.sun_path);
}

int main(void)
{
    fill(0);
    fill(1);
    fill(3);
    beyond();
    asleep();
    gone();
    bounded();
    sender_of_nothing();
    return finish();
}
