"""Creating and joining a thread."""

from benchmarks.job import Job, guest

JOB = Job(
    title="pthread_create + pthread_join, one CPU",
    unit="us",
    better="less",
    command=lambda: [guest("pthread_create", "-pthread")],
    pinned=True,
    must=1.3,
    aim=1.05,
)
