"""The simulated exchange as a server on loopback: routes hosts to venues, sockets to feeds. A thin shell."""

from __future__ import annotations

import asyncio
import contextlib
import inspect
import os
import time
from collections.abc import Callable
from typing import Any, Self

import orjson
from aiohttp import WSCloseCode, WSMsgType, web

from fluxforge_collector.errors import ConfigError, FluxForgeError
from fluxforge_collector.simulator.connection import Connection
from fluxforge_collector.simulator.delivery import Delivery
from fluxforge_collector.simulator.faults import MARKET_FAULTS, Fault, FaultPlan, parse_fault
from fluxforge_collector.simulator.feed import MarketFeed
from fluxforge_collector.simulator.options import SimulatorOptions
from fluxforge_collector.simulator.playback import PlaybackFeed
from fluxforge_collector.simulator.replay import ReplayFeed
from fluxforge_collector.simulator.scenario import Step
from fluxforge_collector.simulator.truth import FrameTruth, Truth
from fluxforge_collector.simulator.wire import Wire

_POLL_S = 0.01
_SETTLE_S = 5.0
"""How long a client may take to answer for what it was sent."""
_LAST_FRAME_S = 1.0
"""How long what is being sent to a client that has left may take."""


class Simulator:
    """A running simulated exchange; enter it as an async context manager.

    A client needs only its URLs rewritten: `wss://HOST/PATH` becomes `ws://127.0.0.1:PORT/HOST/PATH`. `on_sent` is
    called with the truth of every frame as it is sent.

    Raises: ConfigError where the port is taken; DataError or StorageError for a capture that cannot be played.
    """

    def __init__(self, options: SimulatorOptions, on_sent: Callable[[FrameTruth], None] | None = None) -> None:
        self.options = options
        self.truth = Truth(options.truth_limit, on_sent)
        self.port = options.port
        self._delivery = Delivery(self.truth)
        played = ReplayFeed if options.replays else PlaybackFeed
        self._feed = (played if options.replays or options.captures else MarketFeed)(options, self._delivery)
        self._wires = {host: wire for wire in self._feed.wires for host in wire.hosts}
        self._opened = 0
        self._requests = 0
        self._runner: web.AppRunner | None = None
        self._site: web.TCPSite | None = None
        self._pump: asyncio.Task[None] | None = None
        self._director: asyncio.Task[None] | None = None

    @property
    def url(self) -> str:
        """The address to rewrite URLs to."""
        return f"http://127.0.0.1:{self.port}"

    @property
    def current_us(self) -> int:
        """The exchange's clock; in playback, the recorded receive time of the frame sent last."""
        return self._feed.current_us

    @property
    def is_finished(self) -> bool:
        """Whether a played capture has been sent to its end."""
        return self._feed.is_finished

    def stats(self) -> dict[str, Any]:
        """Live counts."""
        counts = self.truth.counts
        return {
            "frames_sent": counts.total(),
            "by_stream": {" ".join(key): count for key, count in sorted(counts.items())},
            "faults": dict(self.truth.faults),
            "faults_ordered": len(self.truth.ordered),
            "connections": len(self._delivery.connections),
            "connections_opened": self._opened,
            "requests": self._requests,
            "finished": self.is_finished,
            "missed": self._feed.missed,
            "clock_us": self.current_us,
        }

    async def inject(self, fault: Fault) -> int:
        """Let a fault happen; a restart returns once the server is back.

        Returns: how many connections it touched, or books where it strikes the market; 0 where it waits for its frames.
        Raises: ConfigError for a fault that this market cannot have.
        """
        wall_us = time.time_ns() // 1000
        if fault.kind == "restart":
            touched = len(self._delivery.connections)
            self.truth.order(wall_us, fault, touched)
            await self._restart(fault.seconds)
            return touched
        is_market = fault.kind in MARKET_FAULTS
        touched = self._feed.disturb(fault) if is_market else await self._delivery.inject(fault)
        self.truth.order(wall_us, fault, 0 if is_market else touched)
        return touched

    def start_playback(self) -> None:
        """Begin the playback now, without waiting for subscriptions."""
        self._feed.request_start()

    async def wait(self) -> None:
        """Wait for ever; returns only by the error that ended the feed or the scenario."""
        tasks = [task for task in (self._pump, self._director) if task is not None]
        done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_EXCEPTION)
        for task in done:
            if not task.cancelled():
                task.result()
        await asyncio.Event().wait()

    async def pause(self) -> None:
        """Send nothing more, and return when the clients have taken all that was sent; sockets stay open."""
        if self._pump is not None:
            self._pump.cancel()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_SETTLE_S):
                await asyncio.gather(*(connection.settle() for connection in self._delivery.connections))

    async def __aenter__(self) -> Self:
        app = web.Application()
        app.router.add_post("/_control/fault", self._control_fault)
        app.router.add_post("/_control/start", self._control_start)
        app.router.add_post("/_control/pause", self._control_pause)
        app.router.add_get("/_control/stats", self._control_stats)
        app.router.add_route("*", "/{host}/{path:.*}", self._serve)
        app.router.add_route("*", "/{host}", self._serve)
        self._runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.5)
        await self._runner.setup()
        try:
            await self._listen(self._runner)
        except OSError as error:
            await self._runner.cleanup()
            raise ConfigError(
                f"cannot serve on port {self.options.port}: {os.strerror(error.errno or 0)}",
                "choose another port, or 0 for a free one",
            ) from error
        self.port = self._runner.addresses[0][1]
        if self.options.truth_file is not None:
            try:
                self.truth.open(self.options.truth_file)
            except FluxForgeError:
                await self._runner.cleanup()
                raise
        self._pump = asyncio.create_task(self._feed.run(), name="simulated exchange")
        self._director = asyncio.create_task(self._direct(self.options.scenario), name="scenario")
        return self

    async def __aexit__(self, *_: object) -> None:
        for task in (self._director, self._pump):
            if task is not None:
                task.cancel()
                with contextlib.suppress(asyncio.CancelledError):
                    await task
        for connection in list(self._delivery.connections):
            if connection.is_answering:
                await connection.close(1001)
            else:
                connection.abort()
        if self._runner is not None:
            await self._runner.cleanup()
        self.truth.close()

    async def _listen(self, runner: web.AppRunner) -> None:
        self._site = web.TCPSite(runner, "127.0.0.1", self.port, reuse_address=True)
        await self._site.start()

    async def _restart(self, seconds: float) -> None:
        """Go away with every connection, and come back on the same port."""
        if self._site is None or self._runner is None:
            return
        await self._site.stop()
        for connection in list(self._delivery.connections):
            connection.abort()
        await asyncio.sleep(seconds)
        await self._listen(self._runner)

    async def _direct(self, steps: tuple[Step, ...]) -> None:
        """Inject the steps of a scenario, each in its time."""
        started = time.monotonic()
        waiting = list(steps)
        while waiting:
            passed_s, sent = time.monotonic() - started, self.truth.counts.total()
            due = [
                step
                for step in waiting
                if (step.at_s is not None and passed_s >= step.at_s)
                or (step.at_frame is not None and sent >= step.at_frame)
            ]
            for step in due:
                waiting.remove(step)
                await self.inject(step)
            await asyncio.sleep(_POLL_S)

    async def _serve(self, request: web.Request) -> web.StreamResponse:
        host = request.match_info["host"].partition(":")[0]
        wire = self._wires.get(host)
        if wire is None:
            return web.json_response({"error": f"no simulated exchange at {host}"}, status=404)
        if request.headers.get("Upgrade", "").lower() == "websocket":
            refused = await self._suffer(self._delivery.handshakes, wire)
            return refused or await self._talk(request, wire)
        self._requests += 1
        refused = await self._suffer(self._delivery.requests, wire)
        if refused is not None:
            return refused
        answer = self._feed.rest(wire, "/" + request.match_info.get("path", ""), request.query)
        if inspect.isawaitable(answer):  # a replay answers when it has come to it
            answer = await answer
        if isinstance(answer, web.Response):
            return answer
        if answer is None:
            return web.json_response({"code": -1121, "msg": f"nothing at {request.path}"}, status=404)
        body = answer if isinstance(answer, bytes) else orjson.dumps(answer)
        return web.Response(body=body, content_type="application/json")

    async def _suffer(self, plan: FaultPlan, wire: Wire) -> web.Response | None:
        """Let the fault that waits for this request happen. Returns: the refusal, where it is one."""
        fault = plan.take(wire.exchange)
        if fault is None:
            return None
        self.truth.faults[fault.kind] += 1
        if fault.kind in {"rest_error", "refuse_socket"}:
            headers = {} if fault.retry_after is None else {"Retry-After": str(fault.retry_after)}
            return web.json_response({"error": "refused"}, status=fault.status, headers=headers)
        await asyncio.sleep(fault.seconds)
        return None

    async def _talk(self, request: web.Request, wire: Wire) -> web.StreamResponse:
        ws = web.WebSocketResponse(autoping=False, max_msg_size=0, timeout=1.0)
        await ws.prepare(request)
        self._opened += 1
        connection = Connection(ws, request, wire, self._opened)
        self._delivery.connections.append(connection)
        if wire.greeting is not None:
            connection.reply(wire.greeting)
        sender, ender = asyncio.create_task(connection.send_queued()), asyncio.create_task(_end_silent(connection))
        try:
            async for message in ws:
                await connection.until_read()
                if message.type is WSMsgType.TEXT and connection.is_answering:
                    self._receive(connection, message.data)
                elif message.type is WSMsgType.PING and connection.is_answering:
                    await ws.pong(message.data)
                elif message.type is WSMsgType.PONG:
                    connection.pong(message)
        finally:
            self._delivery.connections.remove(connection)
            connection.release()
            # cancelled amid a large frame, aiohttp would compress it on, find nobody to tell, and print that
            await asyncio.wait({sender}, timeout=_LAST_FRAME_S)
            for task in (sender, ender):
                task.cancel()
            await asyncio.gather(sender, ender, return_exceptions=True)
        return ws

    def _receive(self, connection: Connection, text: str) -> None:
        try:
            received = connection.wire.receive(text, self._feed.markets(connection.wire), connection.topics)
        except (ValueError, TypeError, LookupError, AttributeError):
            connection.reply(connection.wire.refusal)
            return
        for reply in received.replies:
            connection.reply(reply)
        self._feed.begin(connection, received.begin)
        for topic in received.end:
            connection.topics.discard(topic)
            connection.opening.discard(topic)

    async def _control_fault(self, request: web.Request) -> web.Response:
        try:
            touched = await self.inject(parse_fault(await request.json()))
        except (FluxForgeError, ValueError, TypeError) as error:
            return web.json_response({"error": str(error)}, status=400)
        return web.json_response({"connections": touched})

    async def _control_start(self, request: web.Request) -> web.Response:
        del request
        self.start_playback()
        return web.json_response({})

    async def _control_pause(self, request: web.Request) -> web.Response:
        await self.pause()
        return await self._control_stats(request)

    async def _control_stats(self, request: web.Request) -> web.Response:
        del request
        return web.json_response(self.stats())


async def _end_silent(connection: Connection) -> None:
    """Close a connection that subscribes to nothing, where its venue does."""
    if connection.wire.silent_s is not None:
        await asyncio.sleep(connection.wire.silent_s)
        if not connection.topics:
            await connection.close(WSCloseCode.POLICY_VIOLATION)
