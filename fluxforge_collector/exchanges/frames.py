"""The frames recorder: what goes over an exchange's wires, verbatim but for secrets, as records of channel `frames`.

Every source reports to it what it receives, sends, asks and loses; what becomes of it is not known here. A frame is
noted before the records that are made of it, so their `seq` lie between its own and the next frame's.
"""

from __future__ import annotations

from collections.abc import Iterable
from functools import lru_cache
from urllib.parse import quote

from pydantic import SecretStr

from fluxforge_collector.config.section import Section
from fluxforge_collector.config.sources import Asked
from fluxforge_collector.exchanges.address import original
from fluxforge_collector.exchanges.redaction import redacted, redacted_message, redacted_url, without
from fluxforge_collector.exchanges.surroundings import Connection, Ends
from fluxforge_collector.records import Direction, FrameRecord

_NO_CONNECTION = -1
_SHORTEST_SECRET = 4
_GOOD = range(200, 300)


class Frames:
    """Records the frames of one exchange. `secrets` never appear; `base_url` is where a simulated one is reached."""

    def __init__(self, exchange: str, ends: Ends, *, secrets: Iterable[str] = (), base_url: str | None = None) -> None:
        self._exchange = exchange
        self._ends = ends
        known = [secret for secret in secrets if len(secret) >= _SHORTEST_SECRET]
        self._secrets = tuple(dict.fromkeys([*known, *(quote(secret, safe="") for secret in known)]))
        self._base_url = base_url
        self._address_of = lru_cache(256)(self._address)

    def received(self, connection: Connection, data: str | bytes) -> None:
        """A frame came in."""
        text = data if isinstance(data, str) else data.decode("utf-8", "backslashreplace")
        self._note(Direction.RECV, connection, without(text, self._secrets))

    def sent(self, connection: Connection, text: str) -> None:
        """A frame is sent."""
        self._note(Direction.SEND, connection, redacted_message(text, self._secrets))

    def opened(self, connection: Connection) -> None:
        """A connection stands."""
        self._note(Direction.OPEN, connection, "")

    def closed(self, connection: Connection, code: object) -> None:
        """The exchange has closed a connection."""
        self._note(Direction.CLOSE, connection, str(code))

    def failed(self, connection: Connection, error: str) -> None:
        """A connection has failed, was given up, or was never made."""
        self._note(Direction.ERROR, connection, redacted(error, self._secrets))

    def answered(self, url: str, status: int, body: str) -> None:
        """A request over REST was answered."""
        text = redacted(body, self._secrets)
        if status in _GOOD:
            self._emit(Direction.REST, _NO_CONNECTION, url, text)
        else:
            self._emit(Direction.ERROR, _NO_CONNECTION, url, f"HTTP {status}: {text}")

    def _address(self, url: str) -> str:
        return redacted_url(original(url, self._base_url), self._secrets)

    def _note(self, direction: Direction, connection: Connection, text: str) -> None:
        self._emit(direction, connection.ordinal, connection.url, text)

    def _emit(self, direction: Direction, conn: int, url: str, text: str) -> None:
        ends = self._ends
        recv_ns = ends.clock.capture_us() * 1000
        ends.emit(FrameRecord(self._exchange, recv_ns, conn, self._address_of(url), direction, text, ends.next_seq()))


def frames_of(exchange: str, settings: Asked, credentials: Section, ends: Ends) -> Frames | None:
    """What records an exchange's frames; None where they are not to be recorded."""
    if not (ends.record_frames if settings.record_frames is None else settings.record_frames):
        return None
    values = (value for _, value in credentials)
    secrets = [value.get_secret_value() for value in values if isinstance(value, SecretStr)]
    return Frames(exchange, ends, secrets=secrets, base_url=settings.base_url)
