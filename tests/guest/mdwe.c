/* prctl(2), PR_SET_MDWE: errors, what is refused then, who inherits it. */
#include "check.h"
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/shm.h>

#ifndef PR_SET_MDWE
#define PR_SET_MDWE 65
#define PR_GET_MDWE 66
#endif
#define REFUSE_EXEC_GAIN 1
#define NO_INHERIT 2
#define SIZE 12288

static void *map(int protection)
{
    return mmap(NULL, SIZE, protection, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
}

static void errors(void)
{
    FAILS(prctl(PR_SET_MDWE, 4, 0, 0, 0));
    FAILS(prctl(PR_SET_MDWE, NO_INHERIT, 0, 0, 0));
    FAILS(prctl(PR_SET_MDWE, REFUSE_EXEC_GAIN, 1, 0, 0));
    FAILS(prctl(PR_GET_MDWE, 1, 0, 0, 0));
    CHECK(prctl(PR_SET_MDWE, 0, 0, 0, 0) == 0);
    CHECK(prctl(PR_SET_MDWE, REFUSE_EXEC_GAIN, 0, 0, 0) == 0);
    CHECK(prctl(PR_SET_MDWE, REFUSE_EXEC_GAIN, 0, 0, 0) == 0);
    FAILS(prctl(PR_SET_MDWE, 0, 0, 0, 0));
    FAILS(prctl(PR_SET_MDWE, REFUSE_EXEC_GAIN | NO_INHERIT, 0, 0, 0));
    printf("set %d\n", prctl(PR_GET_MDWE, 0, 0, 0, 0));
}

static void refusals(void)
{
    char *plain = map(PROT_READ), *code = map(PROT_READ | PROT_EXEC);
    char *open = map(PROT_READ | PROT_WRITE | PROT_EXEC), *hole = map(PROT_READ | PROT_EXEC);
    int id = shmget(IPC_PRIVATE, 4096, 0600);
    CHECK(prctl(PR_SET_MDWE, REFUSE_EXEC_GAIN, 0, 0, 0) == 0);
    FAILS(map(PROT_WRITE | PROT_EXEC));
    FAILS(map(PROT_READ | PROT_WRITE | PROT_EXEC));
    FAILS(mmap(NULL, 0, PROT_WRITE | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0));
    FAILS(mmap(NULL, 4096, PROT_WRITE | PROT_EXEC, MAP_PRIVATE, -1, 0));
    CHECK(map(PROT_READ | PROT_EXEC) != MAP_FAILED);
    CHECK(map(PROT_READ | PROT_WRITE) != MAP_FAILED);
    FAILS(mprotect(plain, SIZE, PROT_READ | PROT_EXEC));
    FAILS(mprotect(plain, 4096, PROT_EXEC));
    FAILS(mprotect(code, SIZE, PROT_READ | PROT_WRITE | PROT_EXEC));
    FAILS(mprotect(open, SIZE, PROT_READ | PROT_WRITE | PROT_EXEC));
    FAILS(mprotect(open, SIZE, PROT_READ | PROT_EXEC));
    FAILS(mprotect(code, SIZE, PROT_EXEC));
    FAILS(mprotect(code, 4096, PROT_READ | PROT_WRITE));
    FAILS(mprotect(code, 4096, PROT_READ | PROT_EXEC));
    FAILS(mprotect(code + 1, 4096, PROT_READ | PROT_EXEC));
    FAILS(mprotect((void *)4096, 4096, PROT_EXEC));
    FAILS(mprotect((void *)4096, 4096, PROT_WRITE | PROT_EXEC));
    FAILS(pkey_mprotect(plain, 4096, PROT_EXEC, -1));
    CHECK(munmap(hole + 4096, 4096) == 0);
    FAILS(mprotect(hole, 4096, PROT_READ | PROT_EXEC));
    FAILS(mprotect(hole + 8192, 4096, PROT_READ));
    FAILS(mprotect(hole + 8192, 4096, PROT_READ | PROT_EXEC));
    FAILS(shmat(id, NULL, SHM_EXEC));
    CHECK(shmat(id, NULL, SHM_EXEC | SHM_RDONLY) != (void *)-1);
    CHECK(shmat(id, NULL, 0) != (void *)-1);
    shmctl(id, IPC_RMID, NULL);
}

static int state(void)
{
    return prctl(PR_GET_MDWE, 0, 0, 0, 0) * 10 + (map(PROT_WRITE | PROT_EXEC) == MAP_FAILED);
}

static void inheritance(int bits)
{
    CHECK(prctl(PR_SET_MDWE, bits, 0, 0, 0) == 0);
    pid_t pid = fork();
    if (pid == 0)
        _exit(state());
    printf("bits %d: a child's %d\n", bits, reap(pid));
    execl("/proc/self/exe", "mdwe", "executed", NULL);
}

int main(int argc, char **argv)
{
    (void)argv;
    if (argc > 1) {
        printf("executed: %d\n", state());
        return finish();
    }
    if (prctl(PR_GET_MDWE, 0, 0, 0, 0) == -1)
        return finish(); /* Linux before 6.3 */
    for (int i = 0; i < 4; i++) {
        pid_t pid = fork();
        if (pid == 0) {
            if (i == 0)
                errors();
            else if (i == 1)
                refusals();
            else
                inheritance(i == 2 ? REFUSE_EXEC_GAIN : REFUSE_EXEC_GAIN | NO_INHERIT);
            _exit(failures);
        }
        printf("%d: %d\n", i, reap(pid));
    }
    return finish();
}
