/* personality(2): what is asked and set, who inherits it, and what it changes. */
#include "check.h"
#include <sys/mman.h>
#include <sys/personality.h>
#include <sys/utsname.h>

#define ASK 0xffffffff

static void system_says(void)
{
    struct utsname names;
    int major, minor, patch;
    CHECK(uname(&names) == 0);
    CHECK(sscanf(names.release, "%d.%d.%d", &major, &minor, &patch) == 3);
    printf("%d.%d.%d %s\n", major, minor, patch, names.machine);
}

/* Whether readable memory comes out executable. */
static bool read_implies_exec(void)
{
    char *page = mmap(NULL, 4096, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0), line[512], at[32];
    bool executable = false;
    FILE *maps = fopen("/proc/self/maps", "r");
    CHECK(page != MAP_FAILED && maps);
    while (maps && fgets(line, sizeof line, maps)) {
        unsigned long start, end;
        CHECK(sscanf(line, "%lx-%lx %31s", &start, &end, at) == 3);
        if (start <= (unsigned long)page && (unsigned long)page < end)
            executable = at[2] == 'x';
    }
    if (maps)
        fclose(maps);
    munmap(page, 4096);
    return executable;
}

static void show(bool executed)
{
    int now = personality(ASK);
    printf("now %x, read implies exec %d", (unsigned)now, read_implies_exec());
    /* Where nothing is random, addresses are the same under any kernel. */
    if (executed && (now & ADDR_NO_RANDOMIZE) && !(now & ADDR_COMPAT_LAYOUT))
        printf(", code at %lx", (unsigned long)show >> 24);
    printf(": ");
    system_says();
}

int main(int argc, char **argv)
{
    static const unsigned long all[] = {0,
                                        UNAME26,
                                        ADDR_NO_RANDOMIZE,
                                        READ_IMPLIES_EXEC,
                                        ADDR_COMPAT_LAYOUT,
                                        ADDR_LIMIT_3GB,
                                        STICKY_TIMEOUTS,
                                        PER_LINUX32,
                                        PER_LINUX32 | UNAME26 | ADDR_NO_RANDOMIZE,
                                        PER_BSD,
                                        PER_SVR4,
                                        0x1234};
    (void)argv;
    if (argc > 1) {
        show(true);
        return finish();
    }
    for (size_t i = 0; i < sizeof all / sizeof *all; i++) {
        pid_t pid = fork();
        if (pid == 0) {
            printf("was %x, ", (unsigned)personality(all[i]));
            show(false);
            execl("/proc/self/exe", "personality", "executed", NULL);
        }
        printf("%lx: %d\n", all[i], reap(pid));
    }
    CHECK(personality(ASK) == 0);
    return finish();
}
