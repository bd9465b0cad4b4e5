"""What the legacy format costs beside Parquet, and what a recorded frame costs: CPU and bytes, in one run.

Run: `python tests/bench/bench_formats.py [rows]`. Generated books of 20 levels a side, the same rows in both formats;
frames are updates of four levels. The last line is one JSON object.
"""

import itertools
import json
import random
import sys
import tempfile
import time
from pathlib import Path

from bench_segments import BATCH, cpu, sealed

from fluxforge_collector.clock import SystemClock
from fluxforge_collector.exchanges.frames import Frames
from fluxforge_collector.exchanges.surroundings import Connection, Ends
from fluxforge_collector.metrics import Tally
from fluxforge_collector.records import BookRecord, Channel
from fluxforge_collector.schemas import plain_schema
from fluxforge_collector.segments.names import RawFormat
from fluxforge_collector.segments.sealed import read_rows

LEVELS = 20


def books(count, start_us):
    rng, mid, sizes = random.Random(1), 40_000, {}
    for seq in range(count):
        mid += rng.choice((-1, 0, 0, 0, 0, 0, 0, 0, 1))
        for _ in range(4):
            sizes[mid + rng.randrange(-LEVELS, LEVELS)] = round(rng.lognormvariate(0, 1.5), 4)
        sides = [[v for p in prices for v in (p / 100, sizes.setdefault(p, 1.0))]
                 for prices in (range(mid - 1, mid - 1 - LEVELS, -1), range(mid, mid + LEVELS))]  # fmt: skip
        at = start_us + seq * 25
        yield BookRecord("x", f"S{seq % 4}/USD", at // 1000, at, at // 1000 - 20, seq, *sides, seq, 1)


def measure(form, records, root, channel=Channel.ORDERBOOK):
    """CPU seconds of writing, sealing and reading, and the bytes sealed."""
    spent = {}
    entry, file = sealed(root, records, spent, channel, raw_format=form)
    with cpu(spent, "read"):
        rows = sum(batch.num_rows for batch in read_rows(file, plain_schema(channel)))
    assert rows == len(records) == entry.rows
    return spent, entry.bytes


def frames_of(count, start_us):
    made, clock = [], SystemClock()
    ends = Ends(clock, made.append, itertools.count().__next__, itertools.count().__next__, Tally())
    frames, connection = Frames("x", ends, secrets=["a key that is known"]), Connection(1, "wss://x.com/ws", 0, 0)
    rng = random.Random(1)
    texts = [
        json.dumps({"stream": "s0usd@depth@100ms", "data": {"e": "depthUpdate", "E": start_us + i, "U": i, "u": i + 4,
            "b": [[f"{rng.uniform(390, 410):.2f}", f"{rng.lognormvariate(0, 1.5):.5f}"] for _ in range(4)]}})
        for i in range(count)
    ]  # fmt: skip
    start = time.process_time()
    for text in texts:
        frames.received(connection, text)
    return made, time.process_time() - start, sum(map(len, texts))


def main(rows):
    figures = {"rows": rows}
    with tempfile.TemporaryDirectory() as root:
        records = list(books(rows, SystemClock().capture_us()))
        measure("parquet", records[:BATCH], Path(root) / "warm")  # the first one pays for imports
        for form in RawFormat:
            spent, size = measure(form, records, Path(root) / form)
            figures[f"{form}_write_cpu_ms_per_1000"] = round(spent["write"] / rows * 1e6, 2)
            figures[f"{form}_seal_rows_per_cpu_second"] = round(rows / spent["seal"])
            figures[f"{form}_read_rows_per_cpu_second"] = round(rows / spent["read"])
            figures[f"{form}_bytes_per_row"] = round(size / rows, 1)
        made, noted, plain = frames_of(rows, SystemClock().capture_us())
        spent, size = measure("parquet", made, Path(root) / "frames", Channel.FRAMES)
        figures["frame_note_cpu_us"] = round(noted / rows * 1e6, 2)
        figures["frame_write_and_seal_cpu_us"] = round((spent["write"] + spent["seal"]) / rows * 1e6, 2)
        figures["frame_bytes"] = round(plain / rows, 1)
        figures["frame_bytes_sealed"] = round(size / rows, 1)
    for name, value in figures.items():
        print(f"{name:34} {value:>12,}")
    print(json.dumps(figures))


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 20_000)
