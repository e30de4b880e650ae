"""What a reader or keypad saw, brought to one form, and the digest under which it is known.

Cloud and gateway must agree to the bit on what a code is, otherwise a door refuses what the portal
promised. So there is one parser for both and one digest: a credential never travels or rests in clear
text, it is known by its `lookup`.
"""

from __future__ import annotations

import hmac
import re
from dataclasses import dataclass, field
from typing import Final, Literal, NamedTuple

from gatehouse.rules import reasons

PinMode = Literal["pin", "apt_pin"]
Notation = Literal["auto", "hex", "decimal"]

PIN_DIGITS: Final = (2, 8)
"""Fewest and most digits of a PIN (OFF-PERS-19)."""
CARD_BITS: Final = 128
"""Longest card number taken, bits; the longest in use (ISO 14443 triple size) has 80."""

# Full-width forms are what an Asian keyboard types: 0 to 9 for PINs, all of printable ASCII for cards.
_WIDE_DIGITS: Final = {0xFF10 + n: 0x30 + n for n in range(10)}
_WIDE: Final = {0xFF01 + n: 0x21 + n for n in range(94)} | {0x3000: 0x20}
_PIN: Final = re.compile(r"[0-9]+")
_UNIT: Final = re.compile(r"[0-9]+(?:#[0-9]+)*")
_BYTES: Final = re.compile(r"[0-9A-Fa-f]{2}(?:[ :.\-][0-9A-Fa-f]{2}){2,}")
_FACILITY: Final = re.compile(r"([0-9]{1,5})\s*[,:]\s*([0-9]{1,5})")
_SEPARATORS: Final = str.maketrans("", "", " :.-_\t")
_HEX: Final = re.compile(r"[0-9A-F]+")


class CredentialError(ValueError):
    """A text that cannot be a credential of its kind; `code` is one of `rules.reasons`, never the text itself."""

    def __init__(self, code: str) -> None:
        super().__init__(code)
        self.code = code


class Keyed(NamedTuple):
    """What was meant at a keypad: a PIN, in APT+PIN mode with the number of the unit before it."""

    pin: str
    unit: str | None = None

    @property
    def text(self) -> str:
        """The text under which the credential is looked up: `pin`, or `unit#pin`."""
        return self.pin if self.unit is None else f"{self.unit}#{self.pin}"


@dataclass(frozen=True, slots=True)
class Card:
    """A card number. Its bits are the card; how they were written does not tell two cards apart."""

    bits: int
    """The number as transmitted, most significant bit first."""
    length: int = field(compare=False)
    """Bits that the notation spelled out (facility 24, hexadecimal 4 a digit, decimal whole bytes), so that
    leading zeros can be written again; not part of the identity, since decimal notations do not tell it."""

    @property
    def text(self) -> str:
        """Canonical form, which `normalise_card` reads back to the same card: `0x1A2B`."""
        return f"0x{self.bits:X}"

    @property
    def hex(self) -> str:
        """Upper-case hexadecimal with its leading zeros."""
        return f"{self.bits:0{-(-self.length // 4)}X}"

    @property
    def decimal(self) -> str:
        """The number in decimal, at least ten digits as printed on most cards."""
        return f"{self.bits:010d}"

    @property
    def facility(self) -> str | None:
        """Facility code and number, `123,45678`; None when the card has more than 24 bits."""
        if self.bits >> 24:
            return None
        return f"{self.bits >> 16:03d},{self.bits & 0xFFFF:05d}"


def normalise_pin(text: str) -> str:
    """The PIN as 2 to 8 ASCII digits; leading zeros are part of it, full-width digits are taken.

    Raises CredentialError: `pin.format` for anything but digits (a space too), `pin.length` for too few
    or too many of them (OFF-PERS-19, OFF-PERS-E05).
    """
    pin = text.translate(_WIDE_DIGITS)
    if not _PIN.fullmatch(pin):
        raise CredentialError(reasons.PIN_FORMAT)
    if not PIN_DIGITS[0] <= len(pin) <= PIN_DIGITS[1]:
        raise CredentialError(reasons.PIN_LENGTH)
    return pin


def keypad(text: str, mode: PinMode) -> Keyed:
    """What was meant by the keys pressed; one confirming `#` at the end may be there or not.

    In APT+PIN mode the text is split at the last `#`, because a unit number may hold one itself
    (`2#123#4711` is PIN 4711 of unit 2#123; COM-DVC-04). Without any `#` it is a bare PIN, which only
    holders without a unit have in that mode. In PIN mode a `#` is an error.

    Raises CredentialError with the codes of `normalise_pin`.
    """
    keys = text.translate(_WIDE).removesuffix("#")
    unit, mark, pin = keys.rpartition("#")
    if not mark:
        return Keyed(normalise_pin(keys))
    if mode != "apt_pin" or not _UNIT.fullmatch(unit):
        raise CredentialError(reasons.PIN_FORMAT)
    return Keyed(normalise_pin(pin), unit)


def normalise_card(text: str, notation: Notation = "auto") -> Card:
    """One card number in any usual notation.

    `auto` reads `fff,nnnnn` or `fff:nnnnn` as facility and number (8 and 16 bits), `0x...`, byte pairs
    (`04:A1:22:3B`) and anything with a letter as hexadecimal, digits alone as decimal. A reader that is
    known to report hexadecimal passes `hex`, since its digits alone may look decimal. Case and the
    separators space, `:`, `-`, `.`, `_` are dropped.

    Raises CredentialError: `card.format` for what is no number, `card.range` for zero (which readers
    report when a read failed), for more than 128 bits, and for a facility above 255 or number above 65535.
    """
    plain = text.translate(_WIDE).strip()
    if notation == "auto":
        facility = _FACILITY.fullmatch(plain)
        if facility:
            code, number = int(facility[1]), int(facility[2])
            if code > 0xFF or number > 0xFFFF:
                raise CredentialError(reasons.CARD_RANGE)
            return _card(code << 16 | number, 24)
    prefixed = plain[:2] in ("0x", "0X") and notation != "decimal"
    paired = _BYTES.fullmatch(plain) is not None
    digits = (plain[2:] if prefixed else plain).translate(_SEPARATORS).upper()
    if not _HEX.fullmatch(digits):
        raise CredentialError(reasons.CARD_FORMAT)
    decimal = digits.isdigit() if notation == "auto" and not (prefixed or paired) else notation == "decimal"
    if not decimal:
        return _card(int(digits, 16), 4 * len(digits))
    if not digits.isdigit():
        raise CredentialError(reasons.CARD_FORMAT)
    if len(digits) > 39:  # 2**128 has 39 digits; a longer text must not cost time
        raise CredentialError(reasons.CARD_RANGE)
    bits = int(digits)
    return _card(bits, -(-bits.bit_length() // 8) * 8)


def normalise_cards(text: str) -> tuple[Card, ...]:
    """Several card numbers separated by `;` (OFF-PERS-20); empty pieces are ignored, doubles fall together.

    Raises CredentialError as `normalise_card`.
    """
    cards = (normalise_card(piece) for piece in text.translate(_WIDE).split(";") if piece.strip())
    return tuple(dict.fromkeys(cards))


def lookup(key: bytes, kind: str, text: str) -> str:
    """The digest under which a credential is known: 16 bytes of HMAC-SHA256 as 32 hexadecimal digits.

    `key` is the site's lookup key; `kind` one of the wire's credential kinds. A PIN (`0012`, or
    `101#0012` for the holder of a unit in APT+PIN mode) and a card (any notation, best `Card.text`) are
    normalised here, so that no caller can forget it; other kinds are digested as they are.

    Raises CredentialError as the normalisers.
    """
    if kind == "pin":
        text = keypad(text, "apt_pin").text
    elif kind == "card":
        text = normalise_card(text).text
    return hmac.digest(key, f"{kind}\0{text}".encode(), "sha256")[:16].hex()


def _card(bits: int, length: int) -> Card:
    if not bits or bits >> CARD_BITS:
        raise CredentialError(reasons.CARD_RANGE)
    return Card(bits, length)
