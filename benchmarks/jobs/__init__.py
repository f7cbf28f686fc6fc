"""The jobs, one file each: a JOB = Job(...). Copy getpid.py for a new one."""
