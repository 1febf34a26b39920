"""Two servers on a replica set of three: its primary is killed in the middle, and another takes over."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.server import wait_until
from tests.torture.carrier import Carrier
from tests.torture.client import PatientClient
from tests.torture.house import Replicated
from tests.torture.plan import Plan
from tests.torture.trial import Trial, try_seed

SID, TOKEN = "AC" + "8" * 32, "secret"
CONTACTS = 300


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Replicated]:
    with Replicated(tmp_path_factory.mktemp("house"), 2) as house:
        yield house


@pytest.mark.parametrize("seed", [31, 32, 33])
def test_everybody_is_called_once_and_every_call_is_settled(house: Replicated, seed: int) -> None:
    assert try_seed(house, seed).violations == []


def test_a_new_primary_goes_on_where_the_old_one_was_killed(house: Replicated) -> None:
    with Carrier(house.carrier_port, account_sid=SID, auth_token=TOKEN) as carrier:
        trial = Trial(house, Plan.of(1), carrier, SID, TOKEN)
        trial.gather()
        trial.begin()
        wait_until(lambda: len(carrier.asked()) > 10, 30)
        house.kill_mongod(0, 0)
        trial.end()
        verdict = trial.verdict()
    assert verdict.violations == []
    assert verdict.figures["errored"] == 0, "a carrier without faults rings everybody"


def test_no_id_is_given_twice_and_none_that_was_answered_is_lost(house: Replicated) -> None:
    client = PatientClient(house.servers, house.token)
    made = []
    for number in range(CONTACTS):
        if number == CONTACTS // 2:
            house.kill_mongod(0, 0)
        made.append(client.post("/api/contacts", {"msisdn": f"+2526{number:08d}"})["id"])
    assert len(set(made)) == CONTACTS
    with house.database() as database:
        found = database.scfm.contacts.find({"_id": {"$in": made}, "msisdn": {"$regex": r"^\+25260"}})
        assert sorted(contact["_id"] for contact in found) == made
