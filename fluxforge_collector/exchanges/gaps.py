"""Open gaps of streams: when something went missing, until it is whole again. A pure ledger of values."""

from __future__ import annotations

from typing import NamedTuple

from fluxforge_collector.records import Channel, GapReason


class Stream(NamedTuple):
    """One channel of one symbol of an exchange."""

    channel: Channel
    symbol: str


class Gap(NamedTuple):
    """A stream that is not whole since `start_us`, microseconds of capture time, and why."""

    start_us: int
    reason: GapReason
    detail: str | None


class GapLedger:
    """The gaps now open, at most one per stream; the first cause stands until the stream is whole again."""

    def __init__(self) -> None:
        self._open: dict[Stream, Gap] = {}

    def __contains__(self, stream: Stream) -> bool:
        return stream in self._open

    def __len__(self) -> int:
        return len(self._open)

    def open(self, stream: Stream, start_us: int, reason: GapReason, detail: str | None = None) -> bool:
        """Open a gap; False where the stream has one already, which then only begins at the earlier instant."""
        standing = self._open.get(stream)
        if standing is None:
            self._open[stream] = Gap(start_us, reason, detail)
            return True
        if start_us < standing.start_us:
            self._open[stream] = standing._replace(start_us=start_us)
        return False

    def close(self, stream: Stream) -> Gap | None:
        """The stream is whole again: its gap, or None where it had none."""
        return self._open.pop(stream, None)

    def split(self, at_us: int) -> list[tuple[Stream, Gap]]:
        """Take every gap open since before an instant, as up to it; each stays open from there on."""
        standing = [(stream, gap) for stream, gap in self._open.items() if gap.start_us < at_us]
        self._open |= {stream: gap._replace(start_us=at_us) for stream, gap in standing}
        return standing

    def close_all(self) -> list[tuple[Stream, Gap]]:
        """Take every gap still open, as at the end."""
        standing = list(self._open.items())
        self._open.clear()
        return standing
