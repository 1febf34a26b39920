"""What is in deploy/ for Prometheus and Grafana: the rules are right, and everything names what there is."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from scfm.handlers.routes import routes
from scfm.runtime.metrics import REGISTRY
from tests.acceptance.test_documents import anchor

ROOT = Path(__file__).parents[2]
PROMETHEUS, DASHBOARD = ROOT / "deploy" / "prometheus", ROOT / "deploy" / "grafana" / "scfm.json"
NAME = re.compile(r"\b((?:scfm|process|python)_[a-z_]+)\b(?!=)")
TEXTS = re.compile(r'"[^"]*"')

needs_promtool = pytest.mark.skipif(
    not shutil.which("promtool"), reason="Debian's package prometheus is not installed"
)


def rules() -> list[dict[str, Any]]:
    (group,) = yaml.safe_load((PROMETHEUS / "rules.yml").read_text())["groups"]
    found: list[dict[str, Any]] = group["rules"]
    return found


def rule_tests() -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = yaml.safe_load((PROMETHEUS / "rules_test.yml").read_text())["tests"]
    return found


def checks_of(alert: str) -> Iterator[dict[str, Any]]:
    for test in rule_tests():
        yield from (check for check in test["alert_rule_test"] if check["alertname"] == alert)


def promtool(*arguments: str) -> str:
    done = subprocess.run(
        ["promtool", *arguments], cwd=PROMETHEUS, capture_output=True, text=True, timeout=120, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@needs_promtool
def test_the_rules_fire_and_are_silent_where_they_should() -> None:
    assert "SUCCESS" in promtool("test", "rules", "rules_test.yml")


@needs_promtool
def test_prometheus_takes_the_rules_and_the_example() -> None:
    assert f"{len(rules())} rules found" in promtool("check", "rules", "rules.yml")
    promtool("check", "config", "prometheus.yml")


@pytest.mark.parametrize("alert", [rule["alert"] for rule in rules()])
def test_each_alert_is_tested_to_fire_and_to_be_silent(alert: str) -> None:
    checks = list(checks_of(alert))
    assert any(check["exp_alerts"] for check in checks)
    assert any(not check["exp_alerts"] for check in checks)


def test_no_test_is_of_an_alert_that_there_is_not() -> None:
    tested = {check["alertname"] for test in rule_tests() for check in test["alert_rule_test"]}
    assert tested == {rule["alert"] for rule in rules()}


@pytest.mark.parametrize("rule", rules(), ids=lambda rule: str(rule["alert"]))
def test_each_alert_says_how_bad_it_is_and_leads_to_what_to_do(rule: dict[str, Any]) -> None:
    assert rule["labels"]["severity"] in ("critical", "warning")
    assert rule["annotations"]["summary"]
    document, _, place = rule["annotations"]["runbook"].partition("#")
    headings = re.findall(r"^#+ (.*)$", (ROOT / document).read_text(), re.MULTILINE)
    assert place in {anchor(heading) for heading in headings}


def expressions() -> Iterator[str]:
    """Every expression of the rules and of the dashboard."""
    yield from (rule["expr"] for rule in rules())
    dashboard = json.loads(DASHBOARD.read_text())
    for panel in dashboard["panels"]:
        yield from (target["expr"] for target in panel["targets"])
    yield from (one["query"]["query"] for one in dashboard["templating"]["list"] if one["type"] == "query")


def samples() -> set[str]:
    """The names of the samples that the registry may give: of a histogram ``…_bucket``, of a counter ``…_total``."""
    endings = {"counter": ["_total"], "histogram": ["_bucket", "_count", "_sum"]}
    return {family.name + ending for family in REGISTRY.collect() for ending in endings.get(family.type, [""])}


def test_what_rules_and_dashboard_name_is_in_the_registry() -> None:
    named = {name for text in expressions() for name in NAME.findall(TEXTS.sub('""', text))}
    assert len(named) > 20
    assert named <= samples()


def test_the_routes_that_they_name_are_routes() -> None:
    named = {route for text in expressions() for route in re.findall(r'route="([^"]*)"', text)}
    assert named and named <= {route.name for route in routes()}


def test_every_metric_of_ours_is_described_in_the_docs() -> None:
    described = set(re.findall(r"`(scfm_[a-z_]+)", (ROOT / "docs" / "metrics.md").read_text()))
    endings = {"counter": "_total"}
    ours = {one.name + endings.get(one.type, "") for one in REGISTRY.collect() if one.name.startswith("scfm_")}
    assert described >= ours
    assert not {name for name in described if name not in ours | samples()}
