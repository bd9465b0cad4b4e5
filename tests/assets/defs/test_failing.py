"""Whatever the lake refuses, a run fails with the one line that says so, whichever run it is."""

import pytest
from support.market import DAY, config_of
from support.runs import materialise

from fluxforge_assets.definitions import build
from fluxforge_assets.defs.partitions import register
from fluxforge_collector.config.model import Lake, Retention, Storage

BTC = "binanceus:BTC-USDT"
KEYS = {
    "bronze/trades": DAY, "silver/trades": f"{DAY}|{BTC}", "compaction/bronze_trades": DAY,
    "compaction/silver_trades": f"{DAY}|{BTC}",
}  # fmt: skip


@pytest.fixture
def unreachable(tmp_path):
    """Definitions over a bucket behind a port where nobody answers."""
    made = {
        "lake": Lake(root="s3://nowhere/lake", work=str(tmp_path / "work")),
        "storage": Storage(endpoint="http://127.0.0.1:1", access_key="a", secret_key="b", attempts=1),
        "retention": Retention(keep_silver_days=1),
    }
    return build(config_of("unused").model_copy(update=made))


def assert_plain(run):
    (failure,) = [event.step_failure_data for event in run.all_events if event.is_step_failure]
    assert failure.user_failure_data is not None, failure.error.message
    said = failure.user_failure_data.description
    assert "127.0.0.1:1" in said
    assert "\n" not in said
    assert " — " in said


@pytest.mark.parametrize("name", ["realtime", "gold_refresh", "compaction", "retention"])
def test_a_job_says_so(unreachable, instance, name):
    job = unreachable.get_repository_def().get_job(name)
    assert_plain(job.execute_in_process(instance=instance, raise_on_error=False))


@pytest.mark.parametrize(("asset", "key"), KEYS.items(), ids=KEYS)
def test_a_partition_says_so(unreachable, instance, asset, key):
    register(instance, {BTC})
    assert_plain(materialise(unreachable, instance, [asset], key))
