/* Hands host fds over to guests. The protocol stands beside enum exo_reply_flags in abi.h.
 *
 * Nobody receives while no hand-over is under way, so at its end we drain what a killed receiver
 * left in the queue, and a receiver's first message is its own.
 */
#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <exo/core.h>

#include "host.h"

int exo_host_channel_open(int ends[2])
{
    return socketpair(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0, ends) < 0 ? -errno : 0;
}

static void drain(int receiver)
{
    uint32_t payload[2];
    /* No room for control data: the host closes the fds of such messages itself. */
    while (recv(receiver, payload, sizeof payload, MSG_DONTWAIT) >= 0)
        ;
}

int exo_host_channel_send(const int ends[2], int fd, uint32_t slot, uint32_t sequence)
{
    uint32_t payload[2] = {slot, sequence};
    struct iovec part = {.iov_base = payload, .iov_len = sizeof payload};
    union {
        char bytes[CMSG_SPACE(sizeof fd)];
        struct cmsghdr align;
    } control = {{0}};
    struct msghdr message = {.msg_iov = &part,
                             .msg_iovlen = 1,
                             .msg_control = control.bytes,
                             .msg_controllen = sizeof control.bytes};
    struct cmsghdr *header = CMSG_FIRSTHDR(&message);
    header->cmsg_level = SOL_SOCKET;
    header->cmsg_type = SCM_RIGHTS;
    header->cmsg_len = CMSG_LEN(sizeof fd);
    memcpy(CMSG_DATA(header), &fd, sizeof fd);
    return sendmsg(ends[0], &message, MSG_DONTWAIT | MSG_NOSIGNAL) < 0 ? -errno : 0;
}

int exo_host_channel_idle(struct exo_kr *kr, const int ends[2], uint32_t slot, uint32_t tid,
                          uint32_t sequence)
{
    const struct exo_task *task = &kr->tasks[slot];
    const struct exo_frame *frame = &kr->frames[slot];
    uint32_t state = __atomic_load_n(&frame->state, __ATOMIC_ACQUIRE) & ~EXO_FRAME_WAITING;
    if (state == EXO_FRAME_REPLY && frame->sequence == sequence && task->tid == tid &&
        exo_alive_test(task))
        return 0;
    drain(ends[1]);
    return 1;
}
