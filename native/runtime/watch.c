/* A tracee's debug registers: hardware breakpoints of the host, by perf_event_open(2) on the tracee's
 * own thread, whose SIGTRAP the runtime makes look like that of a debug register.
 *
 * DIFFERS: where the host refuses perf events, setting a hardware breakpoint gives the error.
 */
#include <linux/hw_breakpoint.h>
#include <linux/perf_event.h>

#include "tracedata.h"

#define DR_COUNT 4
#define DR_STATUS 6
#define DR_CONTROL 7
#define TRAP_HWBKPT_ 4
#define TRAP_PERF_ 6

static bool is_enabled(uint64_t control, unsigned i)
{
    return control >> (2 * i) & 3;
}

/* The event that debug register i stands for; false where the CPU has no such breakpoint. */
static bool describe(struct perf_event_attr *event, uint64_t address, uint64_t control, unsigned i)
{
    static const uint8_t sizes[] = {1, 2, 8, 4};
    static const uint8_t types[] = {HW_BREAKPOINT_X, HW_BREAKPOINT_W, 0, HW_BREAKPOINT_RW};
    unsigned type = control >> (16 + 4 * i) & 3, size = control >> (18 + 4 * i) & 3;
    memset(event, 0, sizeof(*event));
    event->size = sizeof(*event);
    event->type = PERF_TYPE_BREAKPOINT;
    event->bp_type = types[type];
    event->bp_addr = address;
    event->bp_len = type == 0 ? sizeof(long) : sizes[size];
    event->sample_period = 1;
    event->sigtrap = 1;
    event->remove_on_exec = 1;
    event->exclude_kernel = 1;
    event->exclude_hv = 1;
    event->sig_data = i;
    return types[type] != 0 && (type != 0 || size == 0);
}

static long open_event(struct perf_event_attr *event)
{
    return HOST_5(__NR_perf_event_open, event, 0, -1, -1, PERF_FLAG_FD_CLOEXEC);
}

/* In the tracer: whether the host would set them; asked with events of its own that do not count. */
static long try_control(const struct exo_trace *record, uint64_t control)
{
    for (unsigned i = 0; i < DR_COUNT; i++) {
        struct perf_event_attr event;
        if (!is_enabled(control, i))
            continue;
        if (!describe(&event, record->debug[i], control, i))
            return -EINVAL;
        event.disabled = 1;
        long fd = open_event(&event);
        if (fd < 0)
            return fd;
        HOST_1(__NR_close, fd);
    }
    return 0;
}

long exo_trace_set_debug(struct exo_trace *record, uint64_t i, uint64_t value)
{
    if (i == 4 || i == 5)
        return -EIO;
    if (i < DR_COUNT && value >= EXO_ADDRESS_LIMIT)
        return -EIO;
    long error = i == DR_CONTROL ? try_control(record, value) : 0;
    if (error == 0) {
        record->debug[i] = value;
        record->changed |= EXO_CHANGED_DEBUG;
    }
    return error;
}

/* In the tracee. */
void exo_trace_disarm(void)
{
    int32_t *fds = area()->watch_fds;
    for (unsigned i = 0; i < DR_COUNT; i++) {
        if (fds[i] != 0)
            HOST_1(__NR_close, fds[i]);
        fds[i] = 0;
    }
}

void exo_trace_arm(const struct exo_trace *me)
{
    uint64_t control = me->debug[DR_CONTROL];
    exo_trace_disarm();
    for (unsigned i = 0; i < DR_COUNT; i++) {
        struct perf_event_attr event;
        if (!is_enabled(control, i) || !describe(&event, me->debug[i], control, i))
            continue;
        long fd = open_event(&event);
        area()->watch_fds[i] = fd > 0 ? (int32_t)fd : 0;
    }
}

bool exo_trace_watched(struct k_siginfo *info)
{
    struct exo_trace *me = exo_trace_of(area()->task);
    uint64_t i;
    if (info->signo != SIGTRAP_ || info->code != TRAP_PERF_ || !area()->adopted)
        return false;
    memcpy(&i, info->rest + 8, sizeof(i));
    me->debug[DR_STATUS] |= 1UL << (i & 3);
    memset(info->rest + 8, 0, sizeof(info->rest) - 8);
    info->code = TRAP_HWBKPT_;
    return true;
}
