"""PostgreSQL and pgbench, reading one row each time."""

from benchmarks.jobs.serve_redis import serve_of

JOB = serve_of("PostgreSQL: pgbench -S, 8 clients", ("pgbench",), "postgres", must=1.1, aim=1.5)
