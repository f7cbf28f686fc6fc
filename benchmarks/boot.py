"""Where the start of an instance goes, and what its kernel process weighs.

python -m benchmarks.boot [ROUNDS]: runs `busybox true` ROUNDS times (41) and prints the median of
each boot phase as a Markdown table; then reads the kernel process's memory while a guest sleeps.
"""

import json
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

EXO_UM = str(Path(sys.executable).parent / "exo-um")
PHASES = {
    "imported": "exo_um imported",
    "spawn": "kernel region, fd table and first task made",
    "loader": "the host executes the loader",
    "region": "loader: region mapped, thread area and handlers set",
    "loaded": "loader: program found and mapped",
    "entry": "loader: interception armed, jump to the program",
}


def measure(stats: Path) -> dict[str, float]:
    """Run once; return the milliseconds each phase took."""
    began = time.perf_counter()
    argv = [EXO_UM, "run", "--stats", str(stats), "/bin/busybox", "true"]
    subprocess.run(argv, check=True, close_fds=False)
    whole = (time.perf_counter() - began) * 1000
    told = json.loads(stats.read_text())
    inside = told["wall_us"] / 1000
    phases = {"before": whole - inside}
    last = 0.0
    for phase in PHASES:
        now = told["boot_us"][phase] / 1000
        phases[phase], last = now - last, now
    return phases | {"program": inside - last, "whole": whole}


def pss_kib() -> int:
    """Return the proportional set size of a kernel process that has served a legacy call."""
    script = "uname >/dev/null; sleep 0.5; echo up; sleep 1"  # it loads more when idle
    argv = [EXO_UM, "run", "/bin/busybox", "sh", "-c", script]
    with subprocess.Popen(argv, stdout=subprocess.PIPE) as kernel:
        assert kernel.stdout is not None
        kernel.stdout.readline()
        rollup = Path(f"/proc/{kernel.pid}/smaps_rollup").read_text()
    return next(int(line.split()[1]) for line in rollup.splitlines() if line.startswith("Pss:"))


def main() -> int:
    """Print the table and the memory."""
    rounds = int(sys.argv[1]) if len(sys.argv) > 1 else 41
    with tempfile.TemporaryDirectory() as folder:
        samples = [measure(Path(folder) / "stats.json") for _ in range(rounds)]
    names = {
        "before": "launcher and Python's own start, and the process's end",
        **PHASES,
        "program": "the program, its end, the instance's end",
        "whole": "whole process",
    }
    print("| phase | median ms |\n| --- | ---: |")
    for key, name in names.items():
        print(f"| {name} | {statistics.median(sample[key] for sample in samples):.2f} |")
    print(f"\nKernel process: {pss_kib() / 1024:.1f} MiB PSS")
    return 0


if __name__ == "__main__":
    sys.exit(main())
