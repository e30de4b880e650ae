"""The door phone as a thing: no sockets, no waiting, time is a number."""

from __future__ import annotations

from math import inf

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gatehouse.lab import hardware as hw
from gatehouse.lab.hardware import CableMoved, DoorMoved, DoorPhone, InputChanged, Powered, Presented

A, B = "relay-a", "relay-b"
T = 100_000.0


def phone_at_rest(**more: object) -> DoorPhone:
    """Powered, booted, idle at T."""
    phone = DoorPhone([(A, 1, "door", "Main entrance"), (B, 2, "door", "Courtyard gate")])
    for name, value in more.items():
        setattr(phone, name, value)
    phone.power(True, T - hw.BOOT_MS)
    assert phone.tick(T) == [Powered(True)]
    return phone


def type_keys(phone: DoorPhone, keys: str, now: float = T) -> list[hw.Effect]:
    return [effect for key in keys for effect in phone.key(key, now)]


def screen(phone: DoorPhone, now: float = T) -> str:
    return str(phone.view(now)["screen"])


class TestPower:
    def test_a_phone_without_power_is_dark_and_feels_nothing(self) -> None:
        phone = DoorPhone([(A, 1, "door", "Main entrance")])
        assert screen(phone) == "off"
        assert type_keys(phone, "4711#") == []
        assert phone.hold_card("04A46F19", T) == []
        assert phone.press_exit(A, T) == []

    def test_it_boots_before_its_controller_runs(self) -> None:
        phone = DoorPhone([(A, 1, "door", "Main entrance")])
        assert phone.power(True, T) == []
        assert screen(phone, T + 1) == "booting"
        assert type_keys(phone, "1#", T + 1) == []
        assert phone.tick(T + hw.BOOT_MS - 1) == []
        assert phone.tick(T + hw.BOOT_MS) == [Powered(True)]
        assert screen(phone, T + hw.BOOT_MS) == "idle"

    def test_losing_it_lets_every_relay_fall_and_stops_the_controller(self) -> None:
        phone = phone_at_rest()
        phone.energise(A, None, T)
        assert phone.power(False, T + 1) == [Powered(False)]
        assert not phone.view(T + 1)["relays"][0]["released"]
        assert screen(phone, T + 1) == "off"

    def test_losing_it_while_booting_tells_nobody(self) -> None:
        phone = DoorPhone([(A, 1, "door", "Main entrance")])
        phone.power(True, T)
        assert phone.power(False, T + 10) == []
        assert phone.tick(T + 60_000) == []

    def test_what_was_typed_is_gone_with_it(self) -> None:
        phone = phone_at_rest()
        type_keys(phone, "47")
        phone.power(False, T + 1)
        phone.power(True, T + 2)
        phone.tick(T + 2 + hw.BOOT_MS)
        assert type_keys(phone, "11#", T + 9_000) == [Presented("pin", "11")]

    def test_a_fire_that_burned_meanwhile_is_told_when_it_is_back(self) -> None:
        phone = DoorPhone([(A, 1, "door", "Main entrance")])
        assert phone.fire(True, T) == []
        phone.power(True, T + 1)
        assert phone.tick(T + 1 + hw.BOOT_MS) == [Powered(True)]
        assert phone.report(T + 5_000) == [InputChanged("fire", True), DoorMoved(A, "closed")]

    def test_a_door_forced_meanwhile_is_told_when_it_is_back(self) -> None:
        phone = DoorPhone([(A, 1, "door", "Main entrance")])
        assert phone.force(A, T) == []
        phone.keep(A, T)
        phone.power(True, T + 1)
        assert phone.tick(T + 1 + hw.BOOT_MS) == [Powered(True), DoorMoved(A, "forced")]
        assert phone.report(T + 5_000) == [DoorMoved(A, "forced")]


class TestKeypad:
    def test_keys_and_the_hash_present_a_code_once(self) -> None:
        phone = phone_at_rest()
        assert type_keys(phone, "4711") == []
        assert (screen(phone), phone.view(T)["typed"]) == ("typing", 4)
        assert type_keys(phone, "#") == [Presented("pin", "4711")]
        assert screen(phone) == "asking"
        assert type_keys(phone, "4711#") == []

    def test_no_view_ever_holds_a_typed_key(self) -> None:
        phone = phone_at_rest()
        for key in "73519":
            phone.key(key, T)
            assert "73519"[: phone.view(T)["typed"]] not in str(
                {k: v for k, v in phone.view(T).items() if k != "typed"}
            )

    def test_the_star_forgets(self) -> None:
        phone = phone_at_rest()
        assert type_keys(phone, "99*4711#") == [Presented("pin", "4711")]

    def test_a_hash_alone_presents_nothing(self) -> None:
        phone = phone_at_rest()
        assert type_keys(phone, "#") == []
        assert screen(phone) == "idle"

    def test_what_was_not_confirmed_is_forgotten(self) -> None:
        phone = phone_at_rest()
        type_keys(phone, "47")
        assert screen(phone, T + hw.TYPING_MS - 1) == "typing"
        phone.tick(T + hw.TYPING_MS)
        assert screen(phone, T + hw.TYPING_MS) == "idle"
        assert type_keys(phone, "11#", T + hw.TYPING_MS) == [Presented("pin", "11")]

    def test_a_key_keeps_the_code_alive(self) -> None:
        phone = phone_at_rest()
        phone.key("4", T)
        phone.key("7", T + hw.TYPING_MS - 1)
        phone.tick(T + hw.TYPING_MS + 5)
        assert phone.key("#", T + hw.TYPING_MS + 6) == [Presented("pin", "47")]

    def test_it_takes_only_so_many_keys(self) -> None:
        phone = phone_at_rest()
        type_keys(phone, "1" * 50)
        assert type_keys(phone, "#") == [Presented("pin", "1" * hw.MOST_KEYS)]

    def test_a_pause_after_wrong_codes_is_counted_down_and_ends(self) -> None:
        phone = phone_at_rest()
        type_keys(phone, "1#")
        phone.answer(False, [], 5, T)
        assert screen(phone) == "refused"
        phone.tick(T + hw.REFUSED_MS)
        assert screen(phone, T + hw.REFUSED_MS) == "waiting"
        assert phone.view(T + hw.REFUSED_MS)["left_ms"] == 5_000 - hw.REFUSED_MS
        assert type_keys(phone, "4711#", T + 4_999) == []
        phone.tick(T + 5_000)
        assert screen(phone, T + 5_000) == "idle"
        assert type_keys(phone, "4711#", T + 5_000) == [Presented("pin", "4711")]

    def test_a_card_is_taken_during_that_pause(self) -> None:
        phone = phone_at_rest()
        phone.answer(False, [], 60, T)
        assert phone.hold_card("04A46F19", T + 1) == [Presented("card", "04A46F19")]

    def test_with_apartments_the_first_hash_stands_between_apartment_and_code(self) -> None:
        phone = phone_at_rest(pin_mode="apt_pin")
        assert type_keys(phone, "12#") == []
        assert (phone.view(T)["typed"], phone.view(T)["unit"]) == (2, 2)
        assert type_keys(phone, "4711#") == [Presented("pin", "12#4711")]

    def test_with_apartments_two_hashes_confirm_a_code_alone(self) -> None:
        phone = phone_at_rest(pin_mode="apt_pin")
        assert type_keys(phone, "4711##") == [Presented("pin", "4711")]

    def test_only_keys_are_keys(self) -> None:
        with pytest.raises(ValueError):
            phone_at_rest().key("12", T)


class TestAnswers:
    def test_a_granted_passage_is_shown_with_its_doors_and_passes(self) -> None:
        phone = phone_at_rest()
        type_keys(phone, "4711#")
        phone.answer(True, [A], 0, T)
        assert (screen(phone), phone.view(T)["released"]) == ("granted", [A])
        phone.tick(T + hw.GRANTED_MS)
        assert screen(phone, T + hw.GRANTED_MS) == "idle"

    def test_the_next_person_need_not_wait_for_the_screen(self) -> None:
        phone = phone_at_rest()
        phone.answer(True, [A], 0, T)
        assert type_keys(phone, "12#", T + 1) == [Presented("pin", "12")]

    def test_a_controller_that_never_answers_is_admitted(self) -> None:
        phone = phone_at_rest()
        type_keys(phone, "4711#")
        phone.tick(T + hw.ASKING_MS)
        assert screen(phone, T + hw.ASKING_MS) == "failed"
        phone.tick(T + hw.ASKING_MS + hw.FAILED_MS)
        assert screen(phone, T + hw.ASKING_MS + hw.FAILED_MS) == "idle"


class TestRelaysAndDoors:
    def test_a_relay_falls_after_its_time(self) -> None:
        phone = phone_at_rest()
        phone.energise(A, 5_000, T)
        assert phone.view(T + 1_000)["relays"][0]["left_ms"] == 4_000
        phone.tick(T + 4_999)
        assert phone.view(T + 4_999)["relays"][0]["released"]
        phone.tick(T + 5_000)
        assert not phone.view(T + 5_000)["relays"][0]["released"]

    def test_a_later_order_replaces_the_earlier(self) -> None:
        phone = phone_at_rest()
        phone.energise(A, None, T)
        phone.energise(A, 1_000, T + 10)
        phone.tick(T + 1_010)
        assert not phone.view(T + 1_010)["relays"][0]["released"]

    def test_a_relay_held_until_told_otherwise_stays_for_a_day(self) -> None:
        phone = phone_at_rest()
        phone.energise(A, None, T)
        phone.tick(T + 86_400_000)
        assert phone.view(T + 86_400_000)["relays"][0]["released"]
        phone.release(A, T + 86_400_000)
        assert not phone.view(T + 86_400_000)["relays"][0]["released"]

    def test_a_locked_door_rattles_and_stays_shut(self) -> None:
        phone = phone_at_rest()
        assert phone.push(A, T) == []
        assert (phone.view(T + 5)["relays"][0]["door"], phone.view(T + 5)["relays"][0]["rattled_ms"]) == ("closed", 5)

    def test_a_released_door_opens_and_falls_shut(self) -> None:
        phone = phone_at_rest()
        phone.energise(A, 5_000, T)
        assert phone.push(A, T + 1) == [DoorMoved(A, "open")]
        assert phone.tick(T + 1 + hw.WALK_MS) == [DoorMoved(A, "closed")]

    def test_a_hand_on_the_door_as_the_relay_falls_has_not_forced_it(self) -> None:
        phone = phone_at_rest()
        phone.energise(A, 1_000, T)
        assert phone.push(A, T + 1_000 + hw.LATCH_MS) == [DoorMoved(A, "open")]
        assert phone.push(B, T + 1_000 + hw.LATCH_MS) == []

    def test_only_the_released_door_opens(self) -> None:
        phone = phone_at_rest()
        phone.energise(A, 5_000, T)
        assert phone.push(B, T) == []

    def test_a_door_kept_open_is_reported_held_and_then_shut(self) -> None:
        phone = phone_at_rest()
        phone.energise(A, 5_000, T)
        assert phone.keep(A, T) == [DoorMoved(A, "open")]
        assert phone.tick(T + hw.HELD_MS - 1) == []
        assert phone.tick(T + hw.HELD_MS) == [DoorMoved(A, "held")]
        assert phone.let_go(A, T + 60_000) == []
        assert phone.tick(T + 60_000 + hw.LET_GO_MS) == [DoorMoved(A, "closed")]

    def test_a_locked_door_cannot_be_kept_open(self) -> None:
        phone = phone_at_rest()
        assert phone.keep(A, T) == []
        assert not phone.view(T)["relays"][0]["kept"]

    def test_a_broken_door_is_forced_once_and_not_held(self) -> None:
        phone = phone_at_rest()
        assert phone.force(A, T) == [DoorMoved(A, "forced")]
        assert phone.keep(A, T + 1) == []
        assert phone.tick(T + 2 * hw.HELD_MS) == []
        phone.let_go(A, T + 3 * hw.HELD_MS)
        assert phone.tick(T + 4 * hw.HELD_MS) == [DoorMoved(A, "closed")]

    def test_forcing_an_unlocked_door_is_only_opening_it(self) -> None:
        phone = phone_at_rest()
        phone.energise(A, 5_000, T)
        assert phone.force(A, T) == [DoorMoved(A, "open")]


class TestInputs:
    def test_the_exit_button_is_pressed_and_let_go(self) -> None:
        phone = phone_at_rest()
        assert phone.press_exit(A, T) == [InputChanged("exit", True, A)]
        assert phone.press_exit(A, T + 10) == []
        assert phone.tick(T + 10 + hw.EXIT_MS) == [InputChanged("exit", False, A)]

    def test_motion_lasts_while_somebody_moves(self) -> None:
        phone = phone_at_rest()
        assert phone.move_by(T) == [InputChanged("motion", True)]
        assert phone.move_by(T + 2_000) == []
        assert phone.tick(T + hw.MOTION_MS) == []
        assert phone.tick(T + 2_000 + hw.MOTION_MS) == [InputChanged("motion", False)]

    def test_fire_and_tamper_stay_until_they_end(self) -> None:
        phone = phone_at_rest()
        assert phone.fire(True, T) == [InputChanged("fire", True)]
        assert phone.fire(True, T + 1) == []
        assert phone.tamper(True, T + 2) == [InputChanged("tamper", True)]
        assert phone.fire(False, T + 3) == [InputChanged("fire", False)]

    def test_the_cable_is_told_once(self) -> None:
        phone = phone_at_rest()
        assert phone.pull_cable(True, T) == [CableMoved(True)]
        assert phone.pull_cable(True, T) == []
        assert phone.pull_cable(False, T) == [CableMoved(False)]

    def test_in_an_emergency_the_screen_shows_the_way_out_and_takes_nothing(self) -> None:
        phone = phone_at_rest()
        type_keys(phone, "47")
        phone.fire(True, T)
        assert screen(phone) == "emergency"
        assert type_keys(phone, "11#") == []
        assert phone.hold_card("04A46F19", T) == []
        phone.fire(False, T + 1)
        assert screen(phone, T + 1) == "typing"

    def test_an_emergency_told_by_the_site_shows_the_same(self) -> None:
        phone = phone_at_rest(alarm=False)
        phone.alarm = True
        assert screen(phone) == "emergency"


ACTS = st.one_of(
    st.tuples(st.just("key"), st.sampled_from(hw.KEYS)),
    st.tuples(st.sampled_from(["push", "keep", "let_go", "force"]), st.sampled_from([A, B])),
    st.tuples(st.sampled_from(["fire", "tamper", "power", "pull_cable"]), st.booleans()),
    st.tuples(st.just("press_exit"), st.sampled_from([A, None])),
    st.tuples(st.sampled_from(["move_by", "clear"]), st.none()),
    st.tuples(st.just("hold_card"), st.just("04A46F19")),
    st.tuples(st.just("energise"), st.sampled_from([A, B])),
    st.tuples(st.just("answer"), st.booleans()),
)


@given(st.lists(st.tuples(ACTS, st.integers(0, 40_000)), max_size=40))
def test_whatever_happens_sensors_and_inputs_alternate_and_time_never_stands(
    story: list[tuple[tuple[str, object], int]],
) -> None:
    phone = DoorPhone([(A, 1, "door", "Main entrance"), (B, 2, "door", "Courtyard gate")])
    now, heard = 0.0, []
    for (what, value), pause in story:
        now += pause
        if what == "energise":
            heard += phone.tick(now)
            if phone.running:
                phone.energise(str(value), 5_000, now)
        elif what == "answer":
            heard += phone.tick(now)
            if phone.running:
                phone.answer(bool(value), [A] if value else [], 0 if value else 7, now)
        else:
            act = getattr(phone, what)
            heard += act(now) if value is None and what != "press_exit" else act(value, now)
        assert phone.due() > now, "a moment that has come must be over"
    doors: dict[str, str] = {}
    inputs: dict[str, bool] = {}
    for effect in heard:
        match effect:
            case Powered():
                inputs.clear()
            case DoorMoved(relay, state):
                assert state != doors.get(relay, "closed")
                assert not (state == "held" and doors.get(relay) == "forced")
                doors[relay] = state
            case InputChanged(use, active):
                assert active != inputs.get(use, False) or use in ("fire", "tamper")
                inputs[use] = active
            case Presented(_, text):
                assert text
    if not phone.powered:
        assert all(not relay["released"] for relay in phone.view(now)["relays"])
        assert phone.due() == inf or phone.due() > now
