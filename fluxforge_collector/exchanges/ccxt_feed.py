"""A feed: one ccxt.pro instance that keeps its share of an exchange's streams open, however often they fail."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from math import inf
from typing import Any

import structlog
from ccxt.base.errors import ExchangeError, InvalidNonce, NetworkError, UnsubscribeError

from fluxforge_collector.config.sources import Exchange
from fluxforge_collector.exchanges.dialects import dialect_of
from fluxforge_collector.exchanges.gaps import Stream
from fluxforge_collector.exchanges.pace import Pace
from fluxforge_collector.exchanges.recorder import Recorder
from fluxforge_collector.exchanges.tap import WANTED, SilenceError
from fluxforge_collector.exchanges.trade_backfill import TradeBackfill
from fluxforge_collector.exchanges.trade_pages import History
from fluxforge_collector.exchanges.watchdog import Watchdog
from fluxforge_collector.reconnect import Backoff, is_permanent, is_refusal, retry_after_s
from fluxforge_collector.records import Channel

log = structlog.get_logger()

_REFUSALS = 3
"""How often in a row many streams asked for at once may be refused, before each is asked for by itself."""
_HELD_S = 60.0
"""After so long a subscription stood: what ends it then refuses nothing."""
_SOON_S = 1.0
"""The longest wait before what a standing connection still lacks is asked for again."""
HUNG_S = 120.0
"""Far longer than any wait that nobody asked for."""


class HungError(Exception):
    """A stream that nobody keeps open any more, so that its feed must be made anew."""


@dataclass(frozen=True)
class Calls:
    """The unified calls of a channel: ccxt's name for `has`, and the method; for one symbol and for many."""

    one: tuple[str, str]
    many: tuple[str, str]


CALLS = {
    Channel.ORDERBOOK: Calls(
        ("watchOrderBook", "watch_order_book"), ("watchOrderBookForSymbols", "watch_order_book_for_symbols")
    ),
    Channel.TRADES: Calls(("watchTrades", "watch_trades"), ("watchTradesForSymbols", "watch_trades_for_symbols")),
    Channel.TICKER: Calls(("watchTicker", "watch_ticker"), ("watchTickers", "watch_tickers")),
}


def refusals_in_a_row(before: int, error: Exception, held_s: float) -> int:
    """How often in a row a subscription was refused, with what has ended it now after `held_s` seconds.

    An exchange that answers nobody for now refuses no subscription: asked for singly, each would be a request more.
    """
    is_refused = isinstance(error, ExchangeError) and not is_refusal(error)
    return before + 1 if is_refused and held_s < _HELD_S else 0


def leaves_connection(error: Exception, *, flows: bool) -> bool:
    """Whether an error says nothing against the connection, on which all that it is about `flows` or not.

    A book whose numbers do not follow is built anew on the connection that stands: ccxt unsubscribes it first. What an
    exchange says while it brings all that was asked for refuses none of it.
    """
    return isinstance(error, InvalidNonce | UnsubscribeError) or (
        flows and isinstance(error, ExchangeError) and not is_refusal(error)
    )


class Feed:
    """Keeps `groups` of streams open: each group is one channel's symbols that one plural call may hold.

    `refuse` is told once of each stream that can never be had. With `history`, trades are fetched again after a gap.
    `pace` is that of all feeds of the exchange together. `hung_s` is how long a stream may be on no connection without
    being asked for.
    """

    def __init__(
        self,
        exchange: Any,
        recorder: Recorder,
        groups: list[tuple[Stream, ...]],
        *,
        settings: Exchange,
        refuse: Callable[[str], None],
        pace: Pace | None = None,
        history: History | None = None,
        hung_s: float = HUNG_S,
    ) -> None:
        self._exchange = exchange
        self._recorder = recorder
        self._groups = groups
        self._refuse = refuse
        self._singly = dialect_of(recorder.exchange).singly
        self._watchdog = Watchdog(recorder, settings)
        self._history = history
        self._due_s: dict[tuple[Stream, ...], float] = {}
        self._hung_s = hung_s
        self._pace = pace or Pace(settings.subscriptions_per_second)
        self._log = log.bind(exchange=recorder.exchange)

    async def run(self) -> None:
        """Keep every stream open until cancelled."""
        try:
            async with asyncio.TaskGroup() as tasks:
                for group in self._groups:
                    self._start(tasks, group)
                tasks.create_task(self._watch())
                if self._history is not None:
                    tasks.create_task(TradeBackfill(self._exchange, self._recorder, self._history).run())
        finally:
            await self.close()

    async def close(self) -> None:
        """Stop recording at once, then let go of the connections."""
        self._recorder.stop()
        await self._exchange.close()

    # keepers

    def _start(self, tasks: asyncio.TaskGroup, group: tuple[Stream, ...]) -> None:
        """Keep a group open with one plural call where ccxt has it, otherwise each stream with its own."""
        channel = group[0].channel
        has, calls = self._exchange.has, CALLS[channel]
        is_one_known = bool(has.get(calls.one[0]))
        if has.get(calls.many[0]) and not (is_one_known and channel in self._singly):
            tasks.create_task(self._keep(tasks, group, calls.many[1]))
        elif is_one_known:
            for stream in group:
                tasks.create_task(self._keep(tasks, (stream,), calls.one[1]))
        else:
            self._refuse(f"{self._recorder.exchange} has no channel {channel}: remove its symbols")

    async def _keep(self, tasks: asyncio.TaskGroup, group: tuple[Stream, ...], method: str) -> None:
        """Hold a subscription open. What the call returns is ignored: the taps have recorded it."""
        WANTED.set(group)
        symbols = [stream.symbol for stream in group]
        is_plural = method in {calls.many[1] for calls in CALLS.values()}
        call, backoff, soon, refusals = getattr(self._exchange, method), Backoff(), Backoff(cap_s=_SOON_S), 0
        loop = asyncio.get_running_loop()
        while True:
            self._due_s[group] = inf  # in a queue that thousands may stand in, nobody is forgotten
            await self._pace.slot()
            began = self._due_s[group] = loop.time()
            try:
                # never with a limit: ccxt would cut the live book to it, which corrupts diff feeds
                await call(symbols if is_plural else symbols[0])
                refusals = 0
                continue
            except asyncio.CancelledError:
                task = asyncio.current_task()
                if task is None or task.cancelling():
                    raise
                error: Exception = NetworkError("cancelled by ccxt, which has closed the connection")
            except Exception as failure:  # noqa: BLE001  # an exchange may raise anything, and siblings must live on
                error = failure
            held_s = loop.time() - began
            is_minor = leaves_connection(error, flows=all(map(self._recorder.flows, group)))
            refusals = 0 if is_minor else refusals_in_a_row(refusals, error, held_s)
            is_too_much = refusals == _REFUSALS and len(group) > 1
            if is_too_much or (is_permanent(error) and not is_minor and self._is_about(error, group)):
                del self._due_s[group]
                self._give_up(tasks, group, method, error)
                return
            asked_s = retry_after_s(error, getattr(self._exchange, "last_response_headers", None))
            delay_s = (soon if is_minor else backoff).next_delay_s(healthy_s=held_s, retry_after_s=asked_s)
            # of one that is refused the name counts: whoever has it in the configuration cannot tell it otherwise
            whom = {"symbol": symbols[0]} if refusals and len(group) == 1 else {"symbols": len(group)}
            why = f"{type(error).__name__}: {error}"[:200]
            self._log.warning("resubscribing", channel=group[0].channel, **whom, why=why, in_s=round(delay_s, 2))
            self._due_s[group] = loop.time() + delay_s
            await asyncio.sleep(delay_s)

    def _is_about(self, error: Exception, group: tuple[Stream, ...]) -> bool:
        """Whether an error is this group's own: some exchanges tell every waiting task of one bad subscription."""
        text = str(error)
        markets = self._exchange.markets
        return not any(
            stream.symbol in text or markets[stream.symbol]["id"] in text
            for others in self._groups
            for stream in others
            if stream not in group
        )

    def _give_up(self, tasks: asyncio.TaskGroup, group: tuple[Stream, ...], method: str, error: Exception) -> None:
        """Report what cannot be had; of many asked for at once ask singly: one may be bad, or all too many."""
        if len(group) > 1:
            why = f"{type(error).__name__}: {error}"[:200]
            self._log.warning("asking singly", channel=group[0].channel, symbols=len(group), why=why)
            self._let_go(group)
            for stream in group:
                tasks.create_task(self._keep(tasks, (stream,), method))
            return
        stream = group[0]
        self._refuse(
            f"{self._recorder.exchange} refuses {stream.channel} of {stream.symbol}:"
            f" {type(error).__name__}: {str(error)[:200]}; remove it from the configuration or correct the credentials"
        )

    def _let_go(self, group: tuple[Stream, ...]) -> None:
        """Close what carries this group alone: asked for singly, it may come over other connections, and twice."""
        for client, connection in list(self._exchange.connections.items()):
            if connection.streams and connection.streams <= set(group):
                client.on_error(NetworkError("asked for singly from now on"))

    # watchdog

    async def _watch(self) -> None:
        """Replace connections that bring nothing."""
        while True:
            await asyncio.sleep(self._watchdog.interval_s)
            self._recorder.mark_watched()
            for client, connection in list(self._exchange.connections.items()):
                why = self._watchdog.silence(connection)
                if why is not None:
                    client.on_error(SilenceError(why))
            for stream in self._watchdog.undelivered():
                self._log.error("asked and not delivered", channel=stream.channel, symbol=stream.symbol)
            self._check_kept()

    def _check_kept(self) -> None:
        """Raises: HungError for a stream on no connection that nobody asks for again: its keeper waits in vain."""
        carried = {stream for connection in self._exchange.connections.values() for stream in connection.streams}
        now_s = asyncio.get_running_loop().time()
        for group, due_s in self._due_s.items():
            for stream in group:
                quiet_s = min(now_s - due_s, self._recorder.silent_s(stream))
                if stream not in carried and quiet_s > self._hung_s:
                    raise HungError(f"nobody has asked for {stream.channel} of {stream.symbol} for {quiet_s:.0f} s")
