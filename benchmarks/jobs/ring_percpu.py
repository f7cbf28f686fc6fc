"""Two CPUs push and take out messages at the same time: through one ring, or each through its."""

from benchmarks.job import Job
from benchmarks.jobs.ring_ping import sides


def contenders() -> dict[str, list[str]]:
    """Return all commands."""
    one, own = sides("one"), sides("own")
    return {
        **{f"one {name}": command for name, command in one.items()},
        **{f"each CPU's {name}": command for name, command in own.items()},
    }


JOB = Job(
    title="A push and a pop while another CPU does the same",
    unit="cycles",
    better="less",
    contenders=contenders,
)
