/* What posix-x migrate rewrites, as it is written: bytes go to a child and come back by pipes, byte by
 * byte lines go to a file. Compiled as it is, and rewritten.
 */
#include <fcntl.h>
#include <stdio.h>
#include <sys/wait.h>
#include <unistd.h>

#define ROUNDS 3000
#define LINES 20000

static void pass_on(int from, int to)
{
    char piece[256];
    ssize_t size;
    while ((size = read(from, piece, sizeof(piece))) > 0)
        if (write(to, piece, size) != size)
            _exit(3);
    close(to);
}

static int ask(int to, int from)
{
    char piece[64] = "a question of some words", answer[64];
    for (int i = 0; i < ROUNDS; i++) {
        if (write(to, piece, sizeof(piece)) != sizeof(piece))
            return 1;
        for (ssize_t done = 0, more; done < (ssize_t)sizeof(answer); done += more)
            if ((more = read(from, answer + done, sizeof(answer) - done)) <= 0)
                return 1;
    }
    return 0;
}

int main(void)
{
    int there[2], back[2], error;
    if (pipe(there) != 0 || pipe(back) != 0)
        return 1;
    pid_t child = fork();
    if (child == 0) {
        close(there[1]);
        close(back[0]);
        pass_on(there[0], back[1]);
        _exit(0);
    }
    close(there[0]);
    close(back[1]);
    error = ask(there[1], back[0]);
    close(there[1]);
    close(back[0]);
    waitpid(child, NULL, 0);
    int fd = open("/dev/null", O_WRONLY);
    for (int i = 0; i < LINES; i++) {
        char digit = '0' + i % 10;
        write(fd, &digit, 1);
        write(fd, "\n", 1);
    }
    close(fd);
    return error;
}
