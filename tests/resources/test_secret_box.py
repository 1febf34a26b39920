"""Secrets are sealed with the newest key, unsealed with any, and told from texts in the clear; where the keys are."""

from __future__ import annotations

import base64
import multiprocessing
import re
import stat
import subprocess
from pathlib import Path

import pytest

from scfm.errors import SecretUnreadable, StartError
from scfm.runtime import secret_box, secret_keys
from scfm.runtime.secret_box import SecretBox, fingerprint, is_sealed, key_of, shown_of
from scfm.runtime.secret_keys import add_new_key, key_file, open_box

# The same in each process: they are in the names of tests.
OLD, NEW = (base64.urlsafe_b64encode(bytes([number]) * 32).decode() for number in b"on")
DOCS = Path(__file__).parents[2] / "docs"
TOKEN = "2bd9f4c6a1e84f0c9d2f7a35c7e1b0aa"


@pytest.mark.parametrize(
    "text",
    [TOKEN, "", "é ⊕ :", "sealed:1:abc", "x" * 100_000, pytest.param(SecretBox.of_keys(OLD).seal("a"), id="sealed")],
)
def test_what_is_sealed_comes_back_and_cannot_be_read_without_the_key(text: str) -> None:
    box = SecretBox.of_keys(NEW)
    sealed = box.seal(text)
    assert is_sealed(sealed) and (not text or text not in sealed) and box.unseal(sealed) == text
    assert box.seal(text) != sealed


@pytest.mark.parametrize("text", [TOKEN, "", "sealed:1:", "sealed:1:abc:def", "sealed:2:0123456789abcdef:gAAA"])
def test_a_text_in_the_clear_is_read_as_it_is(text: str) -> None:
    assert not is_sealed(text) and key_of(text) is None and SecretBox.of_keys(NEW).unseal(text) == text


def test_texts_are_sealed_with_the_newest_key_and_unsealed_with_any() -> None:
    old, both = SecretBox.of_keys(OLD), SecretBox.of_keys(NEW, OLD)
    sealed = old.seal(TOKEN, shown="b0aa")
    assert both.unseal(sealed) == TOKEN
    again = both.reseal(sealed)
    assert (key_of(sealed), key_of(again)) == (fingerprint(OLD), fingerprint(NEW))
    assert SecretBox.of_keys(NEW).unseal(again) == TOKEN and shown_of(again) == "b0aa"


@pytest.mark.parametrize("shown", ["b0aa", ":::", "é\n⊕"])
def test_what_may_be_shown_is_beside_the_secret(shown: str) -> None:
    box = SecretBox.of_keys(NEW)
    sealed = box.seal(TOKEN, shown)
    assert is_sealed(sealed) and shown_of(sealed) == shown and box.unseal(sealed) == TOKEN


def test_without_its_key_a_secret_is_an_error_that_names_the_key_and_what_to_do() -> None:
    sealed = SecretBox.of_keys(OLD).seal(TOKEN)
    with pytest.raises(
        SecretUnreadable, match=f"{fingerprint(OLD)}.*add that key.*or set the secret anew"
    ) as refused:
        SecretBox.of_keys(NEW).unseal(sealed)
    assert refused.value.key == fingerprint(OLD) and TOKEN not in str(refused.value)


def test_a_secret_that_was_changed_where_it_is_stored_is_refused() -> None:
    box = SecretBox.of_keys(NEW)
    head, _, token = box.seal(TOKEN).rpartition(":")
    for changed in (token[:30] + ("A" if token[30] != "A" else "B") + token[31:], token[:-8], "A"):
        with pytest.raises(SecretUnreadable, match="damaged"):
            box.unseal(f"{head}:{changed}")


def test_a_secret_is_decrypted_once(monkeypatch: pytest.MonkeyPatch) -> None:
    box, decrypted = SecretBox.of_keys(NEW, OLD), []
    sealed = SecretBox.of_keys(OLD).seal(TOKEN)
    decrypt = secret_box.MultiFernet.decrypt

    def counted(fernet: secret_box.MultiFernet, token: str) -> bytes:
        decrypted.append(token)
        return decrypt(fernet, token)

    monkeypatch.setattr(secret_box.MultiFernet, "decrypt", counted)
    assert {box.unseal(sealed) for _ in range(1000)} == {TOKEN} and len(decrypted) == 1


def test_the_data_folder_gets_a_key_file_for_its_owner_alone_and_keeps_it(tmp_path: Path) -> None:
    folder = tmp_path / "new" / "data"
    sealed = open_box("", "", folder).seal(TOKEN)
    assert stat.S_IMODE(key_file(folder).stat().st_mode) == 0o600
    assert [file.name for file in folder.iterdir()] == ["secret.key"]
    assert open_box("", "", folder).unseal(sealed) == TOKEN


def fingerprint_found(folder: Path) -> str:
    return open_box("", "", folder).primary


def test_processes_that_start_at_once_agree_on_the_key(tmp_path: Path) -> None:
    with multiprocessing.get_context("spawn").Pool(4) as processes:
        found = processes.map(fingerprint_found, [tmp_path / "data"] * 8, chunksize=1)
    assert len(set(found)) == 1
    assert [file.name for file in (tmp_path / "data").iterdir()] == ["secret.key"]


def test_one_that_makes_a_key_file_does_not_replace_another_that_came_first(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    written = secret_keys._written

    def others_come_first(file: Path, keys: list[str]) -> Path:
        new = written(file, keys)
        file.write_text(OLD)
        return new

    monkeypatch.setattr(secret_keys, "_written", others_come_first)
    assert open_box("", "", tmp_path).primary == fingerprint(OLD)


def test_a_key_that_is_added_counts_in_a_process_that_runs(tmp_path: Path) -> None:
    running, sealed = open_box("", "", tmp_path), open_box("", "", tmp_path).seal("before")
    add_new_key(tmp_path)
    rotating = open_box("", "", tmp_path)
    assert rotating.primary != running.primary and rotating.fingerprints[1:] == running.fingerprints
    assert running.unseal(rotating.reseal(sealed)) == "before"
    assert key_of(running.seal("after")) == rotating.primary


def test_keys_are_taken_from_the_setting_or_from_the_file_that_it_names(tmp_path: Path) -> None:
    file = tmp_path / "keys"
    file.write_text(f"{NEW}\n\n {OLD} \n")
    fingerprints = (fingerprint(NEW), fingerprint(OLD))
    assert open_box(f"{NEW} , {OLD}", "", tmp_path / "data").fingerprints == fingerprints
    assert open_box("", str(file), tmp_path / "data").fingerprints == fingerprints
    assert not (tmp_path / "data").exists()


@pytest.mark.parametrize(
    ("keys", "content", "error"),
    [
        (f"{NEW},{OLD[:-2]}", None, "secret key 2 of 2 in SCFM_SECRET_KEYS is not one"),
        ("password", None, "secret key 1 of 1 in SCFM_SECRET_KEYS is not one"),
        ("é" * 43 + "=", None, "secret key 1 of 1 in SCFM_SECRET_KEYS is not one"),
        (",", None, "no secret key"),
        ("", b"", "is empty"),
        ("", b"\xff\xfe", "cannot use the key file"),
        ("", OLD.encode()[:20], "secret key 1 of 1 in /.*/keys is not one"),
        (NEW, OLD.encode(), "are both set"),
    ],
)
def test_keys_that_are_none_are_refused_and_not_told(
    keys: str, content: bytes | None, error: str, tmp_path: Path
) -> None:
    file = tmp_path / "keys"
    if content is not None:
        file.write_bytes(content)
    with pytest.raises(StartError, match=error) as refused:
        open_box(keys, str(file) if content is not None else "", tmp_path / "data")
    assert not any(key[:8] in str(refused.value) for key in (NEW, OLD)) and "\n" not in str(refused.value)


def test_a_key_file_that_is_missing_or_cannot_be_made_is_an_error_that_names_it(tmp_path: Path) -> None:
    with pytest.raises(StartError, match=r"/none \(No such file or directory\)"):
        open_box("", str(tmp_path / "none"), tmp_path)
    (tmp_path / "file").touch()
    with pytest.raises(StartError, match=r"file/secret.key \(.*\): mend it, or give the keys in SCFM_SECRET_KEYS"):
        open_box("", "", tmp_path / "file")


def test_a_process_goes_on_with_its_keys_while_the_file_cannot_be_read(tmp_path: Path) -> None:
    box = open_box("", "", tmp_path)
    sealed = box.seal(TOKEN)
    key_file(tmp_path).unlink()
    assert box.unseal(sealed) == TOKEN
    with pytest.raises(SecretUnreadable, match="cannot use the key file"):
        box.unseal(SecretBox.of_keys(OLD).seal(TOKEN))


def test_the_documented_command_makes_a_key() -> None:
    (command,) = re.findall(r"in the database: (head .*)", (DOCS / "deploying.md").read_text())
    made = subprocess.run(["sh", "-c", command], capture_output=True, text=True, check=True).stdout
    assert SecretBox.of_keys(made.strip()).unseal(SecretBox.of_keys(made.strip()).seal(TOKEN)) == TOKEN
