/* The legacy tier's guest side: stages the arguments in the task's call frame, announces the call,
 * waits, does what the kernel process asks on its behalf, and copies the answer out.
 */
#include <linux/futex.h>

#include "companion.h"
#include "legacy.h"
#include "nap.h"
#include "proctext.h"
#include "translate.h"

#define SPIN_COUNT 3000

static struct exo_frame *my_frame(void)
{
    return &KR->frames[area()->slot];
}

void exo_ring(uint32_t bell)
{
    uint64_t one = 1;
    exchange(&KR->calls_posted, 1);
    full_fence();
    if (load_relaxed(&KR->kernel_sleeping) & bell)
        HOST_3(__NR_write, EXO_FD_DOORBELL, &one, sizeof(one));
}

static void post(struct exo_frame *frame, uint32_t state)
{
    store_release(&frame->state, state);
    store_release(&area()->task->call_posted, 1);
    exo_ring(EXO_KERNEL_SLEEPING);
}

/* struct futex_waitv of futex_waitv(2). */
struct wait_word {
    uint64_t value, address;
    uint32_t flags, reserved;
};

/* Sleeps while the frame is in state and the kernel process lives: its death marks its alive word
 * and wakes one sleeper, who wakes the others. */
static void sleep_in(const struct exo_frame *frame, uint32_t state)
{
    uint32_t *alive = &KR->tasks[0].alive.word, owner = load_acquire(alive);
    if (!(owner & (FUTEX_WAITERS | FUTEX_OWNER_DIED)))
        owner = fetch_or(alive, FUTEX_WAITERS) | FUTEX_WAITERS;
    if (owner & FUTEX_OWNER_DIED) {
        HOST_3(__NR_futex, alive, FUTEX_WAKE, INT32_MAX);
        exo_end_with_kernel();
    }
    struct wait_word words[2] = {
        {.value = state, .address = (uint64_t)&frame->state, .flags = FUTEX_32},
        {.value = owner, .address = (uint64_t)alive, .flags = FUTEX_32}};
    if (HOST_5(__NR_futex_waitv, words, 2, 0, 0, 0) == -ENOSYS) /* before Linux 5.16 */
        HOST_4(__NR_futex, &frame->state, FUTEX_WAIT, state, 0);
}

/* Until the kernel process has moved the frame on from state. */
static uint32_t await(struct exo_frame *frame, uint32_t state)
{
    uint32_t now;
    for (int i = 0; KR->cpu_count > 1 && i < SPIN_COUNT; i++) {
        now = load_acquire(&frame->state);
        if (now != state)
            return now;
        spin_pause();
    }
    while ((now = load_acquire(&frame->state)) == state || now == (state | EXO_FRAME_WAITING)) {
        uint32_t expected = state;
        if (now == state && !compare_exchange(&frame->state, &expected, state | EXO_FRAME_WAITING))
            continue;
        sleep_in(frame, state | EXO_FRAME_WAITING);
    }
    return now;
}

/* The fd that came with the reply; messages for others are left-overs of the dead. */
static int receive_fd(const struct exo_frame *frame)
{
    uint32_t payload[2];
    struct {
        uint64_t size;
        int32_t level, type, fd, pad;
    } control;
    uint64_t iov[2] = {(uint64_t)payload, sizeof(payload)};
    for (;;) {
        struct k_msghdr message = {.iov = (uint64_t)iov,
                                   .iov_count = 1,
                                   .control = (uint64_t)&control,
                                   .control_size = sizeof(control)};
        long got =
            HOST_3(__NR_recvmsg, EXO_FD_CHANNEL, &message, MSG_DONTWAIT_ | MSG_CMSG_CLOEXEC_);
        if (got < 0)
            return -EIO;
        if (message.control_size < 20 || control.level != SOL_SOCKET_ ||
            control.type != SCM_RIGHTS_)
            continue;
        if (payload[0] == area()->slot && payload[1] == frame->sequence)
            return control.fd;
        HOST_1(__NR_close, control.fd);
    }
}

/* Takes the fd out of the channel and frees the frame. */
static int take_reply(struct exo_frame *frame)
{
    int host = receive_fd(frame);
    store_release(&frame->state, EXO_FRAME_IDLE);
    exo_ring(EXO_KERNEL_AWAITS_HANDOVER);
    return host;
}

static long install_reply(struct exo_frame *frame, int fd)
{
    uint32_t flags = frame->flags;
    int host = take_reply(frame);
    if (host < 0) {
        exo_fd_untake(fd);
        return host;
    }
    exo_fd_give(fd, host, flags & EXO_REPLY_CLOEXEC);
    struct exo_fd *entry = exo_fd_entry(fd);
    entry->flags |= EXO_FD_HOST_CLOEXEC;
    if (flags & EXO_REPLY_DIRECTORY)
        entry->flags |= EXO_FD_DIRECTORY;
    if (flags & EXO_REPLY_TEXT)
        exo_text_opened(entry);
    return fd;
}

static void make_host_call(struct exo_frame *frame)
{
    long args[6];
    for (int i = 0; i < 6; i++)
        args[i] = frame->host_data & (1U << i)
                      ? (long)(frame->data + ((uint64_t)frame->host_args[i] % EXO_FRAME_DATA_SIZE))
                      : frame->host_args[i];
    frame->host_result =
        host_call(frame->host_nr, args[0], args[1], args[2], args[3], args[4], args[5]);
}

/* Posts the frame and serves host calls until the reply is there. */
static void exchange_frame(struct exo_frame *frame)
{
    exo_nap_pay();
    area()->legacy_calls++;
    if (!exo_kernel_serves()) {
        frame->result = -ENOSYS;
        frame->flags = 0;
        return;
    }
    frame->sequence++;
    post(frame, EXO_FRAME_POSTED);
    uint32_t state = EXO_FRAME_POSTED;
    while (await(frame, state) == EXO_FRAME_HOSTCALL) {
        make_host_call(frame);
        state = EXO_FRAME_HOSTDONE;
        post(frame, state);
    }
    if (area()->observe & EXO_OBSERVE_STATS)
        fetch_add(&KR->counts.legacy_calls[frame->nr], 1);
}

static uint32_t argument_size(const struct exo_arg *arg, const long *args)
{
    uint64_t count = 1;
    if (arg->length_arg != EXO_LENGTH_FIXED)
        count = (uint64_t)args[arg->length_arg & ~EXO_LENGTH_INT];
    if (arg->length_arg & EXO_LENGTH_INT)
        count = (uint32_t)count;
    uint64_t size = count * arg->size;
    return count > EXO_FRAME_DATA_SIZE || size > EXO_FRAME_DATA_SIZE ? EXO_FRAME_DATA_SIZE + 1
                                                                     : (uint32_t)size;
}

/* Puts one argument's memory into data; -errno. */
static long stage(struct exo_frame *frame, int i, const struct exo_arg *arg, const long *args)
{
    uint32_t at = (frame->data_size + 15) & ~15U;
    long size = argument_size(arg, args);
    uint64_t from = (uint64_t)args[i];
    frame->arg_offset[i] = at;
    frame->arg_size[i] = 0;
    if (from == 0)
        return 0;
    if (at + (uint64_t)size > EXO_FRAME_DATA_SIZE)
        return -EINVAL;
    if (arg->kind == EXO_ARG_PATH || arg->kind == EXO_ARG_STR) {
        size = guest_string((char *)frame->data + at, from, EXO_FRAME_DATA_SIZE - at);
        if (size++ < 0)
            return size - 1;
    } else if (arg->kind != EXO_ARG_OUT &&
               guest_read(frame->data + at, from, (uint64_t)size) != 0) {
        return -EFAULT;
    }
    frame->arg_size[i] = (uint32_t)size;
    frame->data_size = at + (uint32_t)size;
    return 0;
}

static bool is_staged(const struct exo_arg *arg)
{
    return arg->kind >= EXO_ARG_PATH && arg->kind <= EXO_ARG_INOUT;
}

static long copy_out(const struct exo_frame *frame, const struct exo_call *call, const long *args)
{
    for (int i = 0; i < call->argc; i++) {
        uint32_t size = frame->out_size[i];
        if (!is_staged(&call->args[i]) || size == 0 || size > frame->arg_size[i])
            continue;
        if (guest_write((uint64_t)args[i], frame->data + frame->arg_offset[i], size) != 0)
            return -EFAULT;
    }
    return 0;
}

long exo_legacy(long a, long b, long c, long d, long e, long f)
{
    struct exo_frame *frame = my_frame();
    uint64_t nr = area()->regs.nr;
    const struct exo_call *call = &exo_calls[nr];
    const long args[6] = {a, b, c, d, e, f};
    frame->nr = (uint32_t)nr;
    frame->data_size = 0;
    for (int i = 0; i < 6; i++) {
        frame->args[i] = args[i];
        frame->arg_size[i] = frame->out_size[i] = 0;
        if (!is_staged(&call->args[i]))
            continue;
        long error = stage(frame, i, &call->args[i], args);
        if (error != 0)
            return error;
    }
    exchange_frame(frame);
    long error = copy_out(frame, call, args);
    long result = error != 0 ? error : frame->result;
    store_release(&frame->state, EXO_FRAME_IDLE);
    return result;
}

/* Has the kernel process open a path; fd is the number that the file is going to get. */
static void ask_for_file(struct exo_path *path, uint64_t flags, uint64_t mode, int fd)
{
    struct exo_frame *frame = my_frame();
    uint32_t size = (uint32_t)strlen(path->guest) + 1;
    memset(frame->arg_size, 0, sizeof(frame->arg_size));
    memset(frame->args, 0, sizeof(frame->args));
    frame->nr = __NR_openat;
    frame->args[0] = AT_FDCWD_;
    frame->args[2] = (long)flags;
    frame->args[3] = (long)mode;
    frame->args[4] = fd; /* a listing of our fds shows the one it is read through */
    frame->arg_offset[1] = 0;
    frame->arg_size[1] = frame->data_size = size;
    memcpy(frame->data, path->guest, size);
    exchange_frame(frame);
}

/* openat(2) of a file the kernel process makes; path->host takes the path if it passes. */
long exo_legacy_open(struct exo_path *path, uint64_t flags, uint64_t mode)
{
    struct exo_frame *frame = my_frame();
    int fd = exo_fd_take(0);
    if (fd < 0)
        return fd;
    ask_for_file(path, flags, mode, fd);
    if (frame->flags & EXO_REPLY_FD)
        return install_reply(frame, fd);
    exo_fd_untake(fd);
    long result = frame->result;
    if (frame->flags & EXO_REPLY_PASS) {
        if (frame->flags & EXO_REPLY_PATH)
            memcpy(path->host, frame->data, EXO_PATH_SIZE);
        path->host[EXO_PATH_SIZE - 1] = '\0';
        result = EXO_LEGACY_PASS;
    }
    store_release(&frame->state, EXO_FRAME_IDLE);
    return result;
}

/* The same file again, as a host fd that gets no number of the guest's. */
long exo_legacy_fetch(struct exo_path *path)
{
    struct exo_frame *frame = my_frame();
    ask_for_file(path, O_CLOEXEC_, 0, -1);
    if (frame->flags & EXO_REPLY_FD)
        return take_reply(frame);
    long result = frame->flags & EXO_REPLY_PASS ? -ENOENT : frame->result;
    store_release(&frame->state, EXO_FRAME_IDLE);
    return result;
}

/* Something that is not the guest's to ask, in the name of a call that never gets there otherwise. */
static void tell(uint32_t nr, long a, long b, long c)
{
    struct exo_frame *frame = my_frame();
    if (load_acquire(&frame->state) != EXO_FRAME_IDLE)
        return;
    memset(frame->arg_size, 0, sizeof(frame->arg_size));
    memset(frame->args, 0, sizeof(frame->args));
    frame->nr = nr;
    frame->data_size = 0;
    frame->args[0] = a;
    frame->args[1] = b;
    frame->args[2] = c;
    exchange_frame(frame);
    store_release(&frame->state, EXO_FRAME_IDLE);
}

/* Has the kernel process write what EXO_STATS asks for, before anybody sees that we have ended. */
void exo_legacy_report(uint32_t status)
{
    tell(__NR_exit_group, (int32_t)status, 0, 0);
}

/* Has the kernel process tell our tracer, whom we may not signal. */
void exo_legacy_tell_tracer(int code, uint32_t status, uint32_t uid)
{
    tell(__NR_ptrace, code, (int32_t)status, uid);
}
