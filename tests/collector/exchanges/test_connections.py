"""Connections without a protocol: what keeps one well, and what its end means."""

import itertools

from fluxforge_collector.clock import SystemClock
from fluxforge_collector.exchanges.connections import Connections
from fluxforge_collector.exchanges.gaps import Stream
from fluxforge_collector.exchanges.surroundings import Ends, Start
from fluxforge_collector.metrics import Outcome, Tally
from fluxforge_collector.records import Channel, GapReason, TradeRecord

TRADES = Stream(Channel.TRADES, "BTC/USD")


class Plain(Connections):
    """Connections of no protocol."""

    def trade_record(self, trade, symbol, stamp):
        """None is fetched again."""


def test_only_data_keeps_a_connection_well_and_its_end_is_a_gap_since_its_last_frame():
    out, count = [], itertools.count().__next__
    ends = Ends(SystemClock(), out.append, count, count, Tally())
    connections = Plain("coinbase", [TRADES], ends=ends, start=Start(5, GapReason.CRASH, is_first=False))
    connection = connections.dial("ws://x")
    connections.carry(connection, [TRADES])
    connections.connected(connection)
    connection.data_s -= 1e6
    connections.settle(connection, 7, Outcome.CONTROL)
    assert connections.quiet_s(connection) > 1e5
    connections.settle(connection, 8, Outcome.TRADES)
    assert connections.quiet_s(connection) < 1e5
    connections.checkpoint(9)
    connections.lose(connection, GapReason.STALE, "no data")
    assert not connections.takes(connection, 3)
    connections.connected(connections.dial("ws://x"))
    connections.stop()
    assert [(gap.gap_start_us, gap.reason) for gap in out] == [(5, GapReason.CRASH), (8, GapReason.CRASH)]
    assert ends.tally.account() == {"coinbase": {"received": 3, "after_error": 1, "control": 1, "trades": 1}}
    assert ends.tally.reconnects["coinbase"] == 1


def test_a_stream_flows_once_its_own_connection_brings_it():
    out, count = [], itertools.count().__next__
    ends = Ends(SystemClock(), out.append, count, count, Tally())
    start = Start(ends.clock.capture_us(), GapReason.CRASH, is_first=False)
    connections = Plain("coinbase", [TRADES], ends=ends, start=start)

    def bring():
        at_us = ends.clock.capture_us()
        record = TradeRecord(
            "coinbase", "BTC/USD", 0, at_us, None, None, "buy", 1.0, 1.0, None, None, 1, 1, backfilled=False
        )
        connections._streams.emit(TRADES, record, at_us, None)

    for reason in (GapReason.STALE, GapReason.DISCONNECT):
        connection = connections.dial("ws://x")
        connections.carry(connection, [TRADES])
        assert not connections.flows(TRADES)
        bring()
        assert connections.flows(TRADES)
        connections.lose(connection, reason, "gone")
        assert not connections.flows(TRADES)
