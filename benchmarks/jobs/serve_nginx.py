"""A small page from nginx to wrk."""

from benchmarks.jobs.serve_redis import serve_of

NGINX = ("nginx", "wrk")
JOB = serve_of("nginx: a page of 612 bytes, 50 connections", NGINX, "nginx", must=2, aim=5)
