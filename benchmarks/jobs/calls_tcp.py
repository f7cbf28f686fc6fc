"""How often loopback TCP needs the host."""

from benchmarks.jobs.calls_unix import calls_of

JOB = calls_of("loopback TCP message between two CPUs", "tcp")
