from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gatehouse.rules.firmware import FirmwareError, Gate, Version, gate

# The two tables of the office manual, which differ for the same model (OFF-DEV-30, OFF-EMG-14).
ALWAYS_OPEN = [
    *("101.30.10.33", "108.30.1.16", "216.30.10.106", "539.30.10.213", "2915.30.10.202"),
]
EMERGENCY = [
    *("29.30.3.214", "915.30.10.211", "916.30.10.116", "912.30.10.108", "539.30.1.105", "216.30.0.67", "18.30.6.19"),
    *("312.30.2.105", "320.30.10.125", "92.30.10.17", "101.30.10.106", "103.30.4.18", "108.30.10.108", "33.30.1.2"),
]
numbers = st.integers(0, 99_999)
versions = st.builds(Version, numbers, numbers, numbers, numbers)


def judged(version: str, table: list[str]) -> str:
    return gate(Version.parse(version), map(Version.parse, table)).code.removeprefix("firmware.")


@pytest.mark.req("OFF-DEV-34")
class TestAppendixC:
    @pytest.mark.parametrize(
        ("version", "always_open", "emergency"),
        [
            ("216.30.10.106", "passed", "passed"),
            ("216.30.1.67", "too_old", "passed"),
            ("101.30.10.33", "passed", "too_old"),
            ("108.30.1.16", "passed", "too_old"),
            ("539.30.1.105", "too_old", "passed"),
            ("915.30.10.211", "not_listed", "passed"),
            ("2915.30.10.202", "passed", "not_listed"),
            ("33.30.1.10", "not_listed", "passed"),
        ],
    )
    def test_the_two_gates_judge_by_their_own_minimum(self, version: str, always_open: str, emergency: str) -> None:
        assert (judged(version, ALWAYS_OPEN), judged(version, EMERGENCY)) == (always_open, emergency)

    def test_numbers_are_compared_as_numbers(self) -> None:
        assert Version.parse("33.30.1.10") > Version.parse("33.30.1.2")

    def test_another_line_says_nothing(self) -> None:
        assert judged("999.99.99.99", ["216.30.0.67"]) == "not_listed"

    def test_one_below_the_minimum_fails_and_names_what_is_needed(self) -> None:
        needed = Version.parse("216.30.0.67")
        assert gate(Version.parse("216.30.0.66"), [needed]) == Gate("firmware.too_old", needed)
        assert gate(needed, [needed]) == Gate("firmware.passed", needed)

    def test_a_device_that_has_not_reported_is_neither(self) -> None:
        assert gate(None, [Version.parse("216.30.0.67")]) == Gate("firmware.not_reported")


class TestVersion:
    @given(versions)
    def test_reads_back_what_it_writes(self, version: Version) -> None:
        assert Version.parse(f" {version}\n") == version

    @pytest.mark.parametrize(
        "text", ["", "1.2.3", "1.2.3.4.5", "v1.2.3.4", "1.2.3.x", "1..2.3", "-1.2.3.4", "1.2.3.٤", "1.2.3.999999"]
    )
    def test_anything_else_is_refused_with_a_code(self, text: str) -> None:
        with pytest.raises(FirmwareError) as caught:
            Version.parse(text)
        assert caught.value.code == str(caught.value) == "firmware.format"
