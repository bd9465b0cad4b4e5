"""A collector whose lake is in a bucket: the real service, the real store, and a way between them that breaks."""

import asyncio
import itertools
import secrets
import time

import pytest
from support.fault_proxy import FaultProxy

from fluxforge_collector.config.model import Lake
from fluxforge_collector.errors import StorageError
from fluxforge_collector.health.collecting import check
from fluxforge_collector.health.finding import Level
from fluxforge_collector.segments.manifest import read_manifest, verify
from fluxforge_collector.segments.names import SourcePaths
from fluxforge_collector.service import collect
from fluxforge_collector.simulator import Simulator, SimulatorOptions
from fluxforge_collector.storage.s3 import S3Store

SYMBOLS = ["BTC/USDT", "ETH/USDT"]


@pytest.fixture
def proxy(s3_server):
    made = FaultProxy(s3_server.port)
    yield made
    made.stop()


@pytest.fixture
def in_bucket(config, s3_server, proxy, tmp_path):
    """A configuration whose lake is in a new place of a bucket, reached through the proxy; and the way around it."""

    def make(simulator, **changes):
        settings = config(simulator, {"okx": {"symbols": SYMBOLS}}, segment_max_seconds=1, shutdown_grace_seconds=60)
        prefix = secrets.token_hex(4)
        root = f"s3://{s3_server.shared}/{prefix}"
        storage = s3_server.settings(**{"endpoint": proxy.endpoint, "attempts": 1, **changes})
        lake = Lake(root=root, work=str(tmp_path / "work"))
        made = settings.model_copy(update={"lake": lake, "storage": storage})
        return made, S3Store(s3_server.settings(), s3_server.shared, prefix)

    return make


def check_account(report, store, settings, tmp_path):
    """Every record counted is in the bucket once; every segment is there whole; nothing waits here."""
    there = tmp_path / "there"
    for entry in store.list():
        store.fetch(entry.key, there / entry.key)
    paths = SourcePaths(there, "ccxt")
    manifests = [read_manifest(path) for path in sorted(paths.ready_dir.glob("segment_*.json"))]
    for manifest in manifests:
        verify(manifest, paths.ready_dir)
    here = SourcePaths(settings.root, "ccxt")
    assert {m.id for m in manifests} == {read_manifest(p).id for p in here.uploaded_dir.glob("date=*/segment_*.json")}
    for channel, count in report.records.items():
        assert sum(m.channels[channel].rows for m in manifests) == count
    assert not [p for p in (*here.ready_dir.rglob("*"), *here.active_dir.rglob("*.arrow")) if p.is_file()]
    return manifests


@pytest.mark.asyncio
@pytest.mark.parametrize(
    "fault", ["cut", *(pytest.param(f, marks=pytest.mark.slow) for f in ("busy", "expired", "slow"))]
)
async def test_a_way_that_breaks_under_load_costs_nothing(in_bucket, proxy, collecting, until, tmp_path, fault):
    async with Simulator(SimulatorOptions(seed=31, speed=5)) as sim:
        settings, store = in_bucket(sim)
        async with collecting(settings) as running:
            tally = running.tally
            await until(lambda: tally.sent_segments >= 1, 60)
            proxy.be(fault)
            if fault == "slow":
                await until(lambda: tally.sent_segments >= 3, 120)
            else:
                await until(lambda: tally.why_not_sent, 60)
                sealed = tally.segments
                await until(lambda: tally.segments >= sealed + 2, 60)  # it goes on collecting meanwhile
                await until(lambda: any("not sent" in f.text for f in check(settings, time.time_ns() // 1000)), 60)
            assert len(list(SourcePaths(settings.root, "ccxt").ready_dir.glob("segment_*.json"))) > 0 or fault == "slow"
            proxy.be("pass")
            await until(lambda: tally.why_not_sent is None and tally.sent_segments > 2, 90)
    manifests = check_account(running.report, store, settings, tmp_path)
    assert manifests[-1].final
    assert all(a.to_us == b.from_us for a, b in itertools.pairwise(manifests))


@pytest.mark.asyncio
async def test_what_could_not_be_sent_is_sent_after_the_next_start(in_bucket, proxy, collecting, until, tmp_path):
    async with Simulator(SimulatorOptions(seed=32, speed=5)) as sim:
        settings, store = in_bucket(sim)
        proxy.be("cut")
        async with collecting(settings) as first:
            await until(lambda: first.tally.segments >= 2 and first.tally.why_not_sent, 60)
        assert not list(store.list())
        assert any(f.level is Level.DEGRADED or "stopped" in f.text for f in check(settings, time.time_ns() // 1000))
        proxy.be("pass")
        async with collecting(settings) as second:
            await until(lambda: second.tally.sent_segments >= first.report.segments, 60)
    here = SourcePaths(settings.root, "ccxt")
    kept = [read_manifest(path) for path in here.uploaded_dir.glob("date=*/segment_*.json")]
    sent = sorted(entry.key.rpartition("/")[2] for entry in store.list("raw/ready/ccxt/segment_"))
    assert sent == sorted(f"segment_{manifest.id}.json" for manifest in kept)
    for channel, count in first.report.records.items():
        assert sum(m.channels[channel].rows for m in kept) == count + second.report.records.get(channel, 0)


@pytest.mark.asyncio
@pytest.mark.parametrize(("fault", "said"), [("denied", "permission denied"), ("skewed", "clock is too far")])
async def test_a_bucket_that_refuses_at_the_start_is_one_clear_error(in_bucket, proxy, fault, said):
    async with Simulator(SimulatorOptions(seed=33, speed=5)) as sim:
        settings, _ = in_bucket(sim)
        proxy.be(fault)
        with pytest.raises(StorageError, match=said):
            async with asyncio.timeout(60):
                await collect(settings, seconds=30)


@pytest.mark.asyncio
async def test_one_that_refuses_at_a_later_start_stops_no_collecting(in_bucket, proxy, collecting, until):
    """A restart finds that the keys have expired: what is sealed waits, and is sent once they hold again."""
    async with Simulator(SimulatorOptions(seed=35, speed=5)) as sim:
        settings, store = in_bucket(sim)
        async with collecting(settings) as first:
            await until(lambda: first.tally.sent_segments >= 1, 60)
        proxy.be("expired")
        async with collecting(settings) as second:
            await until(lambda: second.tally.segments >= 2, 60)
            assert "have expired" in second.tally.why_not_sent
            assert second.tally.sent_segments == 0
            proxy.be("pass")
            await until(lambda: second.tally.sent_segments >= 2, 60)
    sent = [read_manifest(p) for p in SourcePaths(settings.root, "ccxt").uploaded_dir.glob("date=*/segment_*.json")]
    assert len(list(store.list("raw/ready/ccxt/segment_"))) == len(sent)
    for channel, count in second.report.records.items():
        assert sum(m.channels[channel].rows for m in sent) == count + first.report.records.get(channel, 0)


@pytest.mark.asyncio
async def test_without_sending_segments_wait_for_a_sync(in_bucket, collecting, until):
    async with Simulator(SimulatorOptions(seed=34, speed=5)) as sim:
        settings, store = in_bucket(sim)
        ingestion = settings.ingestion.model_copy(update={"upload": "manual"})
        settings = settings.model_copy(update={"ingestion": ingestion})
        async with collecting(settings) as running:
            await until(lambda: running.tally.segments >= 2)
    assert not list(store.list())
    waiting = list(SourcePaths(settings.root, "ccxt").ready_dir.glob("segment_*.json"))
    assert len(waiting) >= running.report.segments
