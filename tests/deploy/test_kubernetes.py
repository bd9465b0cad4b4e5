"""The manifests by Kubernetes' own schemas; the chart's values by those of what they become."""

import re
from urllib.parse import urlsplit

import pytest
import yaml

from fluxforge_collector.config.model import Config

VERSION = "1.34"


@pytest.fixture
def values(deploy):
    return yaml.safe_load((deploy / "kubernetes" / "dagster-values.yaml").read_text())


@pytest.fixture
def manifests(deploy):
    found = {}
    for document in yaml.safe_load_all((deploy / "kubernetes" / "collector.yaml").read_text()):
        found[document["kind"]] = document
    return found


@pytest.mark.deploy
@pytest.mark.parametrize("name", ["collector.yaml", "secret.example.yaml"])
def test_the_manifests_are_valid(name, tool, deploy):
    tool("kubernetes-validate", "--strict", "-k", VERSION, deploy / "kubernetes" / name)


@pytest.mark.deploy
def test_what_the_values_say_of_pods_makes_valid_pods(tool, values, tmp_path):
    user = values["dagster-user-deployments"]["deployments"][0]
    for section in (user, values["dagsterDaemon"], values["dagsterWebserver"]):
        pod = {
            "apiVersion": "v1", "kind": "Pod", "metadata": {"name": "p"},
            "spec": {
                "securityContext": section["podSecurityContext"],
                "volumes": section.get("volumes", []),
                "containers": [{
                    "name": "c", "image": "{repository}:{tag}".format(**section["image"]),
                    "imagePullPolicy": section["image"]["pullPolicy"],
                    "securityContext": section["securityContext"], "resources": section["resources"],
                    "volumeMounts": section.get("volumeMounts", []), "env": section.get("env", []),
                    "envFrom": [{"secretRef": secret} for secret in section.get("envSecrets", [])],
                }],
            },
        }  # fmt: skip
        file = tmp_path / "pod.yaml"
        file.write_text(yaml.safe_dump(pod))
        tool("kubernetes-validate", "--strict", "-k", VERSION, file)


def test_the_collector_reads_the_configuration_it_is_given(manifests):
    config = Config.model_validate(yaml.safe_load(manifests["ConfigMap"]["data"]["fluxforge.yaml"]))
    container = manifests["StatefulSet"]["spec"]["template"]["spec"]["containers"][0]
    assert container["ports"][0]["containerPort"] == config.metrics.port
    assert config.lake.is_in_bucket
    claims = {claim["metadata"]["name"] for claim in manifests["StatefulSet"]["spec"]["volumeClaimTemplates"]}
    (mount,) = (mount for mount in container["volumeMounts"] if mount["name"] in claims)
    assert config.root.is_relative_to(mount["mountPath"])


def test_the_collector_is_one_and_is_given_time_to_seal(manifests):
    spec = manifests["StatefulSet"]["spec"]
    assert spec["replicas"] == 1
    grace = Config().ingestion.shutdown_grace_seconds
    assert spec["template"]["spec"]["terminationGracePeriodSeconds"] > 2 * grace
    container = spec["template"]["spec"]["containers"][0]
    assert container["livenessProbe"]["httpGet"]["path"] == "/livez"
    assert container["readinessProbe"]["httpGet"]["path"] == "/readyz"


def test_the_secrets_of_the_example_are_keys_of_the_configuration(deploy):
    documents = yaml.safe_load_all((deploy / "kubernetes" / "secret.example.yaml").read_text())
    for name in (name for document in documents for name in document["stringData"]):
        if name.startswith("FLUXFORGE__EXCHANGES__"):
            assert re.fullmatch(r"FLUXFORGE__EXCHANGES__[A-Z]+__CREDENTIALS__(API_KEY|SECRET|PASSWORD)", name)


def test_runs_write_where_the_configuration_says(values, manifests):
    config = Config.model_validate(yaml.safe_load(manifests["ConfigMap"]["data"]["fluxforge.yaml"]))
    for section in (
        values["runLauncher"]["config"]["k8sRunLauncher"],
        values["dagster-user-deployments"]["deployments"][0],
    ):
        assert any(config.root.is_relative_to(mount["mountPath"]) for mount in section["volumeMounts"])
        assert {mount["name"] for mount in section["volumeMounts"]} == {volume["name"] for volume in section["volumes"]}


def test_runs_on_several_nodes_lock_the_lake_in_the_database(values, manifests):
    """A lock in a file says nothing to another pod."""
    config = Config.model_validate(yaml.safe_load(manifests["ConfigMap"]["data"]["fluxforge.yaml"]))
    named = urlsplit(config.lake.locks.get_secret_value())
    database = values["postgresql"]
    assert (named.hostname, named.username, named.path.strip("/"), named.password) == (
        database["postgresqlHost"], database["postgresqlUsername"], database["postgresqlDatabase"], None
    )  # fmt: skip
    user = values["dagster-user-deployments"]["deployments"][0]
    (password,) = (one["valueFrom"]["secretKeyRef"] for one in user["env"] if one["name"] == "PGPASSWORD")
    assert password == {"name": values["global"]["postgresqlSecretName"], "key": "postgresql-password"}
    assert user["includeConfigInLaunchedRuns"]["enabled"]


def test_two_slots_stay_free_for_real_time_and_the_gold_refresh(values):
    runs = values["concurrency"]["runs"]
    (backfill,) = runs["tagConcurrencyLimits"]
    assert (backfill["key"], backfill["limit"]) == ("dagster/backfill", runs["maxConcurrentRuns"] - 2)


def test_only_a_run_whose_pod_was_lost_is_run_again(values):
    """One that failed by itself is left to the sensor, which waits longer each time."""
    assert values["dagsterDaemon"]["runRetries"]["retryOnAssetOrOpFailure"] is False


def test_nothing_is_secret_or_exposed_in_the_values(values):
    assert values["ingress"]["enabled"] is False
    assert values["generatePostgresqlPasswordSecret"] is False
    assert "postgresqlPassword" not in values["postgresql"]
    assert values["dagsterWebserver"]["service"]["type"] == "ClusterIP"


def test_the_run_launcher_is_one_that_dagster_accepts(values):
    """As the chart renders it, by Dagster's own configuration of its launcher."""
    launcher_module = pytest.importorskip("dagster_k8s.launcher")
    from dagster._config import process_config  # noqa: PLC0415

    said = values["runLauncher"]["config"]["k8sRunLauncher"]
    rendered = {
        "service_account_name": "dagster", "instance_config_map": "dagster-instance", "dagster_home": "/opt/dagster",
        "postgres_password_secret": values["global"]["postgresqlSecretName"],
        "image_pull_policy": said["imagePullPolicy"], "load_incluster_config": said["loadInclusterConfig"],
        "env_secrets": [secret["name"] for secret in said["envSecrets"]], "env_vars": said["envVars"],
        "volumes": said["volumes"], "volume_mounts": said["volumeMounts"], "labels": said["labels"],
        "fail_pod_on_run_failure": said["failPodOnRunFailure"], "resources": said["resources"],
        "run_k8s_config": {
            "container_config": said["runK8sConfig"]["containerConfig"],
            "pod_spec_config": said["runK8sConfig"]["podSpecConfig"],
        },
    }  # fmt: skip
    result = process_config(launcher_module.K8sRunLauncher.config_type(), rendered)
    assert result.success, result.errors
