/* fork(2): separate memory, shared descriptions, parents, orphans, many children. */
#include "check.h"
#include <sys/prctl.h>

static void orphan(void)
{
    int pipes[2];
    pid_t self = getpid();
    CHECK(pipe(pipes) == 0);
    CHECK(prctl(PR_SET_CHILD_SUBREAPER, 1) == 0);
    pid_t child = fork();
    if (child == 0) {
        pid_t parent = getpid();
        if (fork() == 0) {
            while (getppid() == parent)
                sleep_ms(1);
            char adopted = getppid() == self ? 'y' : 'n';
            _exit(write(pipes[1], &adopted, 1) == 1 ? 5 : 6);
        }
        _exit(0);
    }
    CHECK(reap(child) == 0);
    char adopted = 0;
    CHECK(read(pipes[0], &adopted, 1) == 1);
    printf("orphan adopted by subreaper: %c, status %d\n", adopted, reap(-1));
    FAILS(wait(NULL));
}

/* Each generation forks the next one; gives how many there were. */
static int generations(int more)
{
    if (more == 0)
        return 0;
    pid_t child = fork();
    if (child == 0)
        _exit(generations(more - 1));
    return reap(child) + 1;
}

int main(void)
{
    int value = 1, pipes[2];
    pid_t parent = getpid();
    CHECK(pipe(pipes) == 0);
    off_t offset = 0;
    int file = open("shared-offset", O_RDWR | O_CREAT | O_TRUNC, 0600);
    CHECK(file >= 0);
    pid_t child = fork();
    if (child == 0) {
        value = 2;
        CHECK(getppid() == parent && getpid() != parent);
        CHECK(write(pipes[1], "from child", 10) == 10);
        CHECK(write(file, "12345", 5) == 5);
        _exit(failures ? 1 : 42);
    }
    printf("status %d\n", reap(child));
    offset = lseek(file, 0, SEEK_CUR);
    char text[20] = "";
    CHECK(read(pipes[0], text, sizeof text) == 10);
    printf("value %d, offset %ld, %s\n", value, (long)offset, text);
    pid_t children[20];
    for (int i = 0; i < 20; i++)
        if ((children[i] = fork()) == 0)
            _exit(i);
    int sum = 0;
    for (int i = 19; i >= 0; i--)
        sum += reap(children[i]);
    printf("sum of statuses %d\n", sum);
    printf("generations %d\n", generations(6));
    orphan();
    return finish();
}
