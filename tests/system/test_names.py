"""uname(2), sethostname(2), sysinfo(2): an instance's own names, the host's figures."""

from __future__ import annotations

import os

from sidebyside import Launcher

TASKS = """
import ctypes, os
info = (ctypes.c_uint64 * 14)()
assert ctypes.CDLL(None).sysinfo(info) == 0
print(info[10] & 0xFFFF == sum(len(os.listdir(f"/proc/{pid}/task"))
      for pid in os.listdir("/proc") if pid.isdigit()), info[0] > 0, info[4] > 0)
"""


def test_uname(launcher: Launcher) -> None:
    script = "uname -s -n -r -m; uname -v; cat /proc/sys/kernel/osrelease /proc/sys/kernel/version"
    both = launcher.both(["sh", "-c", script])
    names, version, release, again = both.exo.stdout.decode().splitlines()
    host = os.uname()
    assert names == f"Linux {host.nodename} {release} x86_64"
    assert release.endswith("-exo-um")
    assert host.release.startswith(release.removesuffix("-exo-um"))
    assert version == again
    assert version.startswith("exo-um ")


def test_sethostname(launcher: Launcher) -> None:
    """The instance's, for who may; the host keeps its name."""
    script = "hostname elsewhere && uname -n && cat /proc/sys/kernel/hostname"
    outcome = launcher.exo(["sh", "-c", script])
    if launcher.user or os.getuid() != 0:
        assert outcome.status != 0
        assert b"must be root" in outcome.stderr or b"not permitted" in outcome.stderr
    else:
        assert outcome.stdout == b"elsewhere\nelsewhere\n"
    assert os.uname().nodename != "elsewhere"


def test_sysinfo_counts_the_instances_tasks(launcher: Launcher) -> None:
    outcome = launcher.exo(["python3", "-c", TASKS])
    assert outcome.stdout == b"True True True\n"
