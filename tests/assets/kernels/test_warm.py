"""What is compiled ahead is what runs."""

import subprocess
import sys
from pathlib import Path

TESTS = Path(__file__).parents[2]
RUN = """
from support.dirty import dirty
from fluxforge_assets.bars import compute_bars
from fluxforge_assets.features.silver import compute_silver
from fluxforge_assets.kernels import book_pass, groups, trade_pass
from fluxforge_assets.kernels.warm import warm
from fluxforge_collector.config.features import FeatureOptions

warm()
options = FeatureOptions(families="all", bands_bps=(5, 10), large_trade_notional=10)
compute_bars(compute_silver(*dirty(41, options, events=300).frames(), options=options), options=options)
kernels = (book_pass.pass_books, book_pass.close_bucket, trade_pass.pass_trades, trade_pass.close_bucket)
for kernel in (*kernels, groups.add, groups.minimum, groups.maximum, groups.first, groups.mean, groups.product):
    assert len(kernel.signatures) == 1, kernel
"""


def test_no_run_compiles_anything_more():
    """In a process of its own: what other tests compiled says nothing of what a run needs."""
    done = subprocess.run([sys.executable, "-c", RUN], cwd=TESTS, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
