"""Trades that a connection did not bring: which of those fetched again are they, when would they have come?

Pure functions of values. A fetch is believed only where it holds a trade that was recorded too: an exchange may number
its trades otherwise over REST. Where ids ascend they say what is missing; elsewhere it is what was not recorded and
lies in the time of the gap.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from fluxforge_collector.exchanges.gaps import Gap, Stream
from fluxforge_collector.exchanges.last_ids import LastIds
from fluxforge_collector.exchanges.trade_pages import Ids, Trade
from fluxforge_collector.records import TradeRecord


@dataclass(eq=False)
class Missing:
    """A gap of a stream of trades, and what was recorded before and after it.

    `last` is the last trade before, `before` the ids remembered then, `after` those recorded since, `first` the least
    number among them. `told_us` is up to when a gap row has been written already. One that `is_followed` by another gap
    of the stream, with no trade recorded between, leaves to that what came after its own end.
    """

    stream: Stream
    gap: Gap
    last: TradeRecord | None
    before: LastIds
    end_us: int = 0
    after: set[str] = field(default_factory=set)
    first: int | None = None
    told_us: int | None = None
    is_followed: bool = False

    def learn(self, records: Sequence[TradeRecord]) -> None:
        """Trades were recorded that were fetched for the gap before this one: it begins after them."""
        for record in records:
            if record.trade_id is not None:
                self.before.add(record.trade_id)
        self.last = last_of(self.last, records)

    def end(self, gap: Gap, end_us: int) -> None:
        """The stream is whole again; `gap` is what of it no row has told of yet."""
        if gap.start_us > self.gap.start_us:
            self.told_us = gap.start_us
        self.gap = gap._replace(start_us=min(gap.start_us, self.gap.start_us))
        self.end_us = end_us

    def note(self, trade: Trade) -> None:
        """A trade was recorded after the gap. OKX puts the fills of an order together, under the id of the last."""
        self.after.add(trade["id"])
        number, info = _number(trade["id"]), trade.get("info")
        if number is not None:
            fills = int(info.get("count") or 1) if isinstance(info, Mapping) else 1
            self.first = min(number - fills + 1, number if self.first is None else self.first)

    def knows(self, trade_id: str) -> bool:
        """Whether a trade was recorded, before the gap or since."""
        return trade_id in self.after or trade_id in self.before

    @property
    def lag_us(self) -> int:
        """How much later than the exchange's time the last trade was captured."""
        return _lag_us(self.last)

    @property
    def from_ms(self) -> int:
        """The exchange's time from which trades are missing."""
        if self.last is not None and self.last.timestamp_ms is not None:
            return self.last.timestamp_ms
        return self.gap.start_us // 1000

    @property
    def to_ms(self) -> int:
        """The exchange's time up to which they are."""
        return (self.end_us - self.lag_us) // 1000 + 1

    def untold(self, until_us: int) -> Gap | None:
        """The part of the gap up to an instant of which no row was written; from now on it counts as told."""
        start_us = self.gap.start_us if self.told_us is None else self.told_us
        if start_us > until_us or start_us == self.told_us == until_us:
            return None
        self.told_us = until_us
        return self.gap._replace(start_us=start_us)


class Left(NamedTuple):
    """A part of a gap that was not filled; `lost` trades are missing in it where that is known."""

    start_us: int
    end_us: int
    lost: int | None


class Found(NamedTuple):
    """The missing trades, each with the capture time it would have had, and what of the gap remains."""

    trades: list[tuple[Trade, int]]
    left: list[Left]


def last_of(last: TradeRecord | None, fetched: Sequence[TradeRecord]) -> TradeRecord | None:
    """The last trade once those fetched again, oldest first, are recorded too: `last`, where it is newer than they are.

    One that was fetched has the capture time it would have had, although it may stand in bronze at its gap's end.
    """
    newest = fetched[-1] if fetched else None
    if newest is None or newest.timestamp_ms is None or last is None or last.timestamp_ms is None:
        return last
    is_newer = newest.timestamp_ms > last.timestamp_ms
    return newest._replace(capture_us=newest.timestamp_ms * 1000 + _lag_us(last)) if is_newer else last


def by_time(trades: Iterable[Trade]) -> list[Trade]:
    """Trades in order of time, those of one instant by id where ids are numbers."""
    return sorted(trades, key=lambda trade: (trade["timestamp"], _number(trade["id"]) or 0))


def reaches_back(missing: Missing, fetched: Sequence[Trade], ids: Ids) -> bool:
    """Whether what was fetched, oldest first, goes back to the last trade before the gap."""
    if not fetched:
        return False
    skipped = _skipped(missing, fetched[0], ids)
    if skipped is not None:
        return skipped <= 0
    return fetched[0]["timestamp"] < missing.from_ms or any(trade["id"] in missing.before for trade in fetched)


def find(
    missing: Missing, fetched: Sequence[Trade], ids: Ids, *, has_oldest: bool = False, has_newest: bool = True
) -> Found:
    """The missing trades among those fetched, oldest first.

    `has_oldest` says that the exchange has no older ones, `has_newest` that it had no newer ones.
    """
    start_us, end_us = missing.gap.start_us, missing.end_us
    if not any(missing.knows(trade["id"]) for trade in fetched):
        return Found([], [Left(start_us, end_us, None)])
    # without numbers it is the first trade recorded since that says where the gap ends; clocks only estimate it
    until = next((index for index, trade in enumerate(fetched) if trade["id"] in missing.after), len(fetched))
    among = fetched[:until] if ids == "opaque" else fetched
    if missing.is_followed and not missing.after:
        among = [trade for trade in among if trade["timestamp"] <= missing.to_ms]
    chosen = [trade for trade in among if not missing.knows(trade["id"]) and _is_missing(missing, trade, ids)]
    # when each would have come, had the connection stood; never outside the gap, nor at its start, when a frame came
    placed, at_us = [], max(start_us, min(start_us + 1, end_us - 1))
    for trade in chosen:
        at_us = max(at_us, min(trade["timestamp"] * 1000 + missing.lag_us, end_us - 1))
        placed.append((trade, at_us))
    left = []
    if not has_oldest and not reaches_back(missing, fetched, ids):
        left.append(Left(start_us, placed[0][1] if placed else end_us, _skipped(missing, fetched[0], ids)))
    if not has_newest:
        left.append(Left(placed[-1][1] if placed else start_us, end_us, None))
    if not left and (lost := _not_given(missing, len(chosen), ids)):
        left.append(Left(start_us, end_us, lost))
    return Found(placed, left)


def _is_missing(missing: Missing, trade: Trade, ids: Ids) -> bool:
    """Whether a trade came after the last one before the gap, and before the first one after it, if any has come."""
    number = _number(trade["id"]) if ids != "opaque" else None
    last = _number(missing.last.trade_id) if missing.last else None
    is_later = number > last if number is not None and last is not None else trade["timestamp"] >= missing.from_ms
    if number is not None and missing.first is not None:
        return is_later and number < missing.first
    # when the gap ended at the exchange, clocks only estimate: what comes by itself as well is known by its id then
    return bool(is_later)


def _skipped(missing: Missing, oldest: Trade, ids: Ids) -> int | None:
    """How many counted ids lie between the last trade before the gap and the oldest fetched; None where none counts."""
    last, number = _number(missing.last.trade_id) if missing.last else None, _number(oldest["id"])
    return number - last - 1 if ids == "counted" and last is not None and number is not None else None


def _not_given(missing: Missing, given: int, ids: Ids) -> int:
    """How many counted ids between the last trade before and the first after were not given."""
    last = _number(missing.last.trade_id) if missing.last else None
    if ids != "counted" or last is None or missing.first is None:
        return 0
    return max(0, missing.first - last - 1 - given)


def _lag_us(last: TradeRecord | None) -> int:
    return last.capture_us - last.timestamp_ms * 1000 if last and last.timestamp_ms is not None else 0


def _number(trade_id: str | None) -> int | None:
    return int(trade_id) if trade_id is not None and trade_id.isascii() and trade_id.isdigit() else None
