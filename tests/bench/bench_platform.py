"""Figures of the platform around the computing: what idles, what a tick, a backfill and a year of partitions cost.

`python tests/bench/bench_platform.py [idle] [tick] [status] [backfill] [compaction] [history]` (all without a name)
prints each and ends with JSON. Seconds depend on the machine and its load, which is printed with them.
"""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))


BIN = Path(sys.executable).parent
DAY_US = 86_400_000_000
IDLE_SECONDS, SETTLE_SECONDS = 60, 90
