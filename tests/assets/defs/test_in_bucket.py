"""The platform over a lake in a bucket: sensor, real-time job, a partition materialised, compaction; and the command line."""

from contextlib import suppress

import dagster as dg
import pytest
from support.lakes import bucket_lake, deliver
from support.market import DAY, config_of, records, seal

from fluxforge_assets.definitions import build
from fluxforge_assets.defs.realtime import REALTIME
from fluxforge_assets.lake.paths import open_lake
from fluxforge_collector.cli import main
from fluxforge_collector.config.model import Lake as LakeSection

BTC = f"{DAY}|binanceus:BTC-USDT"


@pytest.fixture
def settings(s3_server, tmp_path):
    lake = bucket_lake(s3_server, tmp_path)
    section = LakeSection(root=str(lake.root), work=str(tmp_path / "work"))
    return config_of("unused").model_copy(update={"lake": section, "storage": s3_server.settings()})


@pytest.mark.slow
def test_segments_in_a_bucket_become_bars(settings, instance, tmp_path, s3_server, monkeypatch, capsys):
    deliver(tmp_path / "staging", open_lake(settings), seal(tmp_path / "staging", records(8, seconds=20)))
    defs = build(settings)
    repository = defs.get_repository_def()
    resources = {"lake": defs.resources["lake"]}
    context = dg.build_sensor_context(instance=instance, repository_def=repository, resources=resources)
    (request,) = repository.get_sensor_def("ready_segments").evaluate_tick(context).run_requests
    job = repository.get_job(REALTIME)
    done = job.execute_in_process(instance=instance, run_config=request.run_config, raise_on_error=False)
    assert done.success
    shown = instance.get_latest_materialization_event(dg.AssetKey(["gold", "bars"])).asset_materialization
    assert shown.metadata["dagster/partition_row_count"].value > 0
    assert "testing" not in str(done.all_events), "keys do not show"
    instance.add_dynamic_partitions("instruments", ["binanceus:BTC-USDT"])
    again = dg.materialize(
        [a for a in defs.assets if isinstance(a, dg.AssetsDefinition)],
        selection=dg.AssetSelection.assets(["silver", "orderbook"]),
        partition_key=BTC,
        instance=instance,
        resources=defs.resources,
        raise_on_error=False,
    )
    assert again.success

    monkeypatch.chdir(tmp_path)
    for name, value in (
        ("LAKE__ROOT", settings.lake.root), ("LAKE__WORK", settings.lake.work),
        ("STORAGE__ENDPOINT", s3_server.endpoint), ("STORAGE__ACCESS_KEY", "test:tester"),
        ("STORAGE__SECRET_KEY", "testing"), ("STORAGE__REGION", "us-east-1"),
    ):  # fmt: skip
        monkeypatch.setenv(f"FLUXFORGE__{name}", value)
    for arguments, said in (
        (["query", "gold/bars", "--columns", "symbol,ts", "--format", "csv", "--limit", "1"], "symbol,ts"),
        (["coverage"], "BTC-USDT"),
        (["compact", "--dry-run"], "would merge"),
        (["repair"], "nothing is wrong"),
    ):
        with suppress(SystemExit):
            main(arguments)
        assert said in capsys.readouterr().out, arguments
