/* sigsuspend(2), ppoll(2), pselect(2), epoll_pwait(2): what the mask of a wait lets through, in which
 * order, with which masks in the handlers and behind them. For signals that the host's kernel keeps
 * and for those that the CPU raises too.
 */
#include "check.h"
#include <poll.h>
#include <sys/epoll.h>
#include <sys/select.h>
#include <ucontext.h>

static const int all[] = {SIGUSR1, SIGUSR2, SIGTRAP, SIGBUS, SIGSEGV, SIGSYS, 40, SIGINT};
static char seen[1024];
static size_t used;
static int quiet[2], ready[2], quiet_set, ready_set;

static void add_mask(const char *name, const sigset_t *mask)
{
    used += (size_t)snprintf(seen + used, sizeof seen - used, " %s", name);
    for (size_t i = 0; i < sizeof all / sizeof all[0]; i++)
        if (sigismember(mask, all[i]) == 1)
            used += (size_t)snprintf(seen + used, sizeof seen - used, "-%d", all[i]);
}

static void handler(int number, siginfo_t *info, void *context)
{
    sigset_t now;
    used += (size_t)snprintf(seen + used, sizeof seen - used, " [%d code %d", number, info->si_code);
    sigprocmask(SIG_BLOCK, NULL, &now);
    add_mask("in", &now);
    add_mask("back", &((ucontext_t *)context)->uc_sigmask);
    used += (size_t)snprintf(seen + used, sizeof seen - used, "]");
}

static int wait_in(int how, const sigset_t *mask, bool has_news, struct timespec *timeout)
{
    int fd = has_news ? ready[0] : quiet[0];
    struct epoll_event event;
    fd_set set;
    switch (how) {
    case 0:
        return sigsuspend(mask);
    case 1:
        return ppoll(&(struct pollfd){fd, POLLIN, 0}, 1, timeout, mask);
    case 2:
        FD_ZERO(&set);
        FD_SET(fd, &set);
        return pselect(fd + 1, &set, NULL, NULL, timeout, mask);
    case 3:
        return epoll_pwait(has_news ? ready_set : quiet_set, &event, 1,
                           timeout ? (int)timeout->tv_sec * 1000 : -1, mask);
    default:
        return epoll_pwait2(has_news ? ready_set : quiet_set, &event, 1, timeout, mask);
    }
}

static const char *const names[] = {"sigsuspend", "ppoll", "pselect", "epoll_pwait", "epoll_pwait2"};

static void show(const char *how, const char *what, int result)
{
    int error = errno;
    sigset_t now;
    printf("%s, %s: %d %s;%s;", how, what, result, result < 0 ? error_name(error) : "", seen);
    used = 0;
    seen[0] = 0;
    sigprocmask(SIG_BLOCK, NULL, &now);
    add_mask("now", &now);
    sigpending(&now);
    add_mask("pending", &now);
    printf("%s\n", seen);
    used = 0;
    seen[0] = 0;
}

static void release(void)
{
    sigset_t none, full;
    sigemptyset(&none);
    sigfillset(&full);
    sigprocmask(SIG_SETMASK, &none, NULL);
    used = 0;
    seen[0] = 0;
    sigprocmask(SIG_SETMASK, &full, NULL);
}

/* Both wait blocked when the call begins; its mask lets both through, or all but the second. */
static void pair(int how, int first, int second)
{
    char what[64];
    struct timespec now = {0, 0}, second_long = {1, 0};
    for (int kind = 0; kind < 5; kind++) {
        sigset_t mask;
        sigemptyset(&mask);
        if (kind == 1)
            sigaddset(&mask, second);
        if (how == 0 && kind >= 2)
            continue;
        release();
        kill(getpid(), first);
        kill(getpid(), second);
        snprintf(what, sizeof what, "%d and %d, %s", first, second,
                 (const char *[]){"both", "only the first", "with news", "no time", "timed"}[kind]);
        int result = wait_in(how, &mask, kind == 2,
                             kind == 3 ? &now : kind == 4 ? &second_long : NULL);
        show(names[how], what, result);
    }
}

/* They come while the call waits; the second is sent when the first handler may have run. */
static void from_child(int how, int first, int second)
{
    char what[64];
    sigset_t mask;
    sigemptyset(&mask);
    sigaddset(&mask, second);
    release();
    pid_t parent = getpid(), pid = fork();
    if (pid == 0) {
        sleep_ms(20);
        kill(parent, second);
        sleep_ms(20);
        kill(parent, first);
        _exit(0);
    }
    snprintf(what, sizeof what, "%d and blocked %d from a child", first, second);
    int result = wait_in(how, &mask, false, NULL);
    int error = errno;
    CHECK(reap(pid) == 0);
    errno = error;
    show(names[how], what, result);
}

/* What is ignored, or stops nothing, does not end the wait, nor leave its mask behind. */
static void ignored(int how)
{
    sigset_t mask;
    sigemptyset(&mask);
    release();
    signal(SIGUSR2, SIG_IGN);
    pid_t parent = getpid(), pid = fork();
    if (pid == 0) {
        sleep_ms(20);
        kill(parent, SIGUSR2);
        kill(parent, SIGCHLD);
        sleep_ms(20);
        kill(parent, SIGUSR1);
        _exit(0);
    }
    int result = wait_in(how, &mask, false, NULL);
    int error = errno;
    CHECK(reap(pid) == 0);
    errno = error;
    show(names[how], "ignored", result);
    struct sigaction action = {.sa_sigaction = handler, .sa_flags = SA_SIGINFO};
    sigaction(SIGUSR2, &action, NULL);
}

int main(void)
{
    struct sigaction action = {.sa_sigaction = handler, .sa_flags = SA_SIGINFO};
    for (size_t i = 0; i < sizeof all / sizeof all[0]; i++)
        CHECK(sigaction(all[i], &action, NULL) == 0);
    CHECK(pipe(quiet) == 0 && pipe(ready) == 0 && write(ready[1], "x", 1) == 1);
    quiet_set = epoll_create1(0);
    ready_set = epoll_create1(0);
    struct epoll_event event = {.events = EPOLLIN};
    CHECK(epoll_ctl(quiet_set, EPOLL_CTL_ADD, quiet[0], &event) == 0);
    CHECK(epoll_ctl(ready_set, EPOLL_CTL_ADD, ready[0], &event) == 0);
    for (int how = 0; how < 5; how++) {
        pair(how, SIGUSR1, SIGUSR2);
        pair(how, SIGSEGV, SIGBUS);
        pair(how, SIGBUS, SIGSEGV);
        pair(how, SIGSYS, SIGTRAP);
        pair(how, SIGUSR1, 40);
        pair(how, SIGSEGV, SIGUSR1);
        from_child(how, SIGUSR1, SIGUSR2);
        from_child(how, SIGSEGV, SIGBUS);
        from_child(how, SIGUSR1, SIGSEGV);
        ignored(how);
    }
    release();
    return finish();
}
