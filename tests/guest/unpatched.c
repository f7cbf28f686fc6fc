/* System calls in code that has only just come to be: sites that several threads meet at once, that a
 * vfork child meets first, in files mapped while the program runs, and others in their place later.
 */
#include "check.h"
#include <pthread.h>
#include <sys/mman.h>

#define SITES 64
#define THREADS 4
#define STRIDE 64

static pthread_barrier_t barrier;
static char *code;
static volatile long wrong;

/* Shapes of a call: mov before it, a movable instruction before it, only instructions behind it. */
static size_t put_site(char *to, int shape)
{
    static const char *const shapes[] = {
        "\xb8\x27\x00\x00\x00\x0f\x05\xc3",
        "\xb8\x27\x00\x00\x00\x48\x89\xc0\x90\x90\x0f\x05\x48\x89\xc1\x48\x89\xc8\xc3",
        "\xb8\x27\x00\x00\x00\x90\x0f\x05\x48\x3d\x01\xf0\xff\xff\xc3",
        "\xb8\x27\x00\x00\x00\x90\x0f\x05\x89\xc2\x89\xd0\xc3",
        "\xb8\x27\x00\x00\x00\xeb\x00\x0f\x05\xc3",
    };
    static const size_t sizes[] = {8, 19, 15, 13, 10};
    memcpy(to, shapes[shape % 5], sizes[shape % 5]);
    return sizes[shape % 5];
}

static void write_file(const char *name, int shift)
{
    static char page[SITES * STRIDE];
    memset(page, 0xcc, sizeof page);
    for (int i = 0; i < SITES; i++)
        put_site(page + i * STRIDE + i % 9, i + shift);
    int fd = open(name, O_RDWR | O_CREAT | O_TRUNC, 0700);
    CHECK(write(fd, page, sizeof page) == sizeof page);
    close(fd);
}

static void map(const char *name, char *at)
{
    int fd = open(name, O_RDONLY);
    code = mmap(at, SITES * STRIDE, PROT_READ | PROT_EXEC, MAP_PRIVATE | (at ? MAP_FIXED : 0), fd,
                0);
    CHECK(code != MAP_FAILED);
    close(fd);
}

static long call(int i)
{
    return ((long (*)(void))(code + i * STRIDE + i % 9))();
}

static void *meet(void *argument)
{
    for (int i = 0; i < SITES; i++) {
        pthread_barrier_wait(&barrier);
        for (int times = 0; times < 20; times++)
            if (call(i) != getpid())
                __atomic_fetch_add(&wrong, 1, __ATOMIC_SEQ_CST);
    }
    return argument;
}

static void together(const char *name)
{
    pthread_t threads[THREADS];
    wrong = 0;
    for (int i = 0; i < THREADS; i++)
        CHECK(pthread_create(&threads[i], NULL, meet, NULL) == 0);
    for (int i = 0; i < THREADS; i++)
        pthread_join(threads[i], NULL);
    printf("%s: wrong %ld\n", name, wrong);
}

static void alone(const char *name)
{
    wrong = 0;
    for (int times = 0; times < 3; times++)
        for (int i = 0; i < SITES; i++)
            wrong += call(i) != getpid();
    printf("%s: wrong %ld\n", name, wrong);
}

int main(void)
{
    pthread_barrier_init(&barrier, NULL, THREADS);
    write_file("first", 0);
    write_file("second", 1);
    map("first", NULL);
    together("threads at once");
    alone("afterwards");
    char *at = code;
    map("second", at);
    alone("another file in its place");
    CHECK(munmap(at, SITES * STRIDE) == 0);
    map("first", at);
    pid_t pid = vfork();
    if (pid == 0) {
        long bad = 0;
        for (int i = 0; i < SITES; i++)
            bad += call(i) != getpid();
        _exit(bad != 0);
    }
    printf("in a vfork child: %d\n", reap(pid));
    alone("in its parent");
    pid = fork();
    if (pid == 0) {
        write_file("third", 2);
        map("third", NULL);
        together("threads of a child");
        _exit(failures + (wrong != 0));
    }
    printf("child: %d\n", reap(pid));
    return finish();
}
