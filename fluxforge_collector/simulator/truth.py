"""The ground truth: what was sent, frame by frame, as a test or a script compares it with what was collected."""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import IO, NamedTuple

import orjson

from fluxforge_collector.errors import StorageError
from fluxforge_collector.simulator.faults import Fault
from fluxforge_collector.simulator.wire import Frame


class FrameTruth(NamedTuple):
    """One frame as sent on one connection; prices and sizes are the wire's decimal text.

    `bid … ask_size` are the true best of the book after the frame, `digest` that of its ten best levels a side;
    `price`, `size`, `side` (the taker's) are a trade's. `fault` names what was done to it: a frame with one did not
    reach the client as it should. `recorded_us` is the receive time in the recording that is played.
    `is_superseded`: a depth update older than the snapshot served.
    """

    wall_us: int
    exchange: str
    symbol: str
    channel: str
    kind: str
    conn: int
    sequence: int | None
    previous: int | None
    rows: int
    timestamp_ms: int | None
    bid: str | None
    bid_size: str | None
    ask: str | None
    ask_size: str | None
    price: str | None
    size: str | None
    side: str | None
    fault: str | None = None
    recorded_us: int | None = None
    is_superseded: bool = False
    digest: int | None = None


class FaultTruth(NamedTuple):
    """One fault as it was ordered, and how many connections it touched at once."""

    wall_us: int
    fault: Fault
    connections: int


class Truth:
    """Remembers the last `limit` frames, counts all, and writes all as JSON lines to the file it is told to open.

    `ordered` are the faults ordered; a line of one has `ordered` instead of an exchange. `faults` counts the frames and
    requests that each kind struck.
    """

    def __init__(self, limit: int, on_sent: Callable[[FrameTruth], None] | None = None) -> None:
        self._frames: deque[FrameTruth] = deque(maxlen=limit)
        self._on_sent = on_sent
        self._out: IO[bytes] | None = None
        self.counts: Counter[tuple[str, str, str]] = Counter()
        self.faults: Counter[str] = Counter()
        self.ordered: list[FaultTruth] = []

    def open(self, file: Path) -> None:
        """Write all frames from now on to a file. Raises: StorageError where it cannot be written."""
        try:
            self._out = file.open("wb")
        except OSError as error:
            raise StorageError(f"cannot write {file}: {error.strerror}", "choose a writable file") from error

    def add(self, frame: FrameTruth) -> None:
        """Remember one frame."""
        self._frames.append(frame)
        self.counts[frame.exchange, frame.symbol, frame.channel] += 1
        if frame.fault:
            self.faults[frame.fault] += 1
        if self._out is not None:
            self._out.write(orjson.dumps(frame._asdict(), option=orjson.OPT_APPEND_NEWLINE))
        if self._on_sent is not None:
            self._on_sent(frame)

    def order(self, wall_us: int, fault: Fault, connections: int) -> None:
        """Remember a fault that was ordered."""
        self.ordered.append(FaultTruth(wall_us, fault, connections))
        if self._out is not None:
            line = {"wall_us": wall_us, "ordered": asdict(fault), "connections": connections}
            self._out.write(orjson.dumps(line, option=orjson.OPT_APPEND_NEWLINE))

    def frames(
        self, exchange: str | None = None, symbol: str | None = None, channel: str | None = None
    ) -> list[FrameTruth]:
        """The remembered frames of an exchange, symbol and channel, in the order sent; None means any."""
        return [
            frame
            for frame in self._frames
            if exchange in {None, frame.exchange}
            and symbol in {None, frame.symbol}
            and channel in {None, frame.channel}
        ]

    def flush(self) -> None:
        """Hand what is written to the operating system."""
        if self._out is not None:
            self._out.flush()

    def close(self) -> None:
        """Close the file."""
        if self._out is not None:
            self._out.close()
            self._out = None


def truth_of(
    frame: Frame, exchange: str, conn: int, wall_us: int, *, fault: str | None = None, recorded_us: int | None = None
) -> FrameTruth:
    """The truth of a frame sent on a connection."""
    quote = frame.quote
    return FrameTruth(
        wall_us,
        exchange,
        frame.symbol,
        frame.channel,
        frame.kind,
        conn,
        frame.sequence,
        frame.previous,
        frame.rows,
        frame.timestamp_ms,
        quote.bid if quote else None,
        quote.bid_size if quote else None,
        quote.ask if quote else None,
        quote.ask_size if quote else None,
        frame.price,
        frame.size,
        frame.side,
        fault,
        recorded_us,
        frame.kind == "superseded",
        frame.digest,
    )
