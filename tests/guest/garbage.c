/* Jumps to where no code is: the death that the host has for each, and nothing else dies. */
#include "check.h"
#include <sys/mman.h>

static void jump(unsigned long address)
{
    __asm__ volatile("jmp *%0" : : "r"(address));
}

static void report(const char *what, unsigned long address)
{
    fflush(stdout);
    pid_t pid = fork();
    if (pid == 0) {
        jump(address);
        _exit(0);
    }
    int status = 0;
    CHECK(waitpid(pid, &status, 0) == pid);
    printf("%s: %s %d\n", what, WIFSIGNALED(status) ? "signal" : "status",
           WIFSIGNALED(status) ? WTERMSIG(status) : WEXITSTATUS(status));
}

int main(void)
{
    static char data[64];
    unsigned char *code = mmap(NULL, 4096, PROT_READ | PROT_WRITE | PROT_EXEC,
                               MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    CHECK(code != MAP_FAILED);
    report("null", 0);
    report("the first page", 100);
    report("not canonical", 0x8000000000000000);
    report("the kernel", 0xffffffff81000000);
    report("data", (unsigned long)data);
    memset(code, 0xf4, 4096);
    report("hlt", (unsigned long)code);
    memset(code, 0x06, 4096);
    report("an invalid opcode", (unsigned long)code);
    memset(code, 0xcc, 4096);
    report("int3", (unsigned long)code);
    memset(code, 0x90, 4096);
    report("nops up to the page's end", (unsigned long)code + 4000);
    memcpy(code, "\x0f\x05\xf4", 3);
    report("a call with whatever number, then hlt", (unsigned long)code);
    memcpy(code, "\xb8\xff\xff\xff\xff\x0f\x05\xf4", 8);
    report("call -1, then hlt", (unsigned long)code);
    memcpy(code, "\x48\x31\xe4\x31\xc0\xb0\x27\x0f\x05\xf4", 10);
    report("a call without a stack, then hlt", (unsigned long)code);
    memcpy(code, "\x48\x31\xe4\x50", 4);
    report("a push without a stack", (unsigned long)code);
    return finish();
}
