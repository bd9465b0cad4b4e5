"""Recorded frames as they are played: what was recorded, and whether a live client's text or request is the one meant.

Pure values: a client that is asked the same does the same, but numbers its messages and names its times anew.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from collections.abc import Set as AbstractSet
from typing import Any, NamedTuple
from urllib.parse import parse_qsl, unquote, urlsplit

import orjson

from fluxforge_collector.simulator.listing import Listing
from fluxforge_collector.simulator.wire import Frame, Moment, Received, Topic, Wire

REDACTED = "REDACTED"
_OWN = frozenset({"id", "req_id", "reqid", "jwt", "signature", "timestamp", "nonce"})
_PING = re.compile(r'ping|\{.*"(?:op|method|event|type|req|action)"\s*:\s*"ping".*\}|\{\s*"ping".*\}', re.DOTALL)
_LONGEST_ANSWER = 1000


class Recorded(NamedTuple):
    """One recorded frame: when, on which connection to which address, and what it was.

    `direction` is as in bronze; `restart` stands where the collector that recorded was started anew.
    """

    at_us: int
    conn: int
    url: str
    direction: str
    text: str

    @property
    def address(self) -> str:
        """Host, port and path."""
        parts = urlsplit(self.url)
        return f"{parts.netloc}{parts.path}".rstrip("/")


class Replay(NamedTuple):
    """What was recorded of an exchange: its hosts, and its frames from the first on, in order, as often as asked."""

    exchange: str
    hosts: frozenset[str]
    frames: Callable[[], Iterator[Recorded]]


class Request(NamedTuple):
    """What a request over REST asks for."""

    path: str
    query: tuple[tuple[str, str], ...]

    @classmethod
    def of_url(cls, url: str) -> Request:
        """The request of a recorded address."""
        parts = urlsplit(url)
        return cls(unquote(parts.path), tuple(sorted(parse_qsl(parts.query, keep_blank_values=True))))

    @classmethod
    def of(cls, path: str, query: Mapping[str, str]) -> Request:
        """The request a client makes."""
        return cls(path, tuple(sorted(query.items())))

    def means(self, recorded: Request) -> bool:
        """Whether a recorded request is this one; numbers, such as times, may differ."""
        if self.path != recorded.path or len(self.query) != len(recorded.query):
            return False
        return all(
            name == other and (value == known or REDACTED in known or (value.isdigit() and known.isdigit()))
            for (name, value), (other, known) in zip(self.query, recorded.query, strict=True)
        )


def is_ping(text: str) -> bool:
    """Whether a client's text only asks for a sign of life: when it does so depends on the clock alone."""
    return len(text) < _LONGEST_ANSWER and _PING.fullmatch(text) is not None


def same_message(live: str, recorded: str) -> bool:
    """Whether a client's text is the recorded one, but for what it numbers or signs anew."""
    return recorded in {REDACTED, live} or _essence(live) == _essence(recorded)


def _essence(text: str) -> Any:
    try:
        message = orjson.loads(text)
    except ValueError:
        return text
    return {k: v for k, v in message.items() if k not in _OWN} if isinstance(message, dict) else message


def number_of(text: str) -> tuple[str, str] | None:
    """The name and the number by which a message's answer will be known, as they stand in its text."""
    match = re.search(r'"(id|req_id|reqid)"\s*:\s*("?[\w-]+"?)', text)
    return (match[1], match[2]) if match else None


def renumbered(text: str, numbers: Mapping[tuple[str, str], str]) -> str:
    """A recorded answer with the number of the live message in place of the recorded one."""
    if not numbers or len(text) > _LONGEST_ANSWER:
        return text
    found = number_of(text)
    if found is None or found not in numbers:
        return text
    name, number = found
    return re.sub(rf'("{name}"\s*:\s*){re.escape(number)}', rf"\g<1>{numbers[found]}", text, count=1)


class Verbatim(Wire):
    """A venue of which nothing is known but its hosts: a client's text is the topic it begins."""

    refusal = ""

    def __init__(self, exchange: str, hosts: frozenset[str]) -> None:
        self.exchange = exchange
        self.hosts = hosts

    def market_id(self, listing: Listing) -> str:
        """Unknown."""
        return listing.symbol

    def rest(self, path: str, query: Mapping[str, str], moments: Mapping[str, Moment], now_us: int) -> Any:
        """None: answers are recorded ones."""
        del path, query, moments, now_us

    def receive(self, text: str, markets: Mapping[str, Listing], subscribed: AbstractSet[Topic]) -> Received:
        """The text itself, as something that begins."""
        del markets, subscribed
        return Received([], [Topic(text, "")], [])

    def cadence(self, channel: str) -> int:
        """0: nothing is published by itself."""
        del channel
        return 0

    def publish(self, topic: Topic, moment: Moment) -> list[Frame]:
        """Nothing."""
        del topic, moment
        return []
