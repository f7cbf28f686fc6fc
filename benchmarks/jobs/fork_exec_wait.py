"""fork, execve of a small program in the child, waitpid."""

from benchmarks.job import Job, guest

JOB = Job(
    title="fork + execve + exit + wait, one CPU",
    unit="us",
    better="less",
    command=lambda: [guest("fork_exec_wait")],
    pinned=True,
    must=1.3,
    aim=1.05,
)
