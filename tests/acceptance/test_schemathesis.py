"""schemathesis sends the server what its own description allows, and what it does not, and finds nothing wrong."""

from __future__ import annotations

import re
import subprocess
import sysconfig
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

from tests.server import Client, Server

SECONDS = 600
# Tokens with small ids, so that a guessed id is rarely the one of the token that the run uses.
TOKENS = 20

# A definition, in the form of a form.
FLOW = '{"languages": ["en"], "start": "go", "steps": {"go": {"say": {"en": "Go."}, "hang_up": true}}}'
# Checks that ask for something else than this API promises.
LEFT_OUT: Mapping[str, str] = {
    "unsupported_method": "a verb that a path lacks is answered with 404 here, and not with 405",
    "negative_data_rejection": "unknown fields are ignored here, a wrong page is the first, a wrong filter is none",
}
# Operations that would end the run.
LEFT_ALONE: Mapping[str, str] = {
    "delete_access_token": "sooner or later the run would delete its own token",
    "progress_of_callout": "its answer goes on for as long as the callout does",
    "import_contacts": "it takes lines of CSV or JSON, for which schemathesis has no words",
    "import_opt_outs": "the same",
}
# What else may become of data that fit the schema: 400, where names conflict (q[]=1 beside q[status]=created, which
# OpenAPI has no words for), and 422, where a rule speaks that JSON Schema cannot tell (a number that cannot ring,
# one that is taken, a record that others depend on), and 429, where signing in has failed too often.
CONFIGURATION = """
[checks.positive_data_acceptance]
expected-statuses = ["2xx", "400", "401", "403", "404", "409", "422", "429"]
"""


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with Server(tmp_path_factory.mktemp("data"), {"PLATFORM_PROVIDER": "simulator"}) as server:
        yield server


@pytest.fixture(scope="module")
def client(server: Server) -> Client:
    """A super admin, with one of everything under the ids that are tried first."""
    for _ in range(TOKENS):
        made = server.client().post("/api/access_tokens")
        assert made.status == 201
    client = server.client(made.json["token"])
    for path, form in (
        ("contacts", {"msisdn": "+252662345678", "metadata[name]": "Alice"}),
        ("callouts", {"metadata[a]": "1"}),
        ("callouts/1/callout_participations", {"contact_id": "1"}),
        ("callout_participations/1/phone_calls", {"remote_request_params[from]": "1234"}),
        ("batch_operations", {"type": "BatchOperation::PhoneCallQueue"}),
        ("call_flows", {"name": "flood", "definition": FLOW}),
        ("call_flows/1/publish", {}),
        ("users", {"email": "alice@example.org", "password": "secret1"}),
    ):
        assert client.post(f"/api/{path}", form).status == 201, path
    return client


def test_schemathesis_finds_nothing(server: Server, client: Client, tmp_path: Path) -> None:
    configuration = tmp_path / "schemathesis.toml"
    configuration.write_text(CONFIGURATION)
    command = [
        Path(sysconfig.get_path("scripts"), "schemathesis"),
        *("--config-file", configuration),
        *("run", f"{server.url}/api/openapi.json", "--auth", f"{client.token}:any"),
        *("--phases", "examples,fuzzing,stateful", "--max-examples", "3", "--seed", "20180519"),
        *("--exclude-checks", ",".join(LEFT_OUT), "--continue-on-failure", "--no-shrink", "--warnings", "off"),
        *(word for name in LEFT_ALONE for word in ("--exclude-operation-id", name)),
    ]
    run = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=SECONDS, check=False)
    assert run.returncode == 0, run.stdout + run.stderr
    tested = re.search(r"Tested: (\d+)", run.stdout)
    assert tested is not None and int(tested[1]) >= 70, run.stdout
    assert "Traceback" not in server.output()
    assert client.get("/api/account").status == 200
