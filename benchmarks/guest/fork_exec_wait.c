/* Microseconds from fork to the end of waitpid, with a child that executes this program again. */
#include <sys/wait.h>
#include <unistd.h>

#include "clock.h"

#define COUNT 200

int main(int argc, char **argv)
{
    static double samples[COUNT];
    if (argc > 1)
        return 0;
    for (int i = 0; i < COUNT; i++) {
        double began = now_us();
        pid_t pid = fork();
        if (pid == 0) {
            execl(argv[0], argv[0], "leave", (char *)NULL);
            _exit(127);
        }
        int status;
        if (pid < 0 || waitpid(pid, &status, 0) != pid || status != 0)
            return 1;
        samples[i] = now_us() - began;
    }
    for (int i = 0; i < COUNT; i++)
        printf("%.1f\n", samples[i]);
    return 0;
}
