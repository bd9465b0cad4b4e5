"""The Python of the pages about features is run as it stands."""

import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PAGES = ROOT / "docs" / "how-to"


def blocks(page):
    return re.findall(r"```python\n(.*?)```", (PAGES / page).read_text(encoding="utf-8"), re.DOTALL)


def run(code, folder):
    """Standard output of a script; it must end well and warn of nothing."""
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", code],
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
        timeout=200,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_computing_in_python(tmp_path):
    (code,) = blocks("compute-your-own-files.md")
    shown = run(code, tmp_path)
    for column in ("ofi_l0_sum_5s", "mid_close", "fwd_ret_5s"):
        assert column in shown
    checks = """
assert silver.height == 100 and dense.height == 100
assert silver["n_book"].sum() == 400 and silver["n_trade"].sum() == 100
assert bars.filter(pl.col("bar_us") == 1_000_000)["vol"].sum() == 50.0
assert labels["fwd_ret_5s"].null_count() == 5
"""
    run(code + checks, tmp_path)


def test_adding_a_feature(tmp_path):
    (code,) = blocks("add-a-feature.md")
    checks = """
import polars as pl
from fluxforge_assets.features.catalogue import all_columns
from fluxforge_assets.features.silver import compute_silver
from fluxforge_collector.config.features import FeatureOptions

book = pl.DataFrame({
    "exchange": "demo", "symbol": "AAA-USD", "capture_ts": [1_760_000_000_000_000],
    "bids": [[{"price": 99.0, "size": 4.0}]], "asks": [[{"price": 101.0, "size": 2.0}]],
})
options = FeatureOptions(families="all")
(column,) = [c for c in all_columns(options) if c.name == "touch_ratio"]
assert column.description == "Size of the best ask relative to the best bid's."
assert compute_silver(book, options=options)["touch_ratio"].to_list() == [0.5]
assert "touch_ratio" not in compute_silver(book, options=FeatureOptions()).columns
"""
    run(code + checks, tmp_path)


def test_the_commands_of_the_page_exist():
    page = (PAGES / "compute-your-own-files.md").read_text(encoding="utf-8")
    commands = re.findall(r"^fluxforge (compute \w+|plot)", page, re.MULTILINE)
    assert commands == ["compute silver", "compute bars", "compute labels", "plot"]
    for command in commands:
        done = subprocess.run(
            [Path(sys.executable).parent / "fluxforge", *command.split(), "--help"],
            capture_output=True, text=True, check=True,
        )  # fmt: skip
        options = set(re.findall(r"--\w+", done.stdout))
        line = next(ln for ln in page.splitlines() if ln.startswith(f"fluxforge {command} "))
        assert set(re.findall(r"--\w+", line)) <= options
