"""exo-um: a Linux-compatible kernel in user space that runs unmodified programs."""

__version__ = "0.1.0"
