/* sethostname(2), setdomainname(2): refused here or served by the kernel process, which has the names
 * (posix_x/syscalls/system.py). Privilege comes before length, and that before the name's address.
 */
#include "capability.h"
#include "legacy.h"

#define CAP_SYS_ADMIN_ 21
#define NAME_MAX_SIZE 64

static long set_name(long name, long size)
{
    if (!exo_capable(CAP_SYS_ADMIN_))
        return -EPERM;
    if ((int)size < 0 || (int)size > NAME_MAX_SIZE)
        return -EINVAL;
    if (name == 0 && (int)size > 0)
        return -EFAULT;
    return exo_legacy(name, (int)size, 0, 0, 0, 0);
}

SYSCALL(sethostname)
{
    return set_name(a, b);
}

SYSCALL(setdomainname)
{
    return set_name(a, b);
}
