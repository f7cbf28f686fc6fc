/* shutdown(2) while other threads sleep in calls on the same socket: half a close ends only its half. */
#include "check.h"
#include <arpa/inet.h>
#include <netinet/in.h>
#include <pthread.h>
#include <sys/socket.h>
#include <sys/time.h>

static int pair[2];
static char block[50001]; /* no part of any buffer */

struct sleeper {
    pthread_t thread;
    volatile pid_t task;
    ssize_t result;
    int error;
    char text[16];
};

static void *receives(void *context)
{
    struct sleeper *self = context;
    self->task = (pid_t)syscall(SYS_gettid);
    self->result = recv(pair[0], self->text, sizeof self->text - 1, 0);
    self->error = errno;
    return NULL;
}

/* Until there is no more room, and then for ever. */
static void *sends(void *context)
{
    struct sleeper *self = context;
    self->task = (pid_t)syscall(SYS_gettid);
    do
        self->result = send(pair[0], block, sizeof block, MSG_NOSIGNAL);
    while (self->result == sizeof block);
    self->error = errno;
    return NULL;
}

static void start(struct sleeper *self, void *(*run)(void *))
{
    *self = (struct sleeper){0};
    CHECK(pthread_create(&self->thread, NULL, run, self) == 0);
    while (self->task == 0)
        sched_yield();
    until_asleep(getpid(), self->task);
}

static void connect_tcp(void)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t size = sizeof address;
    int listener = socket(AF_INET, SOCK_STREAM, 0);
    CHECK(bind(listener, (struct sockaddr *)&address, size) == 0 && listen(listener, 1) == 0);
    CHECK(getsockname(listener, (struct sockaddr *)&address, &size) == 0);
    pair[0] = socket(AF_INET, SOCK_STREAM, 0);
    CHECK(connect(pair[0], (struct sockaddr *)&address, size) == 0);
    pair[1] = accept(listener, NULL, NULL);
    close(listener);
}

static void connect_pair(void)
{
    CHECK(socketpair(AF_UNIX, SOCK_STREAM, 0, pair) == 0);
}

static void drop(void)
{
    close(pair[0]);
    close(pair[1]);
}

/* The client's way: all is said, the answer is waited for already. */
static void ends_what_it_sends(void)
{
    struct sleeper reader;
    char text[16] = "";
    start(&reader, receives);
    CHECK(shutdown(pair[0], SHUT_WR) == 0);
    CHECK(recv(pair[1], text, sizeof text, 0) == 0);
    CHECK(send(pair[1], "answer", 6, 0) == 6);
    pthread_join(reader.thread, NULL);
    printf("reader: %zd %s\n", reader.result, reader.text);
    drop();
}

static void ends_what_it_receives(void)
{
    struct sleeper reader;
    start(&reader, receives);
    CHECK(shutdown(pair[0], SHUT_RD) == 0);
    pthread_join(reader.thread, NULL);
    printf("reader: %zd\n", reader.result);
    CHECK(send(pair[0], "still", 5, 0) == 5);
    printf("the other side: %zd\n", recv(pair[1], reader.text, 5, 0));
    drop();
}

static void ends_a_writer(void)
{
    struct sleeper writer, reader;
    start(&writer, sends);
    start(&reader, receives);
    CHECK(shutdown(pair[0], SHUT_WR) == 0);
    pthread_join(writer.thread, NULL);
    /* What it had sent of the last block counts. */
    printf("writer: %s\n", writer.result >= 0 ? "a part" : error_name(writer.error));
    CHECK(send(pair[1], "answer", 6, 0) == 6);
    pthread_join(reader.thread, NULL);
    printf("reader: %zd %s\n", reader.result, reader.text);
    drop();
}

/* Who sleeps after others were woken by an end sleeps no less, and its time is over when it is. */
static void sleeps_after(void)
{
    struct sleeper reader, writer;
    struct timeval time = {0, 50000};
    start(&reader, receives);
    CHECK(shutdown(pair[0], SHUT_RD) == 0);
    pthread_join(reader.thread, NULL);
    start(&writer, sends);
    CHECK(shutdown(pair[0], SHUT_WR) == 0);
    pthread_join(writer.thread, NULL);
    CHECK(setsockopt(pair[0], SOL_SOCKET, SO_SNDTIMEO, &time, sizeof time) == 0);
    FAILS(send(pair[0], block, sizeof block, MSG_NOSIGNAL));
    drop();
}

int main(void)
{
    static void (*const connects[])(void) = {connect_pair, connect_tcp};
    static void (*const cases[])(void) = {ends_what_it_sends, ends_what_it_receives, ends_a_writer,
                                          sleeps_after};
    for (int i = 0; i < 2; i++)
        for (unsigned each = 0; each < sizeof cases / sizeof *cases; each++) {
            connects[i]();
            cases[each]();
        }
    return finish();
}
