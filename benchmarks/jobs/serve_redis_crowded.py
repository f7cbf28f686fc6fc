"""redis while every CPU has something else to compute, too."""

from benchmarks.jobs.serve_redis import REDIS, serve_of

TITLE = "redis beside a process that computes on each CPU"
JOB = serve_of(TITLE, REDIS, "crowded", "redis", must=1, aim=5)
