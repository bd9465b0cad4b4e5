"""What is served over HTTP: probes with reasons, metrics as Prometheus' own parser reads them."""

import aiohttp
import pytest
from prometheus_client.parser import text_string_to_metric_families

from fluxforge_collector.config.model import Metrics
from fluxforge_collector.errors import ConfigError
from fluxforge_collector.health.exposition import Seen, registry_of
from fluxforge_collector.health.http import Shown, serve_health
from fluxforge_collector.metrics import Tally


def shown(alive=(), ready=()):
    return Shown(registry_of(Seen(Tally(), lambda: 0)), lambda: list(alive), lambda: list(ready))


async def get(address, path):
    async with aiohttp.ClientSession() as session, session.get(address + path) as answer:
        return answer.status, await answer.text()


@pytest.mark.asyncio
async def test_probes_say_ok_or_each_reason_on_a_line():
    async with serve_health(Metrics(port=0), shown(ready=["no record yet", "the disk is full"])) as address:
        assert await get(address, "/livez") == (200, "ok\n")
        assert await get(address, "/readyz") == (503, "no record yet\nthe disk is full\n")
    async with serve_health(Metrics(port=0), shown(alive=["the writer has not moved for 200 s"])) as address:
        assert await get(address, "/livez") == (503, "the writer has not moved for 200 s\n")
        assert await get(address, "/readyz") == (200, "ok\n")


@pytest.mark.asyncio
async def test_metrics_are_what_prometheus_parses():
    async with serve_health(Metrics(port=0), shown()) as address:
        status, text = await get(address, "/metrics")
    assert status == 200
    assert "fluxforge_queue_records" in {family.name for family in text_string_to_metric_families(text)}


@pytest.mark.asyncio
async def test_it_listens_on_loopback_unless_told_otherwise():
    async with serve_health(Metrics(port=0), shown()) as address:
        assert address.startswith("http://127.0.0.1:")


@pytest.mark.asyncio
async def test_a_port_that_cannot_be_had_is_one_error():
    async with serve_health(Metrics(port=0), shown()) as address:
        port = int(address.rpartition(":")[2])
        with pytest.raises(ConfigError, match=f"cannot listen on 127.0.0.1:{port}: .* — set metrics.port"):
            async with serve_health(Metrics(port=port), shown()):
                pass


@pytest.mark.asyncio
async def test_switched_off_nothing_listens():
    async with serve_health(Metrics(enabled=False), shown()) as address:
        assert address is None
