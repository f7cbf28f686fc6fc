/* A CLONE_VM child that nobody waits for with vfork leaves in the way that argv[1] names; then a call
 * is made a thousand times whose site only a lone task may patch. For test_sites.py.
 */
#define _GNU_SOURCE
#include <sched.h>
#include <signal.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

static char stack[65536] __attribute__((aligned(16)));

static int child(void *how)
{
    if (strcmp(how, "exec") == 0)
        execl("/bin/true", "true", NULL);
    if (strcmp(how, "killed") == 0)
        kill(getpid(), SIGKILL);
    return 0;
}

/* Two moved instructions behind the call, and nothing in front that a jump could replace. */
static void call(void)
{
    __asm__ volatile("mov $110, %%ebx\n mov %%ebx, %%eax\n syscall\n"
                     "mov %%eax, %%edi\n mov %%rbx, %%rsi\n"
                     :
                     :
                     : "rax", "rbx", "rcx", "rdi", "rsi", "r11", "memory");
}

int main(int argc, char **argv)
{
    int status;
    if (strcmp(argv[1], "none") != 0) {
        pid_t pid = clone(child, stack + sizeof stack, CLONE_VM | SIGCHLD, argv[1]);
        if (pid < 0 || waitpid(pid, &status, 0) != pid)
            return 1;
    }
    for (int i = 0; i < 1000; i++)
        call();
    return 0;
}
