"""ptrace(2): what a tracee cannot tell its tracer itself, being another user's process.

A tracer may be root's and its tracee have given up root: the host then keeps the tracee from
sending signals to the tracer, so the kernel process does.
"""

from __future__ import annotations

from exo_um.bindings.process import call_waiter, queue_child_signal

TYPE_CHECKING = False
if TYPE_CHECKING:
    from exo_um.kernel.call import Answer, Call


def sys_ptrace(call: Call) -> Answer:
    """Wake the caller's tracer where it waits, and send it SIGCHLD. Source: ptrace(2).

    Arguments: si_code, si_status and si_uid of the signal.
    """
    tasks = call.instance.tasks
    tracer = tasks.find(tasks[call.slot].tracer)
    if tracer is None:
        return 0
    for slot in tasks.threads(tracer):
        if tasks[slot].trace_waits:
            tasks[slot].trace_waits = 0
            call_waiter(tasks.host_pid(slot), tasks.host_tid(slot))
    code, status, uid = call.args[:3]
    queue_child_signal(tasks.host_pid(tracer), code, (call.tid, uid, status))
    return 0
