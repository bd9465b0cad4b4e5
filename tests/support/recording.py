"""A recorder of one symbol, to be given frames by hand, without a socket."""

import itertools

from fluxforge_collector.exchanges.dialects import dialect_of
from fluxforge_collector.exchanges.gaps import Stream
from fluxforge_collector.exchanges.recorder import Recorder
from fluxforge_collector.exchanges.surroundings import Ends, Market, Start
from fluxforge_collector.metrics import Tally
from fluxforge_collector.records import Channel, GapReason
from support.clock import HandClock

BOOK, TRADES, TICKER = (Stream(c, "BTC/USDT") for c in (Channel.ORDERBOOK, Channel.TRADES, Channel.TICKER))


class Bench:
    """A recorder of one symbol, and what it has handed on."""

    def __init__(
        self, exchange="binanceus", asked=(BOOK, TRADES, TICKER), is_first=True, carried=(BOOK, TRADES, TICKER)
    ):
        self.clock, self.out, self.tally, self.carried = HandClock(), [], Tally(), carried
        ends = Ends(self.clock, self.out.append, itertools.count().__next__, itertools.count().__next__, self.tally)
        market = "BTCUSDT" if exchange == "binanceus" else "BTC-USDT"
        self.recorder = Recorder(
            exchange,
            asked,
            markets={"BTC/USDT": Market(market, None)},
            depth=2,
            dialect=dialect_of(exchange),
            ends=ends,
            start=Start(self.clock.now_us, GapReason.SHUTDOWN, is_first=is_first),
        )
        self.connection = self.connect()

    def connect(self, url="ws://x"):
        connection = self.recorder.dial(url)
        self.recorder.carry(connection, self.carried)
        self.recorder.connected(connection)
        return connection

    def frame(self, message, *steps, connection=None, text="{}"):
        """One frame 1 ms later; returns what its end says."""
        self.clock.now_us += 1000
        connection = connection or self.connection
        if not self.recorder.begin(connection, text):
            return None
        if self.recorder.judge(message):
            for step in steps:
                step(connection)
        return self.recorder.end()

    def state(self, nonce, message_hash="orderbook::BTC/USDT", symbol="BTC/USDT"):
        book = {"symbol": symbol, "nonce": nonce, "timestamp": 1, "bids": [[1.0, 1.0]] * 3, "asks": []}
        return lambda connection: self.recorder.book(connection, book, message_hash)

    def update(self, previous, last, *, state=True):
        message = {"e": "depthUpdate", "s": "BTCUSDT", "U": previous + 1, "u": last, "b": [], "a": []}
        return self.frame(message, *([self.state(last)] if state else []))

    def of(self, kind):
        return [record for record in self.out if isinstance(record, kind)]

    def outcomes(self):
        return {outcome: count for (_, outcome), count in self.tally.frames.items()}
