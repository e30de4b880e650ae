"""Keys and sealed fields.

One master key (32 bytes, hexadecimal, in a file outside the database) gives a subkey for each purpose
by HKDF-SHA256. A sealed value is `key id (1 byte) | nonce (12) | AES-256-GCM ciphertext` and is bound to
its table, site, row and field: moved anywhere else, it does not open.
"""

from __future__ import annotations

import hmac
import os
from functools import lru_cache
from typing import Protocol
from uuid import UUID

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from django.conf import settings

KEY_ID = 1


class Unsealable(Exception):
    """A sealed value that does not open: wrong key, wrong place, or altered."""


class Row(Protocol):
    """What a sealed field is bound to."""

    @property
    def pk(self) -> UUID: ...
    @property
    def site_id(self) -> UUID: ...


@lru_cache(maxsize=4096)
def _derive(master: str, purpose: str, length: int) -> bytes:
    return HKDF(hashes.SHA256(), length, salt=b"gatehouse", info=purpose.encode()).derive(bytes.fromhex(master))


def subkey(purpose: str, length: int = 32) -> bytes:
    """The key for one purpose, such as `fields`, `links` or `lookup:<site>`."""
    return _derive(settings.MASTER_KEY, purpose, length)


def lookup_key(site: UUID) -> bytes:
    """Key of a site's credential digests. Its gateways receive it with the feed."""
    return subkey(f"lookup:{site}")


def _place(table: str, site: UUID, row: UUID, field: str) -> bytes:
    return f"{table}|{site}|{row}|{field}".encode()


def seal(plain: str, *, table: str, site: UUID, row: UUID, field: str) -> bytes:
    """Encrypt a text for one field of one row."""
    nonce = os.urandom(12)
    sealed = AESGCM(subkey("fields")).encrypt(nonce, plain.encode(), _place(table, site, row, field))
    return bytes([KEY_ID]) + nonce + sealed


def unseal(sealed: bytes | memoryview, *, table: str, site: UUID, row: UUID, field: str) -> str:
    """Open what `seal` made for the same place; raises Unsealable otherwise."""
    sealed = bytes(sealed)
    if len(sealed) < 29 or sealed[0] != KEY_ID:
        raise Unsealable(f"{table}.{field}: unknown key")
    try:
        return AESGCM(subkey("fields")).decrypt(sealed[1:13], sealed[13:], _place(table, site, row, field)).decode()
    except InvalidTag as error:
        raise Unsealable(f"{table}.{field}: does not open here") from error


def sign(purpose: str, text: str) -> str:
    """HMAC-SHA256 of a text for one purpose, hexadecimal."""
    return hmac.new(subkey(purpose), text.encode(), "sha256").hexdigest()
