"""The kernel process: tasks, the serve loop, reaping, and what its handlers build on."""
