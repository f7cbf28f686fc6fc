/* setitimer(2), timer_create(2), alarm(2), timerfd_create(2): expiry, overruns, targets, fork, exec. */
#include "check.h"
#include <poll.h>
#include <pthread.h>
#include <sys/time.h>
#include <sys/timerfd.h>

#ifndef sigev_notify_thread_id
#define sigev_notify_thread_id _sigev_un._tid
#endif

static volatile sig_atomic_t hits;
static siginfo_t last;
static volatile pid_t on_thread;

static void note(int number, siginfo_t *info, void *context)
{
    (void)number, (void)context;
    last = *info;
    on_thread = (pid_t)syscall(SYS_gettid);
    hits++;
}

static void burn_until_hit(void)
{
    while (hits == 0)
        ;
}

static void intervals(void)
{
    static const int which[] = {ITIMER_REAL, ITIMER_VIRTUAL, ITIMER_PROF};
    static const char *const names[] = {"real", "virtual", "prof"};
    struct itimerval timer = {{0, 0}, {0, 20000}}, old;
    for (int i = 0; i < 3; i++) {
        hits = 0;
        CHECK(setitimer(which[i], &timer, NULL) == 0);
        burn_until_hit();
        CHECK(getitimer(which[i], &old) == 0);
        printf("%s: signal %d code %d, off %d\n", names[i], last.si_signo, last.si_code,
               old.it_value.tv_sec == 0 && old.it_value.tv_usec == 0);
    }
    timer.it_value.tv_usec = 1000000;
    FAILS(setitimer(ITIMER_REAL, &timer, NULL));
    FAILS(setitimer(3, NULL, NULL));
    FAILS(getitimer(3, &old));
    FAILS(getitimer(0, (void *)1));
    printf("alarm %u", alarm(100));
    printf(" %u", alarm(50));
    pid_t pid = fork();
    if (pid == 0)
        _exit((int)alarm(0));
    printf(" in a child %d", reap(pid));
    printf(" then %u\n", alarm(0));
}

static timer_t create(int clock, int notify, int number, pid_t thread)
{
    struct sigevent event = {.sigev_notify = notify, .sigev_signo = number};
    event.sigev_value.sival_int = 1234;
    event.sigev_notify_thread_id = thread;
    timer_t timer = (timer_t)-1;
    int result = (int)syscall(SYS_timer_create, clock, &event, &timer);
    printf("create %d %d: %s\n", clock, notify, result ? error_name(errno) : "made");
    return (timer_t)(long)*(int *)&timer;
}

static int set(timer_t timer, long first_ms, long every_ms)
{
    struct itimerspec times = {{every_ms / 1000, every_ms % 1000 * 1000000},
                               {first_ms / 1000, first_ms % 1000 * 1000000}};
    return (int)syscall(SYS_timer_settime, timer, 0, &times, NULL);
}

static void posix_timers(void)
{
    hits = 0;
    timer_t timer = create(CLOCK_MONOTONIC, SIGEV_SIGNAL, SIGUSR1, 0);
    CHECK(set(timer, 20, 0) == 0);
    burn_until_hit();
    printf("signal %d code %d value %d overrun %d\n", last.si_signo, last.si_code,
           last.si_value.sival_int, last.si_overrun);
    sigset_t usr1, none;
    sigemptyset(&none);
    sigemptyset(&usr1);
    sigaddset(&usr1, SIGUSR1);
    sigprocmask(SIG_BLOCK, &usr1, NULL);
    hits = 0;
    CHECK(set(timer, 5, 5) == 0);
    sleep_ms(100);
    CHECK(set(timer, 0, 0) == 0);
    printf("pending after being disarmed: %d\n", sigpending(&none) == 0 && sigismember(&none, SIGUSR1));
    sigemptyset(&none);
    CHECK(set(timer, 5, 5) == 0);
    sleep_ms(100);
    siginfo_t info;
    CHECK(sigtimedwait(&usr1, &info, &(struct timespec){5, 0}) == SIGUSR1);
    printf("overrun %d, same as %d, hits %d\n", info.si_overrun >= 5,
           syscall(SYS_timer_getoverrun, timer) == info.si_overrun, (int)hits);
    CHECK(syscall(SYS_timer_delete, timer) == 0);
    FAILS(syscall(SYS_timer_delete, timer));
    FAILS(set(timer, 1, 0));
    while (sigtimedwait(&usr1, &info, &(struct timespec){0, 0}) > 0)
        ;
    sigprocmask(SIG_SETMASK, &none, NULL);
    hits = 0;
    timer = create(CLOCK_PROCESS_CPUTIME_ID, SIGEV_SIGNAL, SIGRTMIN + 2, 0);
    CHECK(set(timer, 10, 0) == 0);
    burn_until_hit();
    printf("cpu: signal %d code %d\n", last.si_signo, last.si_code);
    CHECK(syscall(SYS_timer_delete, timer) == 0);
    timer = create(CLOCK_REALTIME, SIGEV_NONE, 0, 0);
    CHECK(set(timer, 1000, 0) == 0);
    struct itimerspec left;
    CHECK(syscall(SYS_timer_gettime, timer, &left) == 0);
    printf("none: runs %d\n", left.it_value.tv_nsec > 0);
    create(CLOCK_REALTIME, SIGEV_SIGNAL, 65, 0);
    create(CLOCK_REALTIME, 77, SIGUSR1, 0);
    create(12345, SIGEV_SIGNAL, SIGUSR1, 0);
    create(CLOCK_REALTIME, SIGEV_THREAD_ID, SIGUSR1, 54321);
    create(CLOCK_REALTIME, SIGEV_THREAD_ID | SIGEV_SIGNAL, SIGUSR1, 0);
    FAILS(syscall(SYS_timer_create, CLOCK_REALTIME, NULL, NULL));
    FAILS(syscall(SYS_timer_create, CLOCK_REALTIME, (void *)1, &timer));
}

static volatile pid_t waiter_tid;
static volatile int stop;

static void *waiter(void *argument)
{
    waiter_tid = (pid_t)syscall(SYS_gettid);
    while (!stop)
        sleep_ms(1);
    return argument;
}

static void to_threads(void)
{
    pthread_t thread;
    CHECK(pthread_create(&thread, NULL, waiter, NULL) == 0);
    while (waiter_tid == 0)
        sleep_ms(1);
    hits = 0;
    timer_t timer = create(CLOCK_MONOTONIC, SIGEV_THREAD_ID, SIGUSR1, waiter_tid);
    CHECK(set(timer, 10, 0) == 0);
    burn_until_hit();
    printf("on the thread: %d\n", on_thread == waiter_tid);
    hits = 0;
    struct sigevent event = {.sigev_notify = SIGEV_THREAD_ID, .sigev_signo = SIGUSR1};
    event.sigev_notify_thread_id = (pid_t)syscall(SYS_gettid);
    timer_t own;
    CHECK(timer_create(CLOCK_MONOTONIC, &event, &own) == 0);
    CHECK(timer_settime(own, 0, &(struct itimerspec){{0, 0}, {0, 10000000}}, NULL) == 0);
    burn_until_hit();
    printf("on our own: %d\n", on_thread == syscall(SYS_gettid));
    timer_delete(own);
    stop = 1;
    pthread_join(thread, NULL);
    CHECK(syscall(SYS_timer_delete, timer) == 0);
}

static void callback(union sigval value)
{
    hits = value.sival_int;
}

static void timerfds(void)
{
    struct sigevent event = {.sigev_notify = SIGEV_THREAD, .sigev_notify_function = callback};
    event.sigev_value.sival_int = 5;
    timer_t timer;
    hits = 0;
    CHECK(timer_create(CLOCK_MONOTONIC, &event, &timer) == 0);
    CHECK(timer_settime(timer, 0, &(struct itimerspec){{0, 0}, {0, 10000000}}, NULL) == 0);
    while (hits == 0)
        sleep_ms(1);
    printf("thread called with %d\n", (int)hits);
    timer_delete(timer);
    int fd = timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK);
    uint64_t count = 0;
    FAILS(read(fd, &count, 8));
    CHECK(timerfd_settime(fd, 0, &(struct itimerspec){{0, 1000000}, {0, 1000000}}, NULL) == 0);
    sleep_ms(50);
    CHECK(read(fd, &count, 8) == 8);
    printf("timerfd: several %d, ready %d\n", count > 5,
           poll(&(struct pollfd){fd, POLLIN, 0}, 1, 1000));
    FAILS(timerfd_settime(fd, 99, NULL, NULL));
    FAILS(timerfd_create(99, 0));
    FAILS(read(fd, &count, 7));
}

int main(int argc, char **argv)
{
    struct sigaction action = {.sa_sigaction = note, .sa_flags = SA_SIGINFO};
    int numbers[] = {SIGALRM, SIGVTALRM, SIGPROF, SIGUSR1, SIGRTMIN + 2};
    for (size_t i = 0; i < sizeof numbers / sizeof numbers[0]; i++)
        sigaction(numbers[i], &action, NULL);
    if (argc > 1) {
        printf("alarm after exec: %d\n", alarm(0) > 50);
        FAILS(syscall(SYS_timer_delete, 0));
        return finish();
    }
    intervals();
    posix_timers();
    to_threads();
    timerfds();
    alarm(100);
    execl("/proc/self/exe", argv[0], "again", NULL);
    return 1;
}
