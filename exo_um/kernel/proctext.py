"""Rewrites texts of the host's /proc so that they speak of exo's pids: one function per file.

Each is a pure function of the host's text and a view of the tasks. Source: proc(5).
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from exo_um.kernel.procview import InstanceView as View

LOADER_MARK = b"exo1:"  # of the words that exo-guest is given before the program's
NO_NEW_PRIVS, STRICT = 1, 2  # enum exo_task_security
SECCOMP_STRICT, SECCOMP_FILTER = 1, 2  # as in seccomp(2)
STATE, PPID, PGRP, SESSION, TTY, TPGID = 0, 1, 2, 3, 4, 5


def status(text: bytes, view: View, slot: int) -> bytes:
    """Translate the ids of /proc/PID/status, and say what guests restrict themselves to.

    exo's are the only namespace and the only filters shown.
    """
    task = view.task(slot)
    filters = view.filter_count(slot)
    strict = bool(task.security & STRICT)
    ids = {
        b"NoNewPrivs": int(bool(task.security & NO_NEW_PRIVS)),
        b"Seccomp": SECCOMP_STRICT if strict else SECCOMP_FILTER if filters else 0,
        b"Seccomp_filters": filters,
        b"Tgid": task.tgid,
        b"Pid": task.tid,
        b"NStgid": task.tgid,
        b"NSpid": task.tid,
        b"NSpgid": task.pgid,
        b"NSsid": task.sid,
        b"TracerPid": task.tracer,
    }
    lines = []
    for line in text.split(b"\n"):
        key, colon, value = line.partition(b":")
        if key == b"PPid":  # the host knows who has an orphan
            ids[key] = view.pid_of_host(int(value))
        if key == b"State" and view.is_trace_stopped(slot):
            lines.append(b"State:\tt (tracing stop)")
        elif key == b"State" and slot == view.caller:
            lines.append(b"State:\tR (running)")  # on the host it sleeps, waiting for us
        else:
            lines.append(key + b":\t%d" % ids[key] if colon and key in ids else line)
    return b"\n".join(lines)


def stat(text: bytes, view: View, slot: int) -> bytes:
    """Translate pid, ppid, pgrp, session and tpgid of /proc/PID/stat."""
    task = view.task(slot)
    # The command's name may hold anything, even parentheses.
    head, _, tail = text.rpartition(b") ")
    comm = head.partition(b" (")[2]
    fields = tail.split(b" ")
    tpgid = int(fields[TPGID])
    if slot == view.caller:
        fields[STATE] = b"R"  # on the host it sleeps, waiting for us
    if view.is_trace_stopped(slot):
        fields[STATE] = b"t"
    fields[PPID] = b"%d" % view.pid_of_host(int(fields[PPID]))
    fields[PGRP] = b"%d" % task.pgid
    fields[SESSION] = b"%d" % task.sid
    fields[TPGID] = b"%d" % (view.pgid_of_host(tpgid) if tpgid > 0 else tpgid)
    return b"%d (%s) %s" % (task.tid, comm, b" ".join(fields))


def sched(text: bytes, view: View, slot: int) -> bytes:
    """Translate the tid in the first line of /proc/PID/sched, behind the command's name."""
    first, newline, rest = text.partition(b"\n")
    comm, _, tail = first.rpartition(b" (")
    return b"%s (%d,%s" % (comm, view.task(slot).tid, tail.partition(b",")[2]) + newline + rest


def locks(text: bytes, view: View) -> bytes:
    """Translate the pids of /proc/locks; locks of processes outside the instance are left out."""
    lines: list[bytes] = []
    number = 0
    for line in text.splitlines():
        fields = line.split()
        at = 5 if fields[1] == b"->" else 4
        host_pid = int(fields[at])
        pid = view.pid_of_host(host_pid) if host_pid > 0 else host_pid
        if pid == 0:
            continue
        number += fields[1] != b"->"
        before, _, after = line.partition(b" %d " % host_pid)
        lines.append(b"%d:%s %d %s\n" % (number, before.partition(b":")[2], pid, after))
    return b"".join(lines)


def loadavg(text: bytes, view: View) -> bytes:
    """Replace the number of the task that was created last, in /proc/loadavg."""
    return b"%s %d\n" % (text.rstrip().rpartition(b" ")[0], view.last_pid())


def children(view: View, slot: int) -> bytes:
    """Return the contents of /proc/PID/task/TID/children."""
    return b"".join(b"%d " % pid for pid in view.children(slot))
