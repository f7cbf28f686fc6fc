/* mmap(2) and its relatives: files, sharing, protection, moving, fixed addresses, faults. */
#include "check.h"
#include <setjmp.h>
#include <sys/mman.h>

#define PAGE 4096ul
static sigjmp_buf back;
static void fault(int number)
{
    siglongjmp(back, number);
}

static int touch(volatile char *at, bool write)
{
    int number = sigsetjmp(back, 1);
    if (number == 0) {
        if (write)
            *at = 1;
        else
            (void)*at;
    }
    return number;
}

static char *map(size_t size, int protection, int flags, int fd)
{
    return mmap(NULL, size, protection, flags, fd, 0);
}

static void files(int fd)
{
    char text[8] = "", *shared = map(3 * PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, fd);
    char *private = map(3 * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE, fd);
    CHECK(shared != MAP_FAILED && private != MAP_FAILED);
    memcpy(shared, "shared", 6);
    CHECK(pread(fd, text, 6, 0) == 6);
    printf("file sees: %s, private sees: %.6s\n", text, private);
    memcpy(private, "PRIVAT", 6);
    CHECK(pwrite(fd, "written", 7, 10) == 7);
    printf("shared: %.6s %.7s\n", shared, shared + 10);
    printf("past the end of file: signal %d, ", touch(shared + 2 * PAGE, false));
    printf("in its last page: %d\n", touch(shared + PAGE + 200, true));
    CHECK(msync(shared, PAGE, MS_SYNC) == 0);
    CHECK(ftruncate(fd, 10) == 0);
    printf("truncated: signal %d\n", touch(shared + PAGE, false));
    munmap(private, 3 * PAGE);
    munmap(shared, 3 * PAGE);
    FAILS(mmap(NULL, PAGE, PROT_READ, MAP_SHARED, 99, 0));
    FAILS(mmap(NULL, PAGE, PROT_READ, MAP_PRIVATE, fd, 5));
    FAILS(mmap(NULL, 0, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0));
    FAILS(mmap(NULL, PAGE, PROT_READ, MAP_ANONYMOUS, -1, 0));
    int only = open("file", O_RDONLY);
    FAILS(mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, only, 0));
    CHECK(map(PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE, only) != MAP_FAILED);
}

static void moving(void)
{
    int anonymous = MAP_PRIVATE | MAP_ANONYMOUS, both = PROT_READ | PROT_WRITE;
    char *at = map(8 * PAGE, both, anonymous, -1);
    strcpy(at, "moved");
    char *hole = at + 4 * PAGE;
    CHECK(munmap(hole, PAGE) == 0);
    printf("hole: signal %d\n", touch(hole, false));
    CHECK(mmap(hole, PAGE, both, anonymous | MAP_FIXED_NOREPLACE, -1, 0) == hole);
    FAILS(mmap(hole, PAGE, both, anonymous | MAP_FIXED_NOREPLACE, -1, 0));
    strcpy(hole, "old");
    CHECK(mmap(hole, PAGE, both, anonymous | MAP_FIXED, -1, 0) == hole);
    printf("replaced: %d\n", hole[0]);
    FAILS(mmap(at + 1, PAGE, both, anonymous | MAP_FIXED, -1, 0));
    char *far = map(64 * PAGE, PROT_NONE, anonymous, -1);
    char *grown = mremap(at, 4 * PAGE, 16 * PAGE, MREMAP_MAYMOVE | MREMAP_FIXED, far);
    printf("mremap: %d %s, old place: signal %d\n", grown == far, grown, touch(at, false));
    CHECK(mremap(far, 16 * PAGE, 2 * PAGE, 0) == far);
    FAILS(mremap(at, PAGE, 2 * PAGE, MREMAP_MAYMOVE));
    CHECK(madvise(far, PAGE, MADV_DONTNEED) == 0);
    printf("dontneed: %d\n", far[0]);
    FAILS(munmap(far + 1, PAGE));
    FAILS(madvise(far + 1, PAGE, MADV_DONTNEED));
    unsigned char resident[2];
    CHECK(mincore(far, PAGE, resident) == 0);
    CHECK(mmap(NULL, PAGE, both, anonymous | MAP_32BIT, -1, 0) < (void *)0x100000000);
}

int main(void)
{
    signal(SIGSEGV, fault);
    signal(SIGBUS, fault);
    int fd = open("file", O_RDWR | O_CREAT | O_TRUNC, 0600);
    CHECK(fd >= 0 && ftruncate(fd, (off_t)PAGE + 100) == 0);
    files(fd);
    moving();
    char *at = map(PAGE, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1);
    printf("read only: read %d write %d\n", touch(at, false), touch(at, true));
    CHECK(mprotect(at, PAGE, PROT_NONE) == 0);
    printf("none: read %d\n", touch(at, false));
    CHECK(mprotect(at, PAGE, PROT_READ | PROT_WRITE) == 0);
    printf("both: write %d\n", touch(at, true));
    FAILS(mprotect(at + 1, PAGE, PROT_READ));
    FAILS(mprotect((char *)PAGE, PAGE, PROT_READ));
    char *shared = map(PAGE, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1);
    *at = 'p';
    pid_t pid = fork();
    if (pid == 0) {
        *at = *shared = 'c';
        _exit(0);
    }
    CHECK(reap(pid) == 0);
    printf("fork: shared %c private %c\n", *shared, *at);
    int memory = memfd_create("test", MFD_CLOEXEC | MFD_ALLOW_SEALING);
    CHECK(ftruncate(memory, (off_t)PAGE) == 0 && fcntl(memory, F_ADD_SEALS, F_SEAL_SHRINK) == 0);
    FAILS(ftruncate(memory, 10));
    CHECK(mlock(shared, PAGE) == 0 && munlock(shared, PAGE) == 0);
    return finish();
}
