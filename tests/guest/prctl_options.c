/* prctl(2): every option there may be, with good and bad arguments, and what some of them do. */
#include "check.h"
#include <elf.h>
#include <linux/capability.h>
#include <linux/prctl.h>
#include <linux/securebits.h>
#include <pthread.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <x86intrin.h>

#define OPTION_COUNT 85
#define AUXV 0x41555856

static unsigned long buffer[512];

/* Results that are addresses, or not the same twice. */
static bool is_shown(long option, long result)
{
    return !(option == PR_GET_TID_ADDRESS && result == 0) && option != PR_GET_NAME;
}

static void show(long option, unsigned long second, unsigned long third, unsigned long fourth)
{
    memset(buffer, 0, sizeof buffer);
    errno = 0;
    long result = syscall(SYS_prctl, option, second, third, fourth, 0);
    const char *error = result == -1 ? error_name(errno) : "";
    printf(" %ld%s", option == AUXV && result > 0 ? 1 : result, error);
    if (is_shown(option, result) && option != AUXV && buffer[0] != 0)
        printf("[%x]", (unsigned)buffer[0]);
}

/* In a child: an option may be for good. */
static void sweep_option(long option)
{
    const unsigned long seconds[] = {0, 1, 2, 3, 15, 40, 100, -1UL, (unsigned long)buffer, 8};
    const unsigned long thirds[] = {0, 1, (unsigned long)buffer, 4096, -1UL};
    printf("%ld:", option);
    for (size_t i = 0; i < sizeof seconds / sizeof *seconds; i++)
        for (size_t j = 0; j < sizeof thirds / sizeof *thirds; j++) {
            pid_t pid = fork();
            if (pid == 0) {
                show(option, seconds[i], thirds[j], 0);
                _exit(0);
            }
            int status = reap(pid);
            if (status != 0)
                printf(" died %d", status);
        }
    printf("\n");
}

static void sweep(void)
{
    static const long others[] = {AUXV, PR_SET_VMA, PR_SET_PTRACER, 99999, -1};
    for (long option = 0; option < OPTION_COUNT; option++)
        sweep_option(option);
    for (size_t i = 0; i < sizeof others / sizeof *others; i++)
        sweep_option(others[i]);
}

static void child(const char *name, void (*body)(void))
{
    pid_t pid = fork();
    if (pid == 0) {
        body();
        _exit(failures);
    }
    printf("%s: %d\n", name, reap(pid));
}

static int death_signal(void)
{
    int sig = -1;
    CHECK(prctl(PR_GET_PDEATHSIG, &sig) == 0);
    return sig;
}

static void *thread_death_signal(void *argument)
{
    *(int *)argument = death_signal();
    return NULL;
}

static void death_signals(void)
{
    pthread_t thread;
    int other = -1;
    printf("at first %d", death_signal());
    CHECK(prctl(PR_SET_PDEATHSIG, SIGUSR1) == 0);
    pthread_create(&thread, NULL, thread_death_signal, &other);
    pthread_join(thread, NULL);
    printf(", set %d, a thread's %d", death_signal(), other);
    pid_t pid = fork();
    if (pid == 0)
        _exit(death_signal());
    printf(", a child's %d\n", reap(pid));
    FAILS(prctl(PR_SET_PDEATHSIG, 65));
    FAILS(prctl(PR_SET_PDEATHSIG, -1));
    FAILS(prctl(PR_GET_PDEATHSIG, 8));
    CHECK(prctl(PR_SET_PDEATHSIG, 0) == 0);
}

static int number_in(const char *path, const char *key)
{
    char line[512];
    int number = -1;
    FILE *file = fopen(path, "r");
    while (file && fgets(line, sizeof line, file))
        if (key == NULL)
            sscanf(strrchr(line, ')') + 2, "%*c %d", &number);
        else if (strncmp(line, key, strlen(key)) == 0)
            number = atoi(line + strlen(key));
    if (file)
        fclose(file);
    return number;
}

/* A grandchild whose parent dies is ours: as it sees it, as we see it, and to be waited for. */
static void subreaper(void)
{
    int pipes[2], flag = -1;
    pid_t top = getpid();
    CHECK(pipe(pipes) == 0);
    CHECK(prctl(PR_SET_CHILD_SUBREAPER, 1) == 0);
    CHECK(prctl(PR_GET_CHILD_SUBREAPER, &flag) == 0 && flag == 1);
    pid_t middle = fork();
    if (middle == 0) {
        CHECK(prctl(PR_GET_CHILD_SUBREAPER, &flag) == 0 && flag == 0);
        if (fork() == 0) {
            char c, path[64];
            close(pipes[1]);
            CHECK(read(pipes[0], &c, 1) == 0);
            snprintf(path, sizeof path, "/proc/%d/task/%d/children", top, top);
            FILE *file = fopen(path, "r");
            int mine = 0;
            CHECK(file && fscanf(file, "%d", &mine) == 1);
            printf("parent %d stat %d status %d children %d\n", getppid() == top,
                   number_in("/proc/self/stat", NULL) == top,
                   number_in("/proc/self/status", "PPid:") == top, mine == getpid());
            _exit(7);
        }
        _exit(0);
    }
    CHECK(reap(middle) == 0);
    close(pipes[1]);
    printf("orphan %d\n", reap(-1));
}

static bool is_ambient(int capability)
{
    return prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_IS_SET, capability, 0, 0) == 1;
}

static void capabilities(void)
{
    struct __user_cap_header_struct header = {_LINUX_CAPABILITY_VERSION_3, 0};
    struct __user_cap_data_struct sets[2];
    FAILS(prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE, CAP_KILL, 0, 0));
    FAILS(prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE, 99, 0, 0));
    CHECK(syscall(SYS_capget, &header, sets) == 0);
    sets[0].inheritable |= 1U << CAP_KILL;
    printf("inheritable %ld\n", syscall(SYS_capset, &header, sets));
    FAILS(prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE, CAP_KILL, 0, 0));
    printf("ambient %d", is_ambient(CAP_KILL));
    CHECK(prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0) == 0);
    printf(" %d\n", is_ambient(CAP_KILL));
    printf("bounding %d", prctl(PR_CAPBSET_READ, CAP_SYS_TIME));
    FAILS(prctl(PR_CAPBSET_DROP, CAP_SYS_TIME));
    printf("bounding %d\n", prctl(PR_CAPBSET_READ, CAP_SYS_TIME));
    printf("secure bits %x", prctl(PR_GET_SECUREBITS));
    FAILS(prctl(PR_SET_SECUREBITS, SECBIT_NOROOT | SECBIT_KEEP_CAPS));
    printf("secure bits %x keep %d\n", prctl(PR_GET_SECUREBITS), prctl(PR_GET_KEEPCAPS));
}

/* Changes of user with and without keeping capabilities. */
static void keep_capabilities(void)
{
    struct __user_cap_header_struct header = {_LINUX_CAPABILITY_VERSION_3, 0};
    struct __user_cap_data_struct sets[2];
    CHECK(prctl(PR_SET_KEEPCAPS, 1) == 0);
    if (getuid() == 0)
        CHECK(setresuid(65534, 65534, 65534) == 0);
    CHECK(syscall(SYS_capget, &header, sets) == 0);
    printf("permitted %x effective %x\n", sets[0].permitted, sets[0].effective);
}

static volatile sig_atomic_t faults;

static void on_fault(int sig, siginfo_t *info, void *context)
{
    (void)context;
    printf("signal %d code %d\n", sig, info->si_code);
    faults++;
    CHECK(prctl(PR_SET_TSC, PR_TSC_ENABLE) == 0);
}

static void time_stamps(void)
{
    struct sigaction action = {.sa_sigaction = on_fault, .sa_flags = SA_SIGINFO};
    int mode = -1;
    sigaction(SIGSEGV, &action, NULL);
    CHECK(prctl(PR_SET_TSC, PR_TSC_SIGSEGV) == 0 && prctl(PR_GET_TSC, &mode) == 0);
    printf("mode %d\n", mode);
    for (int i = 0; i < 20; i++) { /* waits, in which a kernel reads them all the same */
        int ends[2];
        char c;
        CHECK(pipe(ends) == 0);
        pid_t pid = fork();
        if (pid == 0) {
            usleep(500);
            _exit(write(ends[1], "w", 1) != 1);
        }
        CHECK(read(ends[0], &c, 1) == 1 && reap(pid) == 0);
        close(ends[0]);
        close(ends[1]);
    }
    (void)__rdtsc();
    CHECK(faults == 1 && prctl(PR_GET_TSC, &mode) == 0);
    printf("mode %d\n", mode);
}

/* What auxv has that a program relies on. */
static void auxiliary(void)
{
    Elf64_auxv_t *auxv = (void *)buffer;
    CHECK(prctl(AUXV, buffer, sizeof buffer, 0, 0) > 0);
    int count = 0;
    for (; auxv[count].a_type != AT_NULL; count++)
        if (auxv[count].a_type == AT_PAGESZ || auxv[count].a_type == AT_UID)
            printf("auxv %lu: %lu\n", auxv[count].a_type, auxv[count].a_un.a_val);
    CHECK(count > 10);
}

static void names_of_memory(void)
{
    char *page = mmap(NULL, 4096, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0), line[512];
    bool found = false;
    if (prctl(PR_SET_VMA, PR_SET_VMA_ANON_NAME, page, 4096, "a name") != 0)
        return;
    FILE *file = fopen("/proc/self/maps", "r");
    while (file && fgets(line, sizeof line, file))
        found |= strstr(line, "[anon:a name]") != NULL;
    CHECK(found);
    FAILS(prctl(PR_SET_VMA, PR_SET_VMA_ANON_NAME, page, 4096, "a [bad] name"));
    FAILS(prctl(PR_SET_VMA, PR_SET_VMA_ANON_NAME, 4096, 4096, "nowhere"));
    FAILS(prctl(PR_SET_VMA, PR_SET_VMA_ANON_NAME, page + 1, 4096, "odd"));
}

static void map_description(void)
{
    struct prctl_mm_map map = {.exe_fd = 1234};
    unsigned size = 0;
    FAILS(prctl(PR_SET_MM, PR_SET_MM_MAP_SIZE, &size, 0, 0));
    printf("size %u\n", size);
    FAILS(prctl(PR_SET_MM, PR_SET_MM_MAP, &map, sizeof map, 0));
    FAILS(prctl(PR_SET_MM, PR_SET_MM_MAP, 8, sizeof map, 0));
    FAILS(prctl(PR_SET_MM, PR_SET_MM_MAP, &map, 5, 0));
    FAILS(prctl(PR_SET_MM, PR_SET_MM_EXE_FILE, 1234, 0, 0));
    FAILS(prctl(PR_SET_MM, PR_SET_MM_EXE_FILE, open("/proc/self/exe", O_RDONLY), 0, 0));
    FAILS(prctl(PR_SET_MM, PR_SET_MM_EXE_FILE, open("/dev/null", O_RDONLY), 0, 0));
    FAILS(prctl(PR_SET_MM, PR_SET_MM_BRK, 8, 0, 0));
    FAILS(prctl(PR_SET_MM, PR_SET_MM_START_STACK, &map, 0, 0));
    FAILS(prctl(PR_SET_MM, 99, 0, 0, 0));
}

static void slack(void)
{
    int first = prctl(PR_GET_TIMERSLACK);
    CHECK(prctl(PR_SET_TIMERSLACK, 123456) == 0);
    printf("slack %d", prctl(PR_GET_TIMERSLACK));
    CHECK(prctl(PR_SET_TIMERSLACK, 0) == 0);
    printf(", back %d\n", prctl(PR_GET_TIMERSLACK) == first);
}

static void *address_of_tid(void *argument)
{
    int **address = argument;
    CHECK(prctl(PR_GET_TID_ADDRESS, address) == 0);
    CHECK(*address != NULL && **address == (int)syscall(SYS_gettid));
    return NULL;
}

static void tid_addresses(void)
{
    int *mine = NULL, *other = NULL, word;
    pthread_t thread;
    pthread_create(&thread, NULL, address_of_tid, &other);
    pthread_join(thread, NULL);
    syscall(SYS_set_tid_address, &word);
    CHECK(prctl(PR_GET_TID_ADDRESS, &mine) == 0 && mine == &word && other != mine);
    FAILS(prctl(PR_GET_TID_ADDRESS, 8));
}

int main(void)
{
    struct rlimit no_core = {0, 0};
    setrlimit(RLIMIT_CORE, &no_core);
    death_signals();
    child("in a child", death_signals);
    sweep();
    child("subreaper", subreaper);
    child("capabilities", capabilities);
    child("kept capabilities", keep_capabilities);
    child("auxiliary vector", auxiliary);
    child("names of memory", names_of_memory);
    child("map", map_description);
    child("slack", slack);
    child("tid addresses", tid_addresses);
    child("time stamps", time_stamps);
    return finish();
}
