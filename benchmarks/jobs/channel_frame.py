"""1 MiB array one way between Python processes."""

from benchmarks.jobs.channel_ping import channels

JOB = channels("1 MiB array one way between Python processes", "frame")
