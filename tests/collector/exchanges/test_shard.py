"""Connections replaced while everything flows: nothing is lost, doubled or called a gap."""

import pytest
from support.account import sent_key, settle_lake

from fluxforge_collector.simulator import Fault, Simulator, SimulatorOptions

SYMBOLS = ["BTC/USDT", "ETH/USDT"]
ONE_SEGMENT = {"segment_max_seconds": 86_400}
EVERY_HOURS = 3 / 3600


class Once:
    """What an exchange sent, told once: not the snapshots that open later connections, nor the copies that went there."""

    def __init__(self, truth):
        self.ordered = truth.ordered
        self._frames = {}
        first = {}
        for frame in truth.frames():
            stream = (frame.exchange, frame.symbol, frame.channel)
            if frame.kind == "snapshot" and frame.conn != first.setdefault(stream, frame.conn):
                continue
            self._frames.setdefault((stream, *sent_key(frame)), frame)

    def frames(self, exchange=None):
        assert exchange in {None, *(frame.exchange for frame in self._frames.values())}
        return list(self._frames.values())


@pytest.mark.asyncio
@pytest.mark.parametrize("venue", ["binanceus", "okx", "coinbase"])
async def test_a_planned_reconnect_loses_and_doubles_nothing(venue, config, collecting, until, rows):
    options = SimulatorOptions(seed=81, speed=2, exchanges=(venue,), instruments=tuple(SYMBOLS))
    async with Simulator(options) as sim:
        settings = config(sim, {venue: {"symbols": SYMBOLS, "reconnect_hours": EVERY_HOURS}}, **ONE_SEGMENT)
        async with collecting(settings) as running:
            first = await opened(sim, running, until, venue)
            await until(lambda: sim.stats()["connections_opened"] >= 3 * first, 90)
            await until(lambda: sim.stats()["connections"] == first, 60)
            states = running.states(venue)
            await until(lambda: running.states(venue) > states + 20)
        assert running.report.gaps == {}
        account = settle_lake(Once(sim.truth), settings.root, flush_s=0.2)
        assert account.wrong == []
        assert (account.in_gaps, account.gaps) == (0, 0)
    for channel in ("orderbook", "trades", "ticker"):
        kept = rows(settings.root, channel)
        assert len(kept) == running.report.records[channel]
        assert len({row["conn"] for row in kept}) >= 3
        for symbol in SYMBOLS:
            mine = sorted((row for row in kept if row["symbol"] == symbol), key=lambda row: row["seq"])
            times = [row["capture_ts"] for row in mine]
            assert times == sorted(times), "capture time never decreases"


async def opened(sim, running, until, venue):
    """How many connections a feed needs."""
    await until(lambda: running.states(venue) > 20 and running.tally.records[venue, "ticker"] > 2, 60)
    return sim.stats()["connections"]


@pytest.mark.asyncio
async def test_where_the_new_connections_do_not_come_up_the_old_ones_stay(config, collecting, until):
    async with Simulator(SimulatorOptions(seed=82, speed=2, exchanges=("okx",), instruments=tuple(SYMBOLS))) as sim:
        settings = config(sim, {"okx": {"symbols": SYMBOLS, "reconnect_hours": EVERY_HOURS}}, **ONE_SEGMENT)
        async with collecting(settings) as running:
            await opened(sim, running, until, "okx")
            await sim.inject(Fault("refuse_socket", exchange="okx", count=1000, code=503))
            await until(lambda: sim.truth.faults["refuse_socket"] >= 2, 60)
            states = running.states("okx")
            await until(lambda: running.states("okx") > states + 100, 60)
    assert running.report.gaps == {}
