"""The predictive scheduler: who runs next on a CPU, and where a guest had better run."""
