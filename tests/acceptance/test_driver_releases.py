"""A release of the database driver that lacks a name which the server stands on is told in one line."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

NAMES = {
    "motor.core": ["AgnosticClient", "AgnosticCollection", "AgnosticDatabase"],
    "motor.frameworks.asyncio": ["CLASS_PREFIX", "run_on_executor", "get_event_loop", "platform_info"],
    "motor.metaprogramming": ["AsyncRead", "DelegateMethod", "DelegateMethod.wrap", "create_class_with_framework"],
    "pymongo": ["AsyncMongoClient", "AsyncMongoClient.aconnect"],
    # What Motor's own classes ask for when they are put together.
    "pymongo.asynchronous.collection": ["AsyncCollection", "AsyncCollection.find_one_and_update"],
    "pymongo.asynchronous.database": ["AsyncDatabase", "AsyncDatabase.command"],
}
WITHOUT = """
import importlib, sys
import motor.core, pymongo
module, _, name = sys.argv[1].partition(":")
*outer, name = name.split(".")
owner = importlib.import_module(module)
for attribute in outer:
    owner = getattr(owner, attribute)
delattr(owner, name)
from scfm.__main__ import main
raise SystemExit(main(["serve", "--port", "0", "--data-dir", sys.argv[2]]))
"""


@pytest.mark.parametrize("place", [f"{module}:{name}" for module, names in NAMES.items() for name in names])
def test_a_driver_that_lacks_a_name_stops_the_start_with_one_line(place: str, tmp_path: Path) -> None:
    ended = subprocess.run(
        [sys.executable, "-c", WITHOUT, place, str(tmp_path / "data")],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    (line,) = ended.stderr.splitlines()
    assert ended.returncode == 1
    assert line.startswith("scfm: this server does not work with motor ") and "requirements/run.lock" in line
    assert place.rpartition(".")[2].rpartition(":")[2] in line
    assert not (tmp_path / "data").exists()


def test_a_driver_that_is_not_there_is_told_in_one_line(tmp_path: Path) -> None:
    hidden = (
        "import sys; sys.modules['motor'] = None; from scfm.__main__ import main; raise SystemExit(main(['serve']))"
    )
    ended = subprocess.run([sys.executable, "-c", hidden], capture_output=True, text=True, check=False, cwd=tmp_path)
    (line,) = ended.stderr.splitlines()
    assert ended.returncode == 1 and line.startswith("scfm: this server does not work with ")
