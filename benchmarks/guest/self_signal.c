/* Nanoseconds for a signal to oneself: kill, the handler, and the way back from it. */
#include <signal.h>
#include <unistd.h>

#include "clock.h"

#define BATCHES 200
#define ROUNDS 200

static volatile int hits;

static void handler(int number)
{
    (void)number;
    hits++;
}

int main(void)
{
    static double samples[BATCHES];
    struct sigaction action = {.sa_handler = handler};
    pid_t self = getpid();
    sigaction(SIGUSR1, &action, NULL);
    for (int i = 0; i < 1000; i++)
        kill(self, SIGUSR1);
    for (int i = 0; i < BATCHES; i++) {
        double began = now_us();
        for (int j = 0; j < ROUNDS; j++)
            kill(self, SIGUSR1);
        samples[i] = (now_us() - began) * 1000 / ROUNDS;
    }
    for (int i = 0; i < BATCHES; i++)
        printf("%.1f\n", samples[i]);
    return hits == 1000 + BATCHES * ROUNDS ? 0 : 1;
}
