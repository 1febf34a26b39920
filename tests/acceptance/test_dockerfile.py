"""The Dockerfile, without Docker: its steps are run on this machine, its promises are checked one by one."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import NamedTuple

import pytest
from packaging.requirements import Requirement

from scfm import __version__
from tests.server import LISTENING

ROOT = Path(__file__).parents[2]
# Where the image has the environment with the server.
INSTALLED = "/opt/scfm"
START_LINES = 20
INSTALL_SECONDS = 600.0
# How long to wait for what must come; the ten seconds after which Docker kills are those of test_serve.
PATIENCE_SECONDS = 120.0


class Instruction(NamedTuple):
    word: str
    rest: str


def read(dockerfile: Path) -> list[Instruction]:
    """The instructions, each on one line, without comments."""
    lines = [line for line in dockerfile.read_text().splitlines() if not line.lstrip().startswith("#")]
    joined = re.sub(r"\s*\\\n\s*", " ", "\n".join(lines))
    return [Instruction(*line.split(maxsplit=1)) for line in joined.splitlines() if line.strip()]


INSTRUCTIONS = read(ROOT / "Dockerfile")


def all_of(word: str) -> list[str]:
    return [instruction.rest for instruction in INSTRUCTIONS if instruction.word == word]


def only(word: str) -> str:
    (rest,) = all_of(word)
    return rest


def environment() -> dict[str, str]:
    """What the image sets, but for PATH, which is that of the commands here."""
    told = dict(re.findall(r"(\w+)=(\S+)", " ".join(all_of("ENV"))))
    assert told.pop("PATH") == f"{INSTALLED}/bin:$PATH"
    return told


def healthcheck() -> list[str]:
    return list(json.loads(only("HEALTHCHECK").partition("CMD ")[2]))


def apt_packages() -> set[str]:
    installed = re.findall(r"apt-get install (.*?)(?:&&|$)", " ".join(all_of("RUN")))
    return {word for words in installed for word in words.split() if not word.startswith("-")}


# What it promises


def test_the_server_runs_as_a_user_that_the_image_makes_and_not_as_root() -> None:
    user = only("USER")
    assert user not in ("root", "0")
    assert any(re.search(rf"useradd .*\b{user}\b", command) for command in all_of("RUN"))


def test_signals_reach_the_server_itself() -> None:
    assert json.loads(only("ENTRYPOINT")) == ["scfm"]
    assert json.loads(only("CMD")) == ["serve"]


def test_data_are_in_a_volume_that_belongs_to_the_user_of_the_server() -> None:
    assert only("VOLUME") == environment()["SCFM_DATA_DIR"] == "/data"
    assert any("--home-dir /data" in command for command in all_of("RUN"))


def test_the_server_can_be_reached_from_outside_the_container() -> None:
    assert environment()["HOST"] == "0.0.0.0"
    assert only("EXPOSE") == "3000"


def test_everything_but_the_package_itself_is_locked() -> None:
    steps = [command for command in all_of("RUN") if "pip " in command and "venv" not in command]
    locked, itself = (step.removeprefix(f"pip --python {INSTALLED} install --no-cache-dir ") for step in steps)
    assert locked == "--require-hashes --requirement requirements/embedded.lock"
    assert itself == "--no-deps --no-build-isolation ."


def test_the_base_image_is_named_once_by_its_version_and_can_be_pinned() -> None:
    assert all_of("ARG") == ["BASE=python:3.11-slim-bookworm"]
    assert all_of("FROM") == ["${BASE} AS build", "${BASE}"]


def test_the_image_has_of_the_build_nothing_but_the_environment_and_lists_what_is_in_it() -> None:
    last = INSTRUCTIONS[[one.word for one in INSTRUCTIONS].index("FROM", 2) :]
    copied = [one.rest for one in last if one.word == "COPY"]
    assert copied == [f"--from=build {INSTALLED} {INSTALLED}", "deploy/sbom.py /tmp/sbom.py"]
    assert f"python /tmp/sbom.py > {INSTALLED}/sbom.cdx.json && rm /tmp/sbom.py" in all_of("RUN")


# What it installs

dpkg = pytest.mark.skipif(shutil.which("dpkg-query") is None, reason="asks Debian's package manager")
embedded = pytest.mark.skipif(
    sys.platform != "linux" or os.uname().machine != "x86_64", reason="the image's mongod is for x86-64 Linux"
)


def mongod() -> Path:
    """The mongod of the embedded extra, whatever else is on PATH."""
    (library,) = {path for path in map(Path, sys.path) if (path / "fiftyone" / "db").is_dir()}
    return library / "fiftyone" / "db" / "bin" / "mongod"


def query(*arguments: str) -> str:
    return subprocess.run(["dpkg-query", *arguments], capture_output=True, text=True, check=False).stdout


def packages_of(libraries: Iterable[str]) -> set[str]:
    """The packages that own these libraries. A library in /lib may be known as one in /usr/lib."""
    owners = query("--search", *(name for library in libraries for name in _names(library)))
    owner = {path: package for package, _, path in (line.split(":", 2) for line in owners.splitlines())}
    return {next(owner[f" {name}"] for name in _names(library) if f" {name}" in owner) for library in libraries}


def _names(library: str) -> tuple[str, ...]:
    return library, f"/usr{library}", library.removeprefix("/usr"), str(Path(library).resolve())


def with_dependencies(packages: Iterable[str]) -> set[str]:
    """These packages and all that must be installed with them."""
    rows = query("--show", "--showformat=${Package}\t${Depends},${Pre-Depends}\n").splitlines()
    names = re.compile(r"(?:^|[,|])\s*([a-z0-9][a-z0-9.+-]+)")
    needs = {package: set(names.findall(depends)) for package, depends in (row.split("\t") for row in rows)}
    found: set[str] = set()
    waiting = set(packages)
    while waiting:
        package = waiting.pop()
        found.add(package)
        waiting |= needs.get(package, set()) - found
    return found


def essential_packages() -> set[str]:
    """What every Debian has."""
    rows = query("--show", "--showformat=${Package}\t${Essential}\n").splitlines()
    return {package for package, essential in (row.split("\t") for row in rows) if essential == "yes"}


@embedded
@dpkg
def test_the_image_has_every_library_that_mongod_needs() -> None:
    linked = subprocess.run(["ldd", mongod()], capture_output=True, text=True, check=True).stdout
    needed = packages_of(re.findall(r"=> (/\S+)", linked))
    assert {"libcurl4", "libssl3"} <= needed
    assert needed - with_dependencies(apt_packages() | essential_packages()) == set()


# What its steps make


def copy_context(target: Path) -> None:
    """What .dockerignore leaves of the tree: it ignores all but the names that it excepts."""
    rules = (ROOT / ".dockerignore").read_text().split("\n")
    assert "*" in rules
    ignored = [rule.removeprefix("**/") for rule in rules if rule.startswith("**/")]
    target.mkdir()
    for name in (rule[1:] for rule in rules if rule.startswith("!")):
        source = ROOT / name
        (target / name).parent.mkdir(parents=True, exist_ok=True)
        if source.is_dir():
            shutil.copytree(source, target / name, ignore=shutil.ignore_patterns(*ignored))
        else:
            shutil.copy(source, target / name)


@pytest.fixture(scope="module")
def commands(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of commands in a fresh environment, made by the Dockerfile's own pip steps from its own context."""
    folder = tmp_path_factory.mktemp("image")
    copy_context(folder / "src")
    steps = [step for step in all_of("RUN") if step.startswith(("python -m venv", "pip "))]
    assert len(steps) == 3
    for step in steps:
        done = subprocess.run(
            ["/bin/sh", "-c", step.replace(INSTALLED, str(folder / "venv")).replace("--no-cache-dir", "--quiet")],
            env={**os.environ, "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}", "PIP_NO_COMPILE": "1"},
            cwd=folder / "src",
            capture_output=True,
            text=True,
            timeout=INSTALL_SECONDS,
            check=False,
        )
        assert done.returncode == 0, done.stderr
    shutil.move(folder / "src" / "deploy" / "sbom.py", folder / "sbom.py")
    shutil.rmtree(folder / "src")
    return folder / "venv" / "bin"


def run(commands: Path, command: list[str], settings: Mapping[str, str]) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [commands / command[0], *command[1:]],
        env={"PATH": f"{commands}:{os.environ['PATH']}", **settings},
        cwd=commands.parent,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


@pytest.fixture
def server(commands: Path, tmp_path: Path) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """What the container runs, and its port; told nothing but the image's environment and where it may be."""
    command = json.loads(only("ENTRYPOINT")) + json.loads(only("CMD"))
    here = {"HOST": "127.0.0.1", "PORT": "0", "SCFM_DATA_DIR": str(tmp_path / "data")}
    process = run(commands, command, {**environment(), **here})
    try:
        yield process, port_of(process)
    finally:
        process.kill()
        process.communicate()


def port_of(process: subprocess.Popen[str]) -> str:
    assert process.stdout is not None
    lines = []
    for _, line in zip(range(START_LINES), process.stdout, strict=False):
        lines.append(line)
        if listening := LISTENING.search(line):
            return listening[3]
    raise AssertionError(f"it does not listen: {lines}")


@pytest.mark.slow
@embedded
def test_what_the_steps_install_serves_is_found_healthy_and_stops_when_told(
    server: tuple[subprocess.Popen[str], str], commands: Path
) -> None:
    process, port = server
    assert healthy(commands, port)
    process.terminate()
    process.communicate(timeout=PATIENCE_SECONDS)
    assert process.returncode == 0
    assert not healthy(commands, port)


def healthy(commands: Path, port: str) -> bool:
    """What the image's health check finds."""
    check = run(commands, healthcheck(), {"PORT": port})
    check.communicate(timeout=PATIENCE_SECONDS)
    return check.returncode == 0


@pytest.mark.slow
@embedded
@pytest.mark.skipif(os.geteuid() != 0 or shutil.which("unshare") is None, reason="mounts file systems anew")
def test_it_runs_where_nothing_but_its_data_and_tmp_can_be_written(commands: Path, tmp_path: Path) -> None:
    """As docker run --read-only --tmpfs /tmp -v scfm-data:/data has it."""
    data, tmp = tmp_path / "data", tmp_path / "tmp"
    bound = " && ".join(f"mkdir {folder} && mount --bind {folder} {folder}" for folder in (data, tmp))
    script = (
        f"mount --make-rprivate / && {bound} && mount -o remount,ro,bind / && ! touch {tmp_path}/x && exec scfm serve"
    )
    here = {"HOST": "127.0.0.1", "PORT": "0", "SCFM_DATA_DIR": str(data), "TMPDIR": str(tmp)}
    process = subprocess.Popen(
        ["unshare", "--mount", "/bin/sh", "-c", script],
        env={"PATH": f"{commands}:{os.environ['PATH']}", **environment(), **here},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    try:
        assert healthy(commands, port_of(process))
        process.terminate()
        assert "Traceback" not in process.communicate(timeout=PATIENCE_SECONDS)[0]
        assert process.returncode == 0
    finally:
        process.kill()
        process.communicate()


@pytest.mark.slow
def test_the_bill_of_materials_has_what_is_locked_and_what_is_in_the_page(commands: Path) -> None:
    made = subprocess.run(
        [commands / "python", commands.parents[1] / "sbom.py"], capture_output=True, text=True, timeout=60, check=True
    )
    bill = json.loads(made.stdout)
    assert (bill["bomFormat"], bill["specVersion"]) == ("CycloneDX", "1.6")
    assert bill["metadata"]["component"]["purl"] == f"pkg:pypi/scfm@{__version__}"
    assert all(one["purl"] == one["bom-ref"] and one["name"] and one["version"] for one in bill["components"])
    listed = {one["purl"].partition("?")[0] for one in bill["components"]}
    assert len(listed) == len(bill["components"])
    lines = (ROOT / "requirements" / "embedded.lock").read_text().splitlines()
    locked = [Requirement(line.rstrip(" \\")) for line in lines if re.match("[a-z]", line)]
    here = [one for one in locked if one.marker is None or one.marker.evaluate()]
    assert len(here) > 20
    missing = {f"pkg:pypi/{one.name}@{str(one.specifier).removeprefix('==')}" for one in here} - listed
    assert not missing, missing
    assert any(name.startswith("pkg:generic/mongodb@6.") for name in listed)
    assert {"preact", "htm", "swagger-ui-dist"} == {
        name.removeprefix("pkg:npm/").partition("@")[0] for name in listed if name.startswith("pkg:npm/")
    }


def test_every_file_of_the_package_is_installed(tmp_path: Path) -> None:
    copy_context(tmp_path / "src")
    step = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--no-build-isolation", "--no-compile"]
    subprocess.run([*step, "--target", tmp_path / "site", tmp_path / "src"], timeout=INSTALL_SECONDS, check=True)
    assert package_files(tmp_path / "site" / "scfm") == package_files(ROOT / "scfm")


def package_files(package: Path) -> set[str]:
    files = (path.relative_to(package) for path in package.rglob("*") if path.is_file())
    return {str(file) for file in files if "__pycache__" not in file.parts}
