"""A small market made from a seed, and its records sealed by the real writer into the segments of a lake."""

import random
from pathlib import Path

from fluxforge_collector.config.model import Config, Ingestion
from fluxforge_collector.records import BookRecord, GapReason, GapRecord, TickerRecord, TradeRecord
from fluxforge_collector.segments.names import SourcePaths
from fluxforge_collector.segments.writer import SegmentWriter
from support.clock import HandClock

DAY = "2026-11-20"
NOON_US = 1_795_176_000_000_000
SECOND = 1_000_000
INSTRUMENTS = (("binanceus", "BTC/USDT"), ("binanceus", "ETH/USDT"), ("okx", "BTC/USDT:USDT"))


def config_of(root, **options):
    """A configuration for quick tests: few levels, short windows."""
    features = {
        "max_levels": 3, "ofi_levels": 3, "wmid_levels": [3], "horizons": [1, 5], "bar_durations": [1, 5, 60],
        "max_gap": 10, **options,
    }  # fmt: skip
    return Config.model_validate(
        {
            "lake": {"root": str(root)},
            "etl": {
                "min_run_interval_seconds": 0,
                "start_date": "2026-11-01",
                "channels": {"orderbook": {"processor_options": features}},
            },
        }
    )


def records(seed, *, start_us=NOON_US, seconds=60, instruments=INSTRUMENTS, gaps=0):
    """Records of a random walk in capture order: books, trades, tickers, now and then a crossed book or a gap."""
    made = []
    for number, (exchange, symbol) in enumerate(instruments):
        made += _of_instrument(random.Random(f"{seed}-{number}"), exchange, symbol, start_us, seconds, gaps)
    made.sort(key=lambda pair: pair[0])
    return [record._replace(seq=seq) for seq, (_, record) in enumerate(made)]


def _of_instrument(rng, exchange, symbol, start_us, seconds, gaps):
    now, end = start_us, start_us + seconds * SECOND
    mid, trade_id, nonce, made = 100.0, 0, 0, []
    while True:
        step = rng.expovariate(4) if rng.random() < 0.98 else rng.uniform(5, 15)
        before, now = now, now + int(step * SECOND)
        if now >= end:
            return made
        common = {"exchange": exchange, "symbol": symbol, "collected_ms": now // 1000, "capture_us": now}
        mid = round(mid + rng.choice((-0.01, 0, 0, 0.01)), 2)
        if gaps and rng.random() < gaps:
            channel = rng.choice(("orderbook", "trades", "all"))
            gap = GapRecord(exchange, symbol, channel, before, now, GapReason.DISCONNECT, None, None, 0)
            made.append((now, gap))
        kind = rng.random()
        if kind < 0.7:
            nonce += 1
            edge = mid if rng.random() < 0.97 else mid + 0.05
            bids = [v for i in range(5) for v in (round(edge - 0.01 * (i + 1), 2), round(rng.uniform(0.1, 9), 3))]
            asks = [v for i in range(5) for v in (round(mid + 0.01 * (i + 1), 2), round(rng.uniform(0.1, 9), 3))]
            made.append(
                (
                    now,
                    BookRecord(
                        **common, timestamp_ms=now // 1000 - 5, nonce=nonce, bids=bids, asks=asks, seq=0, conn=1
                    ),
                )
            )
        elif kind < 0.95:
            trade_id += 1
            is_repeat = trade_id > 1 and rng.random() < 0.05
            name = str(trade_id - 1 if is_repeat else trade_id)
            side = rng.choice(("buy", "sell", "buy", "sell", None))
            made.append((now, TradeRecord(**common, trade_id=name, timestamp_ms=now // 1000 - 5, side=side, price=mid,
                amount=round(rng.expovariate(1) + 0.001, 3), cost=None, info_json=None, seq=0, conn=1, backfilled=is_repeat)))  # fmt: skip
        else:
            blank = dict.fromkeys(TickerRecord._fields)
            ticker = TickerRecord(
                **{**blank, **common, "bid": mid - 0.01, "ask": mid + 0.01, "last": mid, "seq": 0, "conn": 1}
            )
            made.append((now, ticker))


def moment(record):
    """When a record was received; a gap is written when it ends."""
    return record.gap_end_us if isinstance(record, GapRecord) else record.capture_us


def seal(
    root,
    made,
    *,
    seed=0,
    early=0.0,
    source="ccxt",
    collector="c1",
    until_us=None,
    segment_seconds=10,
    raw_format="parquet",
):
    """Seal records into ready segments; some rotations come early. Returns the manifests."""
    rng = random.Random(seed)
    clock = HandClock(moment(made[0]))
    ingestion = Ingestion(collector=collector, segment_max_seconds=segment_seconds, raw_format=raw_format)
    writer = SegmentWriter(Path(root), source, ingestion, clock)
    manifests = []
    for record in made:
        clock.now_us = moment(record)
        while writer.is_rotation_due():
            manifests.append(writer.rotate())
        if rng.random() < early:
            manifests.append(writer.rotate())
        writer.append([record])
    clock.now_us = max(until_us or 0, clock.now_us + 1)
    while writer.is_rotation_due():
        manifests.append(writer.rotate())
    manifests.append(writer.close())
    return manifests


def deliver(staging, root, manifests, source="ccxt"):
    """Move sealed segments from a staging lake into another's ready directory, as a collector publishes them."""
    away, here = SourcePaths(Path(staging), source), SourcePaths(Path(root), source)
    for manifest in manifests:
        for channel, entry in manifest.channels.items():
            if entry.file:
                file = here.ready_file(channel, manifest.id, entry.form)
                file.parent.mkdir(parents=True, exist_ok=True)
                away.ready_file(channel, manifest.id, entry.form).rename(file)
        here.ready_dir.mkdir(parents=True, exist_ok=True)
        away.ready_manifest(manifest.id).rename(here.ready_manifest(manifest.id))
