/* Microseconds from fork to the end of waitpid, with a child that leaves at once. */
#include <sys/wait.h>
#include <unistd.h>

#include "clock.h"

#define COUNT 300

int main(void)
{
    static double samples[COUNT];
    for (int i = 0; i < COUNT; i++) {
        double began = now_us();
        pid_t pid = fork();
        if (pid == 0)
            _exit(0);
        int status;
        if (pid < 0 || waitpid(pid, &status, 0) != pid || status != 0)
            return 1;
        samples[i] = now_us() - began;
    }
    for (int i = 0; i < COUNT; i++)
        printf("%.1f\n", samples[i]);
    return 0;
}
