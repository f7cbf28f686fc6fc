/* exit_group(2) and deadly signals while threads wait in every kind of call; orphans are reaped. */
#include "check.h"
#include <linux/futex.h>
#include <poll.h>
#include <pthread.h>
#include <sys/epoll.h>
#include <sys/socket.h>

static int pipes[2], sockets[2], zero;
static volatile int waiting;

static void *wait_somehow(void *argument)
{
    char c;
    __atomic_fetch_add(&waiting, 1, __ATOMIC_SEQ_CST);
    for (;;)
        switch ((long)argument) {
        case 0:
            (void)!read(pipes[0], &c, 1);
            break;
        case 1:
            syscall(SYS_futex, &zero, FUTEX_WAIT, 0, NULL, NULL, 0);
            break;
        case 2:
            recv(sockets[0], &c, 1, 0);
            break;
        case 3:
            poll(&(struct pollfd){pipes[0], POLLIN, 0}, 1, -1);
            break;
        case 4:
            wait4(-1, NULL, 0, NULL);
            break;
        case 5:
            sleep(1000);
            break;
        case 6:
            pause();
            break;
        case 7: /* no call at all */
            break;
        case 8:
            close(open("/proc/self/status", O_RDONLY)); /* another process serves this */
            break;
        default:
            sigwaitinfo(&(sigset_t){{1}}, NULL);
        }
    return NULL;
}

static void *leave(void *argument)
{
    long how = (long)argument;
    if (how == 0)
        syscall(SYS_exit_group, 5);
    if (how == 1)
        kill(getpid(), SIGKILL);
    if (how == 2)
        abort();
    if (how == 3)
        execl("/bin/sh", "sh", "-c", "exit 6", NULL);
    *(volatile int *)8 = 1;
    return NULL;
}

static int child(long how, bool leader_gone)
{
    pthread_t thread;
    pid_t sleeper = fork();
    if (sleeper == 0) {
        close(pipes[1]);
        (void)!read(pipes[0], &zero, 1); /* until the last of the others is gone */
        _exit(0);
    }
    for (long i = 0; i < 10; i++)
        CHECK(pthread_create(&thread, NULL, wait_somehow, (void *)i) == 0);
    while (waiting < 10)
        sched_yield();
    CHECK(pthread_create(&thread, NULL, leave, (void *)how) == 0);
    if (leader_gone)
        pthread_exit(NULL);
    for (;;)
        pause();
}

static void orphans(void)
{
    int numbers[2];
    CHECK(pipe(numbers) == 0);
    pid_t middle = fork();
    if (middle == 0) {
        for (int i = 0; i < 50; i++) {
            pid_t pid = fork();
            if (pid == 0) {
                pid = getpid();
                (void)!write(numbers[1], &pid, sizeof pid);
                sleep_ms(i % 5);
                _exit(0);
            }
        }
        _exit(0);
    }
    CHECK(reap(middle) == 0);
    close(numbers[1]);
    pid_t pid;
    int count = 0;
    while (read(numbers[0], &pid, sizeof pid) == sizeof pid) {
        while (kill(pid, 0) == 0) /* a zombie until it has been reaped */
            sleep_ms(1);
        count += errno == ESRCH;
    }
    printf("orphans reaped: %d\n", count);
}

int main(void)
{
    static const char *const names[] = {"exit_group", "SIGKILL", "abort", "exec", "fault"};
    for (int leader_gone = 0; leader_gone < 2; leader_gone++)
        for (long how = 0; how < 5; how++) {
            CHECK(pipe(pipes) == 0 && socketpair(AF_UNIX, SOCK_STREAM, 0, sockets) == 0);
            pid_t pid = fork();
            if (pid == 0)
                child(how, leader_gone);
            close(pipes[1]);
            int status = reap(pid);
            char c;
            long rest = read(pipes[0], &c, 1);
            printf("%s%s: %d, pipe's end %ld\n", names[how],
                   leader_gone ? " without the first thread" : "", status, rest);
            close(pipes[0]);
            close(sockets[0]);
            close(sockets[1]);
        }
    orphans();
    return finish();
}
