"""What judges a day: the rules as they are scaled, which alerts should have fired, and what has grown."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.torture.day.incidents import KINDS
from tests.torture.day.rules import DISK, RULES, DayRules, names
from tests.torture.day.verdict import Firing, Incident, firings, growth, wrong_alerts

SCALED = DayRules(60, 5e9)
AWAY = Incident("the database is away", frozenset({"ScfmDatabaseDown"}), frozenset({"ScfmNoEvents"}), 100, 160)


@pytest.mark.parametrize(
    ("written", "scaled"),
    [
        ("increase(a[3m]) > 5", "increase(a[18000ms]) > 5"),
        ("a unless a offset 5m", "a unless a offset 20000ms"),
        ('a{kind="b"} > 120', 'a{kind="b"} > 120'),
        ('max(a_age_seconds{kind="b"}) > 120', 'max(a_age_seconds{kind="b"}) > 17'),
        ("time() - max by (job) (a) > 60", "time() - max by (job) (a) > 16"),
        ("time() - a > 2 * b", "time() - a > 2 * b"),
        ("a_free_bytes < 2e9", "a_free_bytes < 5e+09"),
    ],
)
def test_times_in_rules_are_scaled_and_nothing_else(written: str, scaled: str) -> None:
    assert SCALED.expression(written) == scaled


def test_every_rule_is_scaled(tmp_path: Path) -> None:
    written = yaml.safe_load(RULES.read_text())["groups"][0]["rules"]
    (group,) = SCALED.rules()["groups"]
    assert [rule["alert"] for rule in group["rules"]] == names()
    assert any(DISK in rule["expr"] for rule in written)
    for before, after in zip(written, group["rules"], strict=True):
        assert "m]" not in after["expr"] and "offset 5m" not in after["expr"]
        assert ("for" in before) == ("for" in after)
    fors = {rule["alert"]: rule.get("for") for rule in group["rules"]}
    assert (fors["ScfmDown"], fors["ScfmCallsHeld"]) == ("16000ms", "45000ms")
    if shutil.which("promtool"):
        (tmp_path / "rules.yml").write_text(yaml.safe_dump({"groups": [group]}))
        subprocess.run(["promtool", "check", "rules", tmp_path / "rules.yml"], check=True, capture_output=True)


def test_there_is_an_incident_for_every_rule() -> None:
    assert set(names()) == set().union(*(kind.must for kind in KINDS.values()))
    assert set(names()) >= set().union(*(kind.may for kind in KINDS.values()))


def series(alert: str, instance: str, *moments: float) -> dict[str, Any]:
    return {"metric": {"alertname": alert, "instance": instance}, "values": [[at, "1"] for at in moments]}


def test_what_fires_is_one_firing_whatever_its_labels_until_it_is_silent() -> None:
    found = firings([series("A", "a", 1, 2, 3), series("A", "b", 3, 4, 9), series("B", "a", 2)])
    assert found == [Firing("A", 1, 4), Firing("B", 2, 2), Firing("A", 9, 9)]


@pytest.mark.parametrize(
    ("fired", "wrong"),
    [
        ([Firing("ScfmDatabaseDown", 110, 150), Firing("ScfmNoEvents", 140, 150)], []),
        ([], ["ScfmDatabaseDown did not fire, or not for this alone: the database is away"]),
        (
            [Firing("ScfmDatabaseDown", 90, 150)],
            [
                "ScfmDatabaseDown did not fire, or not for this alone: the database is away",
                "ScfmDatabaseDown fired for 60 s from 90 on",
            ],
        ),
        (
            [Firing("ScfmDatabaseDown", 110, 150), Firing("ScfmDown", 120, 130)],
            ["ScfmDown fired for 10 s from 120 on"],
        ),
        (
            [Firing("ScfmDatabaseDown", 110, 150), Firing("ScfmNoEvents", 150, 170)],
            ["ScfmNoEvents fired for 20 s from 150 on"],
        ),
    ],
)
def test_each_alert_must_fire_for_its_incident_and_no_other(fired: list[Firing], wrong: list[str]) -> None:
    assert list(wrong_alerts(fired, [AWAY])) == wrong


def test_what_rises_and_stays_is_flat_and_what_goes_on_rising_is_not() -> None:
    rises_once = growth([(float(second), 75.0 if second < 20 else 100.0) for second in range(100)])
    assert (rises_once.before, rises_once.after, rises_once.slope) == (100, 100, 0)
    assert rises_once.is_flat(0)
    leaks = growth([(float(second), 100.0 + second) for second in range(100)])
    assert (leaks.before, leaks.after) == (137, 187)
    assert leaks.slope == pytest.approx(3600)
    assert not leaks.is_flat(5)
