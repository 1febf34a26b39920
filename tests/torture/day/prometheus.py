"""A Prometheus of the day's own: it scrapes the servers, and evaluates the rules."""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Self
from urllib.error import URLError
from urllib.parse import urlencode
from urllib.request import urlopen

import yaml

from tests.server import STOP_SECONDS, wait_until
from tests.torture.databases import free_port
from tests.torture.day.rules import DayRules
from tests.torture.day.verdict import STEP_SECONDS, Firing, firings

# A scrape of a server whose database is away takes 1.5 seconds, and no scrape may take longer than the interval.
SCRAPE_SECONDS = 2
ANSWER_SECONDS = 30.0


class Prometheus:
    """The program of Debian's package, in FOLDER, with the servers at these ports as the job ``scfm``."""

    def __init__(self, folder: Path, rules: DayRules, ports: Sequence[int]) -> None:
        self._folder, self._rules, self._ports = folder, rules, ports
        self._url = f"127.0.0.1:{free_port()}"

    def __enter__(self) -> Self:
        program = shutil.which("prometheus")
        assert program, "Debian's package prometheus is not installed"
        self._folder.mkdir()
        (self._folder / "rules.yml").write_text(yaml.safe_dump(self._rules.rules()))
        config = self._folder / "prometheus.yml"
        targets = [{"targets": [f"127.0.0.1:{port}" for port in self._ports]}]
        written = {
            "global": {"scrape_interval": f"{SCRAPE_SECONDS}s", "scrape_timeout": f"{SCRAPE_SECONDS}s"},
            "rule_files": ["rules.yml"],
            "scrape_configs": [{"job_name": "scfm", "static_configs": targets}],
        }
        written["global"]["evaluation_interval"] = f"{STEP_SECONDS}s"
        config.write_text(yaml.safe_dump(written))
        with (self._folder / "log").open("wb") as log:
            self._process = subprocess.Popen(
                [
                    program,
                    f"--config.file={config}",
                    f"--storage.tsdb.path={self._folder / 'data'}",
                    f"--web.listen-address={self._url}",
                    "--log.level=warn",
                ],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
            )
        wait_until(lambda: self._ask("/api/v1/rules") is not None, ANSWER_SECONDS)
        return self

    def __exit__(self, *_: object) -> None:
        self._process.terminate()
        self._process.wait(STOP_SECONDS)

    def firing(self) -> set[str]:
        """The alerts that fire now."""
        found = self._ask("/api/v1/alerts") or {"alerts": []}
        return {one["labels"]["alertname"] for one in found["alerts"] if one["state"] == "firing"}

    def fired(self, began: float, ended: float) -> list[Firing]:
        """What has fired between these moments (seconds since 1970)."""
        query = {"query": 'ALERTS{alertstate="firing"}', "start": began, "end": ended, "step": STEP_SECONDS}
        found = self._ask(f"/api/v1/query_range?{urlencode(query)}")
        assert found is not None, "Prometheus does not answer"
        return firings(found["result"])

    def _ask(self, path: str) -> Any:
        """The data of an answer; None while there is none."""
        try:
            with urlopen(f"http://{self._url}{path}", timeout=ANSWER_SECONDS) as answer:
                return json.load(answer)["data"]
        except URLError:
            return None
