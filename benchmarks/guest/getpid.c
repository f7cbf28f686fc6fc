/* Cycles per getpid through libc, which asks the kernel each time. */
#include <unistd.h>

#include "clock.h"

int main(void)
{
    PRINT_CYCLES(2000, getpid());
    return 0;
}
