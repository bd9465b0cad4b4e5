"""Alerts and dashboard ask only for what the collector exports, and every alert has a unit test that passes."""

import json
import re
import shutil
import subprocess
from pathlib import Path

import pytest
import yaml

from fluxforge_collector.health.exposition import METRICS, exported_names

DEPLOY = Path(__file__).resolve().parents[2] / "deploy"
ALERTS = DEPLOY / "prometheus" / "alerts.yml"
DASHBOARDS = sorted((DEPLOY / "grafana" / "dashboards").glob("*.json"))
NAME = re.compile(r"\b(?:fluxforge|process)_[a-z_]+|\bup\b")


def rules():
    return [rule for group in yaml.safe_load(ALERTS.read_text())["groups"] for rule in group["rules"]]


def expressions(value):
    """Every expression and query in a dashboard."""
    if isinstance(value, dict):
        for key, item in value.items():
            if key in {"expr", "definition"}:
                yield item
            yield from expressions(item)
    elif isinstance(value, list):
        for item in value:
            yield from expressions(item)


def names(texts):
    return {name for text in texts for name in NAME.findall(re.sub(r'"[^"]*"', "", text))}


ALERTED = names(rule["expr"] for rule in rules())
SHOWN = names(text for path in DASHBOARDS for text in expressions(json.loads(path.read_text())))


def test_alerts_ask_only_for_what_is_exported():
    assert len(rules()) >= 15
    assert ALERTED - exported_names() == {"up"}


def test_the_dashboard_asks_only_for_what_is_exported():
    assert exported_names() >= SHOWN


def test_what_alerts_is_also_drawn():
    assert {"up"} == ALERTED - SHOWN


def test_labels_in_expressions_are_those_the_metrics_have():
    known = {label for metric in METRICS for label in metric.labels} | {"instance", "job", "le"}
    texts = [
        *(rule["expr"] for rule in rules()),
        *(t for path in DASHBOARDS for t in expressions(json.loads(path.read_text()))),
    ]
    used = {
        label
        for text in texts
        for inside in re.findall(r"\{([^}]*)\}", text)
        for label in re.findall(r"(\w+)\s*(?:=|!=|=~|!~)", inside)
    }
    grouped = {
        label
        for text in texts
        for inside in re.findall(r"(?:by|on) \(([^)]*)\)", text)
        for label in re.findall(r"\w+", inside)
    }
    assert used | grouped <= known


def test_every_alert_says_what_is_wrong_and_what_to_do():
    for rule in rules():
        assert rule["labels"]["severity"] in {"critical", "warning"}
        assert set(rule["annotations"]) == {"summary", "description"}


def test_every_alert_has_a_unit_test():
    tests = yaml.safe_load((DEPLOY / "prometheus" / "alerts_test.yml").read_text())["tests"]
    fires = {one["alertname"] for test in tests for one in test["alert_rule_test"] if one["exp_alerts"]}
    quiet = {one["alertname"] for test in tests for one in test["alert_rule_test"] if not one["exp_alerts"]}
    assert fires == quiet == {rule["alert"] for rule in rules()}


def test_every_alert_is_on_the_page_or_named_for_what_it_says():
    page = (DEPLOY.parent / "docs" / "how-to" / "watch-the-collector.md").read_text()
    assert not [rule["alert"] for rule in rules() if f"`{rule['alert']}`" not in page]


@pytest.mark.parametrize(
    "arguments",
    [["check", "config", "prometheus.yml"], ["check", "rules", "alerts.yml"], ["test", "rules", "alerts_test.yml"]],
    ids=" ".join,
)
def test_promtool_agrees(arguments):
    promtool = shutil.which("promtool")
    if promtool is None:
        pytest.skip("promtool is not installed: apt-get install prometheus")
    done = subprocess.run(
        [promtool, *arguments], cwd=DEPLOY / "prometheus", capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr


def test_panels_do_not_overlap_and_say_what_they_show():
    for path in DASHBOARDS:
        taken = set()
        for panel in json.loads(path.read_text())["panels"]:
            box = panel["gridPos"]
            cells = {(x, y) for x in range(box["x"], box["x"] + box["w"]) for y in range(box["y"], box["y"] + box["h"])}
            assert not cells & taken, panel["title"]
            assert box["x"] + box["w"] <= 24
            taken |= cells
            assert panel["type"] == "row" or panel["description"].endswith(".")
