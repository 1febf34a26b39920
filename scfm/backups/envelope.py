"""The file of a backup: frames, each with a checksum that goes over all before it, and encrypted if asked.

::

    scfm backup 1\n
    frame: kind (1 byte), length of the payload (4 bytes, big-endian), payload, SHA-256 (32 bytes)
    ...

The first frame is the header ``H``, JSON in clear. Then come ``D``, documents of one collection, ``K``, the secret
keys, and at the end one ``E``, JSON: how many documents of each collection there are. The SHA-256 of a frame is that
of the one before (of the first line, for the first), the kind, the length and the payload: so the last one is a
checksum of the whole file, and a frame that was left out, repeated, moved or cut off shows.

A payload other than the header's is compressed (zlib), and then perhaps encrypted by AES-256-GCM with a key of this
file alone (scrypt of the passphrase and the header's salt). The nonce is the number of the frame and its kind, and
the header's SHA-256 is authenticated with it, so nobody without the key can change, move or cut off anything unseen.
"""

from __future__ import annotations

import hashlib
import json
import secrets
import struct
import zlib
from collections.abc import Iterator, Mapping
from typing import IO, Any, NamedTuple

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.kdf.scrypt import Scrypt

from scfm.backups.errors import BackupError

MAGIC = b"scfm backup "
FORMAT = 1
FIRST_LINE = b"%s%d\n" % (MAGIC, FORMAT)
FRAME = struct.Struct(">BI")
HEADER_FRAME, DOCUMENTS_FRAME, KEYS_FRAME, END_FRAME = b"HDKE"
# What a payload may have, packed and unpacked: MongoDB sends 16 MB at once, and a little more.
MAX_PAYLOAD, MAX_UNPACKED_FRAME, MAX_HEADER = 33 << 20, 32 << 20, 1 << 20
# Of zlib: level 1 takes half the time of 6, and the file is a seventh larger (docs/decisions/0025).
LEVEL = 1
DIGEST_BYTES, SALT_BYTES, KEY_BYTES = 32, 16, 32
# scrypt: 32 MiB and a tenth of a second for one try (RFC 7914).
SCRYPT_N, SCRYPT_R, SCRYPT_P = 1 << 15, 8, 1
DAMAGED_BACKUP = "the backup is damaged"
WRONG_KEY = "the passphrase is not the one that this backup was made with"


class Frame(NamedTuple):
    """One frame of a backup, after the header: its kind, and its payload as it was given to ``BackupWriter.add``."""

    kind: int
    payload: bytes


class _Cipher:
    """Encrypts the frames of one file."""

    def __init__(self, passphrase: bytes, salt: bytes) -> None:
        self._aead = AESGCM(Scrypt(salt, KEY_BYTES, SCRYPT_N, SCRYPT_R, SCRYPT_P).derive(passphrase))
        self.header_digest = b""

    def encrypt(self, number: int, kind: int, payload: bytes) -> bytes:
        return self._aead.encrypt(self._nonce(number, kind), payload, self.header_digest)

    def decrypt(self, number: int, kind: int, payload: bytes) -> bytes:
        return self._aead.decrypt(self._nonce(number, kind), payload, self.header_digest)

    @staticmethod
    def _nonce(number: int, kind: int) -> bytes:
        return struct.pack(">QBxxx", number, kind)


class BackupWriter:
    """Writes a backup into FILE, frame by frame. HEADER says what it is of; with a PASSPHRASE it is encrypted."""

    def __init__(self, file: IO[bytes], header: Mapping[str, Any], passphrase: bytes | None = None) -> None:
        self._file = file
        self._digest = hashlib.sha256(FIRST_LINE).digest()
        self._number = 0
        self._cipher: _Cipher | None = None
        self.bytes_written = len(FIRST_LINE)
        salt = secrets.token_bytes(SALT_BYTES)
        if passphrase is not None:
            self._cipher = _Cipher(passphrase, salt)
        encryption = None if passphrase is None else {"cipher": "AES-256-GCM", "kdf": "scrypt", "salt": salt.hex()}
        file.write(FIRST_LINE)
        self._write(HEADER_FRAME, json.dumps({**header, "encryption": encryption}).encode())
        if self._cipher is not None:
            self._cipher.header_digest = self._digest

    def add(self, kind: int, payload: bytes) -> None:
        """Write a frame. To be called in a thread: it packs up to 16 MB."""
        packed = zlib.compress(payload, LEVEL)
        if self._cipher is not None:
            packed = self._cipher.encrypt(self._number, kind, packed)
        self._write(kind, packed)

    def _write(self, kind: int, payload: bytes) -> None:
        head = FRAME.pack(kind, len(payload))
        self._digest = _next_digest(self._digest, head, payload)
        for part in (head, payload, self._digest):
            self._file.write(part)
            self.bytes_written += len(part)
        self._number += 1


class BackupReader:
    """Reads a backup from FILE. Raises BackupError for one that is none, or that this version does not know.

    ``header`` is what BackupWriter got. Without the passphrase of an encrypted one, ``frames`` checks and gives none.
    """

    def __init__(self, file: IO[bytes], passphrase: bytes | None = None) -> None:
        self._file = file
        self._number = 0
        line = file.readline(len(FIRST_LINE) + 8)
        if line != FIRST_LINE:
            if line.startswith(MAGIC) and line.removeprefix(MAGIC).strip().isdigit():
                found = line.removeprefix(MAGIC).strip().decode()
                raise BackupError(f"the backup has format {found}, and this scfm knows {FORMAT}: use a newer scfm")
            raise BackupError("this file is no backup made by scfm backup")
        self._digest = hashlib.sha256(line).digest()
        kind, payload = self._next_frame(MAX_HEADER)
        if kind != HEADER_FRAME:
            raise BackupError(f"{DAMAGED_BACKUP}: it does not begin with its header")
        self._cipher: _Cipher | None = None
        try:
            self.header: dict[str, Any] = json.loads(payload)
            self.encrypted = self.header["encryption"] is not None
            if self.encrypted and passphrase is not None:
                self._cipher = _Cipher(passphrase, bytes.fromhex(self.header["encryption"]["salt"]))
                self._cipher.header_digest = self._digest
        except (ValueError, KeyError, TypeError, RecursionError):
            raise BackupError(f"{DAMAGED_BACKUP}: its header cannot be read") from None

    def frames(self) -> Iterator[Frame]:
        """The frames after the header, the last of which is END_FRAME. Raises BackupError where anything is wrong."""
        kind = HEADER_FRAME
        while kind != END_FRAME:
            kind, payload = self._next_frame(MAX_PAYLOAD)
            if kind not in (DOCUMENTS_FRAME, KEYS_FRAME, END_FRAME):
                raise BackupError(f"{DAMAGED_BACKUP}: it has something unknown in it")
            if self.encrypted and self._cipher is None:
                continue
            if self._cipher is not None:
                try:
                    payload = self._cipher.decrypt(self._number - 1, kind, payload)
                except InvalidTag:
                    # The checksum of the frame is right, so nothing has happened to it on a disk.
                    raise BackupError(
                        WRONG_KEY if self._number == 2 else f"{DAMAGED_BACKUP}: it was changed"
                    ) from None
            yield Frame(kind, _unpacked(payload))
        if self._file.read(1):
            raise BackupError(f"{DAMAGED_BACKUP}: it goes on after its end")

    def _next_frame(self, most: int) -> tuple[int, bytes]:
        head = self._read(FRAME.size)
        kind, length = FRAME.unpack(head)
        if length > most:
            raise BackupError(f"{DAMAGED_BACKUP}: part {self._number} says that it has {length} bytes")
        payload = self._read(length)
        expected = _next_digest(self._digest, head, payload)
        if self._read(DIGEST_BYTES) != expected:
            raise BackupError(f"{DAMAGED_BACKUP}: the checksum of part {self._number} is wrong; use another backup")
        self._digest = expected
        self._number += 1
        return kind, payload

    def _read(self, length: int) -> bytes:
        found = self._file.read(length)
        if len(found) < length:
            raise BackupError(f"{DAMAGED_BACKUP}: it ends in the middle; use another backup")
        return found


def _next_digest(before: bytes, head: bytes, payload: bytes) -> bytes:
    digest = hashlib.sha256(before)
    digest.update(head)
    digest.update(payload)
    return digest.digest()


def _unpacked(payload: bytes) -> bytes:
    unpacking = zlib.decompressobj()
    try:
        found = unpacking.decompress(payload, MAX_UNPACKED_FRAME)
    except zlib.error:
        raise BackupError(f"{DAMAGED_BACKUP}: a part of it cannot be unpacked") from None
    if not unpacking.eof:
        raise BackupError(f"{DAMAGED_BACKUP}: a part of it is too large")
    return found
