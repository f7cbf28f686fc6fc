/* SCM_RIGHTS of sockets: sent and closed, they live on in the message; unreceived, they end with what carries
 * them.
 */
#include "rights.h"
#include "tcp_pairs.h"

static void give(int carrier, int fd)
{
    send_fd(carrier, fd);
    close(fd);
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
    int fd = receive_fd(carrier[1], 0);
    CHECK(read(fd, text, sizeof(text)) == 5);
    CHECK(write(fd, "back", 5) == 5 && read(pair[1], text, 5) == 5);
    printf("%s\n", text);
    give(carrier[0], fd);
    give(carrier[0], pair[1]);
    fd = receive_fd(carrier[1], 0);
    int other = receive_fd(carrier[1], 0);
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
    int fd = receive_fd(outer[1], 0);
    int last = receive_fd(fd, 0);
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
