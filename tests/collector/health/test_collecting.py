"""What is said of a collector, by the sign of life it left."""

import pytest

from fluxforge_collector.config.model import Config, Health
from fluxforge_collector.health.collecting import check, judge
from fluxforge_collector.health.finding import Level, worst
from fluxforge_collector.health.heartbeat import Heartbeat, StreamSeen, leave
from fluxforge_collector.segments.names import SourcePaths

NOW_US = 1_800_000_000_000_000
SECOND = 1_000_000


def beat(**changes):
    values = {
        "source": "ccxt", "collector": "c1", "version": "1", "host": "pi", "pid": 7,
        "started_us": NOW_US - 3600 * SECOND, "at_us": NOW_US - 3 * SECOND,
        "queue_records": 10, "queue_limit_records": 100,
        "streams": (stream("okx", "A/B", "orderbook", 1), stream("okx", "A/B", "trades", 600)),
    }  # fmt: skip
    return Heartbeat(**(values | changes))


def stream(exchange, symbol, channel, age_s):
    return StreamSeen(exchange, symbol, channel, NOW_US - 7200 * SECOND, NOW_US - age_s * SECOND)


def never(exchange, symbol, channel, asked_s):
    return StreamSeen(exchange, symbol, channel, NOW_US - asked_s * SECOND, None)


def judged(heartbeat, own="c1"):
    return judge(heartbeat, Health(), NOW_US, own=own)


def troubles(heartbeat, own="c1"):
    return [(f.level.name, f.what, f.text) for f in judged(heartbeat, own) if f.level]


def test_a_healthy_collector():
    assert worst(judged(beat())) is Level.HEALTHY
    texts = {finding.what: finding.text for finding in judged(beat())}
    assert texts["collector c1 (ccxt)"] == "alive 3 s ago, up 59 min 57 s"
    assert texts["exchange okx"] == "2 of 2 streams flow, the quietest is A/B trades: 10 min"


CASES = {
    "dead": (
        {"at_us": NOW_US - 40 * SECOND},
        ("DOWN", "collector c1 (ccxt)", "dead, or stuck: no sign of life for 40 s (pid 7 on pi)"),
    ),
    "stopped": ({"stopped": True}, ("DOWN", "collector c1 (ccxt)", "stopped in order")),
    "full disk": (
        {"why_not_ready": ("cannot flush: No space left on device",)},
        ("DOWN", "collector c1 (ccxt)", "not ready: cannot flush: No space left on device"),
    ),
    "refused": (
        {"refused": ("okx has no symbol 'X'",)},
        ("DEGRADED", "collector c1 (ccxt)", "refused: okx has no symbol 'X'"),
    ),
    "queue": (
        {"queue_records": 51, "lost_records": 4},
        ("DEGRADED", "queue of collector c1 (ccxt)", "51 of 100 records wait, 4 lost since it started"),
    ),
    "silent book": (
        {"streams": (stream("okx", "A/B", "orderbook", 61), stream("okx", "A/B", "trades", 61))},
        ("DEGRADED", "stream okx A/B orderbook", "no record for 1 min 1 s"),
    ),
    "never seen": (
        {"streams": (never("okx", "A/B", "orderbook", 90), stream("okx", "A/B", "trades", 1))},
        ("DEGRADED", "stream okx A/B orderbook", "no record ever for 1 min 30 s"),
    ),
    "silent exchange": (
        {"streams": (stream("okx", "A/B", "orderbook", 100), stream("gate", "A/B", "orderbook", 1))},
        ("DOWN", "exchange okx", "0 of 1 streams flow"),
    ),
}  # fmt: skip


@pytest.mark.parametrize(("changes", "expected"), CASES.values(), ids=CASES)
def test_one_trouble_is_one_finding(changes, expected):
    assert troubles(beat(**changes)) == [expected]


def test_a_quiet_channel_has_its_own_patience():
    quiet = beat(streams=(stream("okx", "A/B", "orderbook", 1), stream("okx", "A/B", "trades", 3000)))
    assert troubles(quiet) == []


def test_since_when():
    silent = beat(streams=(stream("okx", "A/B", "orderbook", 61), stream("okx", "A/B", "trades", 1)))
    (finding,) = (f for f in judged(silent) if f.level)
    assert finding.since_us == NOW_US - 61 * SECOND
    (finding,) = (f for f in judged(beat(why_not_ready=("x",), not_ready_since_us=5)) if f.level)
    assert finding.since_us == 5


def test_another_collector_that_ended_in_order_is_no_fault_one_that_died_is():
    assert troubles(beat(stopped=True), own="c2") == []
    assert [level for level, *_ in troubles(beat(at_us=0), own="c2")] == ["DOWN"]


def test_a_collector_that_never_ran_and_a_file_that_is_broken(tmp_path):
    config = Config.model_validate({"lake": {"root": str(tmp_path)}})
    (finding,) = check(config, NOW_US)
    assert (finding.level, finding.text) == (Level.DOWN, f"has never run on {tmp_path}")
    path = SourcePaths(tmp_path, "ccxt").heartbeat("c1")
    path.parent.mkdir(parents=True)
    leave(path, beat())
    path.with_name(".c2.heartbeat.json").write_text("{")
    findings = check(config, NOW_US)
    assert [f.what for f in findings if f.level is Level.DEGRADED] == ["heartbeat .c2.heartbeat.json"]
    assert worst(findings) is Level.DEGRADED
