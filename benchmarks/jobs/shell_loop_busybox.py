"""A shell script that starts many small programs, in busybox's sh, which forks for each."""

from benchmarks.jobs.shell_loop import loop_of

JOB = loop_of("/bin/busybox", "sh")
