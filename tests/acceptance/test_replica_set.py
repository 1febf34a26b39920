"""Two servers on a replica set of three: its primary is killed in the middle, and another takes over."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import count

import pytest

from tests.acceptance.alerts import lines
from tests.server import wait_until
from tests.torture.carrier import Carrier
from tests.torture.client import PatientClient
from tests.torture.house import Replicated
from tests.torture.plan import Plan
from tests.torture.trial import Trial, try_seed

SID, TOKEN = "AC" + "8" * 32, "secret"
CONTACTS = 120
VILLAGE = 4000
RIVALS = 4


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Replicated]:
    with Replicated(tmp_path_factory.mktemp("house"), 2) as house:
        yield house


@pytest.mark.slow
@pytest.mark.parametrize("seed", [32])
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


def test_a_population_goes_on_under_the_next_primary(house: Replicated) -> None:
    client = PatientClient(house.servers, house.token)
    headers = {"Content-Type": "application/x-ndjson"}
    imported = house.servers[0].request("POST", "/api/contacts/import", body=lines(VILLAGE), headers=headers)
    assert imported.status in (200, 201), imported
    made = client.post("/api/callouts")
    callout, own = made["id"], {"account_id": made["account_id"]}
    fields = {"type": "BatchOperation::CalloutPopulation"}
    operation = client.post(f"/api/callouts/{callout}/batch_operations", fields)["id"]
    with house.database() as database:
        of_callout = {"callout_id": callout}
        contacts = database.scfm.contacts.count_documents(own)
        client.post(f"/api/batch_operations/{operation}/batch_operation_events", {"event": "queue"})
        wait_until(lambda: database.scfm.callout_participations.count_documents(of_callout) > 0, every=0.005)
        house.kill_mongod(0, 0)
        wait_until(lambda: client.get(f"/api/batch_operations/{operation}")["status"] == "finished", 60)
        found = Counter(one["contact_id"] for one in database.scfm.callout_participations.find(of_callout))
    assert len(found) == contacts >= VILLAGE
    assert set(found.values()) == {1}


def test_what_is_unique_is_made_once_though_many_try_while_the_primary_changes(house: Replicated) -> None:
    numbers = [f"+2527{number:08d}" for number in range(20)]
    made: Counter[str] = Counter()

    def rival(position: int) -> None:
        server = house.servers[position % len(house.servers)]
        for number in numbers:
            for tries in count():
                status = server.request("POST", "/api/contacts", json={"msisdn": number}, token=house.token).status
                made[f"{status}"] += 1
                if status in (201, 422):
                    break
                assert tries < 1000 and status == 503, status

    with ThreadPoolExecutor(RIVALS) as pool:
        rivals = [pool.submit(rival, position) for position in range(RIVALS)]
        wait_until(lambda: made["201"] >= 5)
        house.kill_mongod(0, 0)
        for one in rivals:
            one.result()
    with house.database() as database:
        stored = Counter(one["msisdn"] for one in database.scfm.contacts.find({"msisdn": {"$in": numbers}}))
    assert stored == dict.fromkeys(numbers, 1)
