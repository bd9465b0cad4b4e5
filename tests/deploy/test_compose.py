"""The compose file: valid, reachable from this machine only, every secret asked for, every image of a known version."""

import re

import pytest
import yaml

from fluxforge_collector.config.model import Config


@pytest.fixture
def compose(deploy):
    return yaml.safe_load((deploy / "compose" / "compose.yaml").read_text())


@pytest.mark.deploy
def test_the_compose_specification_holds(tool, deploy):
    tool("check-jsonschema", "--builtin-schema", "vendor.compose-spec", deploy / "compose" / "compose.yaml")


def test_nothing_listens_beyond_loopback(compose):
    ports = [port for service in compose["services"].values() for port in service.get("ports", ())]
    assert len(ports) >= 4
    assert all(str(port).startswith("127.0.0.1:") for port in ports)


def test_every_secret_is_asked_for_and_none_has_a_default(deploy):
    text = (deploy / "compose" / "compose.yaml").read_text()
    asked = set(re.findall(r"\$\{(\w+):\?", text))
    assert asked == set(re.findall(r"^(\w+)=$", (deploy / "compose" / "env.example").read_text(), re.MULTILINE))
    assert not re.findall(r"\$\{\w+(?!:\?)[:}-]", text)


def test_every_service_is_bounded_and_comes_back(compose):
    for name, service in compose["services"].items():
        assert service["restart"] in {"unless-stopped", "on-failure"}
        assert name == "bucket" or "mem_limit" in service
        repository, _, tag = service["image"].rpartition(":")
        assert repository
        assert tag not in {"", "latest"}


def test_what_is_ours_may_do_nothing_but_its_work(compose):
    ours = {name: one for name, one in compose["services"].items() if one["image"].startswith("fluxforge-")}
    assert set(ours) == {"collector", "code", "daemon", "webserver", "bucket"}
    for service in ours.values():
        assert service["cap_drop"] == ["ALL"]
        assert service["security_opt"] == ["no-new-privileges:true"]
    assert ours["collector"]["read_only"]
    assert ours["bucket"]["restart"] == "on-failure", "it ends once the bucket is made"


def test_the_code_server_may_take_most_for_runs_are_its_children(compose):
    limits = {name: service.get("mem_limit") for name, service in compose["services"].items()}
    assert (limits["code"], limits["daemon"], limits["webserver"]) == ("4g", "1g", "1g")


def test_what_is_mounted_is_there_and_what_is_waited_for_exists(compose, deploy):
    for service in compose["services"].values():
        sources = [volume.split(":")[0] for volume in service.get("volumes", ())]
        missing = [s for s in sources if s.startswith(".") and not (deploy / "compose" / s).exists()]
        assert not missing
        assert {s for s in sources if not s.startswith(".")} <= compose["volumes"].keys()
        assert service.get("depends_on", {}).keys() <= compose["services"].keys()
        if "build" in service:
            assert (deploy / "compose" / service["build"]["context"] / service["build"]["dockerfile"]).is_file()


def test_the_collector_is_scraped_as_on_a_single_machine(deploy):
    inside = yaml.safe_load((deploy / "compose" / "prometheus.yml").read_text())
    outside = yaml.safe_load((deploy / "prometheus" / "prometheus.yml").read_text())
    assert inside["scrape_configs"][0]["static_configs"] == [{"targets": ["collector:9108"]}]
    inside["scrape_configs"] = outside["scrape_configs"]
    assert inside == outside


def test_the_configuration_of_the_containers_is_one_and_its_store_is_there(compose, deploy):
    config = Config.model_validate(yaml.safe_load((deploy / "compose" / "fluxforge.yaml").read_text()))
    assert config.storage.endpoint == compose["services"]["code"]["environment"]["FLUXFORGE_S3_ENDPOINT"]
    assert config.sync.remote.startswith(f"s3://{compose['services']['code']['environment']['FLUXFORGE_LOG_BUCKET']}/")
    assert any(
        f"{volume.split(':')[1]}/" in f"{config.root}/" for volume in compose["services"]["collector"]["volumes"]
    )


def test_dagster_gets_every_variable_its_profile_reads(compose, deploy):
    asked = set()
    for name in ("server.yaml", "workspace.yaml"):
        asked |= set(re.findall(r"\{env: (\w+)\}", (deploy / "dagster" / name).read_text()))
    for name in ("code", "daemon", "webserver"):
        assert asked <= compose["services"][name]["environment"].keys()
