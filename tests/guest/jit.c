/*
 * System calls in code written at run time: RWX pages, W^X pages, code that is rewritten in
 * place, code mapped over other code, and threads that meet one new site together.
 */
#include "check.h"
#include <pthread.h>
#include <sys/mman.h>

#define PAGE 4096ul
typedef long (*code)(void);

/* mov $number, %eax; syscall; ret */
static void emit(char *at, uint32_t number)
{
    memcpy(at, "\xb8....\x0f\x05\xc3", 8);
    memcpy(at + 1, &number, 4);
}

static char *map(int protection)
{
    char *at = mmap(NULL, PAGE, protection, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    CHECK(at != MAP_FAILED);
    return at;
}

static void rewriting(void)
{
    char *at = map(PROT_READ | PROT_WRITE | PROT_EXEC);
    int pids = 0, parents = 0;
    for (int round = 0; round < 20; round++) {
        emit(at, SYS_getpid);
        for (int i = 0; i < 3; i++)
            pids += ((code)at)() == getpid();
        emit(at, SYS_getppid);
        for (int i = 0; i < 3; i++)
            parents += ((code)at)() == getppid();
        memcpy(at, "\xb8\x2a\0\0\0\x90\x90\xc3", 8);
        CHECK(((code)at)() == 42);
    }
    printf("rewritten in place: %d %d\n", pids, parents);
    emit(at, SYS_getpid);
    ((code)at)();
    ((code)at)();
    printf("reads as written: %d\n", memcmp(at + 5, "\x0f\x05\xc3", 3) == 0);
}

static void write_xor_execute(void)
{
    char *at = map(PROT_READ | PROT_WRITE);
    int good = 0;
    for (uint32_t round = 0; round < 20; round++) {
        emit(at, round % 2 ? SYS_getpid : SYS_getppid);
        CHECK(mprotect(at, PAGE, PROT_READ | PROT_EXEC) == 0);
        for (int i = 0; i < 3; i++)
            good += ((code)at)() == (round % 2 ? getpid() : getppid());
        CHECK(mprotect(at, PAGE, PROT_READ | PROT_WRITE) == 0);
    }
    printf("W^X: %d\n", good);
    munmap(at, PAGE);
    char *again = mmap(at, PAGE, PROT_READ | PROT_WRITE | PROT_EXEC,
                       MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0);
    CHECK(again == at);
    memcpy(at, "\x31\xc0\xb0\x27\x0f\x05\xc3", 7);
    printf("mapped again: %d\n", ((code)at)() == getpid() && ((code)at)() == getpid());
    memcpy(at, "\xb8\x07\0\0\0\xc3", 6);
    printf("no system call any more: %ld\n", ((code)at)());
}

static void many_sites(void)
{
    char *at = map(PROT_READ | PROT_WRITE | PROT_EXEC);
    int good = 0;
    for (size_t i = 0; i < PAGE / 8; i++)
        emit(at + i * 8, SYS_getpid);
    for (int round = 0; round < 2; round++)
        for (size_t i = 0; i < PAGE / 8; i++)
            good += ((code)(at + i * 8))() == getpid();
    printf("a page full of sites: %d\n", good);
}

static void double_mapped(void)
{
    int fd = memfd_create("code", 0);
    CHECK(ftruncate(fd, (off_t)PAGE) == 0);
    char *writable = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    char *executable = mmap(NULL, PAGE, PROT_READ | PROT_EXEC, MAP_SHARED, fd, 0);
    int good = 0;
    for (uint32_t round = 0; round < 10; round++) {
        emit(writable, round % 2 ? SYS_getpid : SYS_getppid);
        for (int i = 0; i < 3; i++)
            good += ((code)executable)() == (round % 2 ? getpid() : getppid());
    }
    printf("two mappings of one page: %d\n", good);
}

static pthread_barrier_t barrier;
static char *meeting;

static void *meet(void *argument)
{
    long good = 0;
    for (size_t i = 0; i < 200; i++) {
        pthread_barrier_wait(&barrier);
        good += ((code)(meeting + i * 8))() == getpid();
    }
    return (void *)(good + (long)argument);
}

int main(void)
{
    rewriting();
    write_xor_execute();
    many_sites();
    double_mapped();
    meeting = map(PROT_READ | PROT_WRITE | PROT_EXEC);
    for (size_t i = 0; i < 200; i++)
        emit(meeting + i * 8, SYS_getpid);
    pthread_t threads[3];
    pthread_barrier_init(&barrier, NULL, 3);
    for (int i = 0; i < 3; i++)
        CHECK(pthread_create(&threads[i], NULL, meet, NULL) == 0);
    for (int i = 0; i < 3; i++) {
        void *good;
        pthread_join(threads[i], &good);
        printf("meeting at new sites: %ld\n", (long)good);
    }
    char *child_code = map(PROT_READ | PROT_WRITE | PROT_EXEC);
    emit(child_code, SYS_getpid);
    ((code)child_code)();
    pid_t pid = vfork();
    if (pid == 0)
        _exit(((code)child_code)() == getpid() ? 21 : 22);
    printf("in a vfork child: %d\n", reap(pid));
    return finish();
}
