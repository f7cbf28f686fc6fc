"""`exo-um trace`: shows what system calls programs make, in strace's words."""
