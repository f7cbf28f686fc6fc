/* io_setup(2), io_submit(2), io_getevents(2), io_pgetevents(2), io_cancel(2), io_destroy(2): requests
 * with low and high fds, notification, signals, fork, errors. */
#include "check.h"
#include <linux/aio_abi.h>
#include <poll.h>
#include <sys/eventfd.h>

#define COUNT 4

static aio_context_t context;
static volatile sig_atomic_t handled;

static long submit(struct iocb *block)
{
    return syscall(SYS_io_submit, context, 1, &block);
}

static long wait_for(long least, long most, struct io_event *events)
{
    return syscall(SYS_io_getevents, context, least, most, events, NULL);
}

static struct iocb request(int operation, int fd, void *buffer, size_t size)
{
    return (struct iocb){.aio_lio_opcode = (uint16_t)operation,
                         .aio_fildes = (uint32_t)fd,
                         .aio_buf = (uintptr_t)buffer,
                         .aio_nbytes = size,
                         .aio_data = (uint64_t)fd};
}

static void files(int fd)
{
    char text[] = "asynchronous", back[sizeof text] = "";
    struct io_event event = {0};
    struct iocb block = request(IOCB_CMD_PWRITE, fd, text, sizeof text);
    CHECK(submit(&block) == 1 && wait_for(1, 1, &event) == 1);
    CHECK(event.obj == (uintptr_t)&block && event.res == sizeof text && event.data == (uint64_t)fd);
    block = request(IOCB_CMD_PREAD, fd, back, sizeof back);
    CHECK(submit(&block) == 1 && wait_for(1, 1, &event) == 1 && event.res == sizeof text);
    CHECK(block.aio_fildes == (uint32_t)fd);
    printf("read back: %s\n", back);
}

/* Several at once, the last one bad: what comes before it is done. */
static void several(int low, int high)
{
    char bytes[COUNT] = "abcd";
    struct iocb blocks[COUNT], *pointers[COUNT];
    struct io_event events[COUNT];
    for (int i = 0; i < COUNT; i++) {
        blocks[i] = request(IOCB_CMD_PWRITE, i % 2 ? high : low, &bytes[i], 1);
        blocks[i].aio_offset = 100 + i;
        pointers[i] = &blocks[i];
    }
    CHECK(syscall(SYS_io_submit, context, COUNT, pointers) == COUNT);
    CHECK(wait_for(COUNT, COUNT, events) == COUNT);
    blocks[3].aio_fildes = 58;
    printf("with a bad fd: %ld\n", syscall(SYS_io_submit, context, COUNT, pointers));
    CHECK(wait_for(3, 3, events) == 3 && blocks[3].aio_fildes == 58);
    pointers[0] = &blocks[3];
    FAILS(syscall(SYS_io_submit, context, COUNT, pointers));
    CHECK(pread(low, bytes, COUNT, 100) == COUNT);
    printf("written: %.4s\n", bytes);
}

static void note(int number)
{
    handled = number;
}

/* Nothing comes until a signal does; a mask may keep that out. */
static void signals(int pipe_end)
{
    struct iocb block = request(IOCB_CMD_POLL, pipe_end, (void *)POLLIN, 0);
    struct io_event event;
    sigset_t nothing, alarm;
    sigemptyset(&nothing);
    sigemptyset(&alarm);
    struct {
        const sigset_t *mask;
        size_t size;
    } none = {&nothing, 8}, wrong = {&nothing, 9};
    handled = 0;
    struct timespec soon = {.tv_nsec = 1000000};
    sigaddset(&alarm, SIGALRM);
    struct sigaction action = {.sa_handler = note, .sa_flags = SA_RESTART};
    CHECK(sigaction(SIGALRM, &action, NULL) == 0 && submit(&block) == 1);
    CHECK(sigprocmask(SIG_BLOCK, &alarm, NULL) == 0 && raise(SIGALRM) == 0);
    printf("blocked: %ld\n", syscall(SYS_io_getevents, context, 1, 1, &event, &soon));
    FAILS(syscall(SYS_io_pgetevents, context, 1, 1, &event, NULL, &wrong));
    CHECK(handled == 0);
    FAILS(syscall(SYS_io_pgetevents, context, 1, 1, &event, NULL, &none));
    printf("handled: %d\n", handled == SIGALRM);
    FAILS(syscall(SYS_io_cancel, context, &block, &event));
    CHECK(wait_for(1, 1, &event) == 1 && event.obj == (uintptr_t)&block);
}

static void notification(int fd, int notify)
{
    char byte = 'n';
    struct io_event event;
    struct iocb block = request(IOCB_CMD_PWRITE, fd, &byte, 1);
    block.aio_flags = IOCB_FLAG_RESFD;
    block.aio_resfd = (uint32_t)notify;
    eventfd_t count = 0;
    CHECK(submit(&block) == 1 && eventfd_read(notify, &count) == 0 && count == 1);
    CHECK(wait_for(1, 1, &event) == 1 && block.aio_resfd == (uint32_t)notify);
}

int main(void)
{
    struct io_event event;
    struct iocb block = request(IOCB_CMD_PREAD, 0, NULL, 0);
    FAILS(syscall(SYS_io_setup, 0, &context));
    FAILS(syscall(SYS_io_setup, 8, NULL));
    FAILS(submit(&block));
    CHECK(syscall(SYS_io_setup, 8, &context) == 0);
    FAILS(syscall(SYS_io_setup, 8, &context));
    FAILS(syscall(SYS_io_submit, context, -1, NULL));
    FAILS(syscall(SYS_io_submit, context, 1, NULL));
    FAILS(submit(NULL));
    FAILS(syscall(SYS_io_cancel, context, &block, &event));
    int low = open("file", O_RDWR | O_CREAT | O_TRUNC, 0600), high = dup2(low, 60), ends[2];
    int notify = eventfd(0, 0);
    CHECK(pipe(ends) == 0);
    files(low);
    files(high);
    several(low, high);
    notification(low, dup2(notify, 61));
    notification(high, notify);
    signals(ends[0]);
    signals(dup2(ends[0], 62));
    pid_t pid = fork();
    if (pid == 0) {
        FAILS(submit(&block));
        _exit(0);
    }
    CHECK(waitpid(pid, NULL, 0) == pid);
    CHECK(syscall(SYS_io_destroy, context) == 0);
    FAILS(syscall(SYS_io_destroy, context));
    return finish();
}
