"""56 bytes one way between Python processes on one CPU."""

from benchmarks.jobs.channel_ping import channels

JOB = channels("56 bytes one way between Python processes on one CPU", "ping", same=True)
