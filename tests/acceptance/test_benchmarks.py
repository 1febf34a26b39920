"""The benchmarks run; their figures are for ``make bench`` on a machine that does nothing else."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from benchmarks.measure import Figure, percentile
from benchmarks.results import entry
from benchmarks.table import fill, text

# Of each kind one: the driver beside a run, requests under load. The others take longer to set up.
SOME = "operations,answers,definitions,json_flows"
# The seed of a callout that lasts a quarter of a minute; others last up to three.
SHORT_FORECAST = 32


def start(*arguments: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", *arguments], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )


def run(*arguments: str) -> None:
    await_end(start(*arguments))


def await_end(process: subprocess.Popen[str]) -> None:
    said, _ = process.communicate(timeout=600)
    assert process.returncode == 0, said


def latest(folder: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((folder / "latest.json").read_text())
    return found


@pytest.fixture(scope="module")
def forecast(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[subprocess.Popen[str], Path]]:
    """The measuring of a forecast, and the folder of its results. It waits more than it computes: others go on."""
    folder = tmp_path_factory.mktemp("forecast")
    options = ("--runs", "1", "--first", str(SHORT_FORECAST), "--results", str(folder))
    with start("benchmarks.forecast", *options) as measuring:
        yield measuring, folder
        measuring.send_signal(signal.SIGINT)  # so that its own processes end too, if it is not over


@pytest.fixture(scope="module")
def measured(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the results of a short run."""
    folder = tmp_path_factory.mktemp("results")
    run("benchmarks", "--short", "--only", SOME, "--results", str(folder))
    return folder


@pytest.fixture(scope="module")
def called(measured: Path, forecast: object) -> Path:
    """The same folder, with the results of a small callout and of one that goes before another."""
    run("benchmarks.callout", "--contacts", "30", "--results", str(measured))
    run("benchmarks.priority", "--contacts", "2000", "--repeat", "1", "--results", str(measured))
    return measured


def test_each_figure_stands_beside_its_limit(measured: Path) -> None:
    figures = {entry["name"]: entry for entry in latest(measured)["figures"]}
    for name in ("CalloutPopulation", "PhoneCallCreate, filtered", "PhoneCallQueue", "GET one contact"):
        figure = figures[name]
        assert figure["limit"] and figure["ratio"] == pytest.approx(figure["runs"][0] / figure["limit_runs"][0])
        assert figure["noise"]["loop_ms"]["min"] > 0


def test_the_largest_definitions_of_call_flows_are_checked(measured: Path) -> None:
    checks = [entry for entry in latest(measured)["figures"] if entry["benchmark"] == "definitions"]
    assert [check["size"] for check in checks] == [200, 200]
    assert all(check["value"] > 0 and check["goal"] == "≤ 20" for check in checks)


def test_a_flow_as_a_document_stands_beside_a_python_flow(measured: Path) -> None:
    figures = [entry for entry in latest(measured)["figures"] if entry["benchmark"] == "json_flows"]
    assert [(figure["limit"], figure["goal"]) for figure in figures] == [
        ("Python flow", "≥ 0.87"),
        ("Python flow", "≤ 1.15"),
    ]


@pytest.mark.slow
def test_ends_are_compared_with_what_preflight_told_of_them(forecast: tuple[subprocess.Popen[str], Path]) -> None:
    measuring, folder = forecast
    await_end(measuring)
    (ends,) = (entry for entry in latest(folder)["figures"] if entry["name"].startswith("Ends within"))
    assert [seed for seed, *_ in ends["details"]["endings"]] == [SHORT_FORECAST]
    assert all(told > 5 and took > 5 for _, told, took, _ in ends["details"]["endings"])


@pytest.mark.slow
def test_an_alert_goes_before_a_large_callout(called: Path) -> None:
    over, computed, meanwhile, afterwards = (
        one for one in latest(called)["figures"] if one["benchmark"] == "priority"
    )
    assert over["goal"] == "≤ 2" and over["value"] > 0 < computed["value"]
    assert meanwhile["limit"] == "before" and afterwards["value"] > 0


@pytest.mark.slow
def test_a_callout_and_a_plan_are_followed_to_their_ends(called: Path) -> None:
    ends = [entry for entry in latest(called)["figures"] if entry["name"].startswith("All accepted")]
    assert len(ends) == 2  # by batch operations, and by a plan
    for end in ends:
        assert end["size"] == end["details"]["timeline"][-1]["callback"] == 30
        assert set(end["details"]["steps"]["call"]["cores"]) == {"server", "mongod", "simulator"}


@pytest.mark.slow
def test_a_run_has_a_file_of_its_own_and_the_newest_figures_are_together(called: Path) -> None:
    runs = [json.loads(path.read_text()) for path in called.glob("2*.json")]
    assert sorted(one["kind"] for one in runs) == ["bench", "callout", "priority"]
    assert len(latest(called)["figures"]) == sum(len(one["figures"]) for one in runs)


def test_the_table_takes_its_place_in_the_document(measured: Path, tmp_path: Path) -> None:
    document = tmp_path / "performance.md"
    document.write_text("before\n<!-- measured -->\nof yesterday\n<!-- /measured -->\nafter\n")
    fill(document, text(latest(measured)))
    written = document.read_text()
    assert "of yesterday" not in written and written.startswith("before\n") and written.endswith("after\n")
    (row,) = [line for line in written.splitlines() if line.startswith("| CalloutPopulation |")]
    assert "raw insert_many" in row
    (row,) = [line for line in written.splitlines() if line.startswith("| POST one contact |")]
    assert "bare Tornado" in row and "≥ 0.15" in row


def test_the_cost_of_an_item_at_a_million_stands_beside_that_at_ten_thousand_measured_in_turn(measured: Path) -> None:
    runs = {10_000: (100.0, 200.0), 1_000_000: (50.0, 200.0)}
    figures = [Figure("Draining", "calls/s", rates, size) for size, rates in runs.items()]
    entries = [{**entry("draining", figure), "at": "2026-11-26"} for figure in figures]
    written = text({"machine": latest(measured)["machine"], "figures": entries})
    (row,) = [line for line in written.splitlines() if "cost an item" in line]
    assert "| 1.50 (1.00 to 2.00) | ≤ 1.15 ✗ |" in row


def test_a_goal_is_for_the_ratio_or_without_a_limit_for_the_value() -> None:
    assert Figure("rate", "/s", (80.0, 70.0, 90.0), limit_runs=(100.0, 100.0, 100.0), goal="≥ 0.75").met
    assert not Figure("rate", "/s", (70.0,), limit_runs=(100.0,), goal="≥ 0.75").met
    assert Figure("time", "ms", (24.0, 30.0, 20.0), goal="≤ 25").met
    assert not Figure("time", "ms", (26.0,), goal="≤ 25").met
    assert Figure("time", "ms", (26.0,)).met is None


def test_a_percentile_is_one_of_the_values() -> None:
    assert [percentile(range(1, 101), percent) for percent in (0, 50, 99, 100)] == [1, 50, 99, 100]
