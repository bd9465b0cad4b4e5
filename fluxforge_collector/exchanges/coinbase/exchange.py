"""Coinbase as a whole: products loaded, symbols checked, streams shared out over feeds, feeds kept alive."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import aiohttp
import structlog

from fluxforge_collector.config.sources import Coinbase
from fluxforge_collector.errors import DataError
from fluxforge_collector.exchanges.address import relocate
from fluxforge_collector.exchanges.asked import shards, streams_of, unknown_symbol
from fluxforge_collector.exchanges.coinbase import feed, products
from fluxforge_collector.exchanges.coinbase.feed import CHANNELS_OPENED, Access, Feed
from fluxforge_collector.exchanges.coinbase.mapping import EXCHANGE
from fluxforge_collector.exchanges.coinbase.past_trades import PastTrades
from fluxforge_collector.exchanges.coinbase.products import Product, doubled, read_products
from fluxforge_collector.exchanges.coinbase.recorder import CoinbaseRecorder
from fluxforge_collector.exchanges.coinbase.signing import Sign
from fluxforge_collector.exchanges.dialects import dialect_of
from fluxforge_collector.exchanges.frames import frames_of
from fluxforge_collector.exchanges.gaps import Stream
from fluxforge_collector.exchanges.pace import Pace
from fluxforge_collector.exchanges.surroundings import Ends, Start
from fluxforge_collector.exchanges.trade_backfill import TradeBackfill
from fluxforge_collector.reconnect import Backoff, asked_wait_s
from fluxforge_collector.records import GapReason

log = structlog.get_logger()

_REST = aiohttp.ClientTimeout(total=30)
_FRESH_S = 60.0
_REQUESTS_PER_SECOND = 5.0  # Coinbase takes ten


class CoinbaseExchange:
    """Collects Coinbase until cancelled; `refuse` is told once of each thing that can never be had.

    `sign` makes tokens, where there is a key.
    """

    def __init__(
        self,
        settings: Coinbase,
        ends: Ends,
        *,
        start: Start,
        refuse: Callable[[str], None],
        sign: Sign | None = None,
    ) -> None:
        self._settings = settings
        self._ends = ends
        self._start = start
        self._refuse = refuse
        self._sign = sign
        self._frames = frames_of(EXCHANGE, settings, settings.credentials, ends)
        self._messages = Pace(settings.messages_per_second)
        self._dials = Pace(settings.messages_per_second / CHANNELS_OPENED)
        self._requests = Pace(_REQUESTS_PER_SECOND)
        self._recorders: set[CoinbaseRecorder] = set()
        self._products: dict[str, Product] = {}
        self._loaded_s = float("-inf")
        self._loading = asyncio.Lock()
        self._log = log.bind(exchange=EXCHANGE)

    async def run(self) -> None:
        """Load the products, then run every feed. Returns only where nothing can be collected any more."""
        async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0)) as http:
            try:
                await self._load(http)
            except asyncio.CancelledError:
                self.checkpoint(self._ends.clock.capture_us())
                raise
            streams = self._listed(streams_of(self._settings))
            access = Access(http, self._local(feed.URL), self._dials, self._messages, self._sign_now(), self._frames)
            async with asyncio.TaskGroup() as feeds:
                for share in shards(streams, self._settings.products_per_connection):
                    feeds.create_task(self._keep_feed(access, share))

    def checkpoint(self, at_us: int) -> None:
        """Write what is missing up to an instant, capture time, although it is missing still."""
        for recorder in self._recorders:
            recorder.checkpoint(at_us)
        if not self._products:
            streams = streams_of(self._settings)
            self._start = self._ends.write_absence(EXCHANGE, streams, self._start, at_us, "no products")

    @property
    def unwatched_s(self) -> float:
        """Seconds for which nobody has looked after the connections of some feed."""
        return max((recorder.unwatched_s for recorder in self._recorders), default=0.0)

    async def _load(self, http: aiohttp.ClientSession) -> None:
        """Load the list of products, however often it takes."""
        backoff = Backoff()
        while True:
            asked_s = 0.0
            try:
                self._products = await self._fetch(http)
            except (aiohttp.ClientError, OSError, TimeoutError, DataError) as error:
                if isinstance(error, aiohttp.ClientResponseError):
                    asked_s = asked_wait_s(error.headers)
                delay_s = backoff.next_delay_s(retry_after_s=asked_s)
                why = f"{type(error).__name__}: {error}"[:200]
                self._log.warning("no products yet", why=why, in_s=round(delay_s, 2))
                await asyncio.sleep(delay_s)
            else:
                self._log.info("products loaded", products=len(self._products))
                return

    async def _fetch(self, http: aiohttp.ClientSession) -> dict[str, Product]:
        url = self._local(products.URL)
        async with http.get(url, timeout=_REST, raise_for_status=True) as answer:
            body = await answer.read()
            if self._frames is not None:
                self._frames.answered(url, answer.status, body.decode(errors="backslashreplace"))
            listed = read_products(body)
        self._loaded_s = asyncio.get_running_loop().time()
        return listed

    def _sign_now(self) -> Callable[[], str] | None:
        sign, clock = self._sign, self._ends.clock
        return None if sign is None else lambda: sign(clock.wall_us() // 1_000_000)

    def _local(self, url: str) -> str:
        base_url = self._settings.base_url
        return str(relocate(url, base_url)) if base_url else url

    def _listed(self, streams: list[Stream]) -> list[Stream]:
        """The streams whose symbols are listed, and come once; each other symbol is reported."""
        symbols = list(dict.fromkeys(stream.symbol for stream in streams))
        twice = doubled(symbols, self._products)
        for symbol in symbols:
            if symbol not in self._products:
                self._refuse(unknown_symbol(EXCHANGE, symbol, self._products, "coinbase"))
            elif symbol in twice:
                self._refuse(
                    f"coinbase delivers {symbol} as {twice[symbol]}, which is asked for too: remove one of them"
                )
        return [stream for stream in streams if stream.symbol in self._products and stream.symbol not in twice]

    async def _still_listed(self, http: aiohttp.ClientSession, streams: list[Stream]) -> list[Stream]:
        """Those of a feed's streams that are listed now; where that cannot be found out, all of them."""
        try:
            async with self._loading:
                if asyncio.get_running_loop().time() - self._loaded_s > _FRESH_S:
                    self._products = await self._fetch(http)
        except (aiohttp.ClientError, OSError, TimeoutError, DataError) as error:
            self._log.warning("products not loaded", why=f"{type(error).__name__}: {error}"[:200])
            return streams
        return self._listed(streams)

    async def _keep_feed(self, access: Access, streams: list[Stream]) -> None:
        """Run one feed; where it breaks for a reason nobody foresaw, make it anew."""
        backoff, loop = Backoff(), asyncio.get_running_loop()
        start = self._start
        mine = {stream.symbol: self._products[stream.symbol] for stream in streams}
        depth, has_backfill = self._settings.orderbook_depth, self._settings.backfill_trades
        past = PastTrades(access.http, mine, local=self._local, pace=self._requests, frames=self._frames)
        while True:
            recorder = CoinbaseRecorder(
                streams, products=mine, depth=depth, ends=self._ends, start=start, has_backfill=has_backfill
            )
            made = Feed(
                access,
                recorder,
                streams,
                mine,
                settings=self._settings,
                still_listed=lambda asked: self._still_listed(access.http, asked),
                refuse=self._refuse,
            )
            self._recorders.add(recorder)
            began = loop.time()
            try:
                async with asyncio.TaskGroup() as tasks:
                    filling = tasks.create_task(TradeBackfill(past, recorder, dialect_of(EXCHANGE).history).run())
                    await made.run()
                    filling.cancel()
            except* Exception as group:  # noqa: BLE001  # a broken feed must not end the others
                why = "; ".join(f"{type(e).__name__}: {e}"[:200] for e in group.exceptions)
                self._log.exception("feed broke", why=why)
            else:
                return
            finally:
                self._recorders.discard(recorder)
            start = Start(self._ends.clock.capture_us(), GapReason.DISCONNECT, is_first=False)
            await asyncio.sleep(backoff.next_delay_s(healthy_s=loop.time() - began))
