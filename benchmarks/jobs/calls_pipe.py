"""How often a pipe needs the host."""

from benchmarks.jobs.calls_unix import calls_of

JOB = calls_of("pipe message between two CPUs", "pipe")
