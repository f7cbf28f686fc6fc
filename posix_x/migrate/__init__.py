"""`posix-x migrate`: rewrites a C file to exo's native API where only the speed changes.

tree.py reads C by tree-sitter; pipes.py, shared.py, spawns.py and writes.py find what can be
rewritten; rewrite.py puts it together, and lists the rest.
"""
