"""A signal to oneself: delivery and sigreturn without another process."""

from benchmarks.job import Job, guest

JOB = Job(
    title="signal to oneself, with a handler",
    unit="ns",
    better="less",
    command=lambda: [guest("self_signal")],
    must=1.0,
    aim=0.5,
)
