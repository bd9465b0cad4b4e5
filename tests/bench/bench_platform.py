"""Figures of the platform around the computing: what idles, what a tick, a backfill and a year of partitions cost.

`python tests/bench/bench_platform.py [idle] [tick] [status] [backfill] [compaction] [history]` (all without a name)
prints each and ends with JSON. Seconds depend on the machine and its load, which is printed with them.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import date, timedelta
from pathlib import Path
from statistics import median

sys.path.insert(0, str(Path(__file__).parents[1]))

import dagster as dg
import duckdb
import polars as pl
import sqlalchemy as sa
import yaml
from bench_realtime import BOOKS_PER_S, ROOT, free_port, group, started
from dagster._core.storage.event_log.schema import AssetEventTagsTable, SqlEventLogStorageTable
from dagster._time import get_current_timestamp
from support.market import NOON_US, config_of, records, seal

from fluxforge_assets.definitions import build
from fluxforge_assets.defs.history import history_bytes, purge
from fluxforge_assets.lake.compaction import Selection, compact
from fluxforge_assets.lake.datasets import GOLD_BARS
from fluxforge_assets.lake.landing import land
from fluxforge_assets.lake.paths import Lake
from fluxforge_assets.lake.update import update
from fluxforge_collector.segments.names import date_of

BIN = Path(sys.executable).parent
DAY_US = 86_400_000_000
IDLE_SECONDS, SETTLE_SECONDS = 60, 90
