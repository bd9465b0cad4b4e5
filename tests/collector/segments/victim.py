"""A collector to be killed. Each line of standard input is one life, `{root, kind, raw_format, first, kill_at}`, lived in
a fork.

A life kills itself, as `kill -9` would, just before its `kill_at`-th change of the lake's names (open, rename, link,
remove, make a directory, truncate); it tells in `{root}/../acks` every seq whose flush has returned. Prints one JSON
object a line: how the life ended and how many changes it saw.
"""

import json
import logging
import os
import sys
from pathlib import Path

import pyarrow as pa
import structlog
from support.death import Death

from fluxforge_collector.clock import SystemClock
from fluxforge_collector.config.model import Ingestion
from fluxforge_collector.records import BookRecord, TradeRecord
from fluxforge_collector.segments.recovery import recover
from fluxforge_collector.segments.writer import SegmentWriter


def records(clock, seq):
    now = clock.capture_us()
    at = (now // 1000, now, None)
    yield BookRecord("binanceus", f"S{seq % 3}/X", *at, seq, [float(seq), 1.0] * 10, [], seq, 1)
    yield TradeRecord("okx", "T/X", *at[:2], str(seq), None, None, float(seq), 1.0, None, None, seq, 1, False)


def live(root: Path, kind: str, raw_format: str, first: int):
    clock, options = SystemClock(), Ingestion(raw_format=raw_format)
    recover(root, "ccxt", options, clock)
    if kind == "recover":
        return
    acks = os.open(root.parent / "acks", os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    writer, seq = SegmentWriter(root, "ccxt", options, clock), first
    for flushes in (2, 1, 1) if kind == "short" else range(1, 1000):
        for _ in range(flushes):
            batch = range(seq, seq + 4)
            writer.append(record for s in batch for record in records(clock, s))
            writer.flush()
            os.write(acks, "".join(f"{s}\n" for s in batch).encode())
            seq += 4
        writer.rotate()
    writer.close()


def main():
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.CRITICAL))
    pa.array(["imports what pyarrow looks for once, so that no life has to"])
    for line in sys.stdin:
        life = json.loads(line)
        root = Path(life["root"])
        pid = os.fork()
        if pid == 0:
            death = Death(root, life["kill_at"])
            sys.addaudithook(death)
            try:
                print(json.dumps({"pid": os.getpid()}), flush=True)
                live(root, life["kind"], life["raw_format"], life["first"])
                print(json.dumps({"changes": death.changes}), flush=True)
                os._exit(0)
            except Exception as error:  # noqa: BLE001 - told to the test, which fails by it
                print(json.dumps({"error": repr(error)}), flush=True)
                os._exit(1)
        _, status = os.waitpid(pid, 0)
        print(json.dumps({"ended": os.waitstatus_to_exitcode(status)}), flush=True)


if __name__ == "__main__":
    main()
