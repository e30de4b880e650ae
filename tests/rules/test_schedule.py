from __future__ import annotations

from datetime import UTC, datetime, timedelta
from random import Random
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from tests.rules import sites, slow

from gatehouse.rules.schedule import Schedule, ScheduleError, Window, Zone, compiled, local_seconds

EPOCH = datetime(1970, 1, 1)
ALL_DAY: dict[str, Any] = {"kind": "daily"}


def seconds(wall: datetime) -> int:
    return (wall - EPOCH) // timedelta(seconds=1)


def schedule(*windows: dict[str, Any]) -> Schedule:
    return Schedule(map(Window.read, windows))


def is_open(at: str, *windows: dict[str, Any]) -> bool:
    return schedule(*windows).open_at(local_seconds(at))


def moment_near(random: Random, windows: list[dict[str, Any]]) -> datetime:
    """A wall clock time on, just before or just after some bound of the windows."""
    minutes = [0] + [w["start"] for w in windows if "start" in w]
    minutes += [w["start"] + w["length"] for w in windows if "start" in w]
    day = datetime(2026, 1, 1) + timedelta(days=random.randrange(365), minutes=random.choice(minutes))
    bounds = [datetime.fromisoformat(w[name]) for w in windows for name in ("from", "until") if w.get(name)]
    near = random.choice([day, random.choice(bounds or [day])])
    return near + timedelta(seconds=random.choice([-1, 0, 1, 3600]))


def question(random: Random) -> tuple[list[dict[str, Any]], list[datetime]]:
    windows = sites.windows(random)
    return windows, [moment_near(random, windows) for _ in range(8)]


class TestCompiledAgainstTheSlowReading:
    @pytest.mark.req("OFF-AG-06", "OFF-AG-07", "OFF-AG-08", "OFF-AG-09", "OFF-AG-20", "OFF-AG-E04")
    @settings(max_examples=1_000)
    @given(sites.seeded(question))
    def test_they_agree_at_any_moment(self, asked: tuple[list[dict[str, Any]], list[datetime]]) -> None:
        windows, moments = asked
        compiled_schedule = schedule(*windows)
        for wall in moments:
            assert compiled_schedule.open_at(seconds(wall)) == any(slow.window_open(w, wall) for w in windows)

    @settings(max_examples=200)
    @given(sites.seeded(question))
    def test_each_change_is_the_first_moment_that_differs(
        self, asked: tuple[list[dict[str, Any]], list[datetime]]
    ) -> None:
        windows, moments = asked
        compiled_schedule = schedule(*windows)
        moment = seconds(moments[0])
        for _ in range(4):
            state = compiled_schedule.open_at(moment)
            change = compiled_schedule.next_change(moment)
            # Everything here begins and ends on whole minutes, weekly for ever or within 2026.
            until = seconds(datetime(2027, 1, 15)) if change is None else change
            step = max(60, (until - moment) // 100 // 60 * 60)
            assert all(compiled_schedule.open_at(between) == state for between in range(moment, until, step))
            if change is None:
                break
            assert change > moment
            assert compiled_schedule.open_at(change - 1) == state
            assert compiled_schedule.open_at(change) != state
            moment = change

    @given(sites.seeded(lambda random: (sites.windows(random), random)))
    def test_order_and_repetition_do_not_matter(self, case: tuple[list[dict[str, Any]], Random]) -> None:
        windows, random = case
        shuffled = windows + windows[:2]
        random.shuffle(shuffled)
        assert schedule(*windows) == schedule(*shuffled)
        assert hash(schedule(*windows)) == hash(schedule(*shuffled))

    @given(sites.seeded(question), sites.seeded(sites.window))
    def test_another_window_never_shuts_what_was_open(
        self, asked: tuple[list[dict[str, Any]], list[datetime]], more: dict[str, Any]
    ) -> None:
        windows, moments = asked
        for wall in moments:
            assert schedule(*windows).open_at(seconds(wall)) <= schedule(*windows, more).open_at(seconds(wall))


class TestWindows:
    @pytest.mark.req("OFF-AG-07")
    def test_daily_is_half_open(self) -> None:
        nine_to_five = {"kind": "daily", "start": 540, "length": 480}
        assert not is_open("2026-05-04T08:59:59", nine_to_five)
        assert is_open("2026-05-04T09:00:00", nine_to_five)
        assert is_open("2026-05-04T16:59:59", nine_to_five)
        assert not is_open("2026-05-04T17:00:00", nine_to_five)

    @pytest.mark.req("OFF-AG-08")
    def test_weekly_belongs_to_the_day_on_which_it_begins(self) -> None:
        friday_night = {"kind": "weekly", "start": 1320, "length": 480, "days": 0b10000}
        assert is_open("2026-05-08T23:00", friday_night)
        assert is_open("2026-05-09T05:59:59", friday_night)
        assert not is_open("2026-05-08T05:00", friday_night)
        assert not is_open("2026-05-09T23:00", friday_night)

    def test_the_night_from_sunday_goes_on_into_the_next_week(self) -> None:
        sunday_night = {"kind": "weekly", "start": 1320, "length": 480, "days": 0b1000000}
        assert is_open("2026-05-11T05:59:59", sunday_night)
        assert not is_open("2026-05-11T06:00", sunday_night)

    @pytest.mark.req("OFF-AG-09")
    def test_once_is_one_period_and_then_over(self) -> None:
        party = {"kind": "once", "from": "2026-05-08T18:00", "until": "2026-05-10T02:00"}
        assert [is_open(at, party) for at in ("2026-05-08T17:59:59", "2026-05-08T18:00", "2026-05-10T01:59:59")] == [
            False,
            True,
            True,
        ]
        assert not is_open("2026-05-10T02:00", party)
        assert not is_open("2027-05-09T00:00", party)

    def test_a_whole_day_has_no_hole_at_midnight(self) -> None:
        for at in ("2026-05-04T00:00", "2026-05-04T23:59:59", "2026-05-05T00:00"):
            assert is_open(at, {"kind": "daily", "start": 0, "length": 1440})

    @pytest.mark.parametrize(
        ("windows", "always"),
        [
            ([ALL_DAY], True),
            ([{"kind": "weekly", "start": 600, "length": 1440}], True),
            ([{"kind": "daily", "length": 720}, {"kind": "daily", "start": 720, "length": 720}], True),
            ([{"kind": "daily", "length": 1439}], False),
            ([{"kind": "weekly", "days": 126}], False),
            ([{"kind": "daily", "until": "2099-01-01T00:00"}], False),
            ([{"kind": "daily", "from": "1999-01-01T00:00"}], False),
            ([], False),
        ],
    )
    def test_always_means_at_every_moment_there_is(self, windows: list[dict[str, Any]], always: bool) -> None:
        assert schedule(*windows).always is always

    def test_nothing_opens_without_windows_or_with_bounds_the_wrong_way_round(self) -> None:
        backwards = {"kind": "once", "from": "2026-05-10T00:00", "until": "2026-05-01T00:00"}
        for windows in ([], [backwards], [{"kind": "weekly", "days": 0}]):
            assert schedule(*windows) == Schedule()
            assert schedule(*windows).next_change(0) is None

    def test_equal_hours_written_differently_are_one_schedule(self) -> None:
        one = {"kind": "daily", "start": 540, "length": 120}
        two = [{"kind": "daily", "start": 540, "length": 60}, {"kind": "weekly", "start": 600, "length": 60}]
        assert schedule(one) == schedule(*two)
        assert schedule(one) != schedule({"kind": "daily", "start": 540, "length": 121})
        assert schedule(one) != one

    def test_the_same_windows_are_compiled_once(self) -> None:
        windows = (Window("daily", 1, 2), Window("once", since=3, until=4))
        assert compiled(windows) is compiled(tuple(windows))

    @pytest.mark.parametrize("bounds", [{}, {"from": "2026-01-01T00:00"}, {"until": "2026-01-01T00:00"}])
    def test_once_without_both_bounds_is_an_error(self, bounds: dict[str, str]) -> None:
        with pytest.raises(ScheduleError) as caught:
            Window.read({"kind": "once", **bounds})
        assert caught.value.code == "window.once"

    @pytest.mark.parametrize(
        "numbers",
        [
            *({"start": -1}, {"start": 1440}, {"length": 0}, {"length": 1441}, {"length": 10**12}),
            *({"days": -1}, {"days": 128}, {"kind": "monthly"}, {"kind": ""}),
        ],
    )
    def test_numbers_out_of_range_and_other_kinds_are_an_error(self, numbers: dict[str, Any]) -> None:
        with pytest.raises(ScheduleError) as caught:
            Window.read({"kind": "weekly", **numbers})
        assert caught.value.code == "window.range"

    def test_the_ends_of_the_ranges_are_taken(self) -> None:
        for numbers in ({"start": 0, "length": 1, "days": 0}, {"start": 1439, "length": 1440, "days": 127}):
            assert Window.read({"kind": "weekly", **numbers})[1:4] == tuple(numbers.values())


class TestLocalTimes:
    def test_minutes_and_seconds(self) -> None:
        assert local_seconds("1970-01-02T00:01") == 86_460
        assert local_seconds("1970-01-01T00:00:59") == 59

    @pytest.mark.parametrize(
        "text",
        ["", "tomorrow", "2026-02-30T10:00", "2026-01-01T10:00Z", "2026-01-01T10:00+01:00", "2026-01-01T10:00:00.5"],
    )
    def test_other_text_is_refused(self, text: str) -> None:
        with pytest.raises(ScheduleError) as caught:
            local_seconds(text)
        assert caught.value.code == "local.format"


@pytest.mark.req("OFF-AG-19", "OFF-AG-E08")
class TestZone:
    @given(st.sampled_from(sites.ZONES), sites.instants)
    @example("Europe/Berlin", datetime(2026, 3, 29, 1, tzinfo=UTC))
    @example("Europe/Berlin", datetime(2026, 10, 25, 0, 59, 59, tzinfo=UTC))
    @example("Europe/Berlin", datetime(2026, 10, 25, 1, tzinfo=UTC))
    @example("Pacific/Apia", datetime(2011, 12, 30, 10, tzinfo=UTC))
    def test_shows_what_the_zone_database_says(self, name: str, now: datetime) -> None:
        wall = now.astimezone(ZoneInfo(name)).replace(tzinfo=None)
        zone = Zone(name)
        assert zone.local(now) == seconds(wall)
        assert zone.local(now) == seconds(wall), "the second time, from memory"

    def test_in_every_zone_through_every_change_of_three_years(self) -> None:
        for name in ("America/New_York", "America/Santiago", "Africa/Casablanca", "Asia/Tehran", "Antarctica/Troll"):
            zone, info = Zone(name), ZoneInfo(name)
            for hour in range(0, 3 * 365 * 24, 1):
                now = datetime(2025, 1, 1, 0, 29, 59, tzinfo=UTC) + timedelta(hours=hour)
                assert zone.local(now) == seconds(now.astimezone(info).replace(tzinfo=None))

    def test_forgets_when_it_has_learnt_too_many_days(self) -> None:
        zone = Zone("Europe/Berlin")
        for day in range(5_000):
            now = datetime(2020, 1, 1, 12, tzinfo=UTC) + timedelta(days=day)
            assert zone.local(now) == seconds(now.astimezone(ZoneInfo("Europe/Berlin")).replace(tzinfo=None))

    def test_instants_may_come_in_any_zone_but_not_without(self) -> None:
        zone = Zone("Europe/Berlin")
        noon = datetime(2026, 7, 1, 12, tzinfo=UTC)
        assert zone.local(noon) == zone.local(noon.astimezone(ZoneInfo("Asia/Tokyo")))
        with pytest.raises(TypeError, match="naive"):
            zone.local(datetime(2026, 7, 1, 12))

    def test_part_of_a_second_belongs_to_the_second_that_has_begun(self) -> None:
        assert Zone("UTC").local(datetime(1970, 1, 1, 0, 0, 1, 999_999, tzinfo=UTC)) == 1
        assert Zone("UTC").local(datetime(1969, 12, 31, 23, 59, 59, 1, tzinfo=UTC)) == -1

    @pytest.mark.parametrize("name", ["Nowhere/Land", "", "../etc/passwd", "/etc/localtime", "Europe"])
    def test_an_unknown_zone_is_an_error_with_a_code(self, name: str) -> None:
        with pytest.raises(ScheduleError) as caught:
            Zone(name)
        assert caught.value.code == "zone.unknown"

    def test_two_of_one_name_are_equal(self) -> None:
        assert {Zone("UTC"), Zone("UTC")} == {Zone("UTC")}
        assert Zone("UTC") != Zone("Europe/Berlin")
