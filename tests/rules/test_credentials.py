from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gatehouse.rules.credentials import (
    CredentialError,
    Keyed,
    keypad,
    lookup,
    normalise_card,
    normalise_cards,
    normalise_pin,
)

KEY = bytes(range(32))
pins = st.text("0123456789", min_size=2, max_size=8)
cards = st.integers(1, 2**128 - 1)


def code_of(read: object, *args: object) -> str:
    assert callable(read)
    with pytest.raises(CredentialError) as caught:
        read(*args)
    return caught.value.code


@pytest.mark.req("OFF-PERS-19", "OFF-PERS-E05")
class TestPin:
    @given(pins)
    def test_two_to_eight_digits_are_themselves(self, pin: str) -> None:
        assert normalise_pin(pin) == pin

    def test_leading_zeros_make_another_pin(self) -> None:
        assert normalise_pin("0012") != normalise_pin("12")
        assert lookup(KEY, "pin", "0012") != lookup(KEY, "pin", "12")

    def test_full_width_digits_are_the_same_digits(self) -> None:
        assert normalise_pin("０１２３４") + normalise_pin("５６７８９") == "0123456789"

    @pytest.mark.parametrize("text", ["1", "123456789", "0" * 1000])
    def test_too_few_or_too_many_digits(self, text: str) -> None:
        assert code_of(normalise_pin, text) == "pin.length"

    @pytest.mark.parametrize(
        "text", ["", " ", "12a4", "12 34", " 1234", "1234\n", "+12", "-12", "1.5", "²²²²", "١٢٣٤", "12#34", "12\x0034"]
    )
    def test_anything_but_digits(self, text: str) -> None:
        assert code_of(normalise_pin, text) == "pin.format"

    @given(st.text())
    def test_any_text_is_a_pin_or_refused_with_a_code(self, text: str) -> None:
        try:
            assert 2 <= len(normalise_pin(text)) <= 8
        except CredentialError as error:
            assert error.code in ("pin.format", "pin.length")

    def test_the_refusal_does_not_repeat_the_text(self) -> None:
        with pytest.raises(CredentialError) as caught:
            normalise_pin("12345678901")
        assert "12345" not in str(caught.value)


@pytest.mark.req("COM-DVC-03", "COM-DVC-04")
class TestKeypad:
    def test_pin_mode_takes_a_bare_pin(self) -> None:
        assert keypad("0012", "pin") == Keyed("0012")

    def test_pin_mode_refuses_a_unit(self) -> None:
        assert code_of(keypad, "101#0012", "pin") == "pin.format"

    def test_apt_pin_mode_takes_the_unit_before_the_pin(self) -> None:
        assert keypad("101#0012", "apt_pin") == Keyed("0012", "101")

    @given(st.from_regex(r"[0-9]{1,3}(#[0-9]{1,2})?", fullmatch=True), pins, st.sampled_from(["", "#"]))
    def test_the_split_is_at_the_last_sign_whatever_the_unit_is_called(self, unit: str, pin: str, sign: str) -> None:
        meant = keypad(f"{unit}#{pin}{sign}", "apt_pin")
        assert meant == Keyed(pin, unit)
        assert meant.text == f"{unit}#{pin}"

    def test_a_bare_pin_in_apt_pin_mode_has_no_unit(self) -> None:
        assert keypad("2580#", "apt_pin") == Keyed("2580")
        assert keypad("2580", "apt_pin").text == "2580"

    @pytest.mark.parametrize(
        "text", ["#2#123#0815", "#101#4711", "101##4711", "1a#4711", "101# 4711", "101#4711##", "##"]
    )
    def test_what_is_no_unit_and_pin(self, text: str) -> None:
        assert code_of(keypad, text, "apt_pin") == "pin.format"

    @given(st.text("0123456789#abc ＃１", max_size=12), st.sampled_from(["pin", "apt_pin"]))
    def test_whatever_is_pressed_is_understood_or_refused_with_a_code(self, text: str, mode: str) -> None:
        try:
            meant = keypad(text, mode)  # type: ignore[arg-type]
        except CredentialError as error:
            assert error.code in ("pin.format", "pin.length")
        else:
            assert keypad(meant.text, "apt_pin") == meant


@pytest.mark.req("OFF-PERS-20")
class TestCard:
    @given(cards)
    def test_hexadecimal_and_decimal_of_one_number_are_one_card(self, bits: int) -> None:
        assert normalise_card(f"0x{bits:x}") == normalise_card(str(bits)) == normalise_card(f"{bits:X}", "hex")

    @given(st.integers(1, 2**24 - 1))
    def test_facility_notation_is_the_same_24_bits(self, bits: int) -> None:
        card = normalise_card(f"{bits >> 16:03d},{bits & 0xFFFF:05d}")
        assert card == normalise_card(f"{bits >> 16}:{bits & 0xFFFF}") == normalise_card(str(bits), "decimal")
        assert card.facility is not None
        assert normalise_card(card.facility) == card

    @given(st.binary(min_size=3, max_size=16).filter(any), st.sampled_from([":", "-", " ", "."]))
    def test_bytes_with_separators_are_hexadecimal_with_their_zeros(self, raw: bytes, separator: str) -> None:
        card = normalise_card(raw.hex(separator))
        assert card.bits == int.from_bytes(raw, "big")
        assert card.length == 8 * len(raw)
        assert card.hex == raw.hex().upper()
        assert normalise_card(raw.hex().upper(), "hex") == card

    @given(cards)
    def test_the_canonical_form_and_every_way_of_writing_read_back_to_the_card(self, bits: int) -> None:
        card = normalise_card(f"{bits:x}", "hex")
        assert normalise_card(card.text) == card
        assert normalise_card(card.hex, "hex") == card
        assert normalise_card(card.decimal, "decimal") == card

    def test_case_and_separators_do_not_make_another_card(self) -> None:
        same = {normalise_card(text) for text in ("04:a1:22:3b", "04-A1-22-3B", "04A1223B", "04a1 223b", "0x4a1223b")}
        assert len(same) == 1

    def test_digits_alone_are_decimal_unless_the_reader_is_known_to_report_hexadecimal(self) -> None:
        assert normalise_card("12345678").bits == 12345678
        assert normalise_card("12345678", "hex").bits == 0x12345678

    def test_a_card_of_more_than_24_bits_has_no_facility_notation(self) -> None:
        assert normalise_card("0x1000000").facility is None

    def test_leading_zeros_are_written_again(self) -> None:
        assert normalise_card("00A1B2C3").hex == "00A1B2C3"

    @pytest.mark.parametrize(
        "text", ["", "  ", "hello", "0x", "12,34,56", "1,23456789", "04:A1:2G", "-", "Ω", "0x12,3"]
    )
    def test_no_number(self, text: str) -> None:
        assert code_of(normalise_card, text) == "card.format"

    def test_hexadecimal_where_only_decimal_is_expected(self) -> None:
        assert code_of(normalise_card, "0x12", "decimal") == "card.format"
        assert code_of(normalise_card, "AB12", "decimal") == "card.format"

    @pytest.mark.parametrize(
        "text", ["0", "0000000000", "0x0", "0,0", "256,1", "1,65536", "9" * 40, "9" * 39, "F" * 33]
    )
    def test_out_of_range(self, text: str) -> None:
        assert code_of(normalise_card, text) == "card.range"

    def test_the_longest_number_is_taken(self) -> None:
        assert normalise_card("F" * 32).bits == 2**128 - 1
        assert code_of(normalise_card, str(2**128)) == "card.range"

    def test_several_cards_are_separated_by_semicolons(self) -> None:
        found = normalise_cards(" 04:A1:22:3B ; 123,45678;0008106606;; ")
        assert found == (normalise_card("04A1223B"), normalise_card("123,45678"))

    def test_one_bad_card_among_several_is_an_error(self) -> None:
        assert code_of(normalise_cards, "123,45678;nonsense") == "card.format"

    @given(st.text())
    def test_any_text_is_a_card_or_refused_with_a_code(self, text: str) -> None:
        try:
            card = normalise_card(text)
        except CredentialError as error:
            assert error.code in ("card.format", "card.range")
        else:
            assert normalise_card(card.text) == card


class TestLookup:
    def test_is_32_hexadecimal_digits_and_stays_what_it_was(self) -> None:
        # Made with openssl. Stored digests would find nobody if this ever came out differently.
        assert lookup(KEY, "pin", "0012") == "8a001e91bd2ba625770a35f9c63d677c"
        assert lookup(KEY, "card", "04:A1:22:3B") == "060fbeaac434d53a5b4a67dfe99c59b2"
        assert lookup(KEY, "qr", "token") == "2f0484665c0fc5116b293fec8e19ff97"

    @given(cards)
    def test_of_a_card_is_the_same_in_every_notation(self, bits: int) -> None:
        canonical = normalise_card(str(bits)).text
        assert lookup(KEY, "card", str(bits)) == lookup(KEY, "card", f"0x{bits:x}") == lookup(KEY, "card", canonical)

    def test_tells_kinds_keys_and_units_apart(self) -> None:
        digests = {
            lookup(KEY, "pin", "1234"),
            lookup(KEY, "card", "1234"),
            lookup(KEY, "qr", "1234"),
            lookup(KEY, "pin", "1#1234"),
            lookup(KEY, "pin", "11#234"),
            lookup(bytes(32), "pin", "1234"),
        }
        assert len(digests) == 6

    def test_refuses_what_is_no_credential_of_the_kind(self) -> None:
        assert code_of(lookup, KEY, "pin", "1") == "pin.length"
        assert code_of(lookup, KEY, "card", "x") == "card.format"
