/* Makes threads until there is no room for another, says so, waits for a line of input, and lets
 * all of them go: prints how many there were, and the error.
 */
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define STACK_SIZE 16384
#define LIMIT 40000

static pthread_mutex_t gate = PTHREAD_MUTEX_INITIALIZER;
static pthread_t threads[LIMIT];

static void *stand(void *unused)
{
    pthread_mutex_lock(&gate);
    pthread_mutex_unlock(&gate);
    return unused;
}

int main(void)
{
    pthread_attr_t attributes;
    int count = 0, error = 0;
    pthread_attr_init(&attributes);
    pthread_attr_setstacksize(&attributes, STACK_SIZE);
    pthread_mutex_lock(&gate);
    while (count < LIMIT &&
           (error = pthread_create(&threads[count], &attributes, stand, NULL)) == 0)
        count++;
    printf("%d %s\n", count, strerror(error));
    fflush(stdout);
    if (getchar() == EOF)
        return 1;
    pthread_mutex_unlock(&gate);
    for (int i = 0; i < count; i++)
        pthread_join(threads[i], NULL);
    return system("exit 4") == 4 << 8 && getchar() == '\n' ? 4 : 1;
}
