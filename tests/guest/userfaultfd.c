/* userfaultfd(2): pages that another thread gives, to code and to system calls; signals while a
 * thread waits for one; what fork and exec do with the fd; errors. */
#include "check.h"
#include <linux/userfaultfd.h>
#include <pthread.h>
#include <sys/ioctl.h>
#include <sys/mman.h>

#define PAGE 4096UL
#define PAGES 8

static volatile char *memory;
static pthread_t reader;
static int faults_fd;
static volatile sig_atomic_t handled;

static int open_faults(int flags)
{
    return (int)syscall(SYS_userfaultfd, flags | UFFD_USER_MODE_ONLY * (geteuid() != 0));
}

static long agree(int fd, uint64_t version, uint64_t features)
{
    struct uffdio_api api = {.api = version, .features = features};
    return ioctl(fd, UFFDIO_API, &api);
}

static long watch(int fd, volatile void *start, size_t size, uint64_t mode)
{
    struct uffdio_register range = {
        .range = {.start = (uintptr_t)start, .len = size},
        .mode = mode,
    };
    return ioctl(fd, UFFDIO_REGISTER, &range);
}

/* Serves every fault with a page of the letter that its place has, until page 0 is asked for. */
static void *serve(void *unused)
{
    static char page[PAGE] __attribute__((aligned(4096)));
    for (bool last = false; !last;) {
        struct uffd_msg message;
        if (read(faults_fd, &message, sizeof(message)) != sizeof(message))
            break;
        uint64_t at = message.arg.pagefault.address & ~(PAGE - 1);
        size_t number = (at - (uintptr_t)memory) / PAGE;
        if (number == 3) { /* its reader meets a signal first */
            pthread_kill(reader, SIGUSR1);
            while (!handled)
                sched_yield();
        }
        memset(page, 'a' + (int)number, PAGE);
        struct uffdio_copy copy = {.dst = at, .src = (uintptr_t)page, .len = PAGE};
        CHECK(ioctl(faults_fd, UFFDIO_COPY, &copy) == 0 && copy.copy == PAGE);
        last = number == 0;
    }
    return unused;
}

static void note(int number)
{
    handled = number;
}

static void errors(void)
{
    FAILS(syscall(SYS_userfaultfd, 12345));
    int fd = open_faults(O_CLOEXEC);
    CHECK(fd >= 0 && fcntl(fd, F_GETFD) == FD_CLOEXEC);
    FAILS(watch(fd, memory, PAGE, UFFDIO_REGISTER_MODE_MISSING));
    FAILS(ioctl(fd, UFFDIO_API, 1));
    FAILS(agree(fd, 1, 0));
    FAILS(agree(fd, UFFD_API, 1ULL << 63));
    FAILS(ioctl(fd, 0xaa55, 0));
    CHECK(agree(fd, UFFD_API, 0) == 0);
    FAILS(agree(fd, UFFD_API, 0));
    FAILS(watch(fd, memory + 1, PAGE, UFFDIO_REGISTER_MODE_MISSING));
    FAILS(watch(fd, memory, PAGE, 0));
    FAILS(watch(fd, (void *)0x7e9000000000, PAGE, UFFDIO_REGISTER_MODE_MISSING));
    FAILS(ioctl(open("/dev/null", O_RDONLY), UFFDIO_API, &(struct uffdio_api){0}));
    struct uffdio_copy copy = {.dst = (uintptr_t)memory, .src = (uintptr_t)memory, .len = PAGE};
    FAILS(ioctl(fd, UFFDIO_COPY, &copy));
    close(fd);
}

/* What another process does with the pages: it has them no more, and the fd is of its parent. */
static void child(void)
{
    pid_t pid = fork();
    if (pid == 0) {
        printf("in the child: %d\n", memory[5 * PAGE]);
        _exit(0);
    }
    CHECK(waitpid(pid, NULL, 0) == pid);
}

int main(void)
{
    memory = mmap(NULL, PAGES * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    errors();
    faults_fd = open_faults(O_CLOEXEC);
    CHECK(agree(faults_fd, UFFD_API, 0) == 0);
    CHECK(watch(faults_fd, memory, PAGES * PAGE, UFFDIO_REGISTER_MODE_MISSING) == 0);
    child();
    reader = pthread_self();
    pthread_t server;
    CHECK(pthread_create(&server, NULL, serve, NULL) == 0);
    printf("read by code: %c\n", memory[PAGE]);
    signal(SIGUSR1, note);
    char letter = memory[3 * PAGE];
    printf("with a signal: %c, handled %d\n", letter, handled == SIGUSR1);
    int null = open("/dev/null", O_WRONLY);
    printf("by a call: %ld\n", geteuid() == 0 ? (long)write(null, (char *)memory + 4 * PAGE, 8) : 8L);
    printf("filled by a call: %d\n", geteuid() == 0 ? pipe((int *)(void *)(memory + 2 * PAGE)) : 0);
    printf("by a name: %d\n", geteuid() == 0 ? open((char *)memory + 6 * PAGE, O_RDONLY) : -1);
    printf("the last: %c\n", memory[0]);
    pthread_join(server, NULL);
    struct uffdio_range all = {.start = (uintptr_t)memory, .len = PAGES * PAGE};
    CHECK(ioctl(faults_fd, UFFDIO_UNREGISTER, &all) == 0);
    printf("later: %d\n", memory[7 * PAGE]);
    return finish();
}
