"""The account of the real collector over every venue and fault: the short form, and the whole matrix by `make account`."""

import time

import pytest
from support.account import settle_lake

from fluxforge_collector.metrics import Outcome
from fluxforge_collector.simulator import Fault, Simulator, SimulatorOptions
from fluxforge_collector.simulator.faults import FRAME_FAULTS, KINDS, REST_FAULTS, SOCKET_FAULTS

VENUES = ("binanceus", "binance", "okx", "coinbase", "kraken", "bybit")
SYMBOLS = ("BTC/USDT", "ETH/USDT")
STRUCK = "BTC/USDT"
CHANNELS = ("orderbook", "trades", "ticker")
FLUSH_S = 0.2

TOGETHER = {
    "frames lost or out of order": ("drop", "duplicate", "reorder", "delay"),
    "frames that are wrong": ("malformed", "missing_field", "error_frame", "checksum", "gap"),
    "frames that are hostile": ("price", "deep", "oversize"),
    "connections that end": ("close", "abort", "restart"),
    "connections that say nothing": ("silence", "mute", "half_open"),
    "connections that do not come about": ("slow_socket", "refuse_socket"),
    "what is not a frame": ("slow_rest", "rest_error", "clock_skew", "delist"),
}
"""The faults of a run: few enough that the backoff between reconnections stays short."""


class Watch:
    """A collector and the exchange it collects from: makes things go wrong, and waits until all is well again."""

    def __init__(self, simulator, tally, venues, until):
        self._sim, self._tally, self._venues, self._until = simulator, tally, venues, until
        self._symbols = list(SYMBOLS)

    async def is_flowing(self):
        """Until every book brings states that were made from now on, and every stream has brought something."""
        from_us = time.time_ns() // 1000 + 200_000
        streams = [(venue, symbol, "orderbook") for venue in self._venues for symbol in self._symbols]
        await self._until(lambda: all(self._tally.last_us.get(stream, 0) > from_us for stream in streams), 90)
        await self._until(lambda: self._tally.asked_us.keys() == self._tally.last_us.keys(), 90)

    async def survives(self, kind, *, at_first=False):
        """Let a fault happen, to one symbol on all channels where it is of frames, and wait until it is over.

        `at_first`: to the first frames of new connections.
        """
        if at_first:
            await self._inject("abort", {})
        if kind in FRAME_FAULTS:
            await self._strike_frames(kind)
        elif kind in SOCKET_FAULTS:
            for venue in self._venues:
                await self._inject(kind, {"exchange": venue, "seconds": 0.5, "retry_after": 1})
            await self._inject("abort", {})
        elif kind in REST_FAULTS:
            await self._strike_requests(kind)
        else:
            await self._inject(kind, _SETTINGS.get(kind, {}))
        if kind == "delist":
            self._symbols.remove("ETH/USDT")
        await self.is_flowing()

    async def _strike_frames(self, kind):
        before = self._sim.truth.faults[kind]
        for venue in self._venues:
            for channel in CHANNELS:
                await self._inject(kind, {"exchange": venue, "symbol": STRUCK, "channel": channel, "seconds": 0.3})
        wanted = before + len(self._venues) * len(CHANNELS)
        await self._until(lambda: self._sim.truth.faults[kind] >= wanted, 90)

    async def _strike_requests(self, kind):
        """A request is made where a book is fetched anew: a frame is lost, too."""
        for venue in {"binanceus", "binance"} & set(self._venues):
            before = self._sim.truth.faults[kind]
            await self._inject(kind, {"exchange": venue, "seconds": 0.5, "code": 503, "retry_after": 1})
            await self._inject("drop", {"exchange": venue, "symbol": STRUCK, "channel": "orderbook"})
            await self._until(lambda before=before: self._sim.truth.faults[kind] > before, 90)

    async def _inject(self, kind, settings):
        await self._sim.inject(Fault(kind, **settings))


_SETTINGS = {
    "close": {"code": 1012},
    "gap": {"symbol": STRUCK, "count": 3},
    "restart": {"seconds": 0.5},
    "silence": {"seconds": 0},
    "mute": {"seconds": 0},
    "half_open": {"seconds": 0},
    "clock_skew": {"seconds": -2.0},
    "delist": {"symbol": "ETH/USDT"},
}


@pytest.fixture
def account(config, collecting, until):
    """Collect from venues while faults happen, and balance the account."""

    async def run(venues, kinds, *, seed, far_levels=0, at_first=False):
        options = SimulatorOptions(
            seed=seed, speed=1, exchanges=venues, instruments=SYMBOLS, far_levels=far_levels, truth_limit=10**6
        )
        async with Simulator(options) as sim:
            settings = {"symbols": list(SYMBOLS), "silence_seconds": 3, "stale_after_seconds": 6}
            settings = config(sim, dict.fromkeys(venues, settings), flush_interval_seconds=FLUSH_S)
            async with collecting(settings) as running:
                watch = Watch(sim, running.tally, venues, until)
                await watch.is_flowing()
                for kind in kinds:
                    await watch.survives(kind, at_first=at_first)
                await sim.pause()
        assert sum(of["received"] for of in running.report.account.values()) == running.report.frames
        assert not {Outcome.NOT_ASKED} & {outcome for _, outcome in running.tally.frames}
        return settle_lake(sim.truth, settings.root, flush_s=FLUSH_S)

    return run


def test_every_kind_of_fault_is_in_a_run():
    assert {kind for kinds in TOGETHER.values() for kind in kinds} == KINDS.keys()


@pytest.mark.asyncio
@pytest.mark.parametrize("kinds", TOGETHER.values(), ids=TOGETHER.keys())
async def test_every_venue_balances(kinds, account):
    found = await account(VENUES, kinds, seed=31)
    assert found.wrong == []
    assert found.in_gaps > 0


@pytest.mark.asyncio
async def test_nothing_is_lost_where_nothing_goes_wrong(account):
    found = await account(VENUES, (), seed=32, far_levels=2000)
    assert found.wrong == []
    assert (found.in_gaps, found.unseen, found.gaps) == (0, 0, 0)


@pytest.mark.asyncio
async def test_every_venue_balances_where_the_first_frames_come_twice_or_not_at_all(account):
    found = await account(VENUES, ("duplicate", "drop"), seed=33, at_first=True)
    assert found.wrong == []


@pytest.mark.slow
@pytest.mark.asyncio
@pytest.mark.parametrize("kind", FRAME_FAULTS)
@pytest.mark.parametrize("venue", VENUES)
async def test_each_venue_balances_for_each_fault_of_first_frames(venue, kind, account):
    found = await account((venue,), (kind, kind), seed=43, at_first=True)
    assert found.wrong == []


@pytest.mark.slow
@pytest.mark.asyncio
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("venue", VENUES)
@pytest.mark.parametrize("seed", [41, 42])
async def test_each_venue_balances_for_each_fault(seed, venue, kind, account):
    kinds = (kind,) if kind == "delist" else (kind, kind)
    found = await account((venue,), kinds, seed=seed, far_levels=20_000 if kind == "close" else 0)
    assert found.wrong == []
