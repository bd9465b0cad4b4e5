"""The heart: every few seconds a look at the lake, a judgement whether the collector is ready, and a sign of life."""

from __future__ import annotations

import asyncio
import os
import socket
from collections.abc import Callable, Mapping, Sequence

import structlog

from fluxforge_collector import __version__
from fluxforge_collector.clock import Clock
from fluxforge_collector.config.model import Config
from fluxforge_collector.health.exposition import Seen
from fluxforge_collector.health.heartbeat import Heartbeat, StreamSeen, leave
from fluxforge_collector.health.lake import LakeState, look
from fluxforge_collector.metrics import Tally
from fluxforge_collector.segments.names import SourcePaths

log = structlog.get_logger()

_BEAT_S = 5.0
_STUCK_S = 120.0
_MIB = 1 << 20


class Heart:
    """Beats until cancelled, then once more to say that the end was in order.

    `asked` are the streams of each source: exchange, symbol, channel. `whys_stopped` says why writers do not write,
    nothing where they do; `quiet_s` is how long what must move has stood still, by what to call it.
    """

    def __init__(
        self,
        config: Config,
        asked: Mapping[str, Sequence[tuple[str, str, str]]],
        clock: Clock,
        tally: Tally,
        *,
        whys_stopped: Callable[[], list[str]],
        quiet_s: Callable[[], Mapping[str, float]],
    ) -> None:
        self._config = config
        self._asked = {SourcePaths(config.root, source): streams for source, streams in asked.items()}
        self._clock = clock
        self._tally = tally
        self._whys_stopped = whys_stopped
        self._quiet_s = quiet_s
        self._started_us = clock.wall_us()
        self._not_ready_since_us: int | None = None
        self.seen = Seen(tally, clock.capture_us, why_not_ready=self.why_not_ready)
        for streams in asked.values():
            tally.asked_us |= dict.fromkeys(streams, clock.capture_us())

    def why_not_alive(self) -> list[str]:
        """Why only a restart can help: a writer that stands still though no disk has refused, connections unwatched."""
        return [f"{what} has not moved for {s:.0f} s" for what, s in self._quiet_s().items() if s > _STUCK_S]

    def why_not_ready(self) -> list[str]:
        """Why what comes in would not be kept, or whether anything comes in at all; empty where all is well."""
        tally, lake = self._tally, self.seen.lake
        reasons = self._whys_stopped()
        if not tally.records:
            reasons.append("no record yet")
        if tally.queue_limit_records and tally.queue_records >= tally.queue_limit_records:
            reasons.append("the queue is full")
        if lake is not None and lake.disk_free_bytes < _MIB:
            reasons.append("the disk is full")
        return reasons

    async def run(self) -> None:
        """Beat until cancelled."""
        loop = asyncio.get_running_loop()
        due = loop.time()
        while True:
            self.seen.loop_delay_s = max(0.0, loop.time() - due)
            await self.beat()
            due = loop.time() + _BEAT_S
            await asyncio.sleep(_BEAT_S)

    async def beat(self, *, stopped: bool = False) -> None:
        """Look at the lake and leave a sign of life; what cannot be written is only logged."""
        self.seen.lake = await asyncio.to_thread(self._look)
        reasons = self.why_not_ready()
        now_us = self._clock.wall_us()
        self.seen.beat_us = now_us
        self._not_ready_since_us = (self._not_ready_since_us or now_us) if reasons else None
        beats = {paths: self._heartbeat(paths, now_us, reasons, stopped=stopped) for paths in self._asked}
        await asyncio.to_thread(_leave_all, beats)

    def _look(self) -> LakeState | None:
        try:
            return look(self._config.root, self._config.root)
        except OSError as error:
            log.warning("lake not seen", why=str(error))
            return None

    def _heartbeat(self, paths: SourcePaths, now_us: int, reasons: list[str], *, stopped: bool) -> Heartbeat:
        tally = self._tally
        gaps: dict[str, int] = {}
        for (_, reason), count in tally.gaps.items():
            gaps[str(reason)] = gaps.get(str(reason), 0) + count
        return Heartbeat(
            source=paths.source,
            collector=self._config.ingestion.collector,
            version=__version__,
            host=socket.gethostname(),
            pid=os.getpid(),
            started_us=self._started_us,
            at_us=now_us,
            stopped=stopped,
            why_not_ready=tuple(reasons),
            why_not_sent=tally.why_not_sent,
            not_ready_since_us=self._not_ready_since_us,
            queue_records=tally.queue_records,
            queue_limit_records=tally.queue_limit_records,
            lost_records=tally.lost.total(),
            reconnects=tally.reconnects.total(),
            gaps=gaps,
            refused=tuple(tally.refused),
            streams=tuple(
                StreamSeen(*stream, tally.asked_us[stream], tally.last_us.get(stream)) for stream in self._asked[paths]
            ),
        )


def _leave_all(beats: Mapping[SourcePaths, Heartbeat]) -> None:
    for paths, beat in beats.items():
        try:
            leave(paths.heartbeat(beat.collector), beat)
        except OSError as error:
            log.warning("heartbeat not written", source=paths.source, why=str(error))
