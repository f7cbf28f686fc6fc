/* core(5), WCOREDUMP: which deaths leave a core, and what the parent is told; with a core_pattern that
 * names a file that file is there, with one that names a program nothing is looked for.
 */
#include "check.h"
#include <dirent.h>
#include <elf.h>
#include <pthread.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>

static bool in_files;

/* How many cores lie here; all are removed. */
static int cores(void)
{
    int count = 0;
    DIR *directory = opendir(".");
    for (struct dirent *entry; (entry = readdir(directory)) != NULL;) {
        Elf64_Ehdr header;
        if (strncmp(entry->d_name, "core", 4) != 0)
            continue;
        int fd = open(entry->d_name, O_RDONLY);
        if (read(fd, &header, sizeof header) == sizeof header &&
            memcmp(header.e_ident, ELFMAG, SELFMAG) == 0 && header.e_type == ET_CORE) {
            struct stat stat;
            CHECK(fstat(fd, &stat) == 0 && stat.st_size < 64 << 20); /* of the program alone */
            count++;
            unlink(entry->d_name);
        }
        close(fd);
    }
    closedir(directory);
    return count;
}

static void by_abort(void)
{
    abort();
}
static void by_fault(void)
{
    *(volatile int *)8 = 0;
}
static void by_trap(void)
{
    __asm__ volatile("int3");
}
static void by_ud(void)
{
    __asm__ volatile("ud2");
}
static void by_fpe(void)
{
    __asm__ volatile("xor %%ecx, %%ecx\n xor %%edx, %%edx\n mov $1, %%eax\n div %%ecx" ::
                         : "eax", "ecx", "edx");
}
static void by_quit(void)
{
    kill(getpid(), SIGQUIT);
}
static void by_sys(void)
{
    kill(getpid(), SIGSYS);
}
static void by_segv_sent(void)
{
    raise(SIGSEGV);
}
static void by_fault_blocked(void)
{
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, SIGSEGV);
    sigprocmask(SIG_BLOCK, &set, NULL);
    by_fault();
}
static void by_term(void)
{
    kill(getpid(), SIGTERM);
}
static void by_kill(void)
{
    kill(getpid(), SIGKILL);
}
static void *in_thread(void *unused)
{
    by_fault();
    return unused;
}
static void by_thread(void)
{
    pthread_t thread;
    pthread_create(&thread, NULL, in_thread, NULL);
    for (;;)
        pause();
}
static void by_shared(void)
{
    mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    abort();
}
static void undumpable(void)
{
    prctl(PR_SET_DUMPABLE, 0);
    abort();
}
static void by_exit(void)
{
    _exit(3);
}

static void row(const char *name, void (*end)(void), rlim_t limit)
{
    siginfo_t info = {0};
    int status;
    pid_t pid = fork();
    if (pid == 0) {
        struct rlimit core = {limit, limit};
        setrlimit(RLIMIT_CORE, &core);
        end();
        _exit(99);
    }
    CHECK(waitid(P_PID, (id_t)pid, &info, WEXITED | WNOWAIT) == 0);
    CHECK(waitpid(pid, &status, 0) == pid);
    printf("%s, %s: code %d status %d dumped %d", name, limit ? "limited" : "none", info.si_code,
           WIFSIGNALED(status) ? WTERMSIG(status) : WEXITSTATUS(status),
           WIFSIGNALED(status) && WCOREDUMP(status));
    if (in_files)
        printf(" cores %d", cores());
    printf("\n");
}
#define ROW(name) row(#name, name, 64 << 20), row(#name, name, 0)

int main(void)
{
    char pattern[256] = "|";
    int fd = open("/proc/sys/kernel/core_pattern", O_RDONLY);
    (void)!read(fd, pattern, sizeof pattern - 1);
    in_files = strncmp(pattern, "core", 4) == 0;
    printf("pattern is a file here: %d\n", in_files);
    cores();
    ROW(by_abort);
    ROW(by_fault);
    ROW(by_trap);
    ROW(by_ud);
    ROW(by_fpe);
    ROW(by_quit);
    ROW(by_sys);
    ROW(by_segv_sent);
    ROW(by_fault_blocked);
    ROW(by_term);
    ROW(by_kill);
    ROW(by_thread);
    ROW(by_shared);
    ROW(undumpable);
    ROW(by_exit);
    return finish();
}
