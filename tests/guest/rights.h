/* One fd in a message, for programs that send some. */
#pragma once
#include "check.h"
#include <sys/socket.h>

static inline void send_fd(int carrier, int fd)
{
    char room[CMSG_SPACE(sizeof(int))] = {0};
    struct iovec piece = {"x", 1};
    struct msghdr message = {
        .msg_iov = &piece, .msg_iovlen = 1, .msg_control = room, .msg_controllen = sizeof(room)};
    struct cmsghdr *header = CMSG_FIRSTHDR(&message);
    *header = (struct cmsghdr){CMSG_LEN(sizeof(int)), SOL_SOCKET, SCM_RIGHTS};
    memcpy(CMSG_DATA(header), &fd, sizeof(int));
    CHECK(sendmsg(carrier, &message, 0) == 1);
}

static inline int receive_fd(int carrier, int flags)
{
    char room[CMSG_SPACE(sizeof(int))] = {0}, byte;
    struct iovec piece = {&byte, 1};
    struct msghdr message = {
        .msg_iov = &piece, .msg_iovlen = 1, .msg_control = room, .msg_controllen = sizeof(room)};
    int fd = -1;
    ssize_t got = recvmsg(carrier, &message, flags);
    CHECK(got == 1 && CMSG_FIRSTHDR(&message) != NULL);
    if (got == 1 && CMSG_FIRSTHDR(&message) != NULL)
        memcpy(&fd, CMSG_DATA(CMSG_FIRSTHDR(&message)), sizeof(int));
    else
        printf("%zd bytes, flags %x\n", got, (unsigned)message.msg_flags);
    return fd;
}
