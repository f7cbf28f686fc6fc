/* What a system says about itself: uname(2), sethostname(2), setdomainname(2), sysinfo(2).
 *
 * The names are the instance's, in the region. Of sysinfo's figures the number of tasks is.
 */
#include <linux/personality.h>

#include "capability.h"
#include "text.h"

#define CAP_SYS_ADMIN_ 21
#define ASK 0xffffffff
#define ROOM (EXO_NAME_SIZE + 24)

struct k_utsname { /* struct new_utsname */
    char system[EXO_NAME_SIZE], node[EXO_NAME_SIZE], release[EXO_NAME_SIZE], version[EXO_NAME_SIZE],
        machine[EXO_NAME_SIZE], domain[EXO_NAME_SIZE];
};

/* What a program is told that knows no Linux but 2.6: 6.18.44-x is 2.6.78-x. */
static void release_26(char release[EXO_NAME_SIZE])
{
    char text[ROOM];
    const char *rest;
    exo_get_number(release, &rest);
    uint64_t minor = *rest == '.' ? exo_get_number(rest + 1, &rest) : 0;
    if (rest[0] == '.' && rest[1] >= '0' && rest[1] <= '9')
        exo_get_number(rest + 1, &rest);
    exo_put_text(exo_put_number(exo_put_text(text, "2.6."), 60 + minor), rest);
    text[EXO_NAME_SIZE - 1] = '\0';
    exo_put_text(release, text);
}

SYSCALL(uname)
{
    struct k_utsname now;
    uint64_t personality = (uint64_t)HOST_1(__NR_personality, ASK);
    memset(&now, 0, sizeof(now));
    exo_lock_acquire(&KR->names.lock);
    exo_put_text(now.node, KR->names.host);
    exo_put_text(now.release, KR->names.release);
    exo_put_text(now.version, KR->names.version);
    exo_put_text(now.domain, KR->names.domain);
    exo_lock_release(&KR->names.lock);
    exo_put_text(now.system, "Linux");
    exo_put_text(now.machine, (personality & PER_MASK) == PER_LINUX32 ? "i686" : "x86_64");
    if (personality & UNAME26)
        release_26(now.release);
    return guest_write((uint64_t)a, &now, sizeof(now));
}

/* Privilege comes before length, and that before the name's address. */
static long set_name(char to[EXO_NAME_SIZE], long name, long size)
{
    char text[EXO_NAME_SIZE] = {0};
    if (!exo_capable(CAP_SYS_ADMIN_))
        return -EPERM;
    if ((int)size < 0 || (int)size >= EXO_NAME_SIZE)
        return -EINVAL;
    if (guest_read(text, (uint64_t)name, (uint64_t)(int)size) != 0)
        return -EFAULT;
    exo_lock_acquire(&KR->names.lock);
    memcpy(to, text, sizeof(text));
    exo_lock_release(&KR->names.lock);
    return 0;
}

SYSCALL(sethostname)
{
    return set_name(KR->names.host, a, b);
}

SYSCALL(setdomainname)
{
    return set_name(KR->names.domain, a, b);
}

SYSCALL(sysinfo)
{
    struct {
        uint64_t before[10];
        uint16_t tasks, padding;
        uint32_t padding_too;
        uint64_t high[2];
        uint32_t unit, end;
    } info;
    _Static_assert(sizeof(info) == 112, "struct sysinfo");
    long error = HOST_1(__NR_sysinfo, &info);
    if (error != 0)
        return error;
    info.tasks = 1; /* the kernel process */
    for (uint32_t slot = 1; slot < load_acquire(&KR->task_high); slot++)
        if (load_relaxed(&exo_ids_of(KR, slot)->tid) != 0)
            info.tasks++;
    return guest_write((uint64_t)a, &info, sizeof(info));
}
