/* Microseconds to create and join a thread that does nothing. */
#include <pthread.h>

#include "clock.h"

#define COUNT 2000

static void *leave(void *argument)
{
    return argument;
}

int main(void)
{
    static double samples[COUNT];
    for (int i = 0; i < COUNT; i++) {
        pthread_t thread;
        double began = now_us();
        if (pthread_create(&thread, NULL, leave, NULL) != 0 || pthread_join(thread, NULL) != 0)
            return 1;
        samples[i] = now_us() - began;
    }
    for (int i = 0; i < COUNT; i++)
        printf("%.2f\n", samples[i]);
    return 0;
}
