/* getpid(2), gettid(2), getppid(2), credentials, and what procfs says about the same. */
#include "check.h"
#include <sys/resource.h>
#include <sys/time.h>
#include <sys/utsname.h>

static long from_status(const char *key)
{
    char line[256];
    long value = -1;
    FILE *file = fopen("/proc/self/status", "r");
    while (file && fgets(line, sizeof line, file))
        if (strncmp(line, key, strlen(key)) == 0)
            value = strtol(line + strlen(key), NULL, 10);
    if (file)
        fclose(file);
    return value;
}

static void same(const char *where)
{
    char link[32] = "";
    CHECK(readlink("/proc/self", link, sizeof link - 1) > 0);
    printf("%s: status %d %d, link %d, raw %d, tid %d\n", where, from_status("Pid:") == getpid(),
           from_status("PPid:") == getppid(), atoi(link) == getpid(),
           syscall(SYS_getpid) == getpid(), syscall(SYS_gettid) == getpid());
}

int main(void)
{
    same("first");
    pid_t pid = fork();
    if (pid == 0) {
        same("child");
        pid_t grandchild = fork();
        if (grandchild == 0) {
            same("grandchild");
            _exit(0);
        }
        _exit(reap(grandchild));
    }
    CHECK(reap(pid) == 0);
    uid_t real, effective, saved;
    gid_t groups[3];
    CHECK(getresuid(&real, &effective, &saved) == 0 && real == getuid() && effective == geteuid());
    CHECK(getresgid(&groups[0], &groups[1], &groups[2]) == 0 && groups[0] == getgid());
    CHECK(getpgrp() == getpgid(0) && getpgid(getpid()) == getpgrp() &&
          getsid(0) == getsid(getpid()));
    CHECK(getgroups(0, NULL) >= 0);
    printf("uid in status: %d\n", from_status("Uid:") == (long)getuid());
    struct utsname names;
    struct rlimit limit;
    struct rusage usage;
    struct timeval now;
    CHECK(uname(&names) == 0 && strcmp(names.sysname, "Linux") == 0);
    CHECK(getrlimit(RLIMIT_NOFILE, &limit) == 0 && limit.rlim_cur > 0);
    CHECK(getrusage(RUSAGE_SELF, &usage) == 0 && usage.ru_maxrss > 0);
    CHECK(gettimeofday(&now, NULL) == 0 && now.tv_sec > 1500000000);
    mode_t before = umask(077);
    printf("umask %o %o\n", before, umask(before));
    CHECK(getpriority(PRIO_PROCESS, 0) >= -20);
    FAILS(getpgid(999999999));
    FAILS(getsid(999999999));
    FAILS(getrlimit(999, &limit));
    FAILS(syscall(9999));
    FAILS(syscall(-1));
    long sum = 0;
    for (int i = 0; i < 100000; i++)
        sum += syscall(SYS_getpid) == getpid();
    printf("a hundred thousand times: %ld\n", sum);
    return finish();
}
