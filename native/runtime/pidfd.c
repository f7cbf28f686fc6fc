/* Reading the pid out of a pidfd: only its fdinfo tells (pidfd_open(2), "fdinfo"). */
#include "process.h"
#include "text.h"

static uint32_t number_after(const char *text, const char *key)
{
    size_t size = strlen(key);
    for (; *text; text++) {
        if (memcmp(text, key, size) != 0)
            continue;
        for (text += size; *text == '\t' || *text == ' '; text++)
            ;
        return (uint32_t)exo_get_number(text, &text);
    }
    return 0;
}

uint32_t exo_slot_of_pidfd(int host_pidfd)
{
    char path[40] = "/proc/self/fdinfo/", text[512];
    exo_put_number(path + strlen(path), (uint32_t)host_pidfd);
    long fd = HOST_3(__NR_open, path, O_CLOEXEC_, 0);
    if (fd < 0)
        return 0;
    memset(text, 0, sizeof(text));
    long size = HOST_3(__NR_read, fd, text, sizeof(text) - 16);
    HOST_1(__NR_close, fd);
    return size <= 0 ? 0 : exo_task_find_host(KR, number_after(text, "\nPid:"));
}
