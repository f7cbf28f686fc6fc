/* For `posix-x profile`: where in the program a call was made, with the stack that tells who called that
 * place, and at what addresses a program's files were mapped. */
#include <exo/origin.h>

#include "record.h"
#include "stub.h"
#include "text.h"

#define PAGE 4096UL
#define PATH_ROOM 1024

/* Bytes of stack that are worth having: at least the first word, by which they are known. */
static uint64_t wanted(uint64_t rip, uint64_t rsp)
{
    uint64_t first = 0, size = KR->recording.stack_limit;
    if (size == 0 || guest_get(&first, rsp) != 0)
        return 0;
    uint64_t key = exo_depth_key(rip, first);
    uint64_t known = load_relaxed(exo_depth_at(&KR->recording, key));
    if (((known ^ key) & ~EXO_DEPTH_MASK) != 0 || (known & EXO_DEPTH_MASK) == 0)
        return size;
    uint64_t words = (known & EXO_DEPTH_MASK) - 1;
    words = words > 0 ? words : 1;
    return words * 8 < size ? words * 8 : size;
}

void exo_record_origin(struct exo_stage *stage, const struct exo_regs *regs)
{
    struct exo_regs seen = {.rip = regs->rip};
    exo_stub_hide(&seen);
    uint64_t size = wanted(seen.rip, regs->rsp);
    struct exo_origin origin = {.rip = seen.rip, .rsp = regs->rsp, .rbp = regs->rbp};
    uint8_t *to = stage->data + stage->size + sizeof(origin);
    if (guest_read(to, regs->rsp, size) != 0) { /* what is on its first page */
        size = PAGE - regs->rsp % PAGE < size ? (PAGE - regs->rsp % PAGE) & ~7UL : 0;
        if (guest_read(to, regs->rsp, size) != 0)
            size = 0;
    }
    origin.size = size;
    memcpy(stage->data + stage->size, &origin, sizeof(origin));
    stage->size += (uint32_t)(sizeof(origin) + size);
    exo_called_of(stage)->flags |= EXO_CALLED_ORIGIN;
}

/* The path of a host fd; empty if it has none. Returns how many bytes it takes with its NUL. */
static uint64_t path_of(char *to, int fd)
{
    char link[40] = "/proc/self/fd/";
    exo_put_number(link + strlen(link), (uint64_t)fd);
    long size = HOST_4(__NR_readlinkat, AT_FDCWD_, link, to, PATH_ROOM - 1);
    to[size > 0 ? size : 0] = '\0';
    return strlen(to) + 1;
}

/* Right behind exo_record_executed(), so the stage is free. */
void exo_record_image(uint64_t bias, uint64_t interp_bias, const char *interp)
{
    struct exo_area *mine = area();
    struct exo_stage *stage = exo_stage_of(mine);
    if (likely(!(mine->observe & EXO_OBSERVE_RECORD)) ||
        !(KR->recording.flags & EXO_RECORDING_ORIGINS))
        return;
    struct exo_imaged image = {exo_tsc(), bias, interp_bias};
    memcpy(stage->data, &image, sizeof(image));
    char *text = (char *)stage->data + sizeof(image);
    text += path_of(text, EXO_FD_EXE);
    if (interp != NULL && strlen(interp) < PATH_ROOM)
        text = exo_put_text(text, interp);
    *text = '\0';
    exo_record_push(mine, EXO_RECORD_IMAGE, stage->data,
                    (uint32_t)(text + 1 - (char *)stage->data));
}
