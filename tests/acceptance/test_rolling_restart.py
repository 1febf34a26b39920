"""Two servers on one database are replaced one after the other while everybody goes on working."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from http.client import HTTPConnection
from itertools import cycle
from typing import Any

import pytest

from tests.server import REQUEST_SECONDS, Server, wait_until
from tests.slow import slow
from tests.torture.carrier import Carrier
from tests.torture.client import PatientClient
from tests.torture.house import House, Shared
from tests.torture.plan import Plan
from tests.torture.trial import Trial

SID, TOKEN = "AC" + "7" * 32, "secret"
CLIENTS = 6


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    with Shared(tmp_path_factory.mktemp("house"), 2) as house:
        yield house


class Client(threading.Thread):
    """Makes a contact and reads it, over and over; a refused connection sends it to the next server."""

    def __init__(self, servers: list[Server], token: str, number: int) -> None:
        super().__init__(daemon=True)
        self._servers = cycle(servers)
        self._token = token
        self._number = number
        self.stopping = threading.Event()
        self.answered = 0
        self.made: list[str] = []
        self.errors: list[str] = []

    def run(self) -> None:
        while not self.stopping.is_set():
            try:
                msisdn = f"+2526{self._number:02d}{len(self.made):06d}"
                answer = self._insist("POST", "/api/contacts", {"msisdn": msisdn})
                assert answer.status == 201, answer
                self.made.append(answer.json["msisdn"])
                assert self._insist("GET", f"/api/contacts/{answer.json['id']}").status == 200
            except Exception as error:
                self.errors.append(repr(error))

    def _insist(self, method: str, path: str, json: Any = None) -> Any:
        while True:
            try:
                answer = next(self._servers).request(method, path, json=json, token=self._token)
            except ConnectionRefusedError:
                continue
            self.answered += 1
            return answer


def stop_in_time(server: Server) -> None:
    """Whatever its clients do: they go on asking, so a server that waited for them would never end."""
    assert server.terminate() == 0


def test_clients_that_retry_a_refused_connection_meet_no_error(house: House) -> None:
    token = PatientClient(house.servers, house.token).post("/api/access_tokens")["token"]
    clients = [Client(house.servers, token, number) for number in range(CLIENTS)]
    for client in clients:
        client.start()
    for server in house.servers * 2:
        answered = [client.answered for client in clients]
        stop_in_time(server)
        server.start()
        wait_until(lambda before=answered: all(c.answered > b + 10 for c, b in zip(clients, before, strict=True)))
    for client in clients:
        client.stopping.set()
        client.join(30)
    assert [error for client in clients for error in client.errors] == []
    stored = {msisdn for client in clients for msisdn in client.made}
    with house.database() as database:
        assert {one["msisdn"] for one in database.scfm.contacts.find()} == stored


def test_an_answer_that_is_being_given_is_given_whole_to_the_end(house: House) -> None:
    server = house.servers[0]
    connection = HTTPConnection(server.host, server.port, timeout=REQUEST_SECONDS)
    connection.putrequest("POST", "/api/contacts")
    body = b"msisdn=%2B252699000001"
    for name, value in {
        "Authorization": f"Bearer {house.token}",
        "Content-Type": "application/x-www-form-urlencoded",
        "Content-Length": str(len(body)),
    }.items():
        connection.putheader(name, value)
    connection.endheaders(body[:5])
    stopping = threading.Thread(target=stop_in_time, args=(server,))
    stopping.start()
    wait_until(lambda: refuses(server))
    connection.send(body[5:])
    assert connection.getresponse().status == 201
    connection.close()
    stopping.join()
    server.start()


def refuses(server: Server) -> bool:
    try:
        socket.create_connection((server.host, server.port), timeout=REQUEST_SECONDS).close()
    except ConnectionRefusedError:
        return True
    return False


@pytest.mark.parametrize("seed", [1, slow(2)])
def test_servers_told_to_stop_while_they_send_lose_and_double_nothing(house: House, seed: int) -> None:
    plan = Plan.of(seed)
    with Carrier(house.carrier_port, account_sid=SID + str(seed), auth_token=TOKEN, seed=seed) as carrier:
        trial = Trial(house, plan, carrier, SID + str(seed), TOKEN)
        trial.gather()
        trial.begin()
        for server in house.servers:
            more = min(len(carrier.asked()) + 5, plan.people)
            wait_until(lambda least=more: len(carrier.asked()) >= least, 30)
            stop_in_time(server)
            server.start()
        trial.end()
        verdict = trial.verdict()
    assert verdict.violations == []
    assert verdict.figures["errored"] == 0, "a carrier without faults rings everybody"
