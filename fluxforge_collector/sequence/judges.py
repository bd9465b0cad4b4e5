"""Judges: one per connection, told each of its messages in turn; each finds whether an order book still follows.

What a judge remembers is of one connection only: a new connection is a new judge. What follows from a finding, gaps
and new subscriptions, is not decided here.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sized
from typing import Any, NamedTuple, Protocol

from fluxforge_collector.records import GapReason
from fluxforge_collector.sequence.checksums import (
    TextBook,
    kraken_checksum,
    kraken_form,
    okx_checksum,
    okx_form,
)
from fluxforge_collector.sequence.updates import Reader, Update, Verdict, compare, read_okx

_KRAKEN_DEPTH = 10
_OKX_DEPTH = 400
_MOST_MARKETS = 10_000


class Finding(NamedTuple):
    """What one update is; where it breaks, by which proof, and what was seen.

    A book that has not begun lacks the snapshot that opens it, for which no client asks again.
    """

    update: Update
    verdict: Verdict
    reason: GapReason = GapReason.SEQUENCE
    detail: str = ""
    has_begun: bool = True


class Judge(Protocol):
    """Looks at every message of one connection."""

    def look(self, message: Any, text: str | bytes) -> tuple[Finding, ...]:
        """The findings on the updates in a message; `text` is the frame it was parsed from.

        Raises: KeyError, TypeError or ValueError for an update that is not whole.
        """


def _check_number(markets: Sized) -> None:
    """Raises: ValueError for more markets than anybody asks of one connection."""
    if len(markets) > _MOST_MARKETS:
        raise ValueError(f"more than {_MOST_MARKETS} markets on one connection")


class SequenceJudge:
    """Compares the ids that `read` finds with the last ones of the same market.

    With `is_opened_by_snapshot` the first update of a market has to be one: without it, the client would wait for the
    next in vain, or go on with the book of the connection before.
    """

    def __init__(self, read: Reader, *, is_opened_by_snapshot: bool = False) -> None:
        self._read = read
        self._is_opened_by_snapshot = is_opened_by_snapshot
        self._last: dict[str | None, int | None] = {}

    def look(self, message: Any, text: str | bytes) -> tuple[Finding, ...]:
        """The findings on the updates in a message."""
        del text
        return tuple([self._find(update) for update in self._read(message)])

    def _find(self, update: Update) -> Finding:
        last = self._last.get(update.market)
        if self._is_opened_by_snapshot and update.market not in self._last and update.previous is not None:
            detail = f"update after {update.previous} without a snapshot"
            return Finding(update, Verdict.BREAKS, detail=detail, has_begun=False)
        verdict = compare(last, update)
        if verdict is not Verdict.REPEATS:
            self._last[update.market] = update.last
            _check_number(self._last)
        detail = f"update after {update.previous} follows {last}" if verdict is Verdict.BREAKS else ""
        return Finding(update, verdict, detail=detail)


class OkxJudge:
    """Compares OKX's ids, and its checksums in feeds that carry them: most send 0, and then no book is kept here."""

    def __init__(self) -> None:
        self._sequence = SequenceJudge(read_okx, is_opened_by_snapshot=True)
        self._books: dict[str, TextBook] = {}

    def look(self, message: Any, text: str | bytes) -> tuple[Finding, ...]:
        """The findings on the updates in a message."""
        findings = self._sequence.look(message, text)
        if not isinstance(message, Mapping) or "action" not in message:
            return findings
        market, is_snapshot = message["arg"]["instId"], message["action"] == "snapshot"
        for data in message.get("data") or ():
            wrong = self._check(market, data, is_snapshot=is_snapshot)
            if wrong and not any(finding.verdict is Verdict.BREAKS for finding in findings):
                update = findings[0].update if findings else Update(market, None, None)
                findings = (Finding(update, Verdict.BREAKS, GapReason.CHECKSUM, wrong),)
        return findings

    def _check(self, market: str, data: Mapping[str, Any], *, is_snapshot: bool) -> str:
        """What is wrong with a checksum; nothing where it holds or is not sent."""
        stated = data.get("checksum")
        if not stated:
            self._books.pop(market, None)
            return ""
        if is_snapshot:
            self._books[market] = TextBook(_OKX_DEPTH, okx_form)
            _check_number(self._books)
        book = self._books.get(market)
        if book is None:
            return ""
        for side, levels in ((book.bids, data["bids"]), (book.asks, data["asks"])):
            side.apply((level[0], level[1]) for level in levels)
        found = okx_checksum(book)
        return "" if found == stated else f"checksum {found} is stated as {stated}"


class KrakenJudge:
    """Keeps each of Kraken's books as the text it was sent as, cut at the depth subscribed to, and sums it up.

    Kraken sends numbers, not strings, and sums up their digits: only the frame's own text has them all.
    """

    def __init__(self) -> None:
        self._depths: dict[str, int] = {}
        self._books: dict[str, TextBook] = {}
        self._texts: dict[str, str | bytes] = {}

    def look(self, message: Any, text: str | bytes) -> tuple[Finding, ...]:
        """The findings on the updates in a message."""
        if not isinstance(message, Mapping):
            return ()
        if message.get("channel") == "book":
            exact = json.loads(text, parse_float=str, parse_int=str)
            is_snapshot = exact["type"] == "snapshot"
            return tuple([self._find(data, text, is_snapshot=is_snapshot) for data in exact["data"]])
        if message.get("method") == "subscribe":
            result = message.get("result") or {}
            if result.get("channel") == "book":
                self._depths[result["symbol"]] = result.get("depth", _KRAKEN_DEPTH)
        return ()

    def _find(self, data: Mapping[str, Any], text: str | bytes, *, is_snapshot: bool) -> Finding:
        market = data["symbol"]
        update = Update(market, None, None)
        if self._texts.get(market) == text:
            # there are no ids to tell it by; two updates of the same microsecond never have the same changes, and a
            # snapshot that nothing has followed is the state known already
            return Finding(update, Verdict.REPEATS)
        if is_snapshot:
            self._books[market] = TextBook(self._depths.get(market, _KRAKEN_DEPTH), kraken_form)
            _check_number(self._books)
        self._texts[market] = text
        book = self._books[market]
        for side, levels in ((book.bids, data["bids"]), (book.asks, data["asks"])):
            side.apply([(level["price"], level["qty"]) for level in levels])
        found, stated = kraken_checksum(book), int(data["checksum"])
        if found == stated:
            return Finding(update, Verdict.FOLLOWS)
        return Finding(update, Verdict.BREAKS, GapReason.CHECKSUM, f"checksum {found} is stated as {stated}")
