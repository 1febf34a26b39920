"""The files of deploy/: each checked by the program that reads it, where that is here, and tried."""

from __future__ import annotations

import argparse
import configparser
import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from scfm.cli import serve
from tests.acceptance.backend import Backend
from tests.acceptance.nginx import BINARY, DEPLOY, FILES, Nginx, own_site, site_below_a_path, upstream_of

UNIT = DEPLOY / "systemd" / "scfm@.service"
COMPOSE = DEPLOY / "compose"
# Of systemd-analyze: 0 is a service that can do nothing, 100 one that can do all.
MAX_EXPOSURE = 20
SECONDS = 120

needs_systemd = pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="no systemd-analyze")
needs_nginx = pytest.mark.skipif(BINARY is None, reason="no nginx")


def serve_options(words: list[str]) -> argparse.Namespace:
    """What ``scfm`` makes of the WORDS after it, which are ``serve`` and its options."""
    parser = argparse.ArgumentParser()
    serve.add_arguments(parser)
    assert words[0] == "serve"
    return parser.parse_args(words[1:])


def run(*command: str, env: dict[str, str] | None = None) -> subprocess.CompletedProcess[str]:
    return subprocess.run(command, capture_output=True, text=True, timeout=SECONDS, check=False, env=env)


def told_blocks(language: str) -> list[str]:
    """The blocks of docs/deploying.md in this language."""
    text = (DEPLOY.parent / "docs" / "deploying.md").read_text()
    return re.findall(rf"```{language}\n(.*?)```", text, re.DOTALL)


# systemd


@pytest.fixture
def unit(tmp_path: Path) -> Path:
    """The unit, with the command that is installed here in place of that in /opt."""
    placed = tmp_path / UNIT.name
    command = Path(sys.executable).with_name("scfm")
    placed.write_text(UNIT.read_text().replace("/opt/scfm/bin/scfm", str(command)))
    return placed


@needs_systemd
def test_systemd_takes_the_unit(unit: Path) -> None:
    checked = run("systemd-analyze", "verify", "--man=no", str(unit))
    assert (checked.returncode, checked.stderr) == (0, "")


@needs_systemd
def test_the_service_can_do_little_beside_its_work(unit: Path) -> None:
    offline = "--offline=true"
    checked = run("systemd-analyze", "security", offline, f"--threshold={MAX_EXPOSURE}", "--no-pager", str(unit))
    assert checked.returncode == 0, checked.stdout


@needs_systemd
def test_systemd_takes_the_drop_in_for_backups_and_it_lets_the_server_write_where_they_go(unit: Path) -> None:
    (drop_in,) = told_blocks("systemd")
    folder = unit.with_name(f"{unit.name}.d")
    folder.mkdir()
    (folder / "backups.conf").write_text(drop_in)
    analyze = ("systemd-analyze", "--man=no", "verify", "scfm@3000.service")
    placed = {**os.environ, "SYSTEMD_UNIT_PATH": f"{unit.parent}:"}
    checked = run(*analyze, env=placed)
    assert (checked.returncode, checked.stderr) == (0, "")
    (folder / "backups.conf").write_text(drop_in.replace("ReadWritePaths", "ReadWritePath"))
    assert "ReadWritePath" in run(*analyze, env=placed).stderr, "the drop-in is read"
    settings = configparser.ConfigParser()
    for block in told_blocks("ini"):
        settings.read_string(block)
    assert re.findall("^ReadWritePaths=-(.*)$", drop_in, re.MULTILINE) == [settings["backup"]["backup_dir"]]


def test_the_unit_starts_a_server_as_the_command_has_it() -> None:
    told = re.findall(r"^ExecStart=/opt/scfm/bin/scfm (.*)$", UNIT.read_text(), re.MULTILINE)
    assert len(told) == 1
    options = serve_options(told[0].split())
    assert (str(options.config), options.port, options.data_dir) == ("%d/scfm.ini", "%i", "%S/scfm-%i")


# nginx


@needs_nginx
@pytest.mark.parametrize("site", [own_site, site_below_a_path], ids=["own", "below a path"])
@pytest.mark.parametrize("upstream", [FILES / "upstream.conf", COMPOSE / "upstream.conf"], ids=["here", "compose"])
def test_nginx_takes_its_files(tmp_path: Path, site: Any, upstream: Path) -> None:
    assert "syntax is ok" in Nginx(tmp_path / "nginx", upstream.read_text(), site()).check()


class House:
    """nginx before two servers, the first of which breaks off whatever it is asked."""

    def __init__(self, nginx: Nginx, dying: Backend, sound: Backend) -> None:
        self.nginx, self.dying, self.sound = nginx, dying, sound

    def send(self, method: str, path: str, **headers: str) -> int:
        """The status of the answer to a request with a body, if it is a POST."""
        connection = self.nginx.connection()
        connection.request(method, path, b"a=1" if method == "POST" else None, headers)
        answer = connection.getresponse()
        answer.read()
        connection.close()
        return answer.status

    @property
    def requests(self) -> list[tuple[str, str, dict[str, str], bytes]]:
        return [*self.dying.requests, *self.sound.requests]


@pytest.fixture
def house(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[House]:
    dying, sound = Backend(dies=True), Backend(dies=False)
    site = getattr(request, "param", own_site)
    with dying.running() as first, sound.running() as second:
        nginx = Nginx(tmp_path / "nginx", upstream_of((first, second)), site())
        with nginx.running():
            yield House(nginx, dying, sound)


WEBHOOK = "/api/remote_phone_call_events"


@needs_nginx
@pytest.mark.parametrize(
    ("house", "path"), [(own_site, WEBHOOK), (site_below_a_path, f"/alerts{WEBHOOK}")], indirect=["house"]
)
@pytest.mark.parametrize("token", ["", "from-the-provider"])
def test_a_webhook_goes_to_the_other_server_by_the_same_name(house: House, path: str, token: str) -> None:
    given = {"I-Twilio-Idempotency-Token": token} if token else {}
    for _ in range(2):  # one of them comes to the server that dies first
        assert house.send("POST", f"{path}?a=1", **given) == 200
    (broken,) = house.dying.requests
    names = [headers["i-twilio-idempotency-token"] for _, _, headers, _ in house.sound.requests]
    assert broken[2]["i-twilio-idempotency-token"] in names
    assert {(verb, told, body) for verb, told, _, body in house.requests} == {("POST", f"{WEBHOOK}?a=1", b"a=1")}
    assert set(names) == {token} if token else len(set(names)) == 2


@needs_nginx
def test_no_other_post_is_sent_twice_and_a_get_is(house: House) -> None:
    statuses = [house.send("POST", "/api/contacts") for _ in range(2)]
    assert sorted(statuses) == [200, 502]
    assert len(house.requests) == 2


@needs_nginx
def test_a_get_is_answered_by_the_server_that_is_there(house: House) -> None:
    assert [house.send("GET", "/api/contacts") for _ in range(3)] == [200] * 3


@needs_nginx
def test_the_servers_learn_who_asks_whatever_the_client_says(house: House) -> None:
    assert house.send("GET", "/api/contacts", **{"X-Forwarded-For": "8.8.8.8"}) == 200
    *_, (_, _, headers, _) = house.sound.requests
    assert headers["x-forwarded-for"] == "127.0.0.1"
    assert headers["host"] == "localhost"


@needs_nginx
@pytest.mark.parametrize(
    ("house", "prefix"), [(own_site, ""), (site_below_a_path, "/alerts")], indirect=["house"], ids=["own", "below"]
)
def test_what_is_for_the_house_is_not_shown(house: House, prefix: str) -> None:
    for path in ("/metrics", "/ready", "/metrics/", "/ready.json"):
        assert house.send("GET", prefix + path) == 404
    assert house.requests == []


@needs_nginx
@pytest.mark.parametrize("house", [site_below_a_path], indirect=True)
@pytest.mark.parametrize(
    "path",
    [
        "/",
        "/api/docs",
        "/api/contacts?q[metadata][name]=Al%20ice",
        "/api/callouts/7/progress?a=1",
        "/api/contacts/import?sheet=1",
    ],
)
def test_below_a_path_a_server_sees_no_path(house: House, path: str) -> None:
    assert house.send("GET", f"/alerts{path}") == 200
    assert {told for _, told, _, _ in house.requests} == {path}


# compose


@pytest.fixture(scope="module")
def compose() -> dict[str, Any]:
    read: dict[str, Any] = yaml.safe_load((COMPOSE / "compose.yaml").read_text())
    return read


def test_compose_takes_its_file(tmp_path: Path) -> None:
    if shutil.which("docker") and run("docker", "compose", "version").returncode == 0:
        command, unknown = ["docker", "compose"], ""
    elif shutil.which("docker-compose"):
        command, unknown = ["docker-compose"], "name: scfm\n"  # the first generation knows all of it but the name
    else:
        pytest.skip("no compose")
    file = tmp_path / "compose.yaml"
    file.write_text((COMPOSE / file.name).read_text().replace(unknown, "", 1))
    options = ("--file", str(file), "--env-file", str(COMPOSE / "example.env"))
    checked = run(*command, *options, "config", "--quiet")
    assert checked.returncode == 0, checked.stderr
    file.write_text(file.read_text().replace("mongo1:/data/db", "mongo9:/data/db"))
    assert run(*command, *options, "config", "--quiet").returncode != 0


def test_what_compose_refers_to_is_there(compose: dict[str, Any]) -> None:
    for name, service in compose["services"].items():
        networks = service.get("networks", [])
        assert set(networks) <= set(compose["networks"]), name
        for secret in service.get("secrets", []):
            assert (secret if isinstance(secret, str) else secret["source"]) in compose["secrets"], name
        assert set(service.get("depends_on", [])) <= set(compose["services"]), name
        for volume in service.get("volumes", []):
            source = volume.partition(":")[0]
            assert (COMPOSE / source).is_file() if source.startswith(".") else source in compose["volumes"], volume
        if "build" in service:
            assert (COMPOSE / service["build"] / "Dockerfile").is_file()


def test_every_image_is_of_a_version(compose: dict[str, Any]) -> None:
    images = {service["image"] for service in compose["services"].values()} - {"scfm:${SCFM_VERSION:-latest}"}
    assert images
    assert all(re.fullmatch(r"[a-z/]+:v?\d+(\.\d+)+", image) for image in images), images


def test_nobody_reaches_the_database_or_the_servers_past_nginx(compose: dict[str, Any]) -> None:
    published = {name: service["ports"] for name, service in compose["services"].items() if "ports" in service}
    assert published == {"nginx": ["80:80", "443:443"], "prometheus": ["127.0.0.1:9090:9090"]}
    assert compose["networks"]["database"] == {"internal": True}
    of_database = {name for name, one in compose["services"].items() if "database" in one.get("networks", [])}
    assert of_database == {"mongo1", "mongo2", "mongo3", "replica-set", "scfm1", "scfm2"}


def test_the_servers_write_their_data_and_nothing_else(compose: dict[str, Any]) -> None:
    for name in ("scfm1", "scfm2"):
        service = compose["services"][name]
        assert service["volumes"] == [f"{name}:/data"]
        assert (service["read_only"], service["tmpfs"], service["cap_drop"]) == (True, ["/tmp"], ["ALL"])
        assert not {key for key in service["environment"] if re.search("TOKEN|KEY|SECRET|PASSWORD", key)}
        options = serve_options(service["command"])
        assert str(options.config) == f"/run/secrets/{service['secrets'][0]}"


def test_nginx_and_prometheus_know_the_servers_of_compose(compose: dict[str, Any]) -> None:
    addresses = [compose["services"][name]["networks"]["web"]["ipv4_address"] for name in ("scfm1", "scfm2")]
    upstream = (COMPOSE / "upstream.conf").read_text()
    assert re.findall(r"server ([\d.]+):3000 ", upstream) == addresses
    outside = (FILES / "upstream.conf").read_text()
    assert upstream.partition("map ")[2] == outside.partition("map ")[2]
    settings = compose["services"]["scfm1"]["environment"]
    assert settings["TRUSTED_PROXIES"] == compose["services"]["nginx"]["networks"]["web"]["ipv4_address"]
    members = json.loads(re.findall(r"\[.*?\]", (COMPOSE / "replica-set.js").read_text())[0])
    assert settings["MONGODB_URI"] == f"mongodb://{','.join(members)}/?replicaSet=scfm"
    (job,) = yaml.safe_load((COMPOSE / "prometheus.yml").read_text())["scrape_configs"]
    assert job["static_configs"] == [{"targets": ["scfm1:3000", "scfm2:3000"]}]


def test_the_example_of_variables_has_those_that_compose_needs() -> None:
    named = set(re.findall(r"\$\{(\w+)", (COMPOSE / "compose.yaml").read_text()))
    assert named == set(re.findall(r"^(\w+)=", (COMPOSE / "example.env").read_text(), re.MULTILINE))


def test_the_settings_of_the_documents_are_settings() -> None:
    """The files that docs/deploying.md has for /etc/scfm/scfm.ini."""
    told = told_blocks("ini")
    example, known = configparser.ConfigParser(), configparser.ConfigParser()
    assert len(told) == 2
    for block in told:
        example.read_string(block)
    known.read(DEPLOY.parent / "config" / "default.ini")
    for section in example.sections():
        assert set(example[section]) <= set(known[section]), section
