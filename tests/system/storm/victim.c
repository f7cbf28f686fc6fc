/* The guests of test_storm.py. Without an argument a driver, told on stdin what to do, a line each:
 * "MODE" starts a victim and prints its pid, "wait" waits for it and prints its status, "kill"
 * kills it first. With a mode as argument, a victim: does one thing for ever.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

static char *self;
extern char **environ;

static void wait_for(pid_t pid)
{
    while (waitpid(pid, NULL, 0) < 0 && errno == EINTR)
        ;
}

static void once_fork(void)
{
    pid_t pid = fork();
    if (pid == 0)
        _exit(0);
    wait_for(pid);
}

static void once_vfork(void)
{
    pid_t pid = vfork();
    if (pid == 0)
        _exit(0);
    wait_for(pid);
}

static void *thread_asleep(void *unused)
{
    pause();
    return unused;
}

/* With a second thread, the files are locked while the child is made. */
static void accompanied(void (*once)(void))
{
    static int started;
    pthread_t thread;
    if (!started++)
        pthread_create(&thread, NULL, thread_asleep, NULL);
    once();
}

static void once_racefork(void)
{
    accompanied(once_fork);
}

static void once_racevfork(void)
{
    accompanied(once_vfork);
}

/* A table of its own that outgrows its first array, then a copy of that. */
static void once_grow(void)
{
    pid_t pid = fork();
    if (pid == 0) {
        dup2(0, 300);
        dup2(0, 700);
        once_fork();
        _exit(0);
    }
    wait_for(pid);
}

static void *thread_alone(void *unused)
{
    if (unshare(CLONE_FILES) == 0)
        close(dup2(0, 300));
    return unused;
}

static void *thread_empty(void *unused)
{
    return unused;
}

static void in_thread(void *(*run)(void *))
{
    pthread_t thread;
    if (pthread_create(&thread, NULL, run, NULL) == 0)
        pthread_join(thread, NULL);
}

static void once_thread(void)
{
    in_thread(thread_empty);
}

static void once_unshare(void)
{
    in_thread(thread_alone);
}

/* The kernel process makes the file and hands it over. */
static void once_legacy(void)
{
    char text[200];
    int fd = open("/proc/self/status", O_RDONLY);
    if (fd >= 0 && read(fd, text, sizeof text) < 0)
        abort();
    close(fd);
}

static void once_files(void)
{
    int ends[2];
    if (pipe(ends) == 0) {
        close(fcntl(ends[0], F_DUPFD_CLOEXEC, 100));
        close(ends[0]);
        close(ends[1]);
    }
    if (socketpair(AF_UNIX, SOCK_STREAM, 0, ends) == 0) {
        close(ends[0]);
        close(ends[1]);
    }
}

/* The other end is opened by a child, which nobody else would end. */
static void once_fifo(void)
{
    char name[32], byte;
    pid_t own = getpid();
    snprintf(name, sizeof name, "fifo.%d", own);
    mkfifo(name, 0600);
    pid_t pid = fork();
    if (pid == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        if (getppid() != own)
            _exit(1);
        int fd = open(name, O_WRONLY);
        _exit(write(fd, "x", 1) != 1);
    }
    int fd = open(name, O_RDONLY);
    if (read(fd, &byte, 1) < 0)
        abort();
    close(fd);
    wait_for(pid);
}

static void once_spawn(void)
{
    pid_t pid;
    char *argv[] = {self, "nothing", NULL};
    if (posix_spawn(&pid, self, NULL, NULL, argv, environ) == 0)
        wait_for(pid);
}

/* Orphans: the child goes, and leaves the kernel process its own child. */
static void once_orphan(void)
{
    pid_t pid = fork();
    if (pid == 0) {
        if (fork() == 0)
            usleep(200);
        _exit(0);
    }
    wait_for(pid);
}

static void once_exec(void)
{
    execl(self, self, "exec", (char *)NULL);
}

static void once_run(void)
{
    for (volatile int i = 0; i < 1000000; i++)
        ;
}

static const struct mode {
    const char *name;
    void (*once)(void);
} modes[] = {{"racefork", once_racefork},
             {"racevfork", once_racevfork},
             {"fork", once_fork},
             {"vfork", once_vfork},
             {"grow", once_grow},
             {"thread", once_thread},
             {"unshare", once_unshare},
             {"legacy", once_legacy},
             {"files", once_files},
             {"fifo", once_fifo},
             {"spawn", once_spawn},
             {"orphan", once_orphan},
             {"exec", once_exec},
             {"run", once_run}};

static const struct mode *find(const char *name)
{
    for (size_t i = 0; i < sizeof modes / sizeof *modes; i++)
        if (strcmp(modes[i].name, name) == 0)
            return &modes[i];
    return NULL;
}

static void drive(void)
{
    char line[64];
    pid_t victim = 0;
    /* The kernel process has then loaded all that it needs, and has the workers that it would take
     * when it is late and many slots wait for it. */
    once_legacy();
    close(open("/proc/self/maps", O_RDONLY));
    while (fgets(line, sizeof line, stdin) != NULL) {
        line[strcspn(line, "\n")] = '\0';
        if (find(line) != NULL) {
            char *argv[] = {self, line, NULL};
            int error = posix_spawn(&victim, self, NULL, NULL, argv, environ);
            printf("%d\n", error ? -error : victim);
        } else {
            int status = 0;
            if (strcmp(line, "kill") == 0)
                kill(victim, SIGKILL);
            pid_t got = waitpid(victim, &status, 0);
            printf("%d\n", got == victim ? status : -1);
        }
        fflush(stdout);
    }
}

int main(int argc, char **argv)
{
    self = argv[0];
    const struct mode *mode = argc > 1 ? find(argv[1]) : NULL;
    if (argc < 2)
        drive();
    while (mode != NULL)
        mode->once();
    return 0;
}
