"""Health over HTTP: `/metrics` for Prometheus, `/livez` and `/readyz` for whoever restarts processes."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass

from aiohttp import web
from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, generate_latest

from fluxforge_collector.config.model import Metrics
from fluxforge_collector.errors import ConfigError

Reasons = Callable[[], list[str]]


@dataclass(frozen=True, slots=True)
class Shown:
    """What is served: the metrics, and why the collector is not alive or not ready, empty where it is."""

    registry: CollectorRegistry
    why_not_alive: Reasons
    why_not_ready: Reasons


def _application(shown: Shown) -> web.Application:
    async def metrics(_: web.Request) -> web.Response:
        return web.Response(body=generate_latest(shown.registry), headers={"Content-Type": CONTENT_TYPE_LATEST})

    async def live(_: web.Request) -> web.Response:
        return _probe(shown.why_not_alive())

    async def ready(_: web.Request) -> web.Response:
        return _probe(shown.why_not_ready())

    application = web.Application()
    application.add_routes([web.get("/metrics", metrics), web.get("/livez", live), web.get("/readyz", ready)])
    return application


def _probe(why_not: list[str]) -> web.Response:
    """200 and `ok`, or 503 and a reason per line."""
    return web.Response(text="\n".join([*why_not, ""]) if why_not else "ok\n", status=503 if why_not else 200)


@asynccontextmanager
async def serve_health(settings: Metrics, shown: Shown) -> AsyncIterator[str | None]:
    """Serve while entered; gives the address, None where it is switched off.

    Raises: ConfigError where the port cannot be had.
    """
    if not settings.enabled:
        yield None
        return
    runner = web.AppRunner(_application(shown), access_log=None)
    await runner.setup()
    try:
        try:
            await web.TCPSite(runner, settings.host, settings.port).start()
        except OSError as error:
            raise ConfigError(
                f"cannot listen on {settings.host}:{settings.port}: {error.strerror or error}",
                "set metrics.port to a free port, or to 0 for any",
            ) from error
        host, port = runner.addresses[0][:2]
        yield f"http://{host}:{port}"
    finally:
        await runner.cleanup()
