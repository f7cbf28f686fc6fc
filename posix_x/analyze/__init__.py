"""`posix-x analyze`: which system calls a program can make, found without running it.

From the outside in: report (what is told), program (all that is loaded together), reach (which
functions lead where), flow (the numbers in eax), code (instructions), image (one ELF file).
"""
