/* brk(2): growing, shrinking, zeroed pages, limits, fork. */
#include "check.h"
#include <sys/resource.h>

static char *set(char *end)
{
    return (char *)syscall(SYS_brk, end);
}

int main(void)
{
    char *start = set(NULL), *base = start;
    CHECK(start != NULL);
    printf("page aligned start plausible: %d\n", (uintptr_t)start > 0x1000);
    base = (char *)(((uintptr_t)start + 4095) & ~4095ul);
    CHECK(set(base + 1000000) == base + 1000000);
    base[0] = 'a';
    base[999999] = 'z';
    printf("grown: %c %d %c\n", base[0], base[500000], base[999999]);
    CHECK(set(base + 100) == base + 100);
    CHECK(set(base + 1000000) == base + 1000000);
    printf("shrunk and grown again: %c %d\n", base[0], base[999999]);
    printf("below the start: refused %d\n", set((char *)0x10000) == base + 1000000);
    printf("absurd: refused %d\n", set((char *)0x7ffffffff000) == base + 1000000);
    FAILS(brk((char *)0x7ffffffff000));
    pid_t pid = fork();
    if (pid == 0) {
        CHECK(set(NULL) == base + 1000000);
        CHECK(set(base + 2000000) == base + 2000000);
        base[1999999] = base[0] = 'c';
        _exit(failures);
    }
    CHECK(reap(pid) == 0);
    printf("after the child ours stays: %c %d\n", base[0], set(NULL) == base + 1000000);
    void *old = sbrk(4096);
    CHECK(old == base + 1000000 && sbrk(0) == base + 1004096);
    struct rlimit limit = {8 << 20, 8 << 20};
    CHECK(setrlimit(RLIMIT_DATA, &limit) == 0);
    errno = 0;
    CHECK(sbrk(64 << 20) == (void *)-1);
    printf("over RLIMIT_DATA: %s\n", error_name(errno));
    return finish();
}
