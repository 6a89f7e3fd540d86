"""The gallery's file: default path, creation for its owner only, encryption, and errors, which say what to do."""

from __future__ import annotations

import errno
import os
from collections.abc import Mapping
from pathlib import Path
from typing import ClassVar, Protocol

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.kdf.scrypt import Scrypt

from sightd.engines.files import make_private, state_directory
from sightd.plugins.api import RefusedError
from sightd.plugins.storage.sqlite import NotOursError, require_ours

_OURS = frozenset({"meta", "persons"})
"""Tables that galleries of all versions have."""
_SALT, _NONCE = 16, 12
_CHECK = b"sightd gallery"
FILE = "faces.db"


class GalleryError(RefusedError):
    """The gallery cannot be read or written, or does not allow the requested change."""


class UnwritableError(GalleryError):
    """The disk is full, read-only or broken. Enrolled persons remain known, but nothing can be changed until then."""

    status: ClassVar[int] = 507


class DamagedError(UnwritableError):
    """The file is damaged, or not a gallery. It is left unchanged."""

    def __init__(self, path: Path, why: str) -> None:
        super().__init__(
            f"gallery {path}: {why}. The file was not changed: replace it with a backup, or move it away to start a "
            "new gallery and import an export"
        )


class WrongKeyError(GalleryError):
    """Encrypted data was encrypted with another key, or is damaged."""


class UnknownPersonError(GalleryError):
    """Nobody of that name is enrolled."""

    status: ClassVar[int] = 404


class NameTakenError(GalleryError):
    """Another person already has that name."""

    status: ClassVar[int] = 409


def made(path: Path) -> bool:
    """Creates the file, and its directory if missing, accessible to the owner only; returns whether the file is new. If
    created by root, it gets the directory's owner, so that a service with its own user can open it. An existing file
    that is not a gallery is left untouched: raises DamagedError or GalleryError. Raises OSError."""
    make_private(path.parent)
    try:
        descriptor = os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600)
    except FileExistsError:
        _examine(path)
        if not os.access(path, os.W_OK):  # SQLite would open it anyway, and only fail at the first change
            raise PermissionError(errno.EACCES, "it is read-only") from None
        if path.stat().st_mode & 0o077:
            path.chmod(0o600)
        return False
    try:
        if os.geteuid() == 0:
            folder = path.parent.stat()
            os.fchown(descriptor, folder.st_uid, folder.st_gid)
    finally:
        os.close(descriptor)
    return True


def identity(path: Path) -> tuple[int, ...] | None:
    """Returns a value that changes when the file is replaced or written; None if there is no file."""
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns


def reason(error: Exception) -> str:
    if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT):
        return f"{error.strerror}: free disk space"
    if isinstance(error, OSError):
        return f"{error.strerror}: set another file (`gallery` of the face plug-in, --gallery), or grant access to it"
    text = str(error)
    if "readonly" in text or "unable to open" in text:
        return f"{text}: this user needs read and write permission for the file and its folder"
    if "full" in text or "disk I/O" in text:
        return f"{text}: free disk space; sightd retries automatically"
    if "locked" in text:
        return f"{text}: another program has been writing for ten seconds; try again"
    return text


def _examine(path: Path) -> None:
    try:
        require_ours(path, _OURS)
    except NotOursError as error:
        if error.damaged:
            raise DamagedError(path, f"it is {error}") from error
        raise GalleryError(f"gallery {path}: it is {error}: specify another file, or remove this one") from error


class Cipher(Protocol):
    """Thread-safe."""

    def seal(self, content: bytes) -> bytes: ...
    def open(self, sealed: bytes) -> bytes:
        """Decrypts. Raises WrongKeyError if the data was encrypted with another key."""
        ...


class Plain:
    """Stores everything unencrypted."""

    def seal(self, content: bytes) -> bytes:
        return content

    def open(self, sealed: bytes) -> bytes:
        return sealed


class Aes:
    """AES-256 in Galois/counter mode (NIST SP 800-38D), with a fresh nonce for each value. The key is derived from the
    user's key by scrypt (RFC 7914)."""

    def __init__(self, key: str, salt: bytes) -> None:
        self._aes = AESGCM(Scrypt(salt=salt, length=32, n=2**15, r=8, p=1).derive(key.encode()))

    def seal(self, content: bytes) -> bytes:
        nonce = os.urandom(_NONCE)
        return nonce + self._aes.encrypt(nonce, content, None)

    def open(self, sealed: bytes) -> bytes:
        try:
            return self._aes.decrypt(sealed[:_NONCE], sealed[_NONCE:], None)
        except InvalidTag as error:
            raise WrongKeyError(
                "the gallery was encrypted with another key: provide the key that it was created with (`key` of the "
                "face plug-in, --key-file)"
            ) from error


def new_lock(key: str | None) -> tuple[Cipher, bytes | None]:
    """Returns the cipher of a new gallery, and the lock to store with it (None if it is not encrypted)."""
    if key is None:
        return Plain(), None
    salt = os.urandom(_SALT)
    cipher = Aes(key, salt)
    return cipher, salt + cipher.seal(_CHECK)


def unlocked(key: str | None, lock: bytes | None) -> Cipher:
    """Returns the cipher of a gallery with that lock. Raises GalleryError if the key does not fit."""
    if lock is None:
        if key is not None:
            raise GalleryError(
                "a key was given, but the gallery is not encrypted: remove the key, or export the gallery, import it "
                "into a new one that has the key, and delete this one"
            )
        return Plain()
    if key is None:
        raise GalleryError("the gallery is encrypted: provide its key (`key` of the face plug-in, --key-file)")
    cipher = Aes(key, lock[:_SALT])
    cipher.open(lock[_SALT:])
    return cipher


def default_gallery(environ: Mapping[str, str]) -> Path:
    """Returns the gallery's path in the state directory."""
    return state_directory(environ) / FILE
