/* rseq(2): a signal in a critical section aborts it, and its handler sees the abort's address. */
#include "check.h"
#include <sys/rseq.h>
#include <sys/time.h>
#include <ucontext.h>

extern const char section_begin[], section_end[], section_abort[];
static volatile long hits, inside, at_abort;
static volatile int seen; /* in this run: a second signal may find it still there */
static struct rseq_cs section __attribute__((aligned(32)));

static void handler(int number, siginfo_t *info, void *context)
{
    const char *rip = (const char *)((ucontext_t *)context)->uc_mcontext.gregs[REG_RIP];
    (void)number, (void)info;
    hits++;
    inside += rip >= section_begin && rip < section_end;
    if (rip == section_abort && !seen) {
        seen = 1;
        at_abort++;
    }
}

/* 0 when the section was left at its end, 1 when it was aborted. */
__attribute__((noinline)) static int run(struct rseq *rseq)
{
    int aborted = 0;
    seen = 0;
    __asm__ volatile(".globl section_begin, section_end, section_abort\n"
                     "mov %[section], %[pointer]\n"
                     "section_begin:\n"
                     "mov $2000, %%ecx\n 1: pause\n dec %%ecx\n jnz 1b\n"
                     "section_end: jmp 2f\n"
                     ".byte 0x0f, 0xb9, 0x3d\n .long 0x53053053\n"
                     "section_abort: mov $1, %[aborted]\n"
                     "2:\n"
                     : [aborted] "+r"(aborted), [pointer] "=m"(rseq->rseq_cs)
                     : [section] "r"(&section)
                     : "rcx", "memory", "cc");
    return aborted;
}

int main(void)
{
    struct sigaction action = {.sa_sigaction = handler, .sa_flags = SA_SIGINFO};
    struct rseq *rseq = (struct rseq *)((char *)__builtin_thread_pointer() + __rseq_offset);
    if (__rseq_size == 0)
        return finish();
    section.start_ip = (unsigned long)section_begin;
    section.post_commit_offset = (unsigned long)(section_end - section_begin);
    section.abort_ip = (unsigned long)section_abort;
    sigaction(SIGALRM, &action, NULL);
    setitimer(ITIMER_REAL, &(struct itimerval){{0, 500}, {0, 500}}, NULL);
    long aborted = 0;
    while (at_abort < 50)
        aborted += run(rseq);
    setitimer(ITIMER_REAL, &(struct itimerval){0}, NULL);
    printf("seen inside %ld, aborted as often as seen %d\n", inside, aborted >= at_abort);
    pid_t pid = fork();
    if (pid == 0) {
        at_abort = 0;
        setitimer(ITIMER_REAL, &(struct itimerval){{0, 500}, {0, 500}}, NULL);
        while (at_abort < 5)
            run(rseq);
        _exit(inside != 0);
    }
    printf("in a child: %d\n", reap(pid));
    FAILS(syscall(SYS_rseq, rseq, 12345, 0, 0x53053053));
    return finish();
}
