"""Results as files: one of each run by its date, and ``latest.json``, which has the newest figure of each thing."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from benchmarks.measure import Figure

FOLDER = Path(__file__).with_name("results")
LATEST = "latest.json"
Entry = dict[str, Any]


def save(folder: Path, kind: str, machine: Mapping[str, Any], entries: Sequence[Entry]) -> Path:
    """Write a run of KIND (``bench``, ``callout``) and bring the latest up to date; the run's file."""
    moment = datetime.now(UTC)
    stamped = [{**entry, "at": moment.strftime("%Y-%m-%d"), "run": moment.isoformat()} for entry in entries]
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{moment:%Y-%m-%dT%H%M%SZ}-{kind}.json"
    _write(path, {"at": moment.isoformat(), "kind": kind, "machine": machine, "figures": stamped})
    known = {_key(entry): entry for entry in latest(folder)["figures"]}
    known.update({_key(entry): entry for entry in stamped})
    _write(folder / LATEST, {"machine": machine, "figures": list(known.values())})
    return path


def latest(folder: Path) -> dict[str, Any]:
    """The newest of everything, and the machine of the last run; empty where nothing has been measured."""
    path = folder / LATEST
    if not path.exists():
        return {"machine": {}, "figures": []}
    found: dict[str, Any] = json.loads(path.read_text())
    return found


def entry(benchmark: str, figure: Figure) -> Entry:
    """A figure on its way to a file."""
    return {"benchmark": benchmark, **figure.as_json()}


def _key(entry: Entry) -> tuple[Any, ...]:
    return entry["benchmark"], entry["name"], entry["size"]


def _write(path: Path, content: object) -> None:
    path.write_text(json.dumps(content, indent=1, ensure_ascii=False) + "\n")
