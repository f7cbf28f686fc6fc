"""Fusion rings: messages between processes through shared memory."""
