/* int 0x80 in a 64-bit program: 32-bit system calls are served, or refused with ENOSYS; never are
 * their numbers taken for 64-bit ones. */
#include "check.h"
#include <setjmp.h>

static sigjmp_buf back;
static void fault(int number)
{
    siglongjmp(back, number);
}

static long call32(long number, long first)
{
    long result;
    __asm__ volatile("int $0x80"
                     : "=a"(result)
                     : "a"(number), "b"(first), "c"(0), "d"(0)
                     : "memory");
    return result;
}

static int is(long result, long wanted)
{
    return result == wanted || result == -ENOSYS;
}

int main(void)
{
    signal(SIGSEGV, fault);
    int number = sigsetjmp(back, 1);
    if (number) {
        printf("int 0x80: signal %d\n", number);
        return finish();
    }
    printf("getpid32 is getpid: %d\n", is(call32(20, 0), getpid()));
    printf("getppid32 is getppid: %d\n", is(call32(64, 0), getppid()));
    printf("close32 of nothing: %d\n", is(call32(6, 999), -EBADF));
    printf("unknown: %s\n", error_name((int)-call32(9999, 0)));
    pid_t pid = fork();
    if (pid == 0) {
        call32(1, 17);
        _exit(17);
    }
    printf("exit32: %d\n", reap(pid));
    return finish();
}
