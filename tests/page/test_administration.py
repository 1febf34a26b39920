"""Users, access tokens and settings in the page, and a test call; who is no admin has no way there."""

from __future__ import annotations

from collections.abc import Callable

from tests.page.browsing import HOSTILE, PASSWORD, Page, People
from tests.page.conftest import PICTURES
from tests.resources.conftest import make
from tests.server import Client, Server

OpenPage = Callable[..., Page]
# Of the simulated phones: answers, and presses 1; is busy.
ANSWERS, BUSY = "+15005550010", "+15005550011"


def roles(page: Page) -> dict[str, str]:
    return {user["email"]: user["role"] for user in page.api.get("/api/users").json}


def row(page: Page, text: str) -> None:
    """Wait for a row of the table that has this text."""
    page.wait(lambda: any(text in one.text for one in page.all("tbody tr")))


def in_row(page: Page, text: str, button: str) -> None:
    """Press a button in the row that has this text, and wait for its dialog."""

    def pressed() -> bool:
        if page.all("dialog[open]"):  # that of what was done before
            return False
        for one in page.all("tbody tr"):
            for found in one.find_elements("css selector", "button") if text in one.text else []:
                if found.text == button:
                    found.click()
                    return True
        return False

    page.wait(pressed)
    page.wait_for("dialog[open]")


def test_a_user_is_added_gets_another_role_and_goes(page: Page) -> None:
    email = f"dara.{page.people.email('admin')}"
    page.go("#/users")
    page.click("Add a user")
    page.fill("E-mail address", email)
    page.fill("Password", "short")
    page.choose("Role", "Viewer")
    page.check_accessible()
    page.fill("Password", PASSWORD)
    page.click("Save")
    row(page, email)
    assert roles(page)[email] == "viewer"
    in_row(page, email, "Change role")
    page.choose("Role", "Approver")
    page.click("Save")
    page.wait(lambda: roles(page)[email] == "approver")
    in_row(page, email, "New password")
    page.fill("Password", "another good password")
    page.click("Save")
    page.wait(lambda: not page.all("dialog[open]"))
    credentials = {"email": email, "password": "another good password"}
    assert page.api.server.request("POST", "/session", json=credentials, token="").status == 201
    page.check_view("users")
    in_row(page, email, "Delete")
    page.click("Delete")
    page.wait(lambda: email not in roles(page))


def test_nobody_changes_the_own_role(page: Page) -> None:
    page.go("#/users")
    row(page, "(you)")
    own = next(one for one in page.all("tbody tr") if "(you)" in one.text)
    assert [one.text for one in own.find_elements("css selector", "button")] == ["New password"]


def test_a_token_is_shown_once_and_works_until_it_is_deleted(page: Page, server: Server) -> None:
    page.go("#/tokens")
    page.click("New access token")
    page.fill("What it is for", "the river gauge")
    page.choose("Role", "Operator")
    page.check_accessible()
    page.click("New access token")
    token = page.wait_for("code.token").text
    assert len(token) == 64
    page.check_accessible()
    page.click("I have it")
    row(page, "the river gauge")
    assert token not in page.browser.page_source
    client = Client(server, token)
    assert client.get("/api/contacts").status == 200
    assert client.get("/api/users").status == 200
    assert client.post("/api/users", json={"email": "x@example.org", "password": PASSWORD}).status == 403
    page.check_view("tokens")
    in_row(page, "the river gauge", "Delete")
    page.click("Delete")
    page.wait(lambda: client.get("/api/contacts").status == 401)


def test_settings_are_saved_and_what_is_wrong_is_said_at_its_field(page: Page) -> None:
    page.go("#/settings")
    page.fill("Calls per second", "fast")
    page.fill("Country of numbers without a country code", "kh")
    page.wait_for_text("Cambodia")
    limits = page.all("#content section")[2]
    save = limits.find_element("css selector", "button[type=submit]")
    save.click()
    page.wait_for_text("must be a number greater than 0")
    page.fill("Calls per second", "2.5")
    page.fill("Numbers that call flows may connect people with", "115\n+85512345678")
    save.click()
    page.wait_for_text("Saved.")
    settings = page.api.get("/api/account").json["settings"]
    assert (settings["calls_per_second"], settings["default_country"]) == (2.5, "KH")
    assert settings["dial_allow_list"] == ["115", "+85512345678"]
    page.check_view("settings")


def test_a_provider_s_secret_is_taken_and_never_shown(page: Page) -> None:
    page.go("#/settings")
    page.choose("Who places the calls", "Twilio (or SignalWire)")
    page.fill("Account SID", "AC1234567890")
    page.fill("Auth token", "a-secret-of-the-provider-9876")
    page.all("#content section")[1].find_element("css selector", "button[type=submit]").click()
    page.wait_for_text("One is kept that ends in 9876.")
    assert page.field("Auth token").get_attribute("value") == ""
    assert "a-secret-of" not in page.browser.page_source
    account = page.api.get("/api/account").json
    assert (account["twilio_account_sid"], account["twilio_auth_token"]) == ("AC1234567890", "********9876")
    page.fill("Auth token", "another-secret-1234")
    page.all("#content section")[1].find_element("css selector", "button[type=submit]").click()
    page.wait_for_text("One is kept that ends in 1234.")
    assert page.field("Auth token").get_attribute("value") == ""
    assert "Saved." in page.text("#content")


def test_calls_are_held_and_released(page: Page) -> None:
    page.go("#/settings")
    page.wait_for_text("Calls leave as alerts say.")
    page.click("Hold the account's calls")
    page.wait_for_text("No call leaves until they are released.")
    page.click("Hold the account's calls")
    page.wait_for_text("All calls of this account are held since")
    assert page.api.get("/api/account").json["calls_held_at"]
    page.click_and_confirm("Let the account's calls go")
    page.wait_for_text("Calls leave as alerts say.")


def test_a_test_call_rings_one_number_and_shows_what_happens(page: Page) -> None:
    make(page.api, "/api/contacts", msisdn=BUSY)
    page.go("#/settings")
    page.fill("Number to call", ANSWERS)
    page.fill("Number that calls", "1294")
    page.click("Call now")
    page.wait_for_text("Confirmed", ".progress")
    page.wait_for_text("Completed", ".progress")
    page.check_accessible()
    page.picture("settings-test-call")
    (callout,) = page.api.get("/api/callouts").json
    assert callout["metadata"]["drill"] is True
    assert [call["msisdn"] for call in page.api.get("/api/phone_calls").json] == [ANSWERS]
    page.fill("Number to call", BUSY)
    page.click("Call now")
    page.wait_for_text("The line was busy.", ".progress")


def test_a_test_call_waits_for_approval_where_the_account_wants_it(page: Page) -> None:
    page.go("#/settings")
    page.field("An alert is started only after another person has approved it").click()
    page.all("#content section")[2].find_element("css selector", "button[type=submit]").click()
    page.wait_for_text("Saved.")
    assert page.api.get("/api/account").json["settings"]["approval_required"] is True
    page.fill("Number to call", ANSWERS)
    page.fill("Number that calls", "1294")
    page.click("Call now")
    page.wait_for_text("In this account another person must approve it first.")
    assert page.api.get("/api/phone_calls").json == []


def test_an_operator_has_no_way_to_what_is_the_admin_s(open_page: OpenPage) -> None:
    page = open_page("operator")
    assert not {"Users", "Access tokens", "Settings", "Audit log"} & set(page.text("header").split("\n"))
    page.go("#/users")
    page.wait_for("tbody")
    assert page.all("#content button") == []
    page.go("#/settings")
    page.wait_for_text("Test call")
    assert "Auth token" not in page.text("#content")


def test_the_server_and_all_accounts_are_for_super_admins(page: Page, server: Server) -> None:
    page.go("#/settings")
    page.wait_for_text("Test call")
    assert "The whole server" not in page.text("#content")
    above = Page(page.browser, server.url, People(server.client()), PICTURES)
    above.begin("admin")
    above.go("#/settings")
    above.wait_for_text("The whole server")
    above.click_and_confirm("Hold the calls of all accounts")
    above.wait_for_text("All calls of the whole server are held since")
    above.check_accessible()
    above.picture("settings-super-admin")
    above.click_and_confirm("Let the calls of all accounts go")
    above.wait_for_text("Calls of all accounts leave as alerts say.")


def test_names_are_shown_as_text(page: Page) -> None:
    make(page.api, "/api/access_tokens", metadata={"name": HOSTILE})
    email = f"<img/src=x/onerror=alert(1)>@{page.people.email('admin')}".replace("admin.", "x").replace("@x", "")
    page.api.post("/api/users", json={"email": email, "password": PASSWORD, "role": "viewer"})
    page.go("#/tokens")
    page.wait_for_text(HOSTILE)
    page.check_harmless()
    page.go("#/users")
    page.wait_for("tbody")
    page.check_harmless()


def test_from_a_page_of_a_list_that_is_gone_there_is_a_way_back(page: Page) -> None:
    page.go("#/users?page=9")
    page.click("Previous")
    row(page, page.people.email("admin"))
