/* ptrace(2): memory and registers of a stopped tracee. Its registers stand in its record; its memory
 * is read and written through the host's /proc/PID/mem, which reaches read-only text too.
 */
#include "tracedata.h"
#include "text.h"

#define USER_SIZE 928 /* struct user */
#define USER_DEBUG_AT 848
#define FLAGS_SETTABLE 0x54dd5UL
#define REGS_SIZE (REG_COUNT * 8UL)
#define FPREGS_SIZE 512UL
#define NT_PRSTATUS_ 1
#define NT_PRFPREG_ 2
#define NT_X86_XSTATE_ 0x202
#define ARCH_SET_FS_ 0x1002
#define ARCH_GET_FS_ 0x1003
#define ARCH_GET_GS_ 0x1004
#define AUDIT_ARCH_X86_64_ 0xc000003e
#define PTRACE_ARCH_PRCTL_ 30

static long copy_word(const struct exo_task *task, uint64_t addr, uint64_t *word, bool write)
{
    char path[40], *to = exo_put_text(path, "/proc/");
    exo_put_text(exo_put_number(to, task->host_tid), "/mem");
    long fd = HOST_3(__NR_open, path, O_CLOEXEC_ | 2 /* O_RDWR */, 0);
    if (fd < 0)
        return -EIO;
    bool beyond = addr >= EXO_ADDRESS_LIMIT || in_window(addr, sizeof(*word));
    long size = beyond  ? -EIO
                : write ? HOST_4(__NR_pwrite64, fd, word, sizeof(*word), addr)
                        : HOST_4(__NR_pread64, fd, word, sizeof(*word), addr);
    HOST_1(__NR_close, fd);
    return size == sizeof(*word) ? 0 : -EIO;
}

static long peek(const struct exo_task *task, uint64_t addr, uint64_t data)
{
    uint64_t word = 0;
    long error = copy_word(task, addr, &word, false);
    return error ? error : guest_put(data, &word);
}

/* One register, as PTRACE_SETREGS takes it. */
static long set_reg(struct exo_trace *record, uint64_t i, uint64_t value)
{
    uint64_t selector = value & 0xffff;
    switch (i) {
    case REG_EFLAGS:
        value = (record->regs[i] & ~FLAGS_SETTABLE) | (value & FLAGS_SETTABLE);
        break;
    case REG_FS_BASE:
    case REG_GS_BASE:
        if (value >= EXO_ADDRESS_LIMIT)
            return -EIO;
        value = i == REG_GS_BASE ? 0 : value; /* DIFFERS: a tracee's GS base stays 0 */
        break;
    case REG_CS:
    case REG_SS:
        if ((selector & 3) != 3)
            return -EIO;
        value = record->regs[i]; /* DIFFERS: segment registers stay as they are */
        break;
    case REG_GS_BASE + 1:
    case REG_GS_BASE + 2:
    case REG_GS_BASE + 3:
    case REG_GS_BASE + 4:
        if (selector != 0 && (selector & 3) != 3)
            return -EIO;
        value = record->regs[i];
        break;
    default:
        break;
    }
    record->regs[i] = value;
    record->changed |= EXO_CHANGED_REGS;
    return 0;
}

static long set_regs(struct exo_trace *record, uint64_t from, uint64_t size)
{
    uint64_t regs[REG_COUNT];
    if (guest_read(regs, from, size) != 0)
        return -EFAULT;
    for (uint64_t i = 0; i < size / 8; i++) {
        long error = set_reg(record, i, regs[i]);
        if (error != 0)
            return error;
    }
    return 0;
}

static long peek_user(const struct exo_trace *record, uint64_t addr, uint64_t data)
{
    uint64_t word = 0;
    if ((addr & 7) != 0 || addr >= USER_SIZE)
        return -EIO;
    if (addr < REGS_SIZE)
        word = record->regs[addr / 8];
    else if (addr >= USER_DEBUG_AT && addr < USER_DEBUG_AT + 64)
        word = record->debug[(addr - USER_DEBUG_AT) / 8];
    return guest_put(data, &word);
}

static long poke_user(struct exo_trace *record, uint64_t addr, uint64_t data)
{
    if ((addr & 7) != 0 || addr >= USER_SIZE)
        return -EIO;
    if (addr < REGS_SIZE)
        return set_reg(record, addr / 8, data);
    bool debug = addr >= USER_DEBUG_AT && addr < USER_DEBUG_AT + 64;
    return debug ? exo_trace_set_debug(record, (addr - USER_DEBUG_AT) / 8, data) : 0;
}

static long set_vectors(struct exo_trace *record, uint64_t from, uint64_t size)
{
    uint8_t *state = exo_trace_xstate(record);
    uint64_t legacy = 3, written;
    uint8_t sw[FPREGS_SIZE - 464];
    memcpy(sw, state + 464, sizeof(sw));
    if (guest_read(state, from, size) != 0)
        return -EFAULT;
    memcpy(state + 464, sw, sizeof(sw));
    if (size == FPREGS_SIZE) { /* the header says that x87 and SSE are given */
        memcpy(&written, state + FPREGS_SIZE, 8);
        written |= legacy;
        memcpy(state + FPREGS_SIZE, &written, 8);
    }
    record->changed |= EXO_CHANGED_VECTORS;
    return 0;
}

/* A register set by its note type: how large it is here, 0 if there is none such. */
static uint64_t set_size(const struct exo_trace *record, uint64_t type)
{
    return type == NT_PRSTATUS_     ? REGS_SIZE
           : type == NT_PRFPREG_    ? FPREGS_SIZE
           : type == NT_X86_XSTATE_ ? record->xstate_size
                                    : 0;
}

static long copy_set(struct exo_trace *record, uint64_t type, uint64_t data, bool set)
{
    uint64_t iov[2], size = set_size(record, type);
    if (guest_read(iov, data, sizeof(iov)) != 0)
        return -EFAULT;
    if (size == 0 || (iov[1] & 7) != 0)
        return -EINVAL;
    uint64_t part = iov[1] < size ? iov[1] : size;
    long error;
    if (!set)
        error = guest_write(
            iov[0], type == NT_PRSTATUS_ ? (void *)record->regs : exo_trace_xstate(record), part);
    else if (type == NT_PRSTATUS_)
        error = set_regs(record, iov[0], part);
    else
        error = part == size ? set_vectors(record, iov[0], part) : -EFAULT;
    if (error != 0)
        return error;
    return guest_put(data + 8, &part);
}

/* PTRACE_GET_SYSCALL_INFO; addr is the room at data. Returns the size there is to tell. */
static long call_info(const struct exo_trace *record, uint64_t addr, uint64_t data)
{
    static const uint8_t order[6] = {14, 13, 12, 7, 9, 8}; /* rdi rsi rdx r10 r8 r9 */
    struct ptrace_syscall_info info;
    const uint64_t *regs = record->regs;
    uint64_t size = offsetof(struct ptrace_syscall_info, entry);
    memset(&info, 0, sizeof(info));
    info.op = (uint8_t)record->call_stop;
    info.arch = AUDIT_ARCH_X86_64_;
    info.instruction_pointer = regs[REG_RIP];
    info.stack_pointer = regs[REG_RSP];
    if (info.op == PTRACE_SYSCALL_INFO_ENTRY || info.op == PTRACE_SYSCALL_INFO_SECCOMP) {
        info.entry.nr = regs[REG_ORIG_RAX];
        for (int i = 0; i < 6; i++)
            info.entry.args[i] = regs[order[i]];
        size = offsetof(struct ptrace_syscall_info, entry.args) + sizeof(info.entry.args);
    }
    if (info.op == PTRACE_SYSCALL_INFO_SECCOMP) {
        info.seccomp.ret_data = (uint32_t)record->message;
        size = offsetof(struct ptrace_syscall_info, seccomp.ret_data) + 4;
    }
    if (info.op == PTRACE_SYSCALL_INFO_EXIT) {
        info.exit.rval = (int64_t)regs[REG_RAX];
        info.exit.is_error = regs[REG_RAX] >= (uint64_t)-4095;
        size = offsetof(struct ptrace_syscall_info, exit.is_error) + 1;
    }
    return guest_write(data, &info, addr < size ? addr : size) != 0 ? -EFAULT : (long)size;
}

static long arch_prctl(struct exo_trace *record, uint64_t addr, uint64_t data)
{
    switch (data) {
    case ARCH_GET_FS_:
        return guest_put(addr, &record->regs[REG_FS_BASE]);
    case ARCH_GET_GS_:
        return guest_put(addr, &record->regs[REG_GS_BASE]);
    case ARCH_SET_FS_:
        return set_reg(record, REG_FS_BASE, addr) != 0 ? -EPERM : 0;
    default:
        return -EINVAL;
    }
}

long exo_trace_data(struct exo_task *task, long request, uint64_t addr, uint64_t data)
{
    struct exo_trace *record = exo_trace_of(task);
    switch (request) {
    case PTRACE_PEEKTEXT:
    case PTRACE_PEEKDATA:
        return peek(task, addr, data);
    case PTRACE_POKETEXT:
    case PTRACE_POKEDATA:
        return copy_word(task, addr, &data, true);
    case PTRACE_PEEKUSR:
        return peek_user(record, addr, data);
    case PTRACE_POKEUSR:
        return poke_user(record, addr, data);
    case PTRACE_GETREGS:
        return guest_write(data, record->regs, REGS_SIZE);
    case PTRACE_SETREGS:
        return set_regs(record, data, REGS_SIZE);
    case PTRACE_GETFPREGS:
        return guest_write(data, exo_trace_xstate(record), FPREGS_SIZE);
    case PTRACE_SETFPREGS:
        return set_vectors(record, data, FPREGS_SIZE);
    case PTRACE_GETREGSET:
    case PTRACE_SETREGSET:
        return copy_set(record, addr, data, request == PTRACE_SETREGSET);
    case PTRACE_GET_SYSCALL_INFO:
        return call_info(record, addr, data);
    case PTRACE_ARCH_PRCTL_:
        return arch_prctl(record, addr, data);
    default:
        return -EIO;
    }
}
