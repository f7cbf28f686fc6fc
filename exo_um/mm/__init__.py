"""Memory: the three-level allocator on shared heaps, for Python and for jitted code."""
