"""`posix-x analyze`: which system calls a program can make, found without running it.

From the outside in: command, result (what is told), program (all that is loaded together), reach
(which functions lead where), own (the program itself), flow and state (the numbers in eax), code
(instructions), image (one file), elf and frames (how it is read).
"""
