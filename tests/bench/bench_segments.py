"""What keeping a record costs: CPU per 1,000 book records, rows sealed per CPU second, bytes a row.

Run: `python tests/bench/bench_segments.py [rows]`. Generated books of 20 levels a side, four instruments; ratios against
NDJSON and Parquet's defaults are of the same rows in the same run, NDJSON in order of arrival: of a segment as it is
sealed, and as compaction writes it; of the real Binance recording, too, where it is beside the project. The last line is
one JSON object.
"""

import gzip
import io
import json
import random
import sys
import tempfile
import time
from contextlib import contextmanager
from pathlib import Path

import orjson
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from fluxforge_collector.clock import SystemClock
from fluxforge_collector.config.model import Compaction, Ingestion
from fluxforge_collector.records import BookRecord, Channel
from fluxforge_collector.schemas import BRONZE
from fluxforge_collector.segments.names import SourcePaths
from fluxforge_collector.segments.sealed import ROW_GROUP_ROWS, parquet_options
from fluxforge_collector.segments.writer import SegmentWriter

LEVELS, BATCH = 20, 1000
RECORDING = Path(__file__).resolve().parents[2].parent / "shared" / "data" / "binance_spot_20240808"


def books(count, start_us, seed=1):
    """Books of a random walk on a tick grid: at each step four sizes change, now and then the touch moves."""
    rng = random.Random(seed)
    state = {f"S{i}/USD": (rng.randrange(20_000, 60_000), {}) for i in range(4)}
    for seq in range(count):
        symbol = rng.choice(list(state))
        mid, sizes = state[symbol]
        mid += rng.choice((-1, 0, 0, 0, 0, 0, 0, 0, 1))
        for _ in range(4):
            sizes[mid + rng.randrange(-LEVELS, LEVELS)] = round(rng.lognormvariate(0, 1.5), 4)
        state[symbol] = (mid, sizes)
        side = [[v for p in prices for v in (p / 100, sizes.setdefault(p, round(rng.lognormvariate(0, 1.5), 4)))]
                for prices in (range(mid - 1, mid - 1 - LEVELS, -1), range(mid, mid + LEVELS))]  # fmt: skip
        at = start_us + seq * 25
        yield BookRecord("binanceus", symbol, at // 1000, at, at // 1000 - 20, seq, *side, seq, 1)


@contextmanager
def cpu(into, name):
    start = time.process_time()
    yield
    into[name] = time.process_time() - start


def packed(table, level):
    """The bytes of a sorted table as bronze is written, at a level of zstd."""
    options = parquet_options(table.schema)
    file = io.BytesIO()
    pq.write_table(table, file, compression="zstd", compression_level=level, row_group_size=ROW_GROUP_ROWS, **options)
    return len(file.getvalue())


def compared(table, size):
    """A file's size, sealed and compacted, against the same rows in other forms."""
    lines = b"\n".join(orjson.dumps(row) for row in table.drop(["capture_ts"]).sort_by("seq").to_pylist())
    default = io.BytesIO()
    pq.write_table(table, default, compression="zstd", compression_level=3)
    others = {
        "ndjson": lines,
        "ndjson_gzip6": gzip.compress(lines, 6),
        "ndjson_zstd3": pa.Codec("zstd", compression_level=3).compress(lines, asbytes=True),
        "default_zstd3_parquet": default.getvalue(),
    }
    sizes = {"": size, "compacted_": packed(table, Compaction().compression_level)}
    return {
        f"{stage}{name}": value
        for stage, its in sizes.items()
        for name, value in {
            "bytes_per_row": round(its / len(table), 1),
            **{f"of_{other}": round(its / len(data), 4) for other, data in others.items()},
        }.items()
    }


def recorded():
    """The same of an instrument's ten real minutes, fifty levels a side."""
    file = RECORDING / "binance_spot_btcusdt_20240808-09_book.parquet"
    if not file.exists():
        return {}
    table = pq.read_table(file)
    depth = {side: pc.list_slice(table[side], 0, 50) for side in ("bids", "asks")}
    columns = {
        **{name: table[name] for name in table.column_names},
        **depth,
        "collected_at": pc.divide(table["capture_ts"], 1000),
        "seq": pa.array(range(len(table))),
        "conn": pa.array([1] * len(table)),
    }
    schema = BRONZE[Channel.ORDERBOOK]
    table = pa.table([columns[name].cast(schema.field(name).type) for name in schema.names], schema=schema)
    figures = compared(table, packed(table, Ingestion().parquet_compression_level))
    return {f"recorded_{name}": value for name, value in figures.items()}


def sealed(root, records, spent, channel=Channel.ORDERBOOK, **ingestion):
    """The records written in batches and sealed: the manifest's entry, and the file."""
    writer = SegmentWriter(root, "ccxt", Ingestion(segment_max_seconds=86_400, **ingestion), SystemClock())
    with cpu(spent, "write"):
        for start in range(0, len(records), BATCH):
            writer.append(records[start : start + BATCH])
            writer.flush()
    with cpu(spent, "seal"):
        manifest = writer.close()
    entry = manifest.channels[channel]
    return entry, SourcePaths(root, "ccxt").ready_dir / channel / entry.file


def main(rows):
    spent, records = {}, list(books(rows, SystemClock().capture_us()))
    with tempfile.TemporaryDirectory() as root:
        sealed(Path(root) / "first", records[:BATCH], {})  # pays for imports
        entry, file = sealed(Path(root) / "lake", records, spent)
        sizes = compared(pq.read_table(file, partitioning=None), entry.bytes)
    figures = {
        "rows": entry.rows,
        "write_cpu_ms_per_1000": round(spent["write"] / rows * 1e6, 2),
        "seal_rows_per_cpu_second": round(entry.rows / spent["seal"]),
        **sizes,
        **recorded(),
    }
    for name, value in figures.items():
        print(f"{name:45} {value:>12,}")
    print(json.dumps(figures))


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 60_000)
