/* Memory that is not the program's: it maps, protects, unmaps and moves over whatever else stands in
 * its address space, at fixed addresses too. Whether that is refused or does nothing, calls go on.
 */
#include "check.h"
#include <linux/io_uring.h>
#include <sys/mman.h>
#include <asm/prctl.h>

#define WINDOW 0x7e9000000000
#define WINDOW_SIZE 0x1000000000

static bool alive(void)
{
    pid_t pid = fork();
    if (pid == 0)
        _exit(getppid() > 0 ? 3 : 4);
    return reap(pid) == 3 && getpid() > 0;
}

static void spoil(unsigned long at, unsigned long size)
{
    char *own = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    void *to = (void *)at;
    munmap(to, size);
    mprotect(to, size, PROT_NONE);
    madvise(to, size, MADV_DONTNEED);
    mremap(own, 4096, 4096, MREMAP_MAYMOVE | MREMAP_FIXED, to);
    mremap(to, 4096, 8192, MREMAP_MAYMOVE);
    void *got = mmap(to, size, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED | MAP_NORESERVE,
                     -1, 0);
    if (got == to)
        munmap(to, size);
    mlock(to, 4096);
    munmap(own, 4096);
}

/* What the host may or may not have: a clean refusal or the real thing. */
static void rings(void)
{
    struct io_uring_params params;
    memset(&params, 0, sizeof params);
    long fd = syscall(SYS_io_uring_setup, 4, &params);
    printf("io_uring: %d\n", fd >= 0 || errno == ENOSYS || errno == EPERM);
    if (fd >= 0)
        close((int)fd);
    errno = 0;
    printf("bad io_uring: %d\n", syscall(SYS_io_uring_setup, 0, NULL) == -1 && errno != 0);
}

int main(void)
{
    spoil(WINDOW, WINDOW_SIZE);
    printf("all of it: %d\n", alive());
    spoil(WINDOW, 4096);
    printf("its first page: %d\n", alive());
    spoil(WINDOW - 4096, 8192);
    printf("across its border: %d\n", alive());
    for (unsigned long at = WINDOW; at < WINDOW + WINDOW_SIZE; at += 0x10000000)
        spoil(at, 0x1000);
    for (unsigned long at = 0x7e9000000000; at < 0x7e9000100000; at += 0x1000)
        spoil(at, 0x1000);
    printf("piece by piece: %d\n", alive());
    char text[16];
    int fd = open("/dev/zero", O_RDONLY);
    ssize_t got = read(fd, (void *)WINDOW, 16);
    printf("read into it: %d\n", got == 16 || (got == -1 && errno == EFAULT));
    CHECK(read(fd, text, 16) == 16);
    unsigned long gs = 1;
    CHECK(syscall(SYS_arch_prctl, ARCH_GET_GS, &gs) == 0);
    printf("gs %lx\n", gs);
    rings();
    printf("at the end: %d\n", alive());
    return finish();
}
