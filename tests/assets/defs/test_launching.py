"""What a backfill is called on Dagster's page, which refuses a long title and with it the backfill."""

import pytest
from dagster._core.definitions.utils import check_valid_title

from fluxforge_assets.defs.launching import short_title_of
from fluxforge_assets.lake.backfill import Batch
from fluxforge_assets.lake.datasets import DATASETS

ALL = tuple(dataset.asset for dataset in DATASETS)
DATES = ("2026-11-20", "2026-11-21")


@pytest.mark.parametrize(
    ("assets", "instruments", "title"),
    [
        (("gold/bars",), ["okx:A-B"], "gold/bars; 2026-11-20 to 2026-11-21; okx:A-B"),
        (ALL, ["okx:A-B"], f"{len(ALL)} assets; 2026-11-20 to 2026-11-21; okx:A-B"),
        (ALL, [f"okx:{n}" for n in range(500)], f"{len(ALL)} assets; 2026-11-20 to 2026-11-21; 500 instruments"),
        (("gold/bars",), ["okx:" + "A" * 90], f"1 assets; 2026-11-20 to 2026-11-21; okx:{'A' * 60}"),
    ],
    ids=["fits", "all assets", "many", "long name"],
)
def test_dagster_takes_the_title(assets, instruments, title):
    keys = tuple(f"{date}|{name}" for date in DATES for name in instruments)
    said = short_title_of(Batch(assets, keys))
    assert said == title
    check_valid_title(said)
