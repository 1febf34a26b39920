"""Every request that the guide prints works as printed, and every answer has the printed shape."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.guide.errata import ERRATA
from tests.guide.guide import GUIDE, Erratum, Misprint, Request, Restart, read
from tests.guide.provider import Provider
from tests.guide.replay import SOMLENG_SID, SOMLENG_TOKEN, Replay, requests
from tests.guide.shapes import Names
from tests.log_secrets import assert_no_secrets
from tests.server import Server, wait_until

REQUESTS = requests()
REFUSED = [erratum for erratum in ERRATA if isinstance(erratum, Misprint) and erratum.refused]


def _line(erratum: Erratum) -> str:
    return f"line {erratum.line}"


@pytest.fixture(scope="module")
def replay(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Replay]:
    folder = tmp_path_factory.mktemp("replay")
    empty = folder / "empty"
    empty.mkdir()
    environment = {"LOG_LEVEL": "debug"}
    with Provider(SOMLENG_SID, SOMLENG_TOKEN) as provider, Server(folder / "data", environment) as server:
        replay = Replay(empty, server, provider)
        replay.play()
        yield replay


def test_no_request_of_the_guide_is_left_out() -> None:
    text = GUIDE.read_text()
    restarts = [step for step in read(ERRATA) if isinstance(step, Restart)]
    assert len(REQUESTS) == text.count("$ docker-compose run --rm ")
    assert len(restarts) == text.count("$ docker-compose run -it ")


def test_no_printed_answer_of_the_guide_is_left_out() -> None:
    text = GUIDE.read_text()
    assert sum(step.answer is not None for step in REQUESTS) == text.count('\n    {\n      "id') + sum(
        text.count(f"```json\n{opening}") for opening in "{["
    )
    assert sum(dict(step.headers).get("Total") is not None for step in REQUESTS) == text.count("< Total: ")
    assert sum(step.status is not None for step in REQUESTS) == text.count("< HTTP/1.1 ")


@pytest.mark.parametrize("request_", REQUESTS, ids=str)
def test_the_answer_is_as_printed(request_: Request, replay: Replay) -> None:
    assert list(replay.differences(request_)) == []


@pytest.mark.parametrize("erratum", ERRATA, ids=_line)
def test_an_erratum_is_still_needed(erratum: Erratum, replay: Replay) -> None:
    try:
        others = read(other for other in ERRATA if other is not erratum)
    except ValueError:
        return
    uncorrected = [step for step in others if isinstance(step, Request) and step not in REQUESTS]
    assert uncorrected
    assert any(list(replay.differences(step, Names())) for step in uncorrected)


@pytest.mark.parametrize("erratum", REFUSED, ids=_line)
def test_a_misprinted_command_is_refused(erratum: Misprint, replay: Replay) -> None:
    others = read(other for other in ERRATA if other is not erratum)
    printed = next(step for step in others if isinstance(step, Request) and step.line == erratum.line)
    assert replay.reply(printed).status.startswith(f"{erratum.refused} ")


def test_the_log_at_debug_has_no_secret_and_no_number(replay: Replay) -> None:
    wait_until(lambda: sum(" scfm.http: " in line for line in list(replay.server.stderr)) > len(REQUESTS))
    wait_until(lambda: any(" DEBUG scfm.status: " in line for line in list(replay.server.stderr)))
    assert_no_secrets(replay.server.stderr, replay.token, SOMLENG_TOKEN)


def test_nobody_is_rung_twice_by_the_guide(replay: Replay) -> None:
    assert len(replay.provider.requests) == len(replay.provider.calls) == 4
    assert replay.provider.rung("+252662345678") == 3
    assert replay.provider.rung("+252662345679") == 1
