"""Health over HTTP: `/metrics` for Prometheus, `/livez` and `/readyz` for whoever restarts processes."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

from aiohttp import web
from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, generate_latest

from fluxforge_collector.config.model import Metrics
from fluxforge_collector.errors import ConfigError

WhyNotReady = Callable[[], str | None]


def _application(registry: CollectorRegistry, why_not_ready: WhyNotReady) -> web.Application:
    async def metrics(_: web.Request) -> web.Response:
        return web.Response(body=generate_latest(registry), headers={"Content-Type": CONTENT_TYPE_LATEST})

    async def live(_: web.Request) -> web.Response:
        return web.Response(text="ok\n")

    async def ready(_: web.Request) -> web.Response:
        why = why_not_ready()
        return web.Response(text=f"{why or 'ok'}\n", status=503 if why else 200)

    application = web.Application()
    application.add_routes([web.get("/metrics", metrics), web.get("/livez", live), web.get("/readyz", ready)])
    return application


@asynccontextmanager
async def serve_health(
    settings: Metrics, registry: CollectorRegistry, why_not_ready: WhyNotReady
) -> AsyncIterator[str | None]:
    """Serve while entered; gives the address, None where it is switched off.

    Raises: ConfigError where the port cannot be had.
    """
    if not settings.enabled:
        yield None
        return
    runner = web.AppRunner(_application(registry, why_not_ready), access_log=None)
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
