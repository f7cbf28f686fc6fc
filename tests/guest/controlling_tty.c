/* ioctl_tty(2), tcsetpgrp(3), tcgetsid(3), setsid(2): who has a controlling terminal, who may change
 * what of it, background and orphaned groups.
 */
#include "check.h"
#include <sched.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <termios.h>

static int master, other_master;
static char name[64], other_name[64];
static volatile sig_atomic_t hangups, continued, outputs;

static void note(int number)
{
    hangups += number == SIGHUP;
    continued += number == SIGCONT;
    outputs += number == SIGTTOU;
}

static void noting(void)
{
    signal(SIGHUP, note);
    signal(SIGCONT, note);
}

static int make_pty(char *path)
{
    int fd = posix_openpt(O_RDWR | O_NOCTTY | O_CLOEXEC);
    CHECK(fd >= 0 && grantpt(fd) == 0 && unlockpt(fd) == 0 && ptsname_r(fd, path, 64) == 0);
    return fd;
}

/* Runs body in a child that is waited for; prints how it ended. */
static void in_child(const char *what, void (*body)(void))
{
    printf("-- %s\n", what);
    pid_t pid = fork();
    if (pid == 0) {
        body();
        _exit(failures ? 1 : 0);
    }
    printf("-- %s: %d\n", what, reap(pid));
}

static void show(const char *what, int fd)
{
    errno = 0;
    pid_t group = tcgetpgrp(fd);
    const char *group_error = error_name(errno);
    errno = 0;
    pid_t session = tcgetsid(fd);
    int tty = open("/dev/tty", O_RDWR | O_NOCTTY | O_CLOEXEC);
    printf("%s: group %s%s, session %s%s, /dev/tty %s\n", what,
           group == getpgrp() ? "ours" : group > 0 ? "another" : group == 0 ? "none" : "",
           group < 0 ? group_error : "", session == getsid(0) ? "ours" : session > 0 ? "another" : "",
           session < 0 ? error_name(errno) : "", tty >= 0 ? "there" : error_name(ENXIO));
    if (tty >= 0)
        close(tty);
}

static void by_ioctl(void)
{
    int fd = open(name, O_RDWR | O_NOCTTY);
    show("before", fd);
    FAILS(ioctl(fd, TIOCSCTTY, 0));
    FAILS(ioctl(fd, TIOCNOTTY));
    FAILS(tcsetpgrp(fd, getpgrp()));
    CHECK(setsid() == getpid());
    show("new session", fd);
    FAILS(ioctl(fd, TIOCNOTTY));
    FAILS(tcsetpgrp(fd, getpgrp()));
    FAILS(ioctl(fd, TIOCSCTTY, 0));
    show("ours", fd);
    show("from the master", master);
    FAILS(ioctl(fd, TIOCSCTTY, 0));
    int other = open(other_name, O_RDWR | O_NOCTTY);
    FAILS(ioctl(other, TIOCSCTTY, 0));
    show("another one", other);
    FAILS(tcsetpgrp(other, getpgrp()));
    FAILS(tcsetpgrp(fd, getpgrp()));
    FAILS(tcsetpgrp(fd, 999999));
    FAILS(tcsetpgrp(fd, -5));
    FAILS(tcsetpgrp(fd, 0));
    FAILS(tcsetpgrp(fd, getppid()));
    FAILS(tcsetpgrp(-1, getpgrp()));
    FAILS(tcgetpgrp(open("/dev/null", O_RDWR)));
    FAILS(tcgetsid(open("/dev/null", O_RDWR)));
    FAILS(setsid());
    FAILS(setpgid(0, 0));
    noting();
    FAILS(ioctl(fd, TIOCNOTTY));
    printf("given up: hang-ups %d, continued %d\n", (int)hangups, (int)continued);
    show("after", fd);
    FAILS(ioctl(fd, TIOCNOTTY));
    FAILS(ioctl(other, TIOCSCTTY, 0));
    show("the other", other);
}

static void by_open(void)
{
    CHECK(setsid() == getpid());
    int fd = open(name, O_RDWR);
    show("opened", fd);
    pid_t pid = fork();
    if (pid == 0) {
        show("a child", fd);
        FAILS(ioctl(fd, TIOCSCTTY, 0));
        FAILS(ioctl(fd, TIOCNOTTY));
        show("without", fd);
        FAILS(ioctl(fd, TIOCSCTTY, 0));
        _exit(failures);
    }
    CHECK(reap(pid) == 0);
    show("still", fd);
    pid = fork();
    if (pid == 0) {
        CHECK(setsid() == getpid());
        show("other session", fd);
        FAILS(ioctl(fd, TIOCSCTTY, 0));
        FAILS(tcsetpgrp(fd, getpgrp()));
        int again = open(name, O_RDWR);
        show("opened again", again);
        _exit(failures);
    }
    CHECK(reap(pid) == 0);
    show("still", fd);
}

/* A child in a group of its own, which runs body when told so. */
static pid_t member(void (*body)(int), int fd)
{
    pid_t pid = fork();
    if (pid == 0) {
        setpgid(0, 0);
        body(fd);
        _exit(failures);
    }
    setpgid(pid, pid);
    return pid;
}

static void stops(const char *what, pid_t pid)
{
    int status;
    CHECK(waitpid(pid, &status, WUNTRACED) == pid);
    if (WIFSTOPPED(status))
        printf("%s: stopped by %s\n", what, sigabbrev_np(WSTOPSIG(status)));
    else
        printf("%s: ended with %d\n", what, WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status));
}

static void sets(int fd)
{
    CHECK(tcsetpgrp(fd, getpgrp()) == 0);
    show("foreground now", fd);
}
static void sets_blocked(int fd)
{
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, SIGTTOU);
    sigprocmask(SIG_BLOCK, &set, NULL);
    sets(fd);
}
static void sets_ignored(int fd)
{
    signal(SIGTTOU, SIG_IGN);
    sets(fd);
}
static void sets_handled(int fd)
{
    struct sigaction action = {.sa_handler = note};
    sigaction(SIGTTOU, &action, NULL);
    FAILS(tcsetpgrp(fd, getpgrp()));
    printf("told %d times\n", (int)outputs);
}
static void reads(int fd)
{
    char c;
    FAILS(read(fd, &c, 1));
}
static void reads_ignored(int fd)
{
    signal(SIGTTIN, SIG_IGN);
    reads(fd);
}
static void writes(int fd)
{
    struct termios mode;
    tcgetattr(fd, &mode);
    mode.c_lflag |= TOSTOP;
    FAILS(tcsetattr(fd, TCSANOW, &mode));
}
static void executes(int fd)
{
    (void)fd;
    execl("/bin/sleep", "sleep", "100", NULL);
}

static void back_to_us(int fd)
{
    signal(SIGTTOU, SIG_IGN);
    CHECK(tcsetpgrp(fd, getpgrp()) == 0);
    signal(SIGTTOU, SIG_DFL);
}

static void background(void)
{
    CHECK(setsid() == getpid());
    int fd = open(name, O_RDWR);
    pid_t pid = member(sets, fd);
    stops("tcsetpgrp", pid);
    CHECK(tcgetpgrp(fd) == getpgrp());
    CHECK(tcsetpgrp(fd, pid) == 0 && kill(pid, SIGCONT) == 0);
    stops("tcsetpgrp, let", pid);
    back_to_us(fd);
    stops("blocked", member(sets_blocked, fd));
    back_to_us(fd);
    stops("ignored", member(sets_ignored, fd));
    back_to_us(fd);
    show("given to a group that is gone", fd);
    pid = member(reads, fd);
    stops("read", pid);
    CHECK(kill(pid, SIGKILL) == 0);
    stops("killed", pid);
    stops("read, ignored", member(reads_ignored, fd));
    pid = member(writes, fd);
    stops("tcsetattr", pid);
    CHECK(kill(pid, SIGKILL) == 0);
    stops("killed", pid);
    int pipes[2];
    char c;
    CHECK(pipe2(pipes, O_CLOEXEC) == 0);
    pid = member(executes, fd);
    close(pipes[1]);
    CHECK(read(pipes[0], &c, 1) == 0);
    FAILS(setpgid(pid, getpgrp()));
    CHECK(tcsetpgrp(fd, pid) == 0);
    show("a child that has executed", fd);
    CHECK(kill(pid, SIGKILL) == 0);
    stops("killed", pid);
    back_to_us(fd);
}

/* The leader ends: the foreground group is hung up, the terminal is nobody's; the rest is orphaned. */
static void orphans(void)
{
    int pipes[2], go[2];
    char c;
    CHECK(pipe(pipes) == 0 && pipe(go) == 0 && prctl(PR_SET_CHILD_SUBREAPER, 1) == 0);
    pid_t leader = fork();
    if (leader == 0) {
        CHECK(setsid() == getpid());
        int fd = open(name, O_RDWR);
        if (fork() == 0) {
            sigset_t hangup, before;
            noting();
            sigemptyset(&hangup);
            sigaddset(&hangup, SIGHUP);
            sigprocmask(SIG_BLOCK, &hangup, &before);
            (void)!write(pipes[1], "r", 1);
            while (!hangups)
                sigsuspend(&before);
            (void)!read(go[0], &c, 1);
            printf("foreground: hang-ups %d, continued %d\n", (int)hangups, (int)continued);
            show("foreground", fd);
            fcntl(fd, F_SETFL, O_NONBLOCK); /* no hang-up of the file: a pseudo-terminal */
            FAILS(read(fd, &c, 1));
            FAILS(write(fd, &c, 1));
            _exit(failures);
        }
        (void)!write(pipes[1], "r", 1);
        pause();
    }
    CHECK(read(pipes[0], &c, 1) == 1 && read(pipes[0], &c, 1) == 1);
    CHECK(kill(leader, SIGKILL) == 0);
    CHECK(reap(leader) == 128 + SIGKILL);
    CHECK(write(go[1], "g", 1) == 1);
    printf("orphan: %d\n", reap(-1));
    FAILS(tcgetsid(master));
}

/* In an orphaned background group nothing stops for the terminal: EIO. */
static void orphaned_background(void)
{
    int pipes[2];
    char c;
    CHECK(setsid() == getpid() && pipe(pipes) == 0);
    int fd = open(name, O_RDWR);
    pid_t pid = fork();
    if (pid == 0) {
        setpgid(0, 0);
        if (fork() == 0) {
            close(pipes[0]);
            pid_t parent = getppid();
            kill(parent, SIGKILL);
            while (getppid() == parent)
                sched_yield();
            show("orphaned", fd);
            reads(fd);
            writes(fd);
            FAILS(tcsetpgrp(fd, getpgrp()));
            raise(SIGTSTP);
            printf("not stopped\n");
            _exit(failures);
        }
        for (;;)
            pause();
    }
    setpgid(pid, pid);
    close(pipes[1]);
    CHECK(reap(pid) == 128 + SIGKILL);
    CHECK(read(pipes[0], &c, 1) == 0);
    sets_handled(fd);
}

int main(void)
{
    master = make_pty(name);
    other_master = make_pty(other_name);
    in_child("ioctl", by_ioctl);
    in_child("open", by_open);
    in_child("background", background);
    in_child("orphans", orphans);
    in_child("orphaned background", orphaned_background);
    return finish();
}
