"""Memory that is resident beyond the live bytes while the sizes that are asked for drift."""

from benchmarks.jobs.alloc_waste import waste_of

JOB = waste_of("drifting sizes", "drift")
