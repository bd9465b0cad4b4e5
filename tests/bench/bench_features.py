"""Figures of silver: events a second against pyarrow's decode of the same rows, files, memory, the Python baseline.

`python tests/bench/bench_features.py` prints a table and, as its last line, JSON. Every ratio is measured in one
process with its parts interleaved, in CPU time, as a median; figures in seconds depend on the machine.
"""

import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from statistics import median

import duckdb
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
from generated import generate

from fluxforge_assets.bars import compute_bars, trade_bars
from fluxforge_assets.cli.files import write_atomically
from fluxforge_assets.features.catalogue import silver_columns
from fluxforge_assets.features.silver import silver_frames
from fluxforge_assets.kernels.warm import warm
from fluxforge_collector.config.features import FeatureOptions

EVENTS = 200_000
DAY_EVENTS = 864_000
TRADES = 400_000
ROUNDS = 5
BATCH = 4096
ROW_GROUP = 16_384
BOOKS = {"normal": {"turnover": 0.2}, "busy": {"turnover": 0.8, "events_per_s": 40.0}}


def main() -> None:
    """Measure, print, end with JSON."""
    warm()
    found: dict[str, object] = {}
    with tempfile.TemporaryDirectory() as folder:
        for name, kind in BOOKS.items():
            files = Path(folder) / name
            write_bronze(files, EVENTS, 1, kind)
            found[name] = {families: rates(files, families) for families in ("core", "all")}
        found["python_baseline_events_per_s"] = baseline(Path(folder) / "normal")
        found["trade_bars"] = {f"{seconds}s": rates_of_trade_bars(seconds) for seconds in (1, 60)}
        write_bronze(Path(folder) / "day", DAY_EVENTS, 2, BOOKS["normal"])
        found["day"] = {families: backfill(Path(folder) / "day", families) for families in ("core", "all")}
    show(found)
    print(json.dumps({"bench": "features", **found}))


def write_bronze(folder: Path, events: int, seed: int, kind: dict[str, float]) -> None:
    """Book and trade files laid out as the collector seals them."""
    folder.mkdir()
    for name, table in zip(("book", "trades"), generate(events, seed, **kind), strict=True):
        plain = {
            "bids.list.element.price",
            "bids.list.element.size",
            "asks.list.element.price",
            "asks.list.element.size",
        }
        integers = [f.name for f in table.schema if pa.types.is_integer(f.type) or pa.types.is_timestamp(f.type)]
        pq.write_table(
            table,
            folder / f"{name}.parquet",
            row_group_size=ROW_GROUP,
            compression="zstd",
            compression_level=3,
            use_dictionary=[f.name for f in table.schema if pa.types.is_dictionary(f.type)],
            column_encoding=dict.fromkeys(plain if name == "book" else (), "PLAIN")
            | dict.fromkeys(integers, "DELTA_BINARY_PACKED"),
        )


class Decode:
    """Batches of a file, with the CPU seconds their decoding took."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self.seconds = 0.0

    def __iter__(self) -> Iterator[pa.RecordBatch]:
        started = time.process_time()
        for batch in pq.ParquetFile(self._path, buffer_size=65_536, pre_buffer=False).iter_batches(
            BATCH, use_threads=False
        ):
            self.seconds += time.process_time() - started
            yield batch
            started = time.process_time()
        self.seconds += time.process_time() - started


def rates(folder: Path, families: str) -> dict[str, float]:
    """Events a second and ratios to decoding, one instrument, books with trades."""
    options = FeatureOptions(families=families)
    decode, compute, write, bars = [], [], [], []
    for _ in range(ROUNDS):
        books, trades = Decode(folder / "book.parquet"), Decode(folder / "trades.parquet")
        started = time.process_time()
        frames = list(silver_frames(books, trades, None, options=options))
        compute.append(time.process_time() - started - books.seconds - trades.seconds)
        decode.append(books.seconds)
        started = time.process_time()
        with tempfile.TemporaryDirectory() as out:
            write_silver(Path(out) / "silver.parquet", frames, options)
        write.append(time.process_time() - started)
        started = time.process_time()
        compute_bars(pl.concat(frames), options=options)
        bars.append(time.process_time() - started)
    return {
        "decode_events_per_s": EVENTS / median(decode),
        "events_per_s": EVENTS / median(compute),
        "ratio_to_decode": median(c / d for c, d in zip(compute, decode, strict=True)),
        "bronze_to_files_ratio": median((c + d + w) / d for c, d, w in zip(compute, decode, write, strict=True)),
        "bars_share_of_compute": median(b / c for b, c in zip(bars, compute, strict=True)),
        "bars_share_of_bronze_to_files": median(
            b / (c + d + w) for b, c, d, w in zip(bars, compute, decode, write, strict=True)
        ),
        "columns": frames[0].width,
    }


def write_silver(out: Path, frames: Iterable[pl.DataFrame], options: FeatureOptions) -> int:
    """Write frames as `fluxforge compute` does, each as it comes; returns their rows."""
    return write_atomically(out, frames, silver_columns(options), ())


def baseline(folder: Path) -> float:
    """Events a second of the core features of a book, row by row in Python: what compiled code is measured against."""
    rows = next(iter(Decode(folder / "book.parquet"))).slice(0, 3000).to_pylist()
    started = time.process_time()
    before, total = None, 0.0
    for row in rows:
        bids = [(level["price"], level["size"]) for level in row["bids"][:10] if level["size"] > 0]
        asks = [(level["price"], level["size"]) for level in row["asks"][:10] if level["size"] > 0]
        mid = (bids[0][0] + asks[0][0]) / 2
        total += (asks[0][0] - bids[0][0]) / mid * 1e4
        total += sum((b[1] - a[1]) / (b[1] + a[1]) for b, a in zip(bids, asks, strict=False))
        total += sum(size for price, size in bids + asks if abs(price - mid) / mid * 1e4 < 5)
        if before is not None:
            total += sum(_flow(new, old, 1) for new, old in zip(bids, before[0], strict=False))
            total -= sum(_flow(new, old, -1) for new, old in zip(asks, before[1], strict=False))
        before = bids, asks
    return len(rows) / (time.process_time() - started)


def _flow(new: tuple[float, float], old: tuple[float, float], sign: int) -> float:
    """Flow at one rank of one side."""
    return (new[1] if sign * new[0] >= sign * old[0] else 0.0) - (old[1] if sign * new[0] <= sign * old[0] else 0.0)


def rates_of_trade_bars(seconds: int) -> dict[str, float]:
    """Bars of trades against polars and duckdb, one thread's CPU seconds each, interleaved."""
    trades = generate(5 * TRADES, 3)[1]
    frame = pl.DataFrame(trades).with_columns(at=pl.col("capture_ts"), us=pl.col("capture_ts").dt.epoch("us"))
    price, amount = pl.col("price"), pl.col("amount")
    sql = f"""SELECT us // {seconds}000000 AS bar, arg_min(price, seq), max(price), min(price), arg_max(price, seq),
              sum(amount), sum(price * amount), sum(amount) FILTER (side = 'buy'), count(*) FROM trades GROUP BY bar"""
    database = duckdb.connect(config={"threads": 1})
    database.register("trades", frame.to_arrow())
    ways: dict[str, Callable[[], object]] = {
        "fluxforge": lambda: trade_bars(trades, (seconds,)),
        "polars": lambda: frame.group_by_dynamic("at", every=f"{seconds}s").agg(
            price.first(), price.max().alias("high"), price.min().alias("low"), price.last().alias("close"),
            amount.sum(), (price * amount).sum().alias("value"),
            amount.filter(pl.col("side") == "buy").sum().alias("buy_volume"), pl.len(),
        ),
        "duckdb": lambda: database.execute(sql).fetchnumpy(),
    }  # fmt: skip
    spent: dict[str, list[float]] = {name: [] for name in ways}
    for _ in range(ROUNDS):
        for name, way in ways.items():
            started = time.process_time()
            way()
            spent[name].append(time.process_time() - started)
    ours = median(spent["fluxforge"])
    return {"trades_per_s": TRADES / ours} | {
        f"ratio_to_{name}": ours / median(spent[name]) for name in ways if name != "fluxforge"
    }


def backfill(folder: Path, families: str) -> dict[str, float]:
    """A day of one instrument, file to file, in a process of its own: CPU seconds, peak memory, bytes."""
    out = folder / f"{families}.parquet"
    command = [sys.executable, __file__, "backfill", str(folder), families, str(out)]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    return json.loads(done.stdout) | {"silver_bytes": out.stat().st_size}


def backfill_here(folder: Path, families: str, out: Path) -> None:
    """Stream a day to a file and print what it took."""
    options = FeatureOptions(families=families)
    books, trades = Decode(folder / "book.parquet"), Decode(folder / "trades.parquet")
    rows = write_silver(out, silver_frames(books, trades, None, options=options), options)
    # Not getrusage: its peak survives the exec and would be the parent's.
    status = dict(line.split(":", 1) for line in Path("/proc/self/status").read_text().splitlines())
    peak_mb = int(status["VmHWM"].split()[0]) / 1024
    print(json.dumps({"cpu_s": time.process_time(), "peak_rss_mb": peak_mb, "silver_rows": rows}))


def show(found: dict[str, object]) -> None:
    """Print the figures as a table."""
    for name, part in found.items():
        if not isinstance(part, dict):
            print(f"{name:32} {part:14,.0f}")
            continue
        for families, figures in part.items():
            for figure, value in figures.items():
                print(f"{name:8} {families:5} {figure:24} {value:14,.2f}")


if __name__ == "__main__":
    if sys.argv[1:2] == ["backfill"]:
        backfill_here(Path(sys.argv[2]), sys.argv[3], Path(sys.argv[4]))
    else:
        main()
