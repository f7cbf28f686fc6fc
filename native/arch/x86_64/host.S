/* Host calls, guest memory access, thread birth: the instructions that trap.c and signal.c know by
 * address. Every `syscall` of the runtime is in this file.
 */
#include <exo/offsets.h>

    .text

/* long host_call(nr, a, b, c, d, e, f) */
    .globl host_call
    .type host_call, @function
    .p2align 4
host_call:
    mov %rdi, %rax
    mov %rsi, %rdi
    mov %rdx, %rsi
    mov %rcx, %rdx
    mov %r8, %r10
    mov %r9, %r8
    mov 8(%rsp), %r9
    incq %gs:AREA_HOST_CALLS
    syscall
    ret

/* The same before there is a thread area. */
    .globl host_call_early
host_call_early:
    mov %rdi, %rax
    mov %rsi, %rdi
    mov %rdx, %rsi
    mov %rcx, %rdx
    mov %r8, %r10
    mov %r9, %r8
    mov 8(%rsp), %r9
    syscall
    ret

/* long host_wait_now(nr, a, b, c, d, e, f): gives way to signals. A handler that finds rip from
 * host_wait_check to host_wait_syscall moves it to host_wait_abort. The host must block what the
 * guest does before it waits: exo_mask_sync() calls back here, with area.lazy off. */
    .globl host_wait_now, host_wait_check, host_wait_syscall, host_wait_abort
    .type host_wait_now, @function
    .p2align 4
host_wait_now:
    mov %rdi, %rax
    mov %rsi, %rdi
    mov %rdx, %rsi
    mov %rcx, %rdx
    mov %r8, %r10
    mov %r9, %r8
    mov 8(%rsp), %r9
    incq %gs:AREA_HOST_CALLS
host_wait_check:
    cmpl $0, %gs:AREA_PENDING
    jne host_wait_abort
host_wait_syscall:
    syscall
    ret
host_wait_abort:
    cmpw $0, %gs:AREA_PENDING   /* stashed, again; else it is lazy */
    jne 1f
    push %rax
    push %rdi
    push %rsi
    push %rdx
    push %r10
    push %r8
    push %r9
    call exo_mask_sync
    pop %r9
    pop %r8
    pop %r10
    pop %rdx
    pop %rsi
    pop %rdi
    pop %rax
    jmp host_wait_check
1:  mov $-EXO_ERESTART, %rax
    ret

/* long host_clone_vm(flags, stack, ptid, ctid, tls, area): a child on its own runtime stack. */
    .globl host_clone_vm
    .type host_clone_vm, @function
host_clone_vm:
    push %rbx
    mov %r9, %rbx
    mov %rcx, %r10
    mov $56, %eax
    syscall
    test %rax, %rax
    jz 1f
    pop %rbx
    ret
1:  xor %ebp, %ebp
    cmpb $0, exo_has_fsgsbase(%rip)
    je 2f
    wrgsbase %rbx
    jmp 3f
2:  mov $158, %eax              /* arch_prctl(ARCH_SET_GS, area) */
    mov $0x1001, %edi
    mov %rbx, %rsi
    syscall
3:  call exo_child_begin
    jmp exo_resume

/* long host_sigreturn(struct k_ucontext *): the host restores everything from there. With a signal
 * stashed meanwhile it does not: -EXO_ERESTART. */
    .globl host_sigreturn, host_sigreturn_check, host_sigreturn_syscall, host_sigreturn_abort
host_sigreturn:
    mov %rsp, %rcx
    mov %rdi, %rsp
host_sigreturn_check:
    cmpw $0, %gs:AREA_PENDING
    jne host_sigreturn_abort
    mov $15, %eax
host_sigreturn_syscall:
    syscall
    ud2
host_sigreturn_abort:
    mov %rcx, %rsp
    mov $-EXO_ERESTART, %rax
    ret

/* Return address of the runtime's own host handlers. */
    .globl host_restorer
host_restorer:
    mov $15, %rax
    syscall
    ud2

/* long exo_copy(to, from, size): 0 or -EFAULT; a fault at exo_copy_insn goes to exo_copy_fault. */
    .globl exo_copy, exo_copy_insn, exo_copy_fault
exo_copy:
    mov %rdx, %rcx
exo_copy_insn:
    rep movsb
    xor %eax, %eax
    ret
exo_copy_fault:
    mov $-14, %rax
    ret

/* long exo_copy_past(to, from, size): the same past the caches, for what another CPU reads next: a store would
 * first have to ask that one for the line. A fault between _begin and _end goes to exo_copy_fault. */
    .globl exo_copy_past, exo_copy_past_begin, exo_copy_past_end
exo_copy_past:
    mov %rdi, %rcx
    neg %rcx
    and $63, %ecx
    cmp %rdx, %rcx
    cmova %rdx, %rcx
    sub %rcx, %rdx
exo_copy_past_begin:
    rep movsb /* up to the next line */
    mov %rdx, %rcx
    shr $6, %rcx
    jz 2f
1:
    mov (%rsi), %rax
    mov 8(%rsi), %r8
    mov 16(%rsi), %r9
    mov 24(%rsi), %r10
    movnti %rax, (%rdi)
    movnti %r8, 8(%rdi)
    movnti %r9, 16(%rdi)
    movnti %r10, 24(%rdi)
    mov 32(%rsi), %rax
    mov 40(%rsi), %r8
    mov 48(%rsi), %r9
    mov 56(%rsi), %r10
    movnti %rax, 32(%rdi)
    movnti %r8, 40(%rdi)
    movnti %r9, 48(%rdi)
    movnti %r10, 56(%rdi)
    add $64, %rsi
    add $64, %rdi
    dec %rcx
    jnz 1b
2:
    mov %edx, %ecx
    and $63, %ecx
    rep movsb
exo_copy_past_end:
    sfence
    xor %eax, %eax
    ret

/* bool exo_guest_same(guest, with, size): by 64 bytes, each read once; a fault between _begin and _end goes to
 * exo_same_fault. */
    .globl exo_guest_same, exo_same_begin, exo_same_end, exo_same_fault
exo_guest_same:
    shr $6, %rdx
    jz 2f
exo_same_begin:
1:
    mov (%rdi), %rax
    mov 8(%rdi), %rcx
    mov 16(%rdi), %r8
    mov 24(%rdi), %r9
    xor (%rsi), %rax
    xor 8(%rsi), %rcx
    xor 16(%rsi), %r8
    xor 24(%rsi), %r9
    or %rcx, %rax
    or %r9, %r8
    or %r8, %rax
    mov 32(%rdi), %rcx
    mov 40(%rdi), %r8
    mov 48(%rdi), %r9
    mov 56(%rdi), %r10
    xor 32(%rsi), %rcx
    xor 40(%rsi), %r8
    xor 48(%rsi), %r9
    xor 56(%rsi), %r10
    or %rcx, %rax
    or %r9, %r8
    or %r10, %rax
    or %r8, %rax
    jnz exo_same_fault
    add $64, %rdi
    add $64, %rsi
    dec %rdx
    jnz 1b
exo_same_end:
2:
    mov $1, %eax
    ret
exo_same_fault:
    xor %eax, %eax
    ret

/* long guest_byte(from) */
    .globl guest_byte, guest_byte_insn
guest_byte:
guest_byte_insn:
    movzbl (%rdi), %eax
    ret

/* long guest_exchange(at, uint32_t *expected, uint32_t new): 0 if done, 1 if the word is another;
 * *expected is what was there. -EFAULT where it cannot be written. */
    .globl guest_exchange, guest_exchange_insn
guest_exchange:
    mov (%rsi), %eax
guest_exchange_insn:
    lock cmpxchg %edx, (%rdi)
    mov %eax, (%rsi)
    setne %al
    movzbl %al, %eax
    ret

/* long exo_xsave(to, features): 0 or -EFAULT; long exo_xrstor(from, features): likewise */
    .globl exo_xsave, exo_xsave_insn, exo_xrstor, exo_xrstor_insn
exo_xsave:
    mov %esi, %eax
    mov %rsi, %rdx
    shr $32, %rdx
exo_xsave_insn:
    xsave64 (%rdi)
    xor %eax, %eax
    ret
exo_xrstor:
    mov %esi, %eax
    mov %rsi, %rdx
    shr $32, %rdx
exo_xrstor_insn:
    xrstor64 (%rdi)
    xor %eax, %eax
    ret

    .globl exo_text_end
    .section .note.GNU-stack, "", @progbits
