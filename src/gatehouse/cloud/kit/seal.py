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
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from django.conf import settings

KEY_ID = 1
OWN_KEY_ID = 0
"""Marks what is sealed with a row's own key; the master keys count from 1."""


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


def emergency_key(site: UUID) -> Ed25519PrivateKey:
    """Key that signs a site's emergency states. Its gateways receive the public half with the feed."""
    return Ed25519PrivateKey.from_private_bytes(subkey(f"emergency:{site}"))


def emergency_public_key(site: UUID) -> str:
    """What a site's gateways check emergency states with, hexadecimal."""
    return emergency_key(site).public_key().public_bytes(Encoding.Raw, PublicFormat.Raw).hex()


def _place(table: str, site: UUID | str, row: UUID | str, field: str) -> bytes:
    return f"{table}|{site}|{row}|{field}".encode()


def _encrypt(key_id: int, key: bytes, plain: str, place: bytes) -> bytes:
    nonce = os.urandom(12)
    return bytes([key_id]) + nonce + AESGCM(key).encrypt(nonce, plain.encode(), place)


def _decrypt(key_id: int, key: bytes, sealed: bytes, place: bytes) -> str:
    if len(sealed) < 29 or sealed[0] != key_id:
        raise Unsealable(f"{place.decode()}: unknown key")
    try:
        return AESGCM(key).decrypt(sealed[1:13], sealed[13:], place).decode()
    except InvalidTag as error:
        raise Unsealable(f"{place.decode()}: does not open here") from error


def seal(plain: str, *, table: str, site: UUID | str, row: UUID | str, field: str) -> bytes:
    """Encrypt a text for one field of one row."""
    return _encrypt(KEY_ID, subkey("fields"), plain, _place(table, site, row, field))


def unseal(sealed: bytes, *, table: str, site: UUID | str, row: UUID | str, field: str) -> str:
    """Open what `seal` made for the same place; raises Unsealable otherwise."""
    return _decrypt(KEY_ID, subkey("fields"), bytes(sealed), _place(table, site, row, field))


def new_key(*, table: str, site: UUID | str, row: UUID | str) -> bytes:
    """A random key that belongs to one row (a holder, an occupancy), sealed for its field `seal_key`.

    Logs about the row are sealed with it; destroying it is how they are erased.
    """
    return seal(os.urandom(32).hex(), table=table, site=site, row=row, field="seal_key")


@lru_cache(maxsize=8192)
def open_key(sealed: bytes, *, table: str, site: UUID | str, row: UUID | str) -> bytes:
    """The key that `new_key` made for this row; raises Unsealable."""
    return bytes.fromhex(unseal(sealed, table=table, site=site, row=row, field="seal_key"))


def seal_with(key: bytes, plain: str, *, table: str, site: UUID | str, row: UUID | str, field: str) -> bytes:
    """As `seal`, with a key from `open_key`."""
    return _encrypt(OWN_KEY_ID, key, plain, _place(table, site, row, field))


def unseal_with(key: bytes, sealed: bytes, *, table: str, site: UUID | str, row: UUID | str, field: str) -> str:
    """As `unseal`, with the key that `seal_with` was given."""
    return _decrypt(OWN_KEY_ID, key, bytes(sealed), _place(table, site, row, field))


def sign(purpose: str, text: str) -> str:
    """HMAC-SHA256 of a text for one purpose, hexadecimal."""
    return hmac.new(subkey(purpose), text.encode(), "sha256").hexdigest()
