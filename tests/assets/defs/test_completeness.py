"""Bronze's checks: coverage against its thresholds, and what lies in quarantine."""

import dagster as dg
import pytest
from support.market import NOON_US, SECOND, deliver, records, seal

from fluxforge_assets.definitions import build
from fluxforge_assets.defs.completeness import judge_coverage, judge_quarantine
from fluxforge_assets.defs.realtime import REALTIME
from fluxforge_assets.lake.landing import land
from fluxforge_collector.config.model import Checks
from fluxforge_collector.records import Channel

pytestmark = [
    pytest.mark.filterwarnings("ignore::dagster.BetaWarning"),
    pytest.mark.filterwarnings("ignore::dagster.PreviewWarning"),
]


@pytest.fixture
def holed(tmp_path, lake):
    """A lake that lacks one segment of 10 s out of a minute."""
    manifests = seal(tmp_path / "staging", records(3, seconds=60), until_us=NOON_US + 60 * SECOND)
    manifests.pop(3)
    deliver(tmp_path / "staging", lake.root, manifests)
    land(lake, "ccxt")
    return lake


@pytest.mark.parametrize(
    ("limits", "is_passed"),
    [
        ({"min_coverage": 0.5, "max_gap_seconds": 11}, True),
        ({"min_coverage": 0.95, "max_gap_seconds": 11}, False),
        ({"min_coverage": 0.5, "max_gap_seconds": 9}, False),
    ],
    ids=["within", "too little", "too long"],
)
def test_coverage_is_judged_by_both_thresholds(holed, config, limits, is_passed):
    judged = config.model_copy(update={"checks": Checks(**limits)})
    found = judge_coverage(holed, judged, Channel.ORDERBOOK)
    assert found["passed"] is is_passed
    assert found["metadata"]["instrument_days"] == 3
    assert found["metadata"]["gap_seconds"] == pytest.approx(30)
    assert found["metadata"]["below_threshold"] == (0 if is_passed else 3)


def test_quarantine_is_counted_with_its_reasons(lake):
    assert judge_quarantine(lake)["passed"]
    manifests = seal(lake.root, records(4, seconds=10))
    lake.segments("ccxt").ready_file("trades", manifests[0].id).write_bytes(b"rotten")
    assert land(lake, "ccxt").quarantined
    found = judge_quarantine(lake)
    assert not found["passed"]
    assert found["metadata"]["files"] >= 1


def test_the_sensor_judges_once_an_hour(holed, config, instance):
    defs = build(config)

    def tick(cursor):
        context = dg.build_sensor_context(instance=instance, cursor=cursor, resources={"lake": defs.resources["lake"]})
        return defs.get_repository_def().get_sensor_def("completeness")(context)

    first = tick(None)
    assert {event.asset_key.to_user_string() for event in first.asset_events} == {
        "bronze/orderbook", "bronze/trades", "bronze/ticker", "bronze/gaps",
    }  # fmt: skip
    assert isinstance(tick(first.cursor), dg.SkipReason)
    earlier = str(int(first.cursor) - 1)
    assert isinstance(tick(earlier), dg.SensorResult)
    run = instance.create_run_for_job(defs.get_repository_def().get_job(REALTIME), status=dg.DagsterRunStatus.STARTED)
    assert "judges what it lands" in tick(earlier).skip_message
    instance.report_run_failed(run)
    assert isinstance(tick(earlier), dg.SensorResult)


def test_real_time_assets_have_a_freshness_policy(config, defs):
    graph = defs.resolve_asset_graph()
    watched = {key.to_user_string() for key in graph.get_all_asset_keys() if graph.get(key).freshness_policy}
    assert watched == {"bronze/orderbook", "silver/orderbook", "gold/bars"}


def test_silver_that_is_wrong_stops_what_is_made_from_it(defs):
    graph = defs.resolve_asset_graph()
    blocking = {key for key in graph.asset_check_keys if graph.get_check_spec(key).blocking}
    assert {key.asset_key.to_user_string() for key in blocking} == {"silver/orderbook"}
    assert "no_crossed_book" in {key.name for key in blocking}
    assert "mid_agrees_with_ticker" not in {key.name for key in blocking}
