/* seccomp(2) and threads: filters per thread, TSYNC, a thread's death, exec from one of several. */
#include "check.h"
#include <linux/filter.h>
#include <linux/futex.h>
#include <linux/seccomp.h>
#include <pthread.h>
#include <stddef.h>
#include <sys/prctl.h>
#include <sys/resource.h>

static long install(unsigned flags, long nr, unsigned action)
{
    struct sock_filter code[] = {
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, (unsigned)nr, 0, 1),
        BPF_STMT(BPF_RET | BPF_K, action),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
    };
    struct sock_fprog program = {4, code};
    return syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, flags, &program);
}

static int parent_error(void)
{
    errno = 0;
    return syscall(SYS_getppid) == -1 ? errno : 0;
}

/* Threads that do what they are told, one order at a time. */
struct thread {
    pthread_t id;
    volatile pid_t tid;
    volatile int result;
    pthread_barrier_t barrier;
    int (*volatile order)(void);
};

static void *obey(void *argument)
{
    struct thread *thread = argument;
    thread->tid = (pid_t)syscall(SYS_gettid);
    for (;;) {
        pthread_barrier_wait(&thread->barrier);
        if (thread->order == NULL)
            return NULL;
        thread->result = thread->order();
        pthread_barrier_wait(&thread->barrier);
    }
}

static void start(struct thread *thread)
{
    pthread_barrier_init(&thread->barrier, NULL, 2);
    CHECK(pthread_create(&thread->id, NULL, obey, thread) == 0);
}

static int tell(struct thread *thread, int (*order)(void))
{
    thread->order = order;
    pthread_barrier_wait(&thread->barrier);
    if (order == NULL)
        return pthread_join(thread->id, NULL);
    pthread_barrier_wait(&thread->barrier);
    return thread->result;
}

static int forbid_busy(void)
{
    return (int)install(0, SYS_getppid, SECCOMP_RET_ERRNO | EBUSY);
}

static int mode(void)
{
    return prctl(PR_GET_SECCOMP);
}

static int no_new_privs(void)
{
    return prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0);
}

static int in_child(void)
{
    pid_t pid = fork();
    if (pid == 0)
        _exit(parent_error());
    return reap(pid);
}

static struct thread one, two, late;

static int sync_threads(void)
{
    start(&one);
    start(&two);
    CHECK(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0);
    printf("no_new_privs of a thread %d\n", tell(&one, no_new_privs));
    CHECK(install(0, SYS_getppid, SECCOMP_RET_ERRNO | EXDEV) == 0);
    printf("mine %d, another's %d\n", parent_error(), tell(&one, parent_error));
    start(&late);
    printf("a later one's %d, modes %d %d\n", tell(&late, parent_error), tell(&late, mode),
           tell(&one, mode));
    CHECK(install(SECCOMP_FILTER_FLAG_TSYNC, SYS_getppid, SECCOMP_RET_ERRNO | EDOM) == 0);
    printf("after TSYNC %d %d %d %d\n", parent_error(), tell(&one, parent_error),
           tell(&two, parent_error), tell(&late, parent_error));
    printf("no_new_privs of a thread %d, mode %d, in its child %d\n", tell(&one, no_new_privs),
           tell(&one, mode), tell(&one, in_child));
    printf("its own besides %d", tell(&two, forbid_busy));
    printf(": %d, mine %d\n", tell(&two, parent_error), parent_error());
    long way = install(SECCOMP_FILTER_FLAG_TSYNC, SYS_getppid, SECCOMP_RET_ERRNO | 1);
    printf("no TSYNC over it: %d\n", way == two.tid);
    FAILS(install(SECCOMP_FILTER_FLAG_TSYNC | SECCOMP_FILTER_FLAG_TSYNC_ESRCH, SYS_getppid,
                  SECCOMP_RET_ERRNO | 1));
    printf("unchanged %d\n", parent_error());
    tell(&two, NULL);
    CHECK(install(SECCOMP_FILTER_FLAG_TSYNC, SYS_getppid, SECCOMP_RET_ERRNO | ERANGE) == 0);
    printf("when it has gone %d %d\n", parent_error(), tell(&late, parent_error));
    tell(&one, NULL);
    tell(&late, NULL);
    return failures;
}

static int first_tid; /* cleared by the kernel when the first thread is gone */

static int die_by_filter(void)
{
    install(0, SYS_getppid, SECCOMP_RET_KILL_THREAD);
    getppid();
    return 1;
}

static int die_strictly(void)
{
    prctl(PR_SET_SECCOMP, SECCOMP_MODE_STRICT);
    getppid();
    return 1;
}

static void *run(void *argument)
{
    ((int (*)(void))argument)();
    return NULL;
}

/* Joined: the kernel has cleared its tid, as at any end of a thread. */
static int thread_dies(int (*how)(void))
{
    pthread_t thread;
    CHECK(pthread_create(&thread, NULL, run, (void *)how) == 0);
    CHECK(pthread_join(thread, NULL) == 0);
    return 44;
}

static int one_of_two(void)
{
    prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
    return thread_dies(die_by_filter);
}

static int one_of_two_strict(void)
{
    return thread_dies(die_strictly);
}

static void *outlive(void *argument)
{
    while (*(volatile int *)&first_tid != 0)
        syscall(SYS_futex, &first_tid, FUTEX_WAIT, 1, NULL);
    syscall(SYS_exit, 3);
    return argument;
}

/* The first thread dies by its filter, the second ends later by itself: whose status counts? */
static int first_of_two(void)
{
    pthread_t thread;
    first_tid = 1;
    syscall(SYS_set_tid_address, &first_tid);
    CHECK(pthread_create(&thread, NULL, outlive, NULL) == 0);
    prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
    return die_by_filter();
}

static int process_by_thread(void)
{
    pthread_t thread;
    prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
    CHECK(install(0, SYS_getppid, SECCOMP_RET_KILL_PROCESS) == 0);
    CHECK(pthread_create(&thread, NULL, run, (void *)(int (*)(void))getppid) == 0);
    pthread_join(thread, NULL);
    return 96;
}

static int forbid_and_execute(void)
{
    prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
    CHECK(install(0, SYS_getppid, SECCOMP_RET_ERRNO | ENOTTY) == 0);
    execl("/nowhere", "nowhere", NULL);
    execl("/proc/self/exe", "seccomp", "executed", NULL);
    return 99;
}

static int execute_in_thread(void)
{
    pthread_t thread;
    CHECK(pthread_create(&thread, NULL, run, (void *)forbid_and_execute) == 0);
    pthread_join(thread, NULL);
    return 97;
}

/* Whoever has filters of its own executes: not those of the first thread go on. */
static int execute_past_first(void)
{
    start(&one);
    prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
    CHECK(install(0, SYS_getppid, SECCOMP_RET_ERRNO | EXDEV) == 0);
    tell(&one, forbid_and_execute);
    return 98;
}

static void child(const char *name, int (*body)(void))
{
    pid_t pid = fork();
    if (pid == 0)
        _exit(body());
    printf("%s: %d\n", name, reap(pid));
}

static volatile int stop;

static void *call_on(void *argument)
{
    while (!stop)
        if (parent_error() != 0)
            *(int *)argument = 1;
    return NULL;
}

/* Threads are born and make calls while one gives filters to all. */
static int storm(void)
{
    pthread_t threads[4], brief;
    int seen[4] = {0};
    prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
    for (int i = 0; i < 4; i++)
        pthread_create(&threads[i], NULL, call_on, &seen[i]);
    for (int i = 0; i < 50; i++) {
        CHECK(install(SECCOMP_FILTER_FLAG_TSYNC, SYS_getpgrp, SECCOMP_RET_ERRNO | EXDEV) == 0);
        CHECK(pthread_create(&brief, NULL, run, (void *)mode) == 0);
        pthread_join(brief, NULL);
    }
    CHECK(install(SECCOMP_FILTER_FLAG_TSYNC, SYS_getppid, SECCOMP_RET_ERRNO | EXDEV) == 0);
    for (int i = 0; i < 4; i++)
        while (!*(volatile int *)&seen[i])
            sched_yield();
    stop = 1;
    for (int i = 0; i < 4; i++)
        pthread_join(threads[i], NULL);
    return failures;
}

int main(int argc, char **argv)
{
    struct rlimit no_core = {0, 0};
    (void)argv;
    setrlimit(RLIMIT_CORE, &no_core);
    if (argc > 1) {
        printf("executed: getppid gives %d, no_new_privs %d\n", parent_error(), no_new_privs());
        return finish();
    }
    child("TSYNC", sync_threads);
    child("one of two killed", one_of_two);
    child("one of two killed by strict mode", one_of_two_strict);
    child("the first of two killed", first_of_two);
    child("process killed by a thread", process_by_thread);
    child("exec from a thread", execute_in_thread);
    child("exec past the first", execute_past_first);
    child("storm", storm);
    return finish();
}
