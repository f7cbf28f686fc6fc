"""`pytest benchmarks`: the jobs as pytest-benchmark shows, saves and compares them."""

import sys
from pathlib import Path

# Last: the tree's exo_um has no native parts, the installed one has.
sys.path.append(str(Path(__file__).parent.parent))
