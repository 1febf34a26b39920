"""The file of a backup: what is written is read, and whatever is wrong with one is found before anything is done."""

from __future__ import annotations

import asyncio
import hashlib
import io
import json
import os
import re
import zlib
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scfm.backups import envelope
from scfm.backups.check_backup import BackupFacts, check_backup
from scfm.backups.envelope import (
    DIGEST_BYTES,
    DOCUMENTS_FRAME,
    END_FRAME,
    FIRST_LINE,
    FRAME,
    HEADER_FRAME,
    KEYS_FRAME,
    BackupReader,
    BackupWriter,
)
from scfm.backups.errors import BackupError
from scfm.backups.make_backup import frame_of
from scfm.backups.passphrase import read_passphrase
from scfm.backups.target import written_whole
from tests.workers.background import largest_file

PARTS = [b"", b"first", os.urandom(5000), b"x" * 100_000]
PASSPHRASE = b"correct horse battery staple"


@pytest.fixture(autouse=True)
def cheap_scrypt(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(envelope, "SCRYPT_N", 2)


def written(passphrase: bytes | None = None, parts: list[bytes] = PARTS) -> bytes:
    file = io.BytesIO()
    writer = BackupWriter(file, {"database": "scfm"}, passphrase)
    for part in parts:
        writer.add(DOCUMENTS_FRAME, part)
    writer.add(END_FRAME, b"{}")
    assert writer.bytes_written == len(file.getvalue())
    return file.getvalue()


def read(backup: bytes, passphrase: bytes | None = None) -> list[tuple[int, bytes]]:
    return [tuple(frame) for frame in BackupReader(io.BytesIO(backup), passphrase).frames()]


def frames_of(backup: bytes) -> list[tuple[int, bytes]]:
    """The frames as they are in the file: kind and payload."""
    found, file = [], io.BytesIO(backup)
    file.readline()
    while head := file.read(FRAME.size):
        kind, length = FRAME.unpack(head)
        found.append((kind, file.read(length)))
        file.read(DIGEST_BYTES)
    return found


def forged(frames: list[tuple[int, bytes]]) -> bytes:
    """A file of these frames whose checksums are right, as somebody makes it who wants to deceive."""
    digest, made = hashlib.sha256(FIRST_LINE).digest(), FIRST_LINE
    for kind, payload in frames:
        head = FRAME.pack(kind, len(payload))
        digest = hashlib.sha256(digest + head + payload).digest()
        made += head + payload + digest
    return made


both = pytest.mark.parametrize("passphrase", [None, PASSPHRASE], ids=["clear", "encrypted"])


@both
def test_what_is_written_is_read(passphrase: bytes | None) -> None:
    assert read(written(passphrase), passphrase) == [*((DOCUMENTS_FRAME, part) for part in PARTS), (END_FRAME, b"{}")]


def test_nothing_of_an_encrypted_backup_but_its_header_can_be_read() -> None:
    secret = b"+85512345678" * 10
    backup = written(PASSPHRASE, [secret])
    assert b"scfm" in backup
    assert secret[:12] not in backup
    for _, payload in frames_of(backup)[1:]:
        with pytest.raises(zlib.error):
            zlib.decompress(payload)
    assert written(PASSPHRASE, [secret]) != backup, "each has a key of its own"


@both
def test_one_that_is_cut_off_anywhere_is_refused(passphrase: bytes | None) -> None:
    backup = written(passphrase, [b"one", b"two"])
    for length in range(len(backup)):
        with pytest.raises(BackupError):
            read(backup[:length], passphrase)


@both
def test_one_in_which_a_bit_has_flipped_is_refused(passphrase: bytes | None) -> None:
    backup = written(passphrase, [b"one", b"two"])
    for place in range(len(backup)):
        flipped = bytearray(backup)
        flipped[place] ^= 1 << (place % 8)
        with pytest.raises(BackupError):
            read(bytes(flipped), passphrase)


@given(place=st.integers(min_value=0), change=st.binary(min_size=1, max_size=40))
def test_one_that_something_was_written_over_is_refused(place: int, change: bytes) -> None:
    backup = written(None, [b"one", b"two"])
    place %= len(backup)
    damaged = backup[:place] + change + backup[place + len(change) :]
    if damaged != backup:
        with pytest.raises(BackupError):
            read(damaged)


def test_without_its_passphrase_an_encrypted_backup_is_still_checked() -> None:
    backup = written(PASSPHRASE)
    assert read(backup) == []
    with pytest.raises(BackupError, match="checksum"):
        read(backup[:-40] + bytes(8) + backup[-32:])


def test_a_wrong_passphrase_is_named_as_such() -> None:
    with pytest.raises(BackupError, match="passphrase is not the one"):
        read(written(PASSPHRASE), b"incorrect horse")


def test_nobody_without_the_passphrase_can_change_move_repeat_or_leave_out_a_part() -> None:
    backup = written(PASSPHRASE, [b"one", b"two", b"three"])
    header, one, two, three, end = frames_of(backup)
    assert read(forged([header, one, two, three, end]), PASSPHRASE) == read(backup, PASSPHRASE)
    other = frames_of(written(PASSPHRASE, [b"four"]))
    changed = (one[0], one[1][:-1] + bytes([one[1][-1] ^ 1]))
    another_database = (HEADER_FRAME, header[1].replace(b'"scfm"', b'"else"'))
    for frames in (
        [header, two, one, three, end],
        [header, one, one, two, three, end],
        [header, one, three, end],
        [header, end],
        [header, one, (END_FRAME, two[1])],
        [header, changed, two, three, end],
        [header, other[1], two, three, end],
        [another_database, one, two, three, end],
    ):
        with pytest.raises(BackupError):
            read(forged(frames), PASSPHRASE)


@pytest.mark.parametrize(
    ("backup", "words"),
    [
        (b"", "no backup"),
        (b"PK\x03\x04" + bytes(100), "no backup"),
        (b"scfm backup two\n", "no backup"),
        (b"scfm backup 2\n" + bytes(100), "format 2, and this scfm knows 1: use a newer scfm"),
    ],
)
def test_what_is_no_backup_of_this_format_is_refused(backup: bytes, words: str) -> None:
    with pytest.raises(BackupError, match=words):
        read(backup)


def test_a_part_that_would_unpack_to_more_than_there_may_be_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(envelope, "MAX_UNPACKED_FRAME", 1 << 20)
    with pytest.raises(BackupError, match="too large"):
        read(written(None, [bytes(2 << 20)]))
    header, *_ = frames_of(written())
    with pytest.raises(BackupError, match="says that it has"):
        read(forged([header]) + FRAME.pack(DOCUMENTS_FRAME, 1 << 31))


HEADER = {
    "program": "scfm 1",
    "database": "scfm",
    "started_at": "2026-01-01T00:00:00.000Z",
    "schema": {"version": 1, "oldest_program": 1, "release": "1"},
}
END = {"counts": {}, "second_look": {}, "undecided": {}, "snapshot": True}
DEEP = b"[" * 500_000


def checked(folder: Path, header: bytes, frames: list[tuple[int, bytes]]) -> BackupFacts:
    packed = [(kind, zlib.compress(payload)) for kind, payload in frames]
    (folder / "a").write_bytes(forged([(HEADER_FRAME, header), *packed]))
    return check_backup(folder / "a", None)


def header(**changes: Any) -> bytes:
    return json.dumps({**HEADER, "encryption": None, **changes}).encode()


def end(**changes: Any) -> tuple[int, bytes]:
    return END_FRAME, json.dumps({**END, **changes}).encode()


@pytest.mark.parametrize(
    ("head", "frames"),
    [
        (DEEP, [end()]),
        (b"[]", [end()]),
        (b'{"encryption": null}', [end()]),
        (header(schema=None), [end()]),
        (header(schema={"version": "1", "oldest_program": [], "release": ""}), [end()]),
        (header(started_at="soon"), [end()]),
        (header(database="\x1b[31m"), [end()]),
        (header(), [(END_FRAME, b"{}")]),
        (header(), [(END_FRAME, b"7")]),
        (header(), [(END_FRAME, DEEP)]),
        (header(), [end(counts=7)]),
        (header(), [end(undecided=None)]),
        (header(), [(KEYS_FRAME, b"\xff\xfe"), end()]),
        *(
            (header(), [(DOCUMENTS_FRAME, frame_of(name, 0, b"")), end()])
            for name in ("", "$cmd", "a\0", "system.users")
        ),
    ],
)
def test_one_whose_parts_are_not_what_they_should_be_is_refused(
    tmp_path: Path, head: bytes, frames: list[tuple[int, bytes]]
) -> None:
    assert checked(tmp_path, header(), [end()]).counts == {}
    with pytest.raises(BackupError, match="damaged"):
        checked(tmp_path, head, frames)


# The file on the disk


async def test_a_backup_appears_whole_and_for_its_owner_alone(tmp_path: Path) -> None:
    path = tmp_path / "a.backup"
    async with written_whole(path) as file:
        file.write(b"half")
        assert not path.exists()
        with pytest.raises(BackupError, match="another backup is being written"):
            await write(path, b"other")
        file.write(b" and half")
    assert path.read_bytes() == b"half and half"
    assert path.stat().st_mode & 0o777 == 0o600
    assert sorted(tmp_path.iterdir()) == [path]


async def write(path: Path, text: bytes) -> None:
    async with written_whole(path) as file:
        file.write(text)


async def test_what_is_there_is_not_written_over(tmp_path: Path) -> None:
    path = tmp_path / "a.backup"
    path.write_bytes(b"old")
    with pytest.raises(BackupError, match="is there already"):
        await write(path, b"new")
    assert path.read_bytes() == b"old"
    with pytest.raises(BackupError, match="is there already"):
        await write(Path(), b"new")


async def test_what_a_killed_process_has_left_is_written_anew(tmp_path: Path) -> None:
    (tmp_path / ".a.backup.part").write_bytes(b"left" * 100)
    await write(tmp_path / "a.backup", b"new")
    assert [path.read_bytes() for path in tmp_path.iterdir()] == [b"new"]


async def test_a_file_that_was_readable_for_others_is_no_longer(tmp_path: Path) -> None:
    left = tmp_path / ".a.backup.part"
    left.touch()
    left.chmod(0o666)
    await write(tmp_path / "a.backup", b"new")
    assert (tmp_path / "a.backup").stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize("planted", ["symbolic link", "hard link", "pipe"])
async def test_nothing_that_somebody_has_put_there_is_written_to(tmp_path: Path, planted: str) -> None:
    other, part = tmp_path / "other", tmp_path / ".a.backup.part"
    other.write_bytes(b"precious")
    if planted == "symbolic link":
        part.symlink_to(other)
    elif planted == "hard link":
        part.hardlink_to(other)
    else:
        os.mkfifo(part)
    with pytest.raises(BackupError):
        await write(tmp_path / "a.backup", b"new")
    assert other.read_bytes() == b"precious"
    assert not (tmp_path / "a.backup").exists()


@pytest.mark.parametrize("broken_off", [RuntimeError, asyncio.CancelledError])
async def test_nothing_is_left_of_one_that_is_broken_off(tmp_path: Path, broken_off: Any) -> None:
    with pytest.raises(broken_off):
        async with written_whole(tmp_path / "a.backup") as file:
            file.write(b"half")
            raise broken_off
    assert list(tmp_path.iterdir()) == []


async def test_a_full_disk_is_told_and_nothing_is_left(tmp_path: Path) -> None:
    with largest_file(10_000), pytest.raises(BackupError, match="free some space, or choose another place"):
        await write(tmp_path / "a.backup", bytes(100_000))
    assert list(tmp_path.iterdir()) == []


async def test_a_folder_that_is_not_there_is_told(tmp_path: Path) -> None:
    with pytest.raises(BackupError, match=re.escape(f"cannot write the backup {tmp_path}/none/a.backup")):
        await write(tmp_path / "none" / "a.backup", b"")


# Passphrases


def test_a_passphrase_is_a_text_or_what_a_file_has(tmp_path: Path) -> None:
    file = tmp_path / "passphrase"
    file.write_bytes(b"long enough \n")
    assert read_passphrase("", str(file)) == b"long enough"
    assert read_passphrase("long enough", "") == b"long enough"
    assert read_passphrase("", "") is None
    file.write_bytes(b"short\n")
    with pytest.raises(BackupError, match="has 5 bytes"):
        read_passphrase("", str(file))
    with pytest.raises(BackupError, match="cannot read the passphrase"):
        read_passphrase("", str(tmp_path / "none"))
