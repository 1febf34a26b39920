"""Signing in with an account of the organisation: who is let in, and what of an issuer is refused."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from pathlib import Path
from urllib.parse import parse_qs, urlencode, urlsplit
from uuid import uuid4

import pytest
from joserfc.jwk import RSAKey

from tests.acceptance.openid_issuer import CLIENT_ID, CLIENT_SECRET, Issuer, issuer
from tests.browser import COOKIE, Browser, cookies_of
from tests.server import Answer, Server, wait_until
from tests.torture.databases import free_port

HTML = {"Accept": "text/html,application/xhtml+xml,*/*;q=0.8"}
PUBLIC_URL = "https://alerts.example.org/scfm"
PATH, CALLBACK = "/session/oidc", "/session/oidc/callback"


@pytest.fixture(scope="module")
def provider() -> Iterator[Issuer]:
    with issuer() as made:
        yield made


@pytest.fixture(scope="module")
def server(provider: Issuer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A server behind a proxy, which its users reach at an https address with a path."""
    environment = {
        "OIDC_ISSUER": provider.url,
        "OIDC_CLIENT_ID": CLIENT_ID,
        "OIDC_CLIENT_SECRET": CLIENT_SECRET,
        "PUBLIC_URL": PUBLIC_URL,
    }
    with Server(tmp_path_factory.mktemp("data"), environment) as server:
        yield server


@pytest.fixture(autouse=True)
def as_it_should_be(provider: Issuer) -> Iterator[None]:
    """After each test the issuer says again what it should."""
    before = {**vars(provider), "header": dict(provider.header)}
    yield
    vars(provider).update({**before, "claims": {}, "codes": {}})


@pytest.fixture
def email(server: Server, provider: Issuer) -> str:
    """That of a user, who signs in at the issuer."""
    email = f"{uuid4().hex}@example.org"
    made = server.request("POST", "/api/users", json={"email": email, "password": "secret12", "role": "viewer"})
    assert made.status == 201
    provider.claims = {"email": email.upper(), "email_verified": True}
    return email


def start(browser: Browser) -> str:
    """Begin, and give where the browser is sent."""
    answer = browser.get(PATH, headers=HTML)
    assert answer.status == 302, answer
    return str(answer.headers["Location"])


def come_back(browser: Browser, returned: dict[str, str]) -> Answer:
    return browser.get(f"{CALLBACK}?{urlencode(returned)}", headers=HTML)


def sign_in(server: Server, provider: Issuer) -> tuple[Browser, str]:
    """All of it; the browser, and where it is sent in the end."""
    browser = Browser(server)
    answer = come_back(browser, provider.authorize(start(browser)))
    assert answer.status == 302, answer
    return browser, str(answer.headers["Location"])


def test_a_user_with_the_verified_email_is_signed_in(server: Server, provider: Issuer, email: str) -> None:
    browser, where = sign_in(server, provider)
    assert where == f"{PUBLIC_URL}/"
    session = browser.get("/session")
    assert (session.status, session.json["user"]["email"], session.json["user"]["role"]) == (200, email, "viewer")
    browser.csrf_token = session.json["csrf_token"]
    assert browser.get("/api/contacts").status == 200
    assert browser.delete("/session").status == 204


def test_the_request_asks_for_what_protects_it(server: Server, provider: Issuer) -> None:
    browsers = [Browser(server) for _ in range(2)]
    urls = [start(browser) for browser in browsers]
    asked, other = ({name: value for name, (value,) in parse_qs(urlsplit(url).query).items()} for url in urls)
    assert urls[0].startswith(f"{provider.url}/authorize?")
    assert (asked["response_type"], asked["client_id"], asked["scope"]) == ("code", CLIENT_ID, "openid email")
    assert asked["redirect_uri"] == f"{PUBLIC_URL}{CALLBACK}"
    assert asked["code_challenge_method"] == "S256"
    for name in ("state", "nonce", "code_challenge"):
        assert len(asked[name]) == 43 and asked[name] != other[name]
        assert browsers[0].cookies["scfm_oidc"] not in asked[name]


def test_the_cookies_are_kept_from_scripts_and_only_the_short_one_comes_from_other_sites(
    server: Server, provider: Issuer, email: str
) -> None:
    browser = Browser(server)
    began = browser.get(PATH, headers=HTML)
    cookie = cookies_of(began)["scfm_oidc"]
    assert (cookie["httponly"], cookie["secure"], cookie["samesite"]) == (True, True, "Lax")
    assert (cookie["path"], cookie["max-age"]) == (f"/scfm{PATH}", "600")
    ended = come_back(browser, provider.authorize(began.headers["Location"]))
    session = cookies_of(ended)[COOKIE]
    assert (session["httponly"], session["secure"], session["samesite"]) == (True, True, "Strict")
    assert "scfm_oidc" not in browser.cookies
    assert began.headers["Cache-Control"] == ended.headers["Cache-Control"] == "no-store"


def test_a_program_is_told_where_to_send_a_browser(server: Server, tmp_path: Path) -> None:
    answer = server.request("GET", PATH, token="")
    assert (answer.status, answer.json) == (200, {"url": PUBLIC_URL + PATH})
    with Server(tmp_path / "data") as without:
        for path in (PATH, CALLBACK):
            assert without.request("GET", path, headers=HTML, token="").status == 404


HOUR = 3600
WRONG: dict[str, Callable[[Issuer], object]] = {
    "another issuer": lambda one: one.claims.update(iss="https://evil.example.org"),
    "no issuer": lambda one: one.claims.update(iss=None),
    "another audience": lambda one: one.claims.update(aud="other"),
    "no audience": lambda one: one.claims.update(aud=None),
    "another party": lambda one: one.claims.update(aud=[CLIENT_ID, "other"], azp="other"),
    "expired": lambda one: one.claims.update(exp=int(time.time()) - HOUR),
    "no end": lambda one: one.claims.update(exp=None),
    "an end that is a text": lambda one: one.claims.update(exp="tomorrow"),
    "not yet": lambda one: one.claims.update(nbf=int(time.time()) + HOUR),
    "made in the future": lambda one: one.claims.update(iat=int(time.time()) + HOUR),
    "another nonce": lambda one: one.claims.update(nonce="x" * 43),
    "no nonce": lambda one: one.claims.update(nonce=None),
    "an email that is not verified": lambda one: one.claims.update(email_verified=False),
    "an email of which nothing is said": lambda one: one.claims.update(email_verified=None),
    "no email": lambda one: one.claims.update(email=None),
    "an email that is none": lambda one: one.claims.update(email={"$gt": ""}),
    "an email that nobody has": lambda one: one.claims.update(email="nobody@example.org"),
    "another key with the same name": lambda one: setattr(one, "key", RSAKey.generate_key(2048, {"kid": "one"})),
    "a key that is not published": lambda one: one.header.update(kid="three"),
    "no signature": lambda one: setattr(one, "unsigned", True),
    "a signature with the secret that both have": lambda one: one.header.update(alg="HS256"),
    "a code that it refuses": lambda one: setattr(one, "token_status", 401),
}


@pytest.mark.parametrize("wrong", WRONG)
def test_what_does_not_fit_signs_nobody_in(server: Server, provider: Issuer, email: str, wrong: str) -> None:
    WRONG[wrong](provider)
    before = len(server.request("GET", "/api/users").json)
    browser, where = sign_in(server, provider)
    assert where == f"{PUBLIC_URL}/?sign_in=refused"
    assert COOKIE not in browser.cookies and browser.get("/session").status == 401
    assert len(server.request("GET", "/api/users").json) == before
    assert "Traceback" not in server.output()


def test_a_state_of_another_browser_or_none_is_refused_without_asking_the_issuer(
    server: Server, provider: Issuer, email: str
) -> None:
    attacker, victim = Browser(server), Browser(server)
    returned = provider.authorize(start(attacker))
    start(victim)
    asked = len(provider.requests)
    for browser in (victim, Browser(server)):
        for given in (returned, {**returned, "state": ""}, {"code": returned["code"]}, {}):
            assert str(come_back(browser, given).headers["Location"]).endswith("/?sign_in=refused")
            assert COOKIE not in browser.cookies
    assert len(provider.requests) == asked


def test_a_code_is_good_once(server: Server, provider: Issuer, email: str) -> None:
    browser = Browser(server)
    url = start(browser)
    kept = dict(browser.cookies)
    returned = provider.authorize(url)
    assert str(come_back(browser, returned).headers["Location"]) == f"{PUBLIC_URL}/"
    again = Browser(server)
    again.cookies = kept
    assert str(come_back(again, returned).headers["Location"]).endswith("/?sign_in=refused")


@pytest.mark.parametrize("iss", ["https://evil.example.org", ""])
def test_an_answer_that_names_another_issuer_is_refused(
    server: Server, provider: Issuer, email: str, iss: str
) -> None:
    browser = Browser(server)
    returned = provider.authorize(start(browser))
    where = str(come_back(browser, {**returned, "iss": iss or provider.url}).headers["Location"])
    assert where == f"{PUBLIC_URL}/" + ("?sign_in=refused" if iss else "")


def test_who_gives_up_at_the_issuer_is_back_at_the_page(server: Server, provider: Issuer) -> None:
    browser = Browser(server)
    returned = provider.authorize(start(browser))
    where = come_back(browser, {"state": returned["state"], "error": "access_denied\nx"}).headers["Location"]
    assert where == f"{PUBLIC_URL}/?sign_in=refused"


def test_a_new_key_of_the_issuer_is_found(server: Server, provider: Issuer, email: str) -> None:
    assert sign_in(server, provider)[1] == f"{PUBLIC_URL}/"
    asked = provider.requests.count("/keys")
    assert sign_in(server, provider)[1] == f"{PUBLIC_URL}/"
    assert provider.requests.count("/keys") == asked  # they are not asked for each time
    provider.rotate_key()
    assert sign_in(server, provider)[1] == f"{PUBLIC_URL}/"
    assert provider.requests.count("/keys") == asked + 1


def test_an_issuer_that_is_out_of_order_is_told(tmp_path: Path) -> None:
    environment = {
        "OIDC_ISSUER": f"http://127.0.0.1:{free_port()}",
        "OIDC_CLIENT_ID": CLIENT_ID,
        "OIDC_CLIENT_SECRET": CLIENT_SECRET,
        "PUBLIC_URL": "http://127.0.0.1:1",
    }
    with Server(tmp_path / "data", environment) as server, issuer() as provider:
        answer = Browser(server).get(PATH, headers=HTML)
        assert (answer.status, answer.headers["Location"]) == (302, "http://127.0.0.1:1/?sign_in=unavailable")
        wait_until(lambda: "OIDC_ISSUER" in server.output())
        assert CLIENT_SECRET not in server.output()
        assert Browser(server).sign_in(*server.first_user).status == 201  # passwords do as ever
        for wrong in (
            {"issuer": "https://evil.example.org"},
            {"token_endpoint": "ftp://127.0.0.1/"},
            {"jwks_uri": 1},
        ):
            provider.metadata = wrong
            server.restart({**environment, "OIDC_ISSUER": provider.url})
            answer = Browser(server).get(PATH, headers=HTML)
            assert answer.headers["Location"] == "http://127.0.0.1:1/?sign_in=unavailable", wrong
