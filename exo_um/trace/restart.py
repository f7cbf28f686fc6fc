"""What Linux says to tracers of a call that a signal has cut short: ERESTARTSYS and kin.

Whether it begins again is decided later; a program sees EINTR at most, and the runtime tells that.
Source: signal(7), restart_syscall(2), and strace of each call here.
"""

from __future__ import annotations

from posix_x.table.rows import NAMES

EINTR, ERESTARTSYS, ERESTARTNOHAND, ERESTART_RESTARTBLOCK = -4, -512, -514, -516
RUNTIMES = (EINTR, -512, -514)
FUTEX_COMMAND, TIMER_ABSTIME = 0x7F, 1
FUTEX_WAITS = (0, 9)

SAY_EINTR = {  # which are never begun again
    "epoll_wait", "epoll_pwait", "epoll_pwait2", "semop", "semtimedop", "rt_sigtimedwait",
    "io_getevents", "io_pgetevents", "sleep", "close", "getrandom",
}  # fmt: skip
NO_HANDLER = {
    "pause", "rt_sigsuspend", "ppoll", "select", "pselect6", "msgrcv", "msgsnd",
}  # fmt: skip
BLOCK = {"poll", "nanosleep"}


def as_traced(nr: int, args: tuple[int, ...], result: int, cut: bool) -> int:
    """Return a result as a tracer sees it, of what the runtime tells; cut: it ended for good."""
    if result not in RUNTIMES or nr >= len(NAMES):
        return result
    name = NAMES[nr]
    if cut or name in SAY_EINTR or name == "rt_sigreturn":
        return EINTR
    if name in NO_HANDLER:
        return ERESTARTNOHAND
    if name == "clock_nanosleep":
        return ERESTARTNOHAND if args[1] & TIMER_ABSTIME else ERESTART_RESTARTBLOCK
    if name == "futex":
        timed = args[3] and args[1] & FUTEX_COMMAND in FUTEX_WAITS
        return ERESTART_RESTARTBLOCK if timed else ERESTARTSYS
    return ERESTART_RESTARTBLOCK if name in BLOCK else ERESTARTSYS
