/* Who sent a signal, a message or credentials is told after the sender is gone and waited for. */
#include "check.h"

#include <sys/msg.h>
#include <sys/socket.h>

static int pair[2];

static void send_all(int queue)
{
    struct msgbuf {
        long type;
        char text[1];
    } message = {1, "x"};
    union sigval value = {.sival_int = 5};
    CHECK(sigqueue(getppid(), SIGUSR1, value) == 0);
    CHECK(kill(getppid(), SIGUSR2) == 0);
    CHECK(msgsnd(queue, &message, 1, 0) == 0);
    CHECK(send(pair[1], "y", 1, 0) == 1);
}

static pid_t credentials(void)
{
    char byte, control[256];
    struct iovec part = {&byte, 1};
    struct msghdr message = {
        .msg_iov = &part, .msg_iovlen = 1, .msg_control = control, .msg_controllen = 256};
    struct ucred from = {0};
    CHECK(recvmsg(pair[0], &message, 0) == 1);
    struct cmsghdr *header = CMSG_FIRSTHDR(&message);
    CHECK(header != NULL && header->cmsg_type == SCM_CREDENTIALS);
    if (header != NULL)
        memcpy(&from, CMSG_DATA(header), sizeof(from));
    return from.pid;
}

int main(void)
{
    sigset_t set;
    siginfo_t info;
    struct msqid_ds state;
    int on = 1, status, queue = msgget(IPC_PRIVATE, 0600);
    sigemptyset(&set);
    sigaddset(&set, SIGCHLD);
    sigaddset(&set, SIGUSR1);
    sigaddset(&set, SIGUSR2);
    CHECK(sigprocmask(SIG_BLOCK, &set, NULL) == 0);
    CHECK(socketpair(AF_UNIX, SOCK_DGRAM, 0, pair) == 0);
    CHECK(setsockopt(pair[0], SOL_SOCKET, SO_PASSCRED, &on, sizeof(on)) == 0);
    for (int i = 0; i < 20; i++) {
        pid_t pid = fork();
        if (pid == 0) {
            send_all(queue);
            _exit(3);
        }
        CHECK(waitpid(pid, &status, 0) == pid);
        CHECK(sigwaitinfo(&set, &info) == SIGUSR1 && info.si_pid == pid && info.si_int == 5);
        CHECK(sigwaitinfo(&set, &info) == SIGUSR2 && info.si_pid == pid);
        CHECK(sigwaitinfo(&set, &info) == SIGCHLD && info.si_pid == pid && info.si_status == 3);
        CHECK(msgctl(queue, IPC_STAT, &state) == 0 && state.msg_lspid == pid);
        CHECK(credentials() == pid);
    }
    CHECK(msgctl(queue, IPC_RMID, NULL) == 0);
    return finish();
}
