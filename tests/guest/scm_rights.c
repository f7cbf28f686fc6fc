/* unix(7), SCM_RIGHTS and SCM_CREDENTIALS: descriptors over sockets, also between processes. */
#include "check.h"
#include <sys/socket.h>

static ssize_t send_fds(int to, const int *fds, size_t count)
{
    char control[CMSG_SPACE(16 * sizeof(int))] = "";
    struct iovec data = {"d", 1};
    struct msghdr message = {.msg_iov = &data, .msg_iovlen = 1, .msg_control = control};
    message.msg_controllen = CMSG_SPACE(count * sizeof(int));
    struct cmsghdr *header = CMSG_FIRSTHDR(&message);
    *header = (struct cmsghdr){CMSG_LEN(count * sizeof(int)), SOL_SOCKET, SCM_RIGHTS};
    memcpy(CMSG_DATA(header), fds, count * sizeof(int));
    return sendmsg(to, &message, 0);
}

static int receive_fds(int from, int *fds, size_t room, int flags, int *message_flags)
{
    char control[CMSG_SPACE(16 * sizeof(int))] = "", c;
    struct iovec data = {&c, 1};
    struct msghdr message = {.msg_iov = &data, .msg_iovlen = 1, .msg_control = control};
    message.msg_controllen = room ? CMSG_LEN(room * sizeof(int)) : 0;
    CHECK(recvmsg(from, &message, flags) == 1);
    *message_flags = message.msg_flags;
    struct cmsghdr *header = CMSG_FIRSTHDR(&message);
    if (!header || header->cmsg_type != SCM_RIGHTS)
        return 0;
    size_t count = (header->cmsg_len - CMSG_LEN(0)) / sizeof(int);
    memcpy(fds, CMSG_DATA(header), count * sizeof(int));
    return (int)count;
}

static void credentials(int pair[2])
{
    int on = 1;
    char control[CMSG_SPACE(sizeof(struct ucred))] = "", c;
    struct iovec data = {&c, 1};
    struct msghdr message = {.msg_iov = &data, .msg_iovlen = 1, .msg_control = control};
    message.msg_controllen = sizeof control;
    CHECK(setsockopt(pair[1], SOL_SOCKET, SO_PASSCRED, &on, sizeof on) == 0);
    pid_t pid = fork();
    if (pid == 0)
        _exit(write(pair[0], "x", 1) == 1 ? 0 : 1);
    CHECK(recvmsg(pair[1], &message, 0) == 1 && reap(pid) == 0);
    struct cmsghdr *header = CMSG_FIRSTHDR(&message);
    CHECK(header && header->cmsg_type == SCM_CREDENTIALS);
    struct ucred from = {0};
    if (header)
        memcpy(&from, CMSG_DATA(header), sizeof from);
    printf("credentials: child %d uid %d\n", from.pid == pid, from.uid == getuid());
    socklen_t size = sizeof from;
    CHECK(getsockopt(pair[1], SOL_SOCKET, SO_PEERCRED, &from, &size) == 0);
    printf("peer: ourselves %d\n", from.pid == getpid());
}

int main(void)
{
    int pair[2], pipes[2], got[16], flags;
    CHECK(socketpair(AF_UNIX, SOCK_STREAM, 0, pair) == 0 && pipe(pipes) == 0);
    int file = open("file", O_RDWR | O_CREAT | O_TRUNC, 0600);
    pid_t pid = fork();
    if (pid == 0) {
        int own = open("secret", O_RDWR | O_CREAT | O_TRUNC, 0600);
        (void)!write(own, "from the child", 14);
        int both[2] = {own, pipes[1]};
        _exit(send_fds(pair[0], both, 2) == 1 ? 0 : 1);
    }
    close(pipes[1]);
    int count = receive_fds(pair[1], got, 2, MSG_CMSG_CLOEXEC, &flags);
    CHECK(reap(pid) == 0 && count == 2);
    char text[32] = "";
    CHECK(pread(got[0], text, 31, 0) == 14);
    printf("%s, offset %ld, cloexec %d\n", text, (long)lseek(got[0], 0, SEEK_CUR),
           fcntl(got[0], F_GETFD));
    CHECK(write(got[1], "p", 1) == 1 && read(pipes[0], text, 1) == 1);
    close(got[1]);
    printf("pipe's writer gone: %zd\n", read(pipes[0], text, 1));
    int many[3] = {file, file, file};
    CHECK(send_fds(pair[0], many, 3) == 1);
    count = receive_fds(pair[1], got, 1, 0, &flags);
    printf("room for one: %d, truncated %d, flags %d\n", count, (flags & MSG_CTRUNC) != 0,
           fcntl(got[0], F_GETFD));
    CHECK(send_fds(pair[0], many, 1) == 1);
    count = receive_fds(pair[1], got, 0, 0, &flags);
    printf("no room: %d, truncated %d\n", count, (flags & MSG_CTRUNC) != 0);
    /* In flight with no other holder: the file lives in the socket. */
    int pipe2s[2];
    CHECK(pipe(pipe2s) == 0);
    CHECK(write(pipe2s[1], "in flight", 9) == 9 && send_fds(pair[0], pipe2s, 2) == 1);
    close(pipe2s[0]);
    close(pipe2s[1]);
    CHECK(receive_fds(pair[1], got, 2, 0, &flags) == 2 && read(got[0], text, 31) == 9);
    printf("%.9s\n", text);
    CHECK(send_fds(pair[0], &pair[1], 1) == 1);
    CHECK(receive_fds(pair[1], got, 1, 0, &flags) == 1);
    close(pair[1]);
    CHECK(write(pair[0], "own", 3) == 3 && read(got[0], text, 3) == 3);
    printf("a socket sent over itself: %.3s\n", text);
    pair[1] = got[0];
    int bad = 99;
    FAILS(send_fds(pair[0], &bad, 1));
    FAILS(send_fds(pipes[0], &file, 1));
    credentials(pair);
    return finish();
}
