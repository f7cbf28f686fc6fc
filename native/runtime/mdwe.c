/* PR_SET_MDWE of prctl(2): what can be written is never executed, and what was not executable never
 * becomes so. The host's own would stop the patching of sites, so the runtime refuses instead. What
 * is executable already, the host's /proc/self/maps says.
 */
#include "mdwe.h"

#define REFUSE_EXEC_GAIN 1
#define NO_INHERIT 2
#define CHUNK 512

/* As far as a line of /proc/self/maps matters: "start-end rwxp ...". */
struct reader {
    uint64_t start, end, number;
    uint32_t field, column;
    bool executable;
};

static uint64_t bits_of(uint32_t flags)
{
    return (flags & EXO_TASK_MDWE ? REFUSE_EXEC_GAIN : 0) |
           (flags & EXO_TASK_MDWE_ONCE ? NO_INHERIT : 0);
}

long exo_mdwe_set(uint64_t bits, long c, long d, long e)
{
    uint32_t *flags = &area()->leader->flags;
    uint64_t now = bits_of(*flags);
    if ((c | d | e) != 0 || (bits & ~(uint64_t)(REFUSE_EXEC_GAIN | NO_INHERIT)) ||
        bits == NO_INHERIT)
        return -EINVAL;
    if (now != 0 && now != bits)
        return -EPERM;
    if (bits & REFUSE_EXEC_GAIN)
        fetch_or(flags, EXO_TASK_MDWE);
    if (bits & NO_INHERIT)
        fetch_or(flags, EXO_TASK_MDWE_ONCE);
    return 0;
}

long exo_mdwe_get(long b, long c, long d, long e)
{
    return (b | c | d | e) != 0 ? -EINVAL : (long)bits_of(area()->leader->flags);
}

uint32_t exo_mdwe_inherit(uint32_t flags)
{
    return flags & EXO_TASK_MDWE_ONCE ? flags & ~(uint32_t)EXO_TASK_MDWE_BOTH : flags;
}

static bool is_on(void)
{
    return area()->leader->flags & EXO_TASK_MDWE;
}

bool exo_mdwe_refuses_map(long protection)
{
    return (protection & PROT_EXEC_) && (protection & PROT_WRITE_) && is_on();
}

static uint64_t digit(char c)
{
    return (uint64_t)(c <= '9' ? c - '0' : c - 'a' + 10);
}

/* Takes one more character; true at the end of a line. */
static bool take(struct reader *line, char c)
{
    if (c == '\n') {
        line->field = line->column = 0;
        line->number = 0;
        return true;
    }
    if (line->field < 2 && (c == '-' || c == ' ')) {
        *(line->field == 0 ? &line->start : &line->end) = line->number;
        line->number = 0;
        line->field++;
        line->column = 0;
    } else if (line->field < 2) {
        line->number = line->number << 4 | digit(c);
    } else if (++line->column == 3) {
        line->executable = c == 'x';
    }
    return false;
}

/* Whether [start, end) has mapped memory that is not executable; with any, whether it has any. */
static bool finds(uint64_t start, uint64_t end, bool any)
{
    struct reader line = {0};
    char text[CHUNK];
    bool found = false;
    long got, fd = HOST_4(__NR_openat, AT_FDCWD_, "/proc/self/maps", O_CLOEXEC_, 0);
    if (fd < 0)
        return true;
    while (!found && (got = HOST_3(__NR_read, fd, text, sizeof(text))) > 0)
        for (long i = 0; i < got && !found; i++)
            found = take(&line, text[i]) && line.start < end && line.end > start &&
                    (any || !line.executable);
    HOST_1(__NR_close, fd);
    return found;
}

bool exo_mdwe_refuses_change(uint64_t start, uint64_t size, long protection)
{
    if (!(protection & PROT_EXEC_) || !is_on() || (start & 4095) != 0 || start + size < start)
        return false;
    return finds(start, start + size, protection & PROT_WRITE_);
}
