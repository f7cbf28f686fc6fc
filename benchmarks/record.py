"""Record run times: `python -m benchmarks.record NAME [--limit BURSTS] -- COMMAND...`, as root.

The host's tracepoints tell when each thread of the command, and of all that it starts, gets a CPU
and gives it up. A burst is the CPU time between two blockings: where the host only preempts, it
goes on; an exec ends one, too. Written to benchmarks/traces/NAME.txt, in the order in which bursts
ended; README.md there explains the format. With --guests, only what runs in exo-um is recorded.
"""

import argparse
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

HERE = Path(__file__).parent
TRACING = Path("/sys/kernel/tracing")
EVENTS = ("sched_switch", "sched_process_fork", "sched_process_exec")
BUFFER_KIB = 32768
TIMEOUT_S = 120
LOADER = "/dev/fd/"  # exo-um starts its guests by a descriptor of their loader

LINE = re.compile(r"\s(?P<time>\d+\.\d+): (?P<event>\w+): (?P<rest>.*)")
SWITCH = re.compile(
    r"prev_comm=(?P<comm>.*) prev_pid=(?P<prev>\d+) prev_prio=\d+ prev_state=(?P<state>\S+)"
    r" ==> next_comm=.* next_pid=(?P<next>\d+) next_prio"
)
FORK = re.compile(r"comm=(?P<comm>.*) pid=(?P<parent>\d+) child_comm=.* child_pid=(?P<child>\d+)")
EXEC = re.compile(r"filename=(?P<path>.*) pid=(?P<pid>\d+) old_pid=")


@dataclass
class Thread:
    """A thread of the command; number is the trace's own, 0 until it has ended a burst."""

    parent: int
    guest: bool
    name: str = "start"
    fresh: bool = False  # it has exec'd since its last burst
    number: int = 0
    on_since_us: int | None = None
    run_us: int = 0


@dataclass
class Recorder:
    """Turns the host's events into a trace's lines."""

    guests_only: bool
    threads: dict[int, Thread] = field(default_factory=dict)
    lines: list[str] = field(default_factory=list)
    numbers: int = 0
    bursts: int = 0

    def number_of(self, pid: int) -> int:
        """Return the number of a thread in the trace, or of the nearest one above that has one."""
        while pid in self.threads and not self.threads[pid].number:
            pid = self.threads[pid].parent
        return self.threads[pid].number if pid in self.threads else 0

    def end(self, thread: Thread, name: str) -> None:
        """Note a burst; name: the thread's now. What it was called before is what was known."""
        if not thread.number:
            self.numbers += 1
            above, thread.number = self.number_of(thread.parent), self.numbers
            self.lines.append(f"{thread.number} + {above} {thread.name}")
        if thread.fresh and name != thread.name:  # an exec's program is known when it begins
            self.lines.append(f"{thread.number} = {name}")
        self.lines.append(f"{thread.number} {thread.run_us}")
        if not thread.fresh and name != thread.name:
            self.lines.append(f"{thread.number} = {name}")
        thread.name, thread.fresh, thread.run_us = name, False, 0
        self.bursts += 1

    def leave(self, time_us: int, thread: Thread) -> None:
        """Count what a thread has run since it got the CPU."""
        if thread.on_since_us is not None:
            thread.run_us += time_us - thread.on_since_us
            thread.on_since_us = None

    def switch(self, time_us: int, match: re.Match[str]) -> None:
        """Take a switch: one thread gives the CPU up, another gets it."""
        gone, come = self.threads.get(int(match["prev"])), self.threads.get(int(match["next"]))
        if gone and gone.on_since_us is not None:
            self.leave(time_us, gone)
            if not match["state"].startswith("R"):
                if gone.guest:
                    self.end(gone, match["comm"].replace(" ", "_"))
                gone.run_us = 0
        if come:
            come.on_since_us = time_us

    def exec(self, time_us: int, match: re.Match[str]) -> None:
        """Take an exec: it ends a burst, and begins another of the same thread."""
        thread = self.threads.setdefault(int(match["pid"]), Thread(0, guest=False))
        self.leave(time_us, thread)
        if thread.guest:
            self.end(thread, thread.name)
        thread.run_us, thread.on_since_us, thread.fresh = 0, time_us, True
        thread.guest |= not self.guests_only or match["path"].startswith(LOADER)

    def take(self, line: str) -> None:
        """Take one line of the host's trace."""
        event = LINE.search(line)
        if event is None:
            return
        rest, time_us = event["rest"], round(float(event["time"]) * 1e6)
        if event["event"] == "sched_switch" and (match := SWITCH.match(rest)):
            self.switch(time_us, match)
        elif event["event"] == "sched_process_fork" and (match := FORK.match(rest)):
            parent = self.threads.get(int(match["parent"]), Thread(0, guest=False))
            self.threads[int(match["child"])] = Thread(
                int(match["parent"]), parent.guest, parent.name
            )
        elif event["event"] == "sched_process_exec" and (match := EXEC.match(rest)):
            self.exec(time_us, match)


@contextmanager
def tracing(pid: int) -> Iterator[Path]:
    """Have the host trace a process and all its descendants."""
    place = TRACING / "instances" / "exo-um-record"
    place.mkdir()
    try:
        (place / "buffer_size_kb").write_text(str(BUFFER_KIB))
        (place / "options" / "event-fork").write_text("1")
        (place / "set_event_pid").write_text(str(pid))
        for event in EVENTS:
            (place / "events" / "sched" / event / "enable").write_text("1")
        yield place
    finally:
        place.rmdir()


def overruns(place: Path) -> int:
    """Return how many events the host has dropped."""
    texts = [path.read_text() for path in place.glob("per_cpu/cpu*/stats")]
    return sum(int(number) for text in texts for number in re.findall(r"overrun: (\d+)", text))


def record(command: list[str], *, guests_only: bool) -> Recorder:
    """Run a command, without its output, and record it."""
    ready, go = os.pipe()
    waiting = f'read line <&{ready}; exec "$@"'
    with Path(os.devnull).open("r+b") as out:
        process = subprocess.Popen(
            ["sh", "-c", waiting, "sh", *command], pass_fds=[ready], stdout=out, stderr=out
        )
        with tracing(process.pid) as place:
            os.write(go, b"\n")
            try:
                process.wait(TIMEOUT_S)
            finally:
                process.kill()
                (place / "tracing_on").write_text("0")
            if overruns(place):
                raise SystemExit(f"{overruns(place)} events were lost")
            recorder = Recorder(guests_only)
            with (place / "trace").open() as lines:
                for line in lines:
                    recorder.take(line)
    os.close(ready)
    os.close(go)
    return recorder


def main() -> int:
    """Record the command on the command line."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.record", description=__doc__)
    parser.add_argument("name", help="of the trace")
    parser.add_argument("command", nargs="+", metavar="COMMAND")
    parser.add_argument("--guests", action="store_true", help="record exo-um's guests only")
    parser.add_argument("--limit", type=int, default=6000, metavar="N", help="bursts to be kept")
    options = parser.parse_args()
    recorder = record(options.command, guests_only=options.guests)
    bursts = 0
    with (HERE / "traces" / f"{options.name}.txt").open("w") as file:
        for line in recorder.lines:
            bursts += line.count(" ") == 1
            if bursts > options.limit:
                break
            file.write(f"{line}\n")
    print(f"{options.name}: {recorder.bursts} bursts of {recorder.numbers} threads")
    return 0


if __name__ == "__main__":
    sys.exit(main())
