"""The plots, as SVG: cost an item against size, latency against load, and the calls of a callout over time."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import matplotlib

from benchmarks.table import paced

matplotlib.use("svg")
from matplotlib import pyplot

Entries = Sequence[dict[str, Any]]
# So that the same results give the same file.
pyplot.rcParams["svg.hashsalt"] = "scfm"


def draw(entries: Entries, folder: Path) -> Iterator[Path]:
    """Draw each plot that there are results for; the files."""
    for name, plot in PLOTS.items():
        picture, axes = pyplot.subplots(figsize=(8, 5), layout="constrained")
        if plot(entries, axes):
            axes.grid(True, alpha=0.3)
            axes.legend(fontsize="small")
            path = folder / f"{name}.svg"
            picture.savefig(path, metadata={"Date": None})
            yield path
        pyplot.close(picture)


def cost(entries: Entries, axes: Any) -> bool:
    """Microseconds an item against the number of items; the limits dashed, the runs as bars."""
    lines = defaultdict(list)
    for entry in paced(entries):
        lines[entry["name"]].append(entry)
    for color, (name, found) in enumerate(lines.items()):
        found.sort(key=lambda entry: entry["size"])
        sizes = [entry["size"] for entry in found]
        costs = [1e6 / entry["value"] for entry in found]
        spans = [
            [value - 1e6 / max(entry["runs"]) for value, entry in zip(costs, found, strict=True)],
            [1e6 / min(entry["runs"]) - value for value, entry in zip(costs, found, strict=True)],
        ]
        axes.errorbar(sizes, costs, yerr=spans, marker="o", capsize=3, color=f"C{color}", label=name)
        limits = [1e6 * entry["ratio"] / entry["value"] for entry in found]
        axes.plot(sizes, limits, linestyle="--", color=f"C{color}", alpha=0.6)
    axes.set(
        xscale="log", yscale="log", xlabel="items", ylabel="µs an item (dashed: its limit)", title="Cost an item"
    )
    return bool(lines)


def latency(entries: Entries, axes: Any) -> bool:
    """Percentiles of one GET against how many are asked for in a second."""
    found = sorted(
        (entry["details"] for entry in entries if "per_second" in entry["details"]),
        key=lambda details: details["per_second"],
    )
    for name in ("p50", "p95", "p99"):
        axes.plot(
            [details["per_second"] for details in found],
            [details["latency_ms"][name] for details in found],
            marker="o",
            label=name,
        )
    axes.set(yscale="log", xlabel="requests a second", ylabel="ms", title="GET one contact: latency against load")
    return bool(found)


def pages(entries: Entries, axes: Any) -> bool:
    """How long a page takes against the number of contacts."""
    lines = defaultdict(list)
    for entry in entries:
        if entry["benchmark"] == "lists":
            lines[entry["name"]].append((entry["size"], entry["value"]))
    for name, points in lines.items():
        axes.plot(*zip(*sorted(points), strict=True), marker="o", label=name)
    axes.set(xscale="log", yscale="log", xlabel="contacts", ylabel="ms", title="A page of 25")
    return bool(lines)


def callout(entries: Entries, axes: Any) -> bool:
    """Calls accepted, ended and called back, over the seconds since they were queued."""
    runs = [entry for entry in entries if "timeline" in entry["details"]]
    for run in sorted(runs, key=lambda entry: entry["size"])[-1:]:
        timeline = run["details"]["timeline"]
        seconds = [point["seconds"] for point in timeline]
        for kind, label in (("request", "accepted"), ("outcome", "ended"), ("callback", "called back")):
            axes.plot(seconds, [point[kind] for point in timeline], label=label)
    axes.set(xlabel="seconds since the calls were queued", ylabel="calls", title="One callout")
    return bool(runs)


PLOTS: dict[str, Callable[[Entries, Any], bool]] = {
    "cost": cost,
    "latency": latency,
    "pages": pages,
    "callout": callout,
}
