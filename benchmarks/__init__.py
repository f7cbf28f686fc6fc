"""Benchmarks: each job runs natively and under exo-um, interleaved; see __main__.py."""
