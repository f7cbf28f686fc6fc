/* A vfork child whose parent is killed while another thread of that one's changes the memory that
 * they share: it goes on in that memory, which is now its own.
 */
#include "check.h"
#include <poll.h>
#include <pthread.h>
#include <sys/mman.h>

#define ROUNDS 30
#define PATIENCE_MS 20000

static const char *file;

static void *map_once(void)
{
    int fd = open(file, O_RDONLY);
    void *memory = mmap(NULL, 4096, PROT_READ | PROT_EXEC, MAP_PRIVATE, fd, 0);
    close(fd);
    return memory;
}

static void *map_for_ever(void *unused)
{
    for (;;)
        munmap(map_once(), 4096);
    return unused;
}

/* Its child kills it, waits until it is dead, uses the memory and says so. */
static void parent(int end, long after_us)
{
    pthread_t thread;
    pthread_create(&thread, NULL, map_for_ever, NULL);
    pid_t self = getpid();
    usleep((useconds_t)after_us);
    if (vfork() == 0) {
        kill(self, SIGKILL);
        while (getppid() == self)
            ;
        bool well = true;
        for (int i = 0; i < 3; i++)
            well = munmap(map_once(), 4096) == 0 && well;
        _exit(well && write(end, "w", 1) == 1 ? 0 : 1);
    }
}

static bool goes_on(long after_us)
{
    int ends[2];
    char said = 0;
    CHECK(pipe(ends) == 0);
    pid_t child = fork();
    if (child == 0)
        parent(ends[1], after_us);
    close(ends[1]);
    struct pollfd end = {.fd = ends[0], .events = POLLIN};
    bool well = poll(&end, 1, PATIENCE_MS) == 1 && read(ends[0], &said, 1) == 1 && said == 'w';
    close(ends[0]);
    int status = 0;
    CHECK(waitpid(child, &status, 0) == child && WIFSIGNALED(status));
    return well;
}

int main(int argc, char **argv)
{
    (void)argc;
    file = argv[0];
    int well = 0;
    while (well < ROUNDS && goes_on(well * 17))
        well++;
    printf("%d times\n", well);
    return finish();
}
