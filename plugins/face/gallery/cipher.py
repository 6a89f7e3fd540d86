"""Encryption of a gallery's names, embeddings and images; or plain storage."""

from __future__ import annotations

import os
from typing import Protocol

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.kdf.scrypt import Scrypt

from sightd.plugins.face.gallery.errors import GalleryError, WrongKeyError

_SALT, _NONCE = 16, 12
_CHECK = b"sightd gallery"


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
                "the gallery was encrypted with another key: give the one that it was made with (`key` of the face "
                "plug-in, --key-file)"
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
                "a key was given, and the gallery is not encrypted: leave the key out, or export the gallery, import "
                "it into a new one that has the key, and delete this one"
            )
        return Plain()
    if key is None:
        raise GalleryError("the gallery is encrypted: give its key (`key` of the face plug-in, --key-file)")
    cipher = Aes(key, lock[:_SALT])
    cipher.open(lock[_SALT:])
    return cipher
