"""The metrics as Prometheus reads them: each declared one is there, named as its practice asks."""

import re

from prometheus_client import generate_latest
from prometheus_client.parser import text_string_to_metric_families

from fluxforge_collector.health.exposition import METRICS, PROCESS_METRICS, Seen, exported_names, page, registry_of
from fluxforge_collector.health.lake import LakeState, Quarantined, Waiting
from fluxforge_collector.metrics import Outcome, Tally

NOW_US = 1_800_000_000_000_000


def seen():
    """A collector of which every metric has a value."""
    tally = Tally()
    tally.frames["okx", Outcome.STATES] = 7
    tally.frame_bytes["okx"] = 700
    tally.records["okx", "orderbook"] = 7
    tally.gaps["okx", "disconnect"] = 1
    tally.lost["okx", "ticker"] = 2
    tally.reconnects["okx"] = 1
    tally.backfilled["okx"] = 4
    tally.backfills["okx", "whole"] = 1
    tally.lag_ms["okx", "orderbook"] = 250.0
    tally.asked_us = {("okx", "A/B", "orderbook"): NOW_US - 9_000_000, ("okx", "A/B", "trades"): NOW_US - 9_000_000}
    tally.last_us["okx", "A/B", "orderbook"] = NOW_US - 2_000_000
    tally.sealed_rows["ccxt", "orderbook"] = 5
    tally.sealed_bytes["ccxt", "orderbook"] = 500
    for seconds in (0.001, 0.01, 0.02, 60.0):
        tally.flushes.add(seconds)
    lake = LakeState({("ccxt", "ready"): Waiting(3, NOW_US - 60_000_000)}, {"ccxt": Quarantined(1, NOW_US)}, 10, 100)
    return Seen(tally, lambda: NOW_US, lake=lake, beat_us=NOW_US, why_not_ready=lambda: ["no record yet"])


def samples():
    text = generate_latest(registry_of(seen())).decode()
    found = {}
    for family in text_string_to_metric_families(text):
        for sample in family.samples:
            found.setdefault(sample.name, {})[tuple(sorted(sample.labels.items()))] = sample.value
    return found


def test_every_declared_name_is_exported_and_no_other():
    assert set(samples()) == exported_names()


def test_values_and_labels():
    found = samples()
    stream = (("channel", "orderbook"), ("exchange", "okx"), ("symbol", "A/B"))
    assert found["fluxforge_frames_total"] == {(("exchange", "okx"), ("outcome", "states")): 7}
    assert found["fluxforge_last_seen_age_seconds"][stream] == 2
    assert found["fluxforge_lag_seconds"] == {(("channel", "orderbook"), ("exchange", "okx")): 0.25}
    assert found["fluxforge_segments_waiting_age_seconds"] == {(("source", "ccxt"), ("stage", "ready")): 60}
    assert found["fluxforge_ready"] == {(): 0}
    assert found["fluxforge_heartbeat_timestamp_seconds"] == {(): NOW_US / 1e6}


def test_a_stream_that_never_came_ages_since_it_was_asked_for():
    stream = (("channel", "trades"), ("exchange", "okx"), ("symbol", "A/B"))
    assert samples()["fluxforge_last_seen_age_seconds"][stream] == 9


def test_what_has_not_happened_yet_is_zero_so_that_its_first_time_is_a_rise():
    found = samples()
    assert found["fluxforge_gaps_total"][("exchange", "okx"), ("reason", "sequence")] == 0
    assert found["fluxforge_lost_records_total"][("channel", "trades"), ("exchange", "okx")] == 0
    assert found["fluxforge_reconnects_total"] == {(("exchange", "okx"),): 1}


def test_a_histogram_counts_up_to_and_including_its_bounds():
    buckets = {dict(labels)["le"]: value for labels, value in samples()["fluxforge_flush_seconds_bucket"].items()}
    assert (buckets["0.005"], buckets["0.01"], buckets["0.025"], buckets["10.0"], buckets["+Inf"]) == (1, 2, 3, 3, 4)
    assert samples()["fluxforge_flush_seconds_sum"][()] == 60.031


def test_names_follow_prometheus_practice():
    """Lower case, counters end in _total and nothing else does, units are base units and come last."""
    for metric in METRICS:
        assert re.fullmatch(r"[a-z_]+", metric.name)
        assert not metric.name.endswith("_total")
        assert not re.search(r"_(ms|us|mb|kb|minutes|percent)(_|$)", metric.name)
        assert metric.text.endswith(".")


def test_the_page_names_every_metric():
    assert all(f"`{name}`" in page() for name in [*(m.exported for m in METRICS), *PROCESS_METRICS])
