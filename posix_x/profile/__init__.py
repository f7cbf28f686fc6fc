"""posix-x profile: runs a program in an instance and says where its system calls' time goes.

watcher.py takes the records of exo-um trace, which native/host/profile*.c sums up; report.py makes
plain data of the sums, advise.py suggestions; text.py and html.py show them.
"""
