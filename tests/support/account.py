"""The account: what a simulated exchange sent, against what is in bronze and in the gap ledger.

Each state, trade and ticker sent is in bronze once and equal by value, or lies in a gap row of its stream; and no gap
row stands where nothing was lost. Collecting and reading the lake are thin here; `settle` is pure.
"""

from bisect import bisect_left, bisect_right
from collections import Counter, defaultdict
from functools import lru_cache
from itertools import pairwise
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from fluxforge_collector.sequence import is_proven
from fluxforge_collector.simulator.book import DIGEST_LEVELS, digest_of
from fluxforge_collector.simulator.faults import REST_FAULTS, SOCKET_FAULTS
from fluxforge_collector.simulator.listing import find_listing

CHANNELS = ("orderbook", "trades", "ticker")
NUMBERED = {"binance", "binanceus", "bybit", "okx"}  # whose book updates have an id of their own that bronze keeps
GONE = {"drop", "silence", "mute", "half_open", "missing_field"}  # faults after which a frame has not come as it was
QUIET = {"silence", "mute", "half_open"}
TOGETHER_US = 10_000  # in which one publication goes to all connections, also to those that it opens
REQUEST_S = 20  # in which a client that backs off makes its next request
GRACE_US = 10_000_000  # in which a stream begins to flow at a first start; later that is a gap
RESTLESS_US = 3_000_000  # states are sent every second or sooner; later ones had nobody subscribed before them
SLACK_US = 2_000_000  # how late on a loaded machine a gap may begin after what brought it about


class Sent(NamedTuple):
    """Something sent: when, what identifies it, and the fault that struck it."""

    wall_us: int
    key: tuple
    fault: str | None


class Kept(NamedTuple):
    """A row of bronze: when it was captured, what identifies it, and whether it was fetched over REST afterwards."""

    capture_us: int
    key: tuple
    is_backfilled: bool = False


class Span(NamedTuple):
    """A gap row, or several that touch."""

    start_us: int
    end_us: int
    reason: str


class Account(NamedTuple):
    """How an account came out: the `wrong` is what a test asserts to be empty.

    `unseen` were lost on channels where an exchange gives no means to notice it.
    """

    sent: int
    kept: int
    in_gaps: int
    unseen: int
    gaps: int
    wrong: list

    def __add__(self, other):
        return Account(*(a + b for a, b in zip(self, other, strict=True)))


NOTHING = Account(0, 0, 0, 0, 0, [])


def settle(sent, kept, gaps, causes, *, proven, flush_us, is_book=False, is_state=False):
    """The account of one stream. Pure.

    `sent` in the order sent, without repetitions over several connections; `kept` in the order captured;
    `causes` are the spans of whatever may bring a gap about besides frames that are missing. What was sent before
    the first row is not looked for where that came soon; elsewhere a gap covers it, also where no row came at all. A
    state that opens a stream may come from a snapshot nobody sent as a frame; a trade fetched afterwards may have been
    made while nobody was subscribed. What came without a field is kept without it, but never a book. A state (not a
    trade) said again at once need not be kept again; where none is sent for seconds, nobody was subscribed.
    """
    wrong = []
    known = {item.key for item in sent}
    times = [row.capture_us for row in kept if not row.is_backfilled]
    captured = [None] * len(sent)
    spoilt = 0 if is_book else sum(item.fault == "missing_field" for item in sent)
    changed = 0
    for row, place in zip(kept, _places_of(sent, kept), strict=True):
        if place is not None:
            captured[place] = row.capture_us
        elif row.key in known:
            wrong.append(f"kept more often than sent: {row}")
        elif (
            row is not kept[0]
            and not row.is_backfilled
            and not any(gap.start_us <= row.capture_us <= gap.end_us for gap in gaps)
        ):
            if changed == spoilt:
                wrong.append(f"never sent: {row}")
            changed = min(changed + 1, spoilt)
    found = [index for index, at_us in enumerate(captured) if at_us is not None]
    in_gaps = unseen = 0
    too_early = sent[: found[0]] if found else sent
    struck = [item for item in sent if item.fault]
    causes = [*causes, *((item.wall_us, item.wall_us) for item in [*too_early, *struck])]
    if is_state:
        pauses = ((one.wall_us, then.wall_us) for one, then in pairwise(sent))
        causes += [(start_us, end_us) for start_us, end_us in pauses if end_us - start_us > RESTLESS_US]
    # the last one may still be held back for the next, which never came
    until = len(sent) - bool(sent and sent[-1].fault == "reorder")
    first = found[0] if found else len(sent)
    forgiven_us = _forgiven_us(sent, times)
    for index in range(until):
        if captured[index] is not None or (index < first and sent[index].wall_us <= forgiven_us):
            continue
        if is_state and index and sent[index].key == sent[index - 1].key and sent[index].key[0] is not None:
            continue  # a snapshot of the state said last, or a ticker that says the same of the same instant
        if index < first:
            before_us, then_us = sent[index].wall_us - SLACK_US, sent[index].wall_us + SLACK_US
        else:
            before_us, then_us = _around(sent, captured, found, index)
        if sent[index].fault == "missing_field" and changed:
            changed -= 1  # it is among the rows that nobody sent: without what was missing
            unseen += 1
        elif any(_lies_between(gap, before_us, then_us) for gap in gaps):
            in_gaps += 1
            causes += [(before_us, before_us), (sent[index].wall_us, sent[index].wall_us)]
        elif sent[index].fault in GONE and not proven:
            unseen += 1
        else:
            wrong.append(f"neither kept nor in a gap: {sent[index]}, between {before_us} and {then_us}")
    for gap in gaps:  # each by itself: a state may end one and begin the next
        inside = times[bisect_left(times, gap.start_us + flush_us + 1) : bisect_left(times, gap.end_us - flush_us)]
        if inside:
            wrong.append(f"{gap} covers {len(inside)} rows")
    for gap in merged(gaps):
        if not any(start <= gap.end_us + SLACK_US and end >= gap.start_us - SLACK_US for start, end in causes):
            wrong.append(f"{gap} where nothing was lost")  # noqa: PERF401
    return Account(len(sent), len(kept), in_gaps, unseen, len(gaps), wrong)


def _places_of(sent, kept):
    """Where in `sent` each row stands, None for one too many; of equal ones, some of them lost, the last before it."""
    found, places, rows = [None] * len(kept), defaultdict(list), defaultdict(list)
    for index, item in enumerate(sent):
        places[item.key].append(index)
    for number, row in enumerate(kept):
        rows[row.key].append(number)
    for key, numbers in rows.items():
        free, times = places[key], [sent[index].wall_us for index in places[key]]
        for before, number in reversed([*enumerate(numbers)][: len(free)]):
            last = max(0, bisect_right(times, kept[number].capture_us + TOGETHER_US, hi=len(free)) - 1)
            place = max(before, bisect_left(times, times[last], hi=len(free)))  # the first of those sent at once
            found[number] = free[place]
            del free[place:]
    return found


def _forgiven_us(sent, times):
    """Until when what was sent is not looked for: the first row, or the end, where that came within the first moments."""
    if not sent:
        return 0
    began_us = times[0] if times else sent[-1].wall_us
    return began_us if began_us - sent[0].wall_us < GRACE_US else 0


def _lies_between(gap, before_us, then_us):
    """Whether a gap breaks the step from one row to the next; within one frame it has no length."""
    if before_us == then_us:
        return gap.start_us <= before_us <= gap.end_us
    return before_us < gap.end_us and then_us > gap.start_us


def _around(sent, captured, found, index):
    """When the nearest rows before and after a missing one were captured, looking past those that equal it."""
    place = bisect_left(found, index)
    before, after = place - 1, place
    while before > 0 and sent[found[before]].key == sent[index].key:
        before -= 1
    while after < len(found) and sent[found[after]].key == sent[index].key:
        after += 1
    return captured[found[before]], captured[found[after]] if after < len(found) else np.inf


def settle_lake(truth, root, *, flush_s, source="ccxt", digits=None, asked=None):
    """The account of everything that a simulated exchange sent to the collector of one source.

    `truth` is the exchange's `Truth`. `digits` are price and size digits, by default those of the listings. `asked`
    maps a symbol sent to the one it was asked for, where they differ.
    """
    streams = sent_of(truth.frames(), asked or {})
    rows = kept_of(root, source, digits)
    ledger = gaps_of(root, source)
    account = NOTHING
    for stream in sorted(streams.keys() | rows.keys() | ledger.keys()):
        exchange, _, channel = stream
        causes = [span_of(order) for order in truth.ordered if order.fault.exchange in {None, exchange}]
        # what strikes one stream may cost the connection of all
        causes += [(frame.wall_us, frame.wall_us) for frame in truth.frames(exchange) if frame.fault]
        part = settle(
            streams.get(stream, []),
            rows.get(stream, []),
            ledger.get(stream, []),
            causes,
            proven=is_proven(exchange, channel),
            flush_us=round(flush_s * 1e6),
            is_book=channel == "orderbook",
            is_state=channel != "trades",
        )
        account += part._replace(wrong=[f"{' '.join(stream)}: {what}" for what in part.wrong])
    return account


def span_of(order, silent_s=0):
    """When a fault may have brought gaps about, where a stream may be silent for so long before it is asked for again.

    A delisted symbol's connection is replaced again and again; a fault of requests waits for the next one.
    """
    kind, lasts_s = order.fault.kind, order.fault.seconds
    if kind == "delist":
        lasts_s = np.inf
    elif kind in QUIET:
        lasts_s += silent_s
    elif kind in {*REST_FAULTS, *SOCKET_FAULTS}:
        lasts_s += REQUEST_S
    return order.wall_us, order.wall_us + lasts_s * 1e6


def sent_of(frames, asked):
    """What was sent by stream, once however many connections it went to."""
    streams = defaultdict(list)
    known = {}
    for frame in frames:
        if frame.channel not in CHANNELS or frame.is_superseded:
            continue
        stream = (frame.exchange, asked.get(frame.symbol, frame.symbol), frame.channel)
        key = sent_key(frame)
        sent = streams[stream]
        index, connections = known.get((stream, key), (0, {frame.conn}))
        if frame.conn not in connections and frame.wall_us - sent[index].wall_us < TOGETHER_US:
            connections.add(frame.conn)
            if frame.fault is None:
                sent[index] = sent[index]._replace(fault=None)
        else:
            known[stream, key] = len(sent), {frame.conn}
            sent.append(Sent(frame.wall_us, key, frame.fault))
    return streams


def sent_key(frame):
    """What identifies a frame's content."""
    match frame.channel:
        case "orderbook":
            return (frame.sequence if frame.exchange in NUMBERED else frame.timestamp_ms, frame.digest)
        case "trades":
            return (str(frame.sequence), frame.side, float(frame.price), float(frame.size))
        case _:
            return (frame.timestamp_ms, *_floats(frame.price, frame.bid, frame.ask))


def _floats(*texts):
    return tuple(None if text is None else float(text) for text in texts)


def kept_of(root, source, digits=None, instrument=None):
    """The rows of bronze by stream, in the order captured; of one (exchange, symbol) where that is asked for."""
    streams = defaultdict(list)
    for channel in CHANNELS:
        table = _table(root, source, channel, instrument)
        if table is None:
            continue
        table = table.sort_by([("capture_ts", "ascending"), ("seq", "ascending")])
        names = [table[name].cast(pa.string()).to_pylist() for name in ("exchange", "symbol")]
        times = table["capture_ts"].cast(pa.int64()).to_pylist()
        late = table["backfilled"].to_pylist() if channel == "trades" else [False] * len(table)
        keys = _kept_keys(table, channel, names, digits)
        for exchange, symbol, at_us, key, is_late in zip(*names, times, keys, late, strict=True):
            streams[exchange, symbol, channel].append(Kept(at_us, key, is_late))
    return streams


def _kept_keys(table, channel, names, digits):
    if channel == "trades":
        columns = ("trade_id", "side", "price", "amount")
        return list(zip(*(table[name].cast(_plain(table, name)).to_pylist() for name in columns), strict=True))
    if channel == "ticker":
        return list(zip(*(table[name].to_pylist() for name in ("timestamp", "last", "bid", "ask")), strict=True))
    nonces, times = table["nonce"].to_pylist(), table["timestamp"].to_pylist()
    ids = [n if exchange in NUMBERED else t for exchange, n, t in zip(names[0], nonces, times, strict=True)]
    return list(zip(ids, _digests(table, names[1], digits), strict=True))


def _plain(table, name):
    kind = table.schema.field(name).type
    return kind.value_type if pa.types.is_dictionary(kind) else kind


def _digests(table, symbols, digits):
    """The digest of each row's ten best levels, in ticks and lots."""
    sides = [_top(table[side].combine_chunks()) for side in ("bids", "asks")]
    digests = []
    for row, symbol in enumerate(symbols):
        price_digits, size_digits = digits or find_listing(symbol)[2:4]
        unit = np.array([10.0**price_digits, 10.0**size_digits])
        tops = [
            np.rint(levels[offsets[row] : offsets[row + 1]] * unit).astype(int).tolist() for levels, offsets in sides
        ]
        digests.append(digest_of(*tops))
    return digests


def _top(side):
    """The ten best levels of all rows, and where each row's begin."""
    side = pc.list_slice(side, 0, DIGEST_LEVELS)
    levels = side.flatten()
    return np.column_stack([levels.field("price"), levels.field("size")]), np.cumsum(
        [0, *pc.list_value_length(side).to_pylist()]
    )


def gaps_of(root, source):
    """The gap ledger by stream; a row of all channels counts for each.

    A row that has lost 0 takes back what was told within its span.
    """
    table = _table(root, source, "gaps")
    rows = defaultdict(list)
    taken_back = [row for row in ([] if table is None else table.to_pylist()) if row["lost"] == 0]
    for row in [] if table is None else table.to_pylist():
        if any(_is_within(row, back) for back in taken_back):
            continue
        start_us, end_us = (int(row[name].timestamp() * 1e6 + 0.5) for name in ("gap_start", "gap_end"))
        for channel in CHANNELS if row["channel"] == "all" else (row["channel"],):
            rows[row["exchange"], row["symbol"], channel].append(Span(start_us, end_us, row["reason"]))
    return rows


def _is_within(row, back):
    is_same = all(row[name] == back[name] for name in ("exchange", "symbol", "channel", "reason"))
    return is_same and back["gap_start"] <= row["gap_start"] and row["gap_end"] <= back["gap_end"]


def merged(spans):
    """Spans that touch taken together: what goes on at the end of a segment is told of in both."""
    done = []
    for span in sorted(spans):
        if done and span.start_us <= done[-1].end_us:
            done[-1] = done[-1]._replace(end_us=max(done[-1].end_us, span.end_us))
        else:
            done.append(span)
    return done


def _table(root, source, channel, instrument=None):
    """All sealed rows of a channel, wherever in their life the segments stand."""
    files = sorted(Path(root).glob(f"raw/*/{source}/{channel}/**/segment_*.parquet"))
    if instrument is None:
        tables = [pq.read_table(file) for file in files]
    else:
        tables = [_rows_of(file, instrument) for file in files]
    return pa.concat_tables(tables).unify_dictionaries() if tables else None


def _rows_of(file, instrument):
    """One (exchange, symbol) of a segment, whose row groups never mix instruments."""
    footer = _footer(file)
    with pq.ParquetFile(file, metadata=footer) as parquet:
        return parquet.read_row_groups([n for n in range(footer.num_row_groups) if _whose(footer, n) == instrument])


@lru_cache(maxsize=1000)
def _footer(file):
    return pq.read_metadata(file)


def _whose(footer, number):
    columns = [footer.row_group(number).column(place) for place in range(footer.num_columns)]
    said = {column.path_in_schema: column.statistics for column in columns}
    return said["exchange"].min, said["symbol"].min


def reasons_of(root, source="ccxt"):
    """How many gap rows there are, by exchange and reason."""
    table = _table(root, source, "gaps")
    return Counter() if table is None else Counter((row["exchange"], row["reason"]) for row in table.to_pylist())
