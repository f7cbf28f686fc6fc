"""The POSIX and Linux face of exo-um: the call table and the handlers of the legacy tier."""
