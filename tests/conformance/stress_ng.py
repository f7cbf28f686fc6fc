"""stress-ng's stressors of processes, signals, locks, memory and files, each verifying itself.

A unit is a stressor and its only test. Used by run.py.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path

import packages
from sides import Bounds, run
from suite import CRASH, FAIL, PASS, SKIP, TIMEOUT, Job, Outcomes

BOUNDS = Bounds(limit_s=60, silent_s=60)
SECONDS = 5
# Operations per stressor: what Linux does in well under SECONDS. Those of the second row work in
# large steps.
OPERATIONS = 200
FEW_OPERATIONS = 5
STRESSORS = """
    access brk chdir chmod chown clock clone close context cyclic daemon dentry dev-shm dir dirdeep
    dup enosys epoll eventfd exec exit-group fallocate fault fcntl fifo file-ioctl filename flock
    fork fp-error fstat full futex get getdent getrandom handle hrtimers inode-flags inotify io
    iomix itimer kcmp kill lease link locka lockbus lockf lockofd longjmp loadavg madvise membarrier
    memfd mincore mknod mlock mmap mmapaddr mmapfixed mmapfork mmapmany mprotect mq mremap msg msync
    munlock munmap mutex nanosleep nice null open pidfd pipe pipeherd poll prctl procfs pthread
    ptrace pty rawsock readahead remap rename resources rlimit rseq rtc sched schedpolicy seal
    seek sem sem-sysv sendfile session set shm shm-sysv sigabrt sigchld sigfd sigfpe sigio signal
    signest sigpending sigpipe sigq sigrt sigsegv sigsuspend sigtrap sleep sock sockabuse sockfd
    sockpair splice spawn stack stackmmap switch symlink sync-file sysbadaddr sysinfo
    tee timer timerfd tmpfs tsc udp uname unshare urandom userfaultfd usersyscall utime vdso vfork
    vforkmany vm vm-rw vm-splice wait x86syscall xattr yield zero zombie
""".split()
HEAVY = """
    bad-altstack fork-heavy forkheavy getdent madvise mmapfork mmapmany pipeherd procfs resources
    session sock sockabuse stack stackmmap sysbadaddr sysinfo userfaultfd vm vforkmany
""".split()
# Exit statuses of stressors that could not start here: no resource, not implemented, no such call.
NOT_HERE = (3, 4, 6)
SKIPPED = re.compile(r"(?:skipped stressor|stressor will be skipped|, skipping stressor)")
COMPLAINT = re.compile(r"^stress-ng: fail:", re.MULTILINE)


class StressNg:
    """The suite, from Debian's package."""

    name = "stress-ng"
    title = "stress-ng, stressors with --verify"
    quick: Mapping[str, tuple[str, ...]] = {
        name: ()
        for name in "clone exec fork futex itimer kill pipe pthread sigfd sigsuspend vfork".split()
    }

    def prepare(self, cache: Path) -> str:
        """Install stress-ng."""
        packages.install("stress-ng")
        return packages.version("stress-ng") or ""

    def units(self) -> list[str]:
        """The stressors above that this stress-ng has."""
        known = set(packages.run(["stress-ng", "--stressors"]).split())
        return [name for name in STRESSORS if name in known]

    def run(self, job: Job) -> Outcomes:
        """Run a stressor for a few operations."""
        work = job.fresh()
        count = FEW_OPERATIONS if job.unit in HEAVY else OPERATIONS
        argv = ["stress-ng", f"--{job.unit}", "1", f"--{job.unit}-ops", str(count), "--verify"]
        argv += ["--timeout", str(SECONDS), "--temp-path", str(work), "--oomable", "--no-rand-seed"]
        ended = run(job.side, argv, job.log, work, BOUNDS)
        return {job.unit: outcome(ended.status, ended.late, ended.text)}


def outcome(status: int, late: str, text: str) -> str:
    """What an exit status and the messages say about a stressor."""
    if late:
        return TIMEOUT
    if status < 0 or status >= 125:
        return CRASH
    if status in NOT_HERE or (status == 0 and SKIPPED.search(text)):
        return SKIP
    return PASS if status == 0 and not COMPLAINT.search(text) else FAIL
