"""From frames to connections: faults act here, and the truth of what was sent is written here."""

from __future__ import annotations

import time
from collections.abc import Iterable

from fluxforge_collector.simulator.connection import Connection
from fluxforge_collector.simulator.faults import FRAME_FAULTS, Fault, FaultPlan
from fluxforge_collector.simulator.truth import Truth, truth_of
from fluxforge_collector.simulator.wire import Frame


class Delivery:
    """The open connections and the one way to them."""

    def __init__(self, truth: Truth) -> None:
        self.truth = truth
        self.connections: list[Connection] = []
        self.plan = FaultPlan()

    async def inject(self, fault: Fault) -> int:
        """Let a fault happen. Returns: how many connections it touched, or 0 where it waits for frames."""
        if fault.kind in FRAME_FAULTS:
            self.plan.add(fault)
            return 0
        touched = [c for c in self.connections if fault.exchange in {None, c.wire.exchange}]
        for connection in touched:
            if fault.kind == "close":
                await connection.close(fault.code)
            else:
                connection.abort()
        return len(touched)

    def send(self, exchange: str, frame: Frame, connections: Iterable[Connection], recorded_us: int | None) -> None:
        """Send one frame of a stream on its connections."""
        fault = self.plan.take(exchange, frame.symbol, frame.channel)
        texts = [frame.text] if fault is None else FRAME_FAULTS[fault.kind](frame.text)
        kind = fault.kind if fault is not None else None
        wall_us = time.time_ns() // 1000
        for connection in connections:
            self.truth.add(
                truth_of(
                    frame, connection.wire.exchange, connection.ordinal, wall_us, fault=kind, recorded_us=recorded_us
                )
            )
            for text in texts:
                connection.put(text)
