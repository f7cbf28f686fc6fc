/* SCM_RIGHTS of sockets: sent and closed, they live on in the message; unreceived, they end with what carries
 * them.
 */
#include "tcp_pairs.h"

static void give(int carrier, int fd)
{
    char room[CMSG_SPACE(sizeof(int))] = {0};
    struct iovec piece = {"x", 1};
    struct msghdr message = {
        .msg_iov = &piece, .msg_iovlen = 1, .msg_control = room, .msg_controllen = sizeof(room)};
    struct cmsghdr *header = CMSG_FIRSTHDR(&message);
    *header = (struct cmsghdr){CMSG_LEN(sizeof(int)), SOL_SOCKET, SCM_RIGHTS};
    memcpy(CMSG_DATA(header), &fd, sizeof(int));
    CHECK(sendmsg(carrier, &message, 0) == 1);
    close(fd);
}

static int take(int carrier)
{
    char room[CMSG_SPACE(sizeof(int))] = {0}, byte;
    struct iovec piece = {&byte, 1};
    struct msghdr message = {
        .msg_iov = &piece, .msg_iovlen = 1, .msg_control = room, .msg_controllen = sizeof(room)};
    int fd = -1;
    CHECK(recvmsg(carrier, &message, 0) == 1 && CMSG_FIRSTHDR(&message) != NULL);
    memcpy(&fd, CMSG_DATA(CMSG_FIRSTHDR(&message)), sizeof(int));
    return fd;
}

static void lives_on(int tcp)
{
    int carrier[2], pair[2];
    char text[8] = "";
    connected(0, carrier);
    connected(tcp, pair);
    give(carrier[0], pair[0]);
    CHECK(write(pair[1], "early", 5) == 5);
    FAILS(recv(pair[1], text, 1, MSG_DONTWAIT));
    int fd = take(carrier[1]);
    CHECK(read(fd, text, sizeof(text)) == 5);
    CHECK(write(fd, "back", 5) == 5 && read(pair[1], text, 5) == 5);
    printf("%s\n", text);
    give(carrier[0], fd);
    give(carrier[0], pair[1]);
    fd = take(carrier[1]);
    int other = take(carrier[1]);
    CHECK(write(fd, "both", 5) == 5 && read(other, text, 5) == 5);
    printf("%s\n", text);
    close(fd);
    printf("end: %zd\n", read(other, text, 5));
    close(other);
    close(carrier[0]);
    close(carrier[1]);
}

/* How the carrier ends: 0 its receiving side is closed, 1 both, 2 the byte is read without the fd. */
static void ends(int tcp, int how)
{
    int carrier[2], pair[2];
    char byte;
    connected(0, carrier);
    connected(tcp, pair);
    give(carrier[0], pair[0]);
    if (how == 2)
        CHECK(read(carrier[1], &byte, 1) == 1);
    if (how == 1)
        close(carrier[0]);
    if (how != 2)
        close(carrier[1]);
    show_poll("ended", pair[1], POLLRDHUP);
    printf("read: %zd\n", read(pair[1], &byte, 1));
    close(pair[1]);
}

/* In a message in a message. */
static void nested(void)
{
    int outer[2], inner[2], pair[2];
    connected(0, outer);
    connected(0, inner);
    connected(1, pair);
    give(inner[0], pair[0]);
    give(outer[0], inner[1]);
    close(inner[0]);
    show_poll("nested", pair[1], 0);
    int fd = take(outer[1]);
    int last = take(fd);
    CHECK(write(last, "x", 1) == 1);
    show_poll("taken", pair[1], POLLIN);
    give(outer[0], last);
    close(outer[1]);
    show_poll("gone", pair[1], POLLRDHUP);
}

int main(void)
{
    for (int tcp = 0; tcp < 2; tcp++) {
        lives_on(tcp);
        for (int how = 0; how < 3; how++)
            ends(tcp, how);
    }
    nested();
    return finish();
}
