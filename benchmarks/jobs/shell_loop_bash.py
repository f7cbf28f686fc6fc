"""A shell script that starts many small programs, in bash."""

from benchmarks.jobs.shell_loop import loop_of

JOB = loop_of("/bin/bash")
