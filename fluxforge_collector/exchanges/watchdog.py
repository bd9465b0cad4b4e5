"""Telling silence from quiet: which connection brings nothing for too long. Data counts, not the state of a socket."""

from __future__ import annotations

from fluxforge_collector.config.sources import Asked
from fluxforge_collector.exchanges.connections import Connections
from fluxforge_collector.exchanges.gaps import Stream
from fluxforge_collector.exchanges.surroundings import Connection
from fluxforge_collector.records import Channel

_MOST_PATIENCE = 16


class Watchdog:
    """Judges the connections of a feed; what stays quiet after it was replaced is given twice the time."""

    def __init__(self, connections: Connections, settings: Asked) -> None:
        self._connections = connections
        self._settings = settings
        self._patience: dict[str | Stream, int] = {}
        self._reported: set[Stream] = set()

    @property
    def interval_s(self) -> float:
        """How often to look, so that a silence is noticed in time."""
        return min(1.0, self._settings.silence_seconds / 4)

    def silence(self, connection: Connection) -> str | None:
        """Why a connection is to be replaced; None where it is well.

        Trades may rightly pause: a connection of trades alone is left to whoever pings it, once a subscription stands.
        """
        connections, settings = self._connections, self._settings
        watched = [stream for stream in connection.streams if stream.channel is not Channel.TRADES]
        books = [stream for stream in watched if stream.channel is Channel.ORDERBOOK]
        age_s, quiet_s = connections.age_s(connection), connections.quiet_s(connection)
        base_s = settings.silence_seconds if books else settings.stale_after_seconds
        if watched and self._is_too_quiet(connection.url, quiet_s, base_s, age_s):
            return f"no data for {quiet_s:.0f} s"
        for stream in books:
            silent_s = connections.silent_s(stream)
            if self._is_too_quiet(stream, silent_s, settings.stale_after_seconds, age_s):
                return f"no order book of {stream.symbol} for {silent_s:.0f} s"
        is_unanswered = not watched and not any(map(connections.is_whole, connection.streams))
        patience_s = settings.stale_after_seconds
        if connection.streams and is_unanswered and self._is_too_quiet(connection.url, age_s, patience_s, age_s):
            return f"no answer to a subscription for {age_s:.0f} s"
        return None

    def undelivered(self) -> list[Stream]:
        """Streams asked for that have brought nothing in twice the time a book may be silent; each is told of once."""
        found = self._connections.undelivered(2 * self._settings.stale_after_seconds)
        fresh = [stream for stream in found if stream not in self._reported]
        self._reported.update(fresh)
        return fresh

    def _is_too_quiet(self, what: str | Stream, quiet_s: float, base_s: float, age_s: float) -> bool:
        """Whether a silence is too long."""
        patience_s = base_s * self._patience.get(what, 1)
        if quiet_s > patience_s:
            self._patience[what] = min(2 * self._patience.get(what, 1), _MOST_PATIENCE)
            return True
        if age_s > patience_s:
            self._patience.pop(what, None)
        return False
