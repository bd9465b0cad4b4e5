"""One exchange through ccxt: markets loaded once, symbols checked, streams shared out over feeds, feeds kept alive."""

from __future__ import annotations

import asyncio
import difflib
import gc
from collections.abc import Callable, Mapping
from typing import Any

import ccxt.pro
import structlog

from fluxforge_collector.config.sources import Exchange
from fluxforge_collector.errors import ConfigError
from fluxforge_collector.exchanges.address import point_at
from fluxforge_collector.exchanges.asked import shards, streams_of, unknown_symbol
from fluxforge_collector.exchanges.ccxt_feed import Feed
from fluxforge_collector.exchanges.dialects import dialect_of
from fluxforge_collector.exchanges.frames import frames_of
from fluxforge_collector.exchanges.gaps import Stream
from fluxforge_collector.exchanges.normalise import contract_of
from fluxforge_collector.exchanges.pace import Pace
from fluxforge_collector.exchanges.recorder import Recorder
from fluxforge_collector.exchanges.shard import Shard
from fluxforge_collector.exchanges.surroundings import Ends, Market, Start
from fluxforge_collector.exchanges.tap import require_internals
from fluxforge_collector.exchanges.venue_taps import tapped
from fluxforge_collector.reconnect import Backoff, is_permanent, retry_after_s
from fluxforge_collector.records import GapReason

log = structlog.get_logger()

_KEEP_ALIVE_MS = 8000  # ccxt's own default notices a dead Binance socket after nine minutes


def check_known(exchange: str) -> None:
    """Raises: ConfigError where ccxt has no streams of an exchange; FeedError where ccxt is not the one pinned."""
    require_internals()
    known = ccxt.pro.exchanges
    if exchange not in known:
        near = difflib.get_close_matches(exchange, known, n=1)
        hint = f"did you mean {near[0]}?" if near else "see https://docs.ccxt.com for the ids"
        raise ConfigError(f"ccxt has no streams of exchange {exchange!r}", hint)


def groups(streams: list[Stream], markets: Mapping[str, Mapping[str, Any]]) -> list[tuple[Stream, ...]]:
    """Streams that one plural call can hold: one channel, one kind of market."""
    found: dict[tuple[Any, ...], list[Stream]] = {}
    for stream in streams:
        market = markets[stream.symbol]
        kind = (stream.channel, market.get("type"), market.get("linear"))
        found.setdefault(kind, []).append(stream)
    return [tuple(group) for group in found.values()]


def options_of(exchange: str, settings: Exchange) -> dict[str, Any]:
    """The arguments of a ccxt exchange: what is asked for, over what the dialect needs, over what always holds."""
    options: dict[str, Any] = {"ws": {"keepAlive": _KEEP_ALIVE_MS}}
    if not any(":" in stream.symbol for stream in streams_of(settings)):
        options["fetchMarkets"] = {"types": ["spot"]}  # spares the lists of derivatives
    keys = settings.credentials
    secrets = {"apiKey": keys.api_key, "secret": keys.secret, "password": keys.password}
    return {
        "enableRateLimit": True,
        "options": ccxt.pro.Exchange.deep_extend(options, dict(dialect_of(exchange).options), settings.options),
        **{name: secret.get_secret_value() for name, secret in secrets.items() if secret is not None},
    }


class CcxtExchange:
    """Collects one exchange until cancelled; `refuse` is told once of each thing that can never be had."""

    def __init__(
        self, exchange: str, settings: Exchange, ends: Ends, *, start: Start, refuse: Callable[[str], None]
    ) -> None:
        self._id = exchange
        self._settings = settings
        self._ends = ends
        self._start = start
        self._refuse = refuse
        self._frames = frames_of(exchange, settings, settings.credentials, ends)
        self._shards: set[Shard] = set()
        self._is_loaded = False
        self._pace = Pace(settings.subscriptions_per_second)
        self._log = log.bind(exchange=exchange)

    async def run(self) -> None:
        """Load the markets, then run every feed. Returns only where nothing can be collected at all."""
        loaded = self._make()
        try:
            if not await self._load_markets(loaded):
                return
        except asyncio.CancelledError:
            self.checkpoint(self._ends.clock.capture_us())
            raise
        finally:
            await loaded.close()
        streams = self._checked(streams_of(self._settings), loaded.markets)
        self._is_loaded = True
        async with asyncio.TaskGroup() as feeds:
            most = dialect_of(self._id).most_symbols
            size = min(self._settings.streams_per_connection, most or len(streams) or 1)
            for share in shards(streams, size):
                feeds.create_task(self._keep_feed(loaded, share, self._start))

    def checkpoint(self, at_us: int) -> None:
        """Write what is missing up to an instant, capture time, although it is missing still."""
        for shard in self._shards:
            for recorder in shard.recorders:
                recorder.checkpoint(at_us)
        if not self._is_loaded:
            streams = streams_of(self._settings)
            self._start = self._ends.write_absence(self._id, streams, self._start, at_us, "no markets")

    @property
    def unwatched_s(self) -> float:
        """Seconds for which nobody has looked after the connections of some feed."""
        return max((r.unwatched_s for shard in self._shards for r in shard.recorders), default=0.0)

    def _make(self) -> Any:
        exchange = tapped(self._id)(options_of(self._id, self._settings))
        exchange.frames = self._frames
        if self._settings.base_url:
            point_at(exchange, self._settings.base_url)
        return exchange

    async def _load_markets(self, exchange: Any) -> bool:
        """Load the markets, however often it takes; False, reported, where it can never succeed."""
        backoff = Backoff()
        while True:
            try:
                await exchange.load_markets()
            except Exception as error:  # noqa: BLE001  # an exchange may raise anything
                if is_permanent(error):
                    self._refuse(f"{self._id} gives no markets: {type(error).__name__}: {str(error)[:200]}")
                    return False
                asked_s = retry_after_s(error, exchange.last_response_headers)
                delay_s = backoff.next_delay_s(retry_after_s=asked_s)
                self._log.warning(
                    "no markets yet", why=f"{type(error).__name__}: {error}"[:200], in_s=round(delay_s, 2)
                )
                await asyncio.sleep(delay_s)
            else:
                self._log.info("markets loaded", markets=len(exchange.markets))
                gc.freeze()  # the markets stay: no need to look through them for garbage again and again
                return True

    def _checked(self, streams: list[Stream], markets: Mapping[str, Any]) -> list[Stream]:
        """The streams whose symbols exist; each other symbol is reported once."""
        for symbol in dict.fromkeys(stream.symbol for stream in streams):
            if symbol not in markets:
                self._refuse(unknown_symbol(self._id, symbol, markets))
        return [stream for stream in streams if stream.symbol in markets]

    async def _keep_feed(self, loaded: Any, streams: list[Stream], start: Start) -> None:
        """Run a shard; where it breaks for a reason nobody foresaw, make it anew."""
        backoff, loop = Backoff(), asyncio.get_running_loop()

        def make(ends: Ends, since: Start) -> tuple[Recorder, Feed]:
            return self._make_feed(loaded, streams, ends, since)

        while True:
            renew_s = self._settings.reconnect_hours * 3600
            shard = Shard(streams, make, self._ends, renew_s=renew_s, exchange=self._id)
            self._shards.add(shard)
            began = loop.time()
            try:
                await shard.run(start)
            except* Exception as group:  # noqa: BLE001  # a broken feed must not end the others
                why = "; ".join(f"{type(e).__name__}: {e}"[:200] for e in group.exceptions)
                self._log.exception("feed broke", why=why)
            finally:
                self._shards.discard(shard)
            start = Start(self._ends.clock.capture_us(), GapReason.DISCONNECT, is_first=False)
            await asyncio.sleep(backoff.next_delay_s(healthy_s=loop.time() - began))

    def _make_feed(self, loaded: Any, streams: list[Stream], ends: Ends, start: Start) -> tuple[Recorder, Feed]:
        exchange = self._make()
        exchange.set_markets_from_exchange(loaded)
        recorder = self._record(exchange, streams, ends, start)
        feed = Feed(
            exchange,
            recorder,
            groups(streams, exchange.markets),
            settings=self._settings,
            refuse=self._refuse,
            pace=self._pace,
            history=dialect_of(self._id).history if self._has_backfill(exchange) else None,
        )
        return recorder, feed

    def _has_backfill(self, exchange: Any) -> bool:
        return self._settings.backfill_trades and bool(exchange.has.get("fetchTrades"))

    def _record(self, exchange: Any, streams: list[Stream], ends: Ends, start: Start) -> Recorder:
        dialect = dialect_of(self._id)
        markets = {
            stream.symbol: Market(exchange.markets[stream.symbol]["id"], contract_of(exchange.markets[stream.symbol]))
            for stream in streams
        }
        depth = self._settings.orderbook_depth
        recorder = Recorder(
            self._id,
            streams,
            markets=markets,
            depth=depth,
            dialect=dialect,
            ends=ends,
            start=start,
            has_backfill=self._has_backfill(exchange),
        )
        exchange.record_with(recorder, is_full_diff=dialect.is_full_diff)
        return recorder
