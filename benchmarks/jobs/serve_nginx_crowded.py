"""nginx and wrk while every CPU has something else to compute, too."""

from benchmarks.jobs.serve_nginx import NGINX
from benchmarks.jobs.serve_redis import serve_of

TITLE = "nginx beside a process that computes on each CPU"
JOB = serve_of(TITLE, NGINX, "crowded", "nginx", must=1, aim=2)
