"""The live table on a terminal of 80 columns: nothing wraps, nothing that matters is cut."""

import io

from rich.console import Console

from fluxforge_collector.cli.screen import screen
from fluxforge_collector.health.lake import LakeState, Quarantined, Waiting
from fluxforge_collector.metrics import Outcome, Tally

NOW_S = 1_800_000_000.0


def shown(tally, lake=None):
    console = Console(file=io.StringIO(), width=80, legacy_windows=False)
    console.print(screen(tally, lake, began_s=NOW_S - 3725, now_s=NOW_S))
    return console.file.getvalue().splitlines()


def test_a_busy_collector_fits():
    tally = Tally()
    for exchange in ("binanceus", "coinbase"):
        tally.frames[exchange, Outcome.STATES] = 5
        for channel in ("orderbook", "trades", "ticker"):
            tally.asked_us[exchange, "BTC/USDT:USDT", channel] = round((NOW_S - 3700) * 1e6)
            tally.records[exchange, channel] = 12_345_678
        tally.lag_ms[exchange, "orderbook"] = 1234.0
        tally.reconnects[exchange] = 12
    tally.last_us["binanceus", "BTC/USDT:USDT", "orderbook"] = round((NOW_S - 1) * 1e6)
    tally.gaps["binanceus", "disconnect"] = 3
    tally.gaps["coinbase", "sequence"] = 1
    tally.queue_limit_records, tally.queue_limit_bytes, tally.queue_records = 50_000, 64 << 20, 17
    tally.refused.append("coinbase has no symbol 'NOPE/USD': remove it")
    lake = LakeState({("ccxt", "ready"): Waiting(2, 0)}, {"ccxt": Quarantined(1, 0)}, 3 << 30, 9 << 30)
    lines = shown(tally, lake)
    assert len(lines) == 8
    assert lines[0] == "collecting since 2027-01-15 06:57:55 UTC, 1 h 2 min"
    assert lines[2].split()[:7] == ["binanceus", *["12,345,678"] * 3, "3", "12", "1,234"]
    assert lines[2].rstrip().endswith("…") or "BTC/USDT" in lines[2]
    assert lines[4].startswith("queue     17 of 50,000 records")
    assert lines[5] == "gaps      3 disconnect, 1 sequence"
    assert lines[6] == "segments  0 sealed, 2 ready, 0 processing, 1 quarantined; disk 3.0 GiB free"
    assert lines[7].startswith("refused: coinbase has no symbol")


def test_the_quietest_stream_is_named():
    tally = Tally()
    tally.asked_us = {("okx", "A/B", "orderbook"): 0, ("okx", "C/D", "trades"): 0}
    tally.last_us = {
        ("okx", "A/B", "orderbook"): round(NOW_S * 1e6),
        ("okx", "C/D", "trades"): round((NOW_S - 90) * 1e6),
    }
    assert "1 min 30 s: C/D trades" in shown(tally)[2]


def test_before_anything_has_come():
    assert shown(Tally())[-2:] == ["gaps      none", "segments  0 sealed"]
