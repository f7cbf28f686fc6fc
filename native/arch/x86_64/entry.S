/* The way in and out of the runtime, per system call.
 *
 * A site's stub, or trap.c after a SIGSYS, arrives at exo_entry with rcx = the address to go back
 * to, rax = the call's number, and everything else the guest's. r11 is free, as for `syscall`.
 * The guest's stack is not touched. Vector state is never used in the runtime.
 *
 * Rules (signal.c knows these labels):
 *   exo_recheck .. exo_exit_end  only reads area.regs: a signal that arrives here is stashed and
 *                                control goes to exo_slow_exit, as if it had come before the check;
 *                                likewise exo_full_recheck .. exo_full_end.
 *   anywhere else in .text       the signal is stashed and found at exo_recheck.
 */
#include <exo/offsets.h>

#define REG(name) %gs:AREA_REGS + REGS_##name

    .text
    .globl exo_entry, exo_entry_trapped, exo_recheck, exo_slow_exit, exo_leave_runtime, exo_exit_end
    .type exo_entry, @function
    .p2align 6
exo_entry:
    mov %rax, REG(NR)
    mov %rsp, REG(RSP)
    mov %rcx, REG(RIP)
    mov %rdi, REG(RDI)
    mov %rsi, REG(RSI)
    mov %rdx, REG(RDX)
    mov %r10, REG(R10)
    mov %r8, REG(R8)
    mov %r9, REG(R9)
    mov %rbx, REG(RBX)
    mov %rbp, REG(RBP)
    mov %r12, REG(R12)
    mov %r13, REG(R13)
    mov %r14, REG(R14)
    mov %r15, REG(R15)
    mov REG(NR), %eax
    mov %gs:AREA_STACK, %rsp
    pushfq
    popq %gs:AREA_FLAGS
    cld
    mov %r10, %rcx
    cmpl $0, %gs:AREA_OBSERVE
    jne 2f
    cmp exo_call_limit(%rip), %eax
    jae 3f
    lea exo_handlers(%rip), %r11
    call *(%r11, %rax, 8)
1:  mov %rax, REG(RAX)
exo_recheck:
    cmpw $0, %gs:AREA_PENDING
    jne exo_slow_exit
    mov %gs:AREA_FLAGS, %r11
    test $0x500, %r11d
    jnz 4f                      /* the direction or the trap flag was set: the slow way */
    mov %r11d, %ecx             /* popfq is slow: AH for sahf, and an overflow if there was one */
    mov %r11d, %eax
    shl $8, %eax
    shr $11, %ecx
    and $1, %ecx
    mov %cl, %al
    add $0x7f, %al
    sahf
    mov REG(RDI), %rdi
    mov REG(RSI), %rsi
    mov REG(RDX), %rdx
    mov REG(R10), %r10
    mov REG(R8), %r8
    mov REG(R9), %r9
    mov REG(RAX), %rax
    mov REG(RSP), %rsp
    mov REG(RIP), %rcx
    jmp *%rcx
4:  mov REG(RDI), %rdi
    mov REG(RSI), %rsi
    mov REG(RDX), %rdx
    mov REG(R10), %r10
    mov REG(R8), %r8
    mov REG(R9), %r9
    mov REG(RAX), %rax
    pushq $0x2b                 /* ss */
    pushq REG(RSP)
    push %r11
    pushq $0x33                 /* cs */
    pushq REG(RIP)
    mov REG(RIP), %rcx
    iretq                       /* flags and rip at once: a step ends behind the next instruction */
exo_exit_end:

2:  call exo_observe
    jmp 1b
3:  mov $-38, %rax              /* ENOSYS */
    jmp 1b

exo_slow_exit:
exo_leave_runtime:             /* for C: does not return */
    mov %gs:AREA_STACK, %rsp
    cld
    call exo_exit_work
    jmp exo_recheck
    .size exo_entry, . - exo_entry

/* void exo_resume(void): to the guest with every register from area.regs; for a new task. */
    .globl exo_resume
exo_resume:
    mov REG(RBX), %rbx
    mov REG(RBP), %rbp
    mov REG(R12), %r12
    mov REG(R13), %r13
    mov REG(R14), %r14
    mov REG(R15), %r15
    jmp exo_recheck

/* void exo_resume_full(void): to the guest with area.flags and every register from area.regs, rcx
 * and r11 too; as from sigreturn. Only the area has been read when it jumps. */
    .globl exo_resume_full, exo_full_recheck, exo_full_end, exo_full_slow
exo_resume_full:
    mov %gs:AREA_STACK, %rsp
exo_full_recheck:
    cmpw $0, %gs:AREA_PENDING
    jne exo_full_slow
    pushq %gs:AREA_FLAGS
    popfq
    mov REG(R8), %r8
    mov REG(R9), %r9
    mov REG(R10), %r10
    mov REG(R11), %r11
    mov REG(R12), %r12
    mov REG(R13), %r13
    mov REG(R14), %r14
    mov REG(R15), %r15
    mov REG(RDI), %rdi
    mov REG(RSI), %rsi
    mov REG(RBP), %rbp
    mov REG(RBX), %rbx
    mov REG(RDX), %rdx
    mov REG(RAX), %rax
    mov REG(RCX), %rcx
    mov REG(RSP), %rsp
    jmp *REG(RIP)
exo_full_end:

exo_full_slow:
    mov %gs:AREA_STACK, %rsp
    cld
    call exo_exit_work_full
    jmp exo_resume_full

/* void exo_start(uint64_t entry, uint64_t stack): the guest's first instruction, ABI section 3.4. */
    .globl exo_start
exo_start:
    mov %rsi, %rsp
    mov %rdi, %r11
    xor %eax, %eax
    xor %ebx, %ebx
    xor %ecx, %ecx
    xor %edx, %edx
    xor %esi, %esi
    xor %edi, %edi
    xor %ebp, %ebp
    xor %r8d, %r8d
    xor %r9d, %r9d
    xor %r10d, %r10d
    xor %r12d, %r12d
    xor %r13d, %r13d
    xor %r14d, %r14d
    xor %r15d, %r15d
    jmp *%r11

/* The loader's entry point: the host put argc at rsp. */
    .globl _start
_start:
    xor %ebp, %ebp
    mov %rsp, %rdi
    and $-16, %rsp
    call exo_loader
    ud2

    .section .note.GNU-stack, "", @progbits
