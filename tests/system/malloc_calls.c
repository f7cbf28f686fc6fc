/* malloc(3)'s whole family, for whichever allocator is loaded: `malloc_calls` checks it,
 * `malloc_calls MISTAKE` makes one that the guard and poison modes of libexo_malloc find. */
#include <errno.h>
#include <malloc.h>
#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#define CHECK(condition)                                                                           \
    do {                                                                                           \
        if (!(condition)) {                                                                        \
            fprintf(stderr, "%d: %s is false\n", __LINE__, #condition);                            \
            _exit(1);                                                                              \
        }                                                                                          \
    } while (0)

static void *volatile kept; /* keeps the compiler from knowing what becomes of an object */
static volatile size_t too_large = SIZE_MAX - 100;

static void check_sizes(void)
{
    for (size_t size = 0; size < 3000000; size = size * 5 / 4 + 1) {
        unsigned char *object = malloc(size);
        CHECK(object != NULL && (uintptr_t)object % 16 == 0);
        CHECK(malloc_usable_size(object) >= size);
        memset(object, 0xaa, size);
        object = realloc(object, size * 2 + 1);
        for (size_t i = 0; i < size; i++)
            CHECK(object[i] == 0xaa);
        object = realloc(object, size / 2 + 1);
        CHECK(size < 2 || object[size / 2 - 1] == 0xaa);
        free(object);
        object = calloc(size / 8 + 1, 8);
        for (size_t i = 0; i < size; i++)
            CHECK(object[i] == 0);
        memset(object, 0xbb, size);
        free(object);
    }
}

static void check_alignment(void)
{
    void *object = NULL;
    for (size_t align = 8; align <= 1 << 21; align *= 2)
        for (size_t size = 0; size < 100000; size = size * 7 + 3) {
            CHECK(posix_memalign(&object, align, size) == 0 && (uintptr_t)object % align == 0);
            memset(object, 1, size);
            free(object);
            object = aligned_alloc(align, size);
            CHECK(object != NULL && (uintptr_t)object % align == 0);
            free(object);
        }
    CHECK(posix_memalign(&object, 24, 1) == EINVAL && posix_memalign(&object, 4, 1) == EINVAL);
    kept = memalign(48, 10); /* the next power of two */
    CHECK((uintptr_t)kept % 64 == 0);
    free(kept);
    kept = valloc(5);
    CHECK((uintptr_t)kept % 4096 == 0);
    free(kept);
    kept = pvalloc(5);
    CHECK((uintptr_t)kept % 4096 == 0 && malloc_usable_size(kept) >= 4096);
    free(kept);
}

static void check_limits(void)
{
    errno = 0;
    CHECK(malloc(too_large) == NULL && errno == ENOMEM);
    errno = 0;
    CHECK(calloc(too_large / 2, 3) == NULL && errno == ENOMEM);
    CHECK(calloc(too_large, 1) == NULL);
    void *object = malloc(10);
    errno = 0;
    CHECK(reallocarray(object, too_large / 2, 3) == NULL && errno == ENOMEM);
    CHECK(realloc(object, too_large) == NULL);
    errno = 77;
    free(object);
    CHECK(errno == 77);
    free(NULL);
    CHECK(posix_memalign(&object, 64, too_large) == ENOMEM && errno == 77);
    CHECK(malloc_usable_size(NULL) == 0);
    kept = malloc(0);
    CHECK(kept != NULL);
    CHECK(realloc(kept, 0) == NULL);
}

#define CROSSING 2000

static void *crossing[CROSSING];

static void *allocate_some(void *seed)
{
    for (size_t i = 0; i < CROSSING; i++) {
        size_t size = (i * 7919 + (uintptr_t)seed) % 5000 + 8;
        void *object = malloc(size), *old;
        memset(object, (int)i, size);
        old = __atomic_exchange_n(&crossing[i], object, __ATOMIC_ACQ_REL);
        free(old);
    }
    return malloc(100); /* freed by the one that joins */
}

static void check_threads(void)
{
    for (int round = 0; round < 20; round++) {
        pthread_t threads[4];
        void *left;
        for (size_t i = 0; i < 4; i++)
            CHECK(pthread_create(&threads[i], NULL, allocate_some, (void *)i) == 0);
        for (size_t i = 0; i < 4; i++) {
            pthread_join(threads[i], &left);
            free(left);
        }
    }
}

static volatile int finished;

static void *keep_busy(void *unused)
{
    while (!finished)
        allocate_some(unused);
    return NULL;
}

/* A child whose parent's other threads were allocating goes on, and may fork again. */
static void check_fork(void)
{
    pthread_t threads[2];
    int status;
    for (int i = 0; i < 2; i++)
        CHECK(pthread_create(&threads[i], NULL, keep_busy, NULL) == 0);
    for (int i = 0; i < 4; i++) {
        pid_t pid = fork();
        if (pid == 0) {
            for (int j = 0; j < CROSSING; j++)
                free(__atomic_exchange_n(&crossing[j], NULL, __ATOMIC_ACQ_REL));
            allocate_some(NULL);
            check_threads();
            pid = fork();
            if (pid == 0)
                _exit(malloc(50000) == NULL);
            waitpid(pid, &status, 0);
            _exit(status != 0);
        }
        CHECK(waitpid(pid, &status, 0) == pid && status == 0);
    }
    finished = 1;
    for (int i = 0; i < 2; i++)
        pthread_join(threads[i], NULL);
}

/* The address space is limited: memory ends, and comes back. */
static void check_exhaustion(void)
{
    struct rlimit limit = {600 << 20, 600 << 20};
    if (fork() != 0) {
        int status;
        wait(&status);
        CHECK(status == 0);
        return;
    }
    setrlimit(RLIMIT_AS, &limit);
    execl("/proc/self/exe", "malloc_calls", "limited", NULL);
    _exit(9);
}

static int use_all(void)
{
    for (int lap = 0; lap < 3; lap++) {
        size_t count = 0;
        void **first = NULL, **object;
        for (; (object = malloc(100000)) != NULL; first = object, count++)
            *object = first;
        CHECK(errno == ENOMEM && count > 1500);
        for (; first != NULL; first = object) {
            object = *first;
            free(first);
        }
    }
    kept = malloc(100 << 20);
    CHECK(kept != NULL);
    free(kept);
    return 0;
}

static int make_mistake(const char *mistake)
{
    char *object = malloc(100), *other = malloc(100);
    kept = object;
    if (strcmp(mistake, "double") == 0) {
        free(object);
        free(kept);
    } else if (strcmp(mistake, "wild") == 0) {
        free((char *)kept + 16);
    } else if (strcmp(mistake, "stack") == 0) {
        kept = &mistake;
        free(kept);
    } else if (strcmp(mistake, "overrun") == 0) {
        ((volatile char *)kept)[100] = 1;
        free(object);
    } else if (strcmp(mistake, "late") == 0) {
        free(object);
        ((char *)kept)[3] = 1;
        for (int i = 0; i < 2000; i++)
            kept = malloc(100);
    }
    free(other);
    return 0;
}

int main(int argc, char **argv)
{
    if (argc > 1)
        return strcmp(argv[1], "limited") == 0 ? use_all() : make_mistake(argv[1]);
    check_sizes();
    check_alignment();
    check_limits();
    check_threads();
    check_fork();
    check_exhaustion();
    malloc_trim(0);
    struct mallinfo2 info = mallinfo2();
    CHECK(info.uordblks <= info.arena);
    puts("all right");
    return 0;
}
