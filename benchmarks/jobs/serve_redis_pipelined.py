"""redis-server and redis-benchmark, 16 requests in flight per client."""

from benchmarks.jobs.serve_redis import REDIS, serve_of

JOB = serve_of("redis: the same, 16 requests at a time", REDIS, "redis", "16", must=1.3, aim=2)
