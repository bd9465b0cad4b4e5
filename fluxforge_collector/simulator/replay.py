"""Replay as a feed: recorded frames, verbatim, and answers over REST, to clients that do what was done then.

Of each exchange the recorded order is kept: what the client does next (connect, send, ask) is waited for where the
recording has it, and what it was sent or answered comes after what came before. So a client that is configured alike
makes the same records of the same frames.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Mapping
from typing import Any

from aiohttp import web

from fluxforge_collector.errors import ConfigError
from fluxforge_collector.simulator.connection import Connection
from fluxforge_collector.simulator.delivery import Delivery
from fluxforge_collector.simulator.faults import Fault
from fluxforge_collector.simulator.listing import Listing
from fluxforge_collector.simulator.options import SimulatorOptions
from fluxforge_collector.simulator.verbatim import (
    Recorded,
    Replay,
    Request,
    Verbatim,
    is_ping,
    number_of,
    renumbered,
    same_message,
)
from fluxforge_collector.simulator.wire import Frame, Topic, Wire

_POLL_S = 0.005
_YIELD_EVERY = 64
_SETTLES = 3  # round trips after which a client has certainly taken an answer over REST
_ANSWERED_S = 0.05
_OWN_END_S = 1.0  # in which a client gives up a connection by itself, as it did when it was recorded


class ReplayFeed:
    """What was recorded of each exchange, and how far it is played. After the end the sockets stay open."""

    def __init__(self, options: SimulatorOptions, delivery: Delivery) -> None:
        self._players = {replay.exchange: _Player(replay, options, delivery) for replay in options.replays}
        self.wires: list[Wire] = [player.wire for player in self._players.values()]
        self.is_finished = False

    @property
    def current_us(self) -> int:
        """The recorded time of what was played last."""
        return max(player.current_us for player in self._players.values())

    @property
    def missed(self) -> dict[str, int]:
        """By exchange, the frames that nobody had connected for."""
        return {exchange: player.missed for exchange, player in self._players.items()}

    def markets(self, wire: Wire) -> dict[str, Listing]:
        """None that are known."""
        del wire
        return {}

    async def rest(self, wire: Wire, path: str, query: Mapping[str, str]) -> Any:
        """The recorded answer, once the replay has come to it."""
        return await self._players[wire.exchange].ask(Request.of(path, query))

    def begin(self, connection: Connection, topics: list[Topic]) -> None:
        """A client has sent something."""
        for topic in topics:
            self._players[connection.wire.exchange].hear(connection, topic.channel)

    def disturb(self, fault: Fault) -> int:
        """Raises: ConfigError: what is recorded is played as it is."""
        raise ConfigError(f"a recording has no {fault.kind}", "use a fault of frames, connections or requests")

    def request_start(self) -> None:
        """The recording begins with its first client."""

    async def run(self) -> None:
        """Play every exchange to its end, then stay."""
        async with asyncio.TaskGroup() as players:
            for player in self._players.values():
                players.create_task(player.play())
        self.is_finished = True
        await asyncio.Event().wait()


class _Player:
    """One exchange's frames, and the live connections that stand for the recorded ones."""

    def __init__(self, replay: Replay, options: SimulatorOptions, delivery: Delivery) -> None:
        self.wire = Verbatim(replay.exchange, replay.hosts)
        self.current_us = 0
        self.missed = 0
        self._replay = replay
        self._options = options
        self._delivery = delivery
        self._live: dict[int, Connection] = {}
        self._numbers: dict[int, dict[tuple[str, str], str]] = {}
        self._heard: dict[Connection, list[str]] = {}
        self._asked: list[tuple[Request, asyncio.Future[Any]]] = []
        self._answers: dict[Request, Any] = {}
        self._started: tuple[float, int] | None = None
        self._sent = 0

    # what the client does

    def hear(self, connection: Connection, text: str) -> None:
        """The client has sent a text; a sign of life is answered at once."""
        if is_ping(text):
            connection.reply(text.replace("ping", "pong"))
        else:
            self._heard.setdefault(connection, []).append(text)

    async def ask(self, request: Request) -> Any:
        """The answer to a request: the next recorded one, else the last, else None."""
        future: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        self._asked.append((request, future))
        try:
            async with asyncio.timeout(self._options.patience_s):
                return await future
        except TimeoutError:
            return next((answer for known, answer in self._answers.items() if request.means(known)), None)
        finally:
            self._asked.remove((request, future))

    async def _until(self, holds: Callable[[], bool], patience_s: float | None = None) -> bool:
        """Wait for the client; False once patience has ended. The time waited does not count."""
        began = time.monotonic()
        patience_s = self._options.patience_s if patience_s is None else patience_s
        while not holds():
            if time.monotonic() - began > patience_s:
                return False
            await asyncio.sleep(_POLL_S)
        if self._started is not None:
            self._started = self._started[0] + time.monotonic() - began, self._started[1]
        return True

    # what was recorded

    async def play(self) -> None:
        """Play every frame in its order."""
        steps = {"open": self._open, "send": self._await_text, "close": self._close, "error": self._fail}
        for frame in self._replay.frames():
            await self._pace(frame)
            self.current_us = frame.at_us
            if frame.direction == "recv":
                self._send(frame)
            elif frame.direction == "restart":
                await self._restart()
            elif frame.direction == "rest" or (frame.direction == "error" and frame.conn < 0):
                await self._answer(frame)
            else:
                await steps[frame.direction](frame)
        await self._settle()

    async def _pace(self, frame: Recorded) -> None:
        speed, from_us = self._options.speed, self._options.replay_from_us
        if speed == "max" or (from_us is not None and frame.at_us < from_us):
            if self._sent >= self._options.in_flight:
                await self._settle()
            return
        if self._started is None:
            await self._settle()
            self._started = time.monotonic(), frame.at_us
        wait_s = (frame.at_us - self._started[1]) / 1e6 / speed - (time.monotonic() - self._started[0])
        if wait_s > 0.001:
            await asyncio.sleep(wait_s)
        elif self._sent % _YIELD_EVERY == 0:
            await asyncio.sleep(0)

    @property
    def _connections(self) -> list[Connection]:
        return [c for c in self._delivery.connections if c.wire is self.wire]

    def _unbound(self, address: str) -> list[Connection]:
        bound = list(self._live.values())
        return [c for c in self._connections if c.address == address and c not in bound]

    async def _open(self, frame: Recorded) -> None:
        self._numbers[frame.conn] = {}
        if await self._until(lambda: bool(self._unbound(frame.address))):
            self._live[frame.conn] = self._unbound(frame.address)[0]

    async def _await_text(self, frame: Recorded) -> None:
        if frame.conn not in self._live or is_ping(frame.text):
            return
        await self._until(lambda: self._who_sent(frame) is not None)
        sender = self._who_sent(frame)
        if sender is None:
            return
        self._bind(frame.conn, sender)
        heard = self._heard[sender]
        text = heard.pop(next(at for at, live in enumerate(heard) if same_message(live, frame.text)))
        recorded, live = number_of(frame.text), number_of(text)
        if recorded and live and recorded[0] == live[0] and recorded != live:
            self._numbers[frame.conn][recorded] = live[1]

    def _who_sent(self, frame: Recorded) -> Connection | None:
        """The connection that has sent what was recorded: the one it stands for, or another to the same address."""
        mine = self._live[frame.conn]
        candidates = [mine, *(c for c in self._connections if c is not mine and c.address == frame.address)]
        for connection in candidates:
            if any(same_message(live, frame.text) for live in self._heard.get(connection, ())):
                return connection
        return None

    def _bind(self, conn: int, connection: Connection) -> None:
        """Let a live connection stand for a recorded one, and what that one was for the other."""
        for other, live in self._live.items():
            if live is connection and other != conn:
                self._live[other] = self._live[conn]
        self._live[conn] = connection

    def _send(self, frame: Recorded) -> None:
        connection = self._live.get(frame.conn)
        if connection is None or connection not in self._delivery.connections:
            self.missed += 1
            return
        self._sent += 1
        text = renumbered(frame.text, self._numbers.get(frame.conn, {}))
        self._delivery.send(self.wire.exchange, Frame(text, "", "frames", "recorded"), [connection], frame.at_us)

    async def _close(self, frame: Recorded) -> None:
        connection = self._live.pop(frame.conn, None)
        if connection is None:
            return
        await connection.settle()
        code = int(frame.text) if frame.text.isdigit() else 0
        if 1000 <= code <= 4999 and code not in {1005, 1006, 1015}:
            await connection.close(code)
        else:
            connection.abort()

    async def _fail(self, frame: Recorded) -> None:
        """A connection failed: mostly the client gives it up by itself, for it sees what it saw."""
        connection = self._live.pop(frame.conn, None)
        if connection is None:
            return
        await connection.settle()
        await self._until(lambda: connection not in self._delivery.connections, _OWN_END_S)
        connection.abort()

    async def _restart(self) -> None:
        """The collector that recorded was stopped here, and started anew."""
        await self._settle()
        self._live.clear()
        for connection in self._connections:
            connection.abort()

    async def _answer(self, frame: Recorded) -> None:
        request = Request.of_url(frame.url)
        answer = _answer_of(frame)
        waiting: list[asyncio.Future[Any]] = []

        def is_asked() -> bool:
            waiting[:] = [future for asked, future in self._asked if asked.means(request) and not future.done()]
            return bool(waiting)

        await self._until(is_asked)
        self._answers.pop(request, None)
        self._answers[request] = answer
        if waiting:
            await self._settle()
            waiting[0].set_result(answer)
            await asyncio.sleep(_ANSWERED_S)
            for _ in range(_SETTLES):
                await self._settle()

    async def _settle(self) -> None:
        """Wait until the client has taken all that was sent."""
        for connection in self._connections:
            await connection.settle()
        self._sent = 0


def _answer_of(frame: Recorded) -> Any:
    """A recorded answer over REST; one that failed is told by its status."""
    if frame.direction == "rest":
        return frame.text.encode()
    status, _, text = frame.text.removeprefix("HTTP ").partition(": ")
    return web.Response(status=int(status), text=text) if status.isdigit() else None
