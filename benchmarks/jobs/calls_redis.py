"""How often redis and its clients need the host."""

from benchmarks.jobs.calls_unix import calls_of

JOB = calls_of("redis request by 50 clients", "redis")
