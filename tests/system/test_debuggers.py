"""gdb and strace inside exo-um say the same of a program as outside, but for pids and addresses.

The program is debugged.c, compiled anew for each run, dynamic and static.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from sidebyside import Pair

SOURCE = Path(__file__).with_name("debugged.c").read_text()
KINDS = {"dynamic": "", "static": "-static"}
FLAGS = ([], ["--no-patch"], ["--intercept", "seccomp"])

# Pids, addresses of stacks and libraries, and how gdb pads what holds them.
GDB_RULES = [
    (r"process \d+", "process P"),
    (r"LWP \d+", "LWP P"),
    (r"0x0*7f[0-9a-f]{10}", "ADDRESS"),
    (r"\b140\d{12}\b", "ADDRESS"),
    (r"^\[Thread .* exited\]\n", ""),
    # gdb forgets the first thread, and finds it anew, if it exits before another's end is seen.
    (r"^\[New process P\]\n", ""),
    (r" +", " "),
]
STRACE_RULES = [
    (r" +", " "),
    (r"0x[0-9a-f]{5,}", "ADDRESS"),
    (r"/\* \d+ vars \*/", "VARS"),
    (r" /\* [\d.]+ s \*/", ""),
    (r"^\d+ ", "P "),
    (r"\[pid +\d+\]", "[pid P]"),
    (r"\bProcess \d+", "Process P"),
    (r"(getrandom|sysinfo)\(.*", r"\1"),
    (r"(wait4|kill|tgkill|set_tid_address|getpid|getppid|gettid)\(.*", r"\1"),
    (r"rt_sigreturn\((.*)\) = \d+$", r"rt_sigreturn(\1) = N"),
    (r"(si_pid|si_utime|si_stime|parent_tid)=\[?\d+\]?", r"\1=N"),
    (r"((clone|fork|clone3|futex)\(.*) = \d+$", r"\1 = N"),
    (r"(FUTEX_WAIT_BITSET\|FUTEX_CLOCK_REALTIME), \d+", r"\1, N"),
]

GDB = {
    "break": (
        "",
        (
            "break inner|run|bt|info args|next|print counter|finish|info registers rip|stepi|"
            "x/i $pc|continue|delete|continue"
        ),
    ),
    "call": (
        "",
        (
            "break main|run|print outer(1, 2)|print counter|tbreak inner|continue|return 5|y|next|"
            "set var counter = 9|continue"
        ),
    ),
    "registers": (
        "",
        (
            "break outer|run|print $xmm0|set var $xmm1.v4_int32[2] = 7|print $xmm1|print/x $mxcsr|"
            "print $fs_base != 0|print $gs_base|info registers rsi rdi cs|set var $rdi = 1|kill"
        ),
    ),
    "watch": ("", "break main|run|watch counter|continue|continue|info watchpoints|continue"),
    "rwatch": ("", "break main|run|rwatch counter|continue|continue|delete|continue"),
    "software watch": (
        "",
        (
            "set can-use-hw-watchpoints 0|break outer|run|watch counter|continue|continue|delete|"
            "continue"
        ),
    ),
    "steps": ("", "starti|stepi 300|info registers eflags|kill"),
    "catch syscall": ("", "break outer|run|catch syscall write|continue|stepi|continue|continue"),
    "signals": ("signals", "run|continue|bt|print $_siginfo.si_signo|continue"),
    "signal not passed": (
        "signals",
        "handle SIGUSR1 nopass stop print|run|continue|print received",
    ),
    "fork": ("forks", "catch fork|run|bt 1|delete|continue"),
    "child": ("forks", "set follow-fork-mode child|break inner|run|bt|delete|continue"),
    "threads": ("threads", "break work|run|bt 1|delete|continue"),
}


@pytest.mark.timeout(600)
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("name", GDB)
def test_gdb(
    name: str, kind: str, require: Callable[[str], None], both: Callable[..., Pair]
) -> None:
    """A session of gdb's commands gives the same text."""
    for program in ("gcc", "gdb"):
        require(program)
    argument, commands = GDB[name]
    start = ["set pagination off", "set confirm off", "set width 0"]
    argv = ["gdb", "-nx", "-q", "-batch"]
    for command in [*start, *commands.split("|")]:
        argv += ["-ex", command]
    setup = f"gcc -g -O0 -pthread {KINDS[kind]} -o debugged debugged.c"
    for flags in FLAGS if name == "break" else FLAGS[:1]:
        pair = both(
            [*argv, "--args", "./debugged", *argument.split()],
            files={"debugged.c": SOURCE},
            setup=setup,
            flags=flags,
        )
        assert not pair.native.timed_out, pair.native
        assert not (difference := pair.difference(GDB_RULES)), difference


ATTACH = """
./debugged loops &
pid=$!
gdb -nx -q -batch -ex 'break step' -ex continue -ex 'bt 2' -ex delete -ex finish -ex detach \
    ./debugged -p $pid >one 2>&1
grep -c 'Breakpoint 1, step' one
kill -0 $pid && echo alive
gdb -nx -q -batch -ex 'set var go = 0' -ex detach ./debugged -p $pid >two 2>&1
wait $pid
echo $?
"""

STRACE_ATTACH = """
mkfifo ready
./debugged loops &
pid=$!
strace -o trace -p $pid 2>ready &
tracer=$!
read line <ready
while [ "$(grep -c clock_nanosleep trace)" -lt 3 ]; do sleep 0.02; done
kill -INT $tracer
wait $tracer
kill -0 $pid && echo alive
kill -TERM $pid
wait $pid
echo $?
"""

FAULT = """
(strace -o trace ./debugged signals) 2>&1 | grep -v Segmentation
echo ${PIPESTATUS[0]}
tail -1 trace
"""

SCRIPTS = {
    "gdb -p": ATTACH,
    "strace -p": STRACE_ATTACH,
    "strace -c": "strace -c -o counts ./debugged; echo $?; awk '$NF == \"write\"' counts | wc -l",
    "strace -f of threads": "strace -f -o trace ./debugged threads; echo $?; grep -c +++ trace",
    "strace fault": FAULT,
    "kill of a tracer": "strace -o trace -D ./debugged; echo $?",
}


@pytest.mark.timeout(600)
@pytest.mark.parametrize("name", SCRIPTS)
def test_script(name: str, require: Callable[[str], None], both: Callable[..., Pair]) -> None:
    """A shell script around gdb or strace gives the same output and status."""
    for program in ("gcc", "gdb", "strace"):
        require(program)
    pair = both(
        ["bash", "-c", SCRIPTS[name]],
        files={"debugged.c": SOURCE},
        setup="gcc -g -O0 -pthread -o debugged debugged.c",
    )
    assert pair.native.status == 0, pair.native
    assert not (difference := pair.difference([*GDB_RULES, *STRACE_RULES])), difference


# A child may end before its parent waits or afterwards: what SIGCHLD brings is shown last.
LATER = """
/--- SIGCHLD/ || (handled && /^rt_sigreturn/) { later = later $0 "\\n"; handled = /SIGCHLD/; next }
{ handled = 0; print }
END { printf "%s", later }
"""

TRACED = {
    "plain": "./debugged",
    "forks": "./debugged forks",
    "two programs": "sh -c 'ls -d /; true'",
    "handler": "sh -c 'trap \"echo hi\" USR1; kill -USR1 $$'",
    "busybox": "busybox sh -c 'busybox true; busybox echo x'",
    "python": '/usr/bin/python3 -S -c \'import os; print(os.spawnvp(0, "echo", ["echo", "x"]))\'',
}


@pytest.mark.timeout(600)
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("name", TRACED)
def test_strace(
    name: str, kind: str, require: Callable[[str], None], both: Callable[..., Pair]
) -> None:
    """strace -ff sees the same calls of each process, in the same order."""
    for program in ("gcc", "strace", "busybox"):
        require(program)
    show = 'for file in $(ls trace.* | sort -t. -k2 -n); do echo "== "; awk "$LATER" $file; done'
    pair = both(
        ["bash", "-c", f"LATER='{LATER}'; strace -ff -o trace {TRACED[name]}; echo $?; {show}"],
        files={"debugged.c": SOURCE},
        setup=f"gcc -g -O0 -pthread {KINDS[kind]} -o debugged debugged.c",
    )
    assert pair.native.status == 0, pair.native
    assert not (difference := pair.difference(STRACE_RULES)), difference
