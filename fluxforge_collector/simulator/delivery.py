"""From frames to connections: faults act here, and the truth of what was sent is written here."""

from __future__ import annotations

import time
from collections.abc import Iterable

from fluxforge_collector.simulator.connection import Connection
from fluxforge_collector.simulator.damage import damaged
from fluxforge_collector.simulator.faults import FRAME_FAULTS, REST_FAULTS, SOCKET_FAULTS, Fault, FaultPlan
from fluxforge_collector.simulator.truth import Truth, truth_of
from fluxforge_collector.simulator.wire import Frame

_Stream = tuple[str, str, str]


class Delivery:
    """The open connections and the one way to them."""

    def __init__(self, truth: Truth) -> None:
        self.truth = truth
        self.connections: list[Connection] = []
        self.requests = FaultPlan()
        self.handshakes = FaultPlan()
        self._frames = FaultPlan()
        self._held: dict[_Stream, list[tuple[Connection, str]]] = {}

    async def inject(self, fault: Fault) -> int:
        """Let a fault of frames, requests or connections happen. Returns: how many connections it touched at once."""
        if fault.kind in FRAME_FAULTS:
            self._frames.add(fault)
            return 0
        if fault.kind in REST_FAULTS:
            self.requests.add(fault)
            return 0
        if fault.kind in SOCKET_FAULTS:
            self.handshakes.add(fault)
            return 0
        touched = [c for c in self.connections if fault.exchange in {None, c.wire.exchange}]
        for connection in touched:
            match fault.kind:
                case "close":
                    await connection.close(fault.close_code)
                case "abort":
                    connection.abort()
                case _:
                    connection.hush(fault.kind, fault.seconds)
        return len(touched)

    def send(self, exchange: str, frame: Frame, connections: Iterable[Connection], recorded_us: int | None) -> None:
        """Send one frame of a stream on its connections."""
        fault = self._frames.take(exchange, frame.symbol, frame.channel)
        stream = (exchange, frame.symbol, frame.channel)
        held = self._held.pop(stream, [])
        wall_us = time.time_ns() // 1000
        for connection in connections:
            hushed = connection.hushed
            kind = hushed or (fault.kind if fault is not None else None)
            own = connection.number(frame)
            for part in own.parts or (own,):
                self.truth.add(
                    truth_of(
                        part, connection.wire.exchange, connection.ordinal, wall_us, fault=kind, recorded_us=recorded_us
                    )
                )
            if hushed:
                continue
            if fault is not None and fault.kind == "reorder":
                self._held.setdefault(stream, []).append((connection, own.text))
                continue
            if fault is not None and fault.kind == "delay":
                connection.wait(fault.seconds)
            for text in [own.text] if fault is None else damaged(own.text, fault, connection.wire.refusal):
                connection.put(text)
        for connection, text in held:
            connection.put(text)
