"""56 bytes in a stream, per message."""

from benchmarks.jobs.channel_ping import channels

JOB = channels("56 bytes in a stream, per message", "stream")
