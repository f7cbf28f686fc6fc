"""`posix-x benchmark`: what single operations cost on exo-um and on Linux, in one run.

Measures with native/bench/main.c, installed as exo-bench. The repository's benchmarks/ compares
whole programs and contenders; it shares the clock with this.
"""
