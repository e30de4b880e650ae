"""The door log: rows, filters, pages, what arrives, and why."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import timedelta

import pytest
from django.test import Client

from tests.cast import NOW, Cast
from tests.portal.conftest import HTMX, happen, piece, shown, text, to

Browser = Callable[..., Client]


class TestDoorLog:
    @pytest.mark.req("OFF-LOG-10", "OFF-LOG-16", "OFF-LOG-E04")
    def test_a_row_says_when_who_where_how_and_why_not(self, committed_cast: Cast, browser: Browser) -> None:
        here = committed_cast.here
        one, two = happen(
            here,
            {"holder": str(committed_cast.charlie.pk)},
            {"allowed": False, "reason": "credential.unknown", "method": "card"},
        )
        response = browser(committed_cast.alice).get(to("logs:door_log", here))
        first = piece(response, f"passage-{one}")
        assert "10:01:00 2026-11-21 Charlie Novak Lumen Diagnostics Front door Main entrance · PIN Granted" in first
        second = piece(response, f"passage-{two}")
        assert "Unknown card" in second
        assert "Refused Nobody has this code" in second
        html = shown(response)
        assert html.index(str(two)) < html.index(str(one))

    @pytest.mark.req("OFF-LOG-04", "OFF-LOG-07", "OFF-LOG-E01")
    def test_filters_hold_together_and_nonsense_is_dropped(self, committed_cast: Cast, browser: Browser) -> None:
        here = committed_cast.here
        ids = happen(
            here,
            {"method": "pin"},
            {"method": "card"},
            {"method": "pin", "allowed": False, "reason": "credential.unknown"},
            {"method": "pin", "at": NOW - timedelta(days=2)},
        )
        client = browser(committed_cast.alice)

        def found(query: str) -> set[int]:
            html = shown(client.get(to("logs:door_log", here) + query))
            return {number for number, id_ in enumerate(ids) if f'id="passage-{id_}"' in html}

        assert found("") == {0, 1, 2, 3}
        assert found("?method=pin") == {0, 2, 3}
        assert found("?method=pin&result=refused") == {2}
        assert found(f"?device={here.device.id}") == {0, 1, 2, 3}
        assert found(f"?device={committed_cast.elsewhere.device.id}") == set()
        assert found("?from=2026-11-21") == {0, 1, 2}
        assert found("?to=2026-11-20") == {3}
        assert found("?from=2026-11-21&to=2026-11-20") == set()
        assert found("?method=x&device=y&from=z&result=q&before=w") == {0, 1, 2, 3}
        backwards = client.get(to("logs:door_log", here) + "?from=2026-11-21&to=2026-11-20")
        assert "The first day lies after the last" in piece(backwards, "nothing", "div")

    @pytest.mark.req("OFF-LOG-26")
    def test_days_are_the_sites_days(self, committed_cast: Cast, browser: Browser) -> None:
        """Berlin's midnight is 23:00 UTC."""
        here = committed_cast.here
        before, after = happen(
            here,
            {"at": NOW.replace(hour=22, minute=59, day=20)},
            {"at": NOW.replace(hour=23, minute=0, day=20)},
        )
        html = shown(browser(committed_cast.alice).get(to("logs:door_log", here) + "?from=2026-11-21"))
        assert f"passage-{after}" in html
        assert f"passage-{before}" not in html

    def test_older_and_newer_walk_the_whole_log_once(self, committed_cast: Cast, browser: Browser) -> None:
        here = committed_cast.here
        ids = happen(here, *({} for _ in range(120)))
        client = browser(committed_cast.alice)
        seen: list[str] = []
        address = to("logs:door_log", here)
        for _ in range(3):
            html = client.get(address).content.decode()
            seen += re.findall(r'<tr data-gh-id="([0-9a-f-]+)"', html)
            older = re.search(r'href="([^"]+)" rel="next"', html)
            if older:
                address = older[1].replace("&amp;", "&")
        assert seen == [str(id_) for id_ in reversed(ids)]
        assert not older
        newer = re.search(r'href="([^"]+)" rel="prev"', html)
        assert newer
        back = client.get(newer[1].replace("&amp;", "&")).content.decode()
        assert re.findall(r'<tr data-gh-id="([0-9a-f-]+)"', back) == seen[50:100]

    @pytest.mark.req("OFF-LOG-30", "OFF-LOG-E02")
    def test_new_rows_are_those_that_arrived_since_also_when_they_are_older(
        self, committed_cast: Cast, browser: Browser
    ) -> None:
        """A line that was cut: what happened before is told after."""
        here = committed_cast.here
        (known,) = happen(here, {})
        late, late_too = happen(
            here, {"at": NOW - timedelta(hours=1)}, {"at": NOW - timedelta(hours=2), "method": "card"}
        )
        client = browser(committed_cast.alice)
        address = to("logs:door_log_rows", here)
        html = client.get(f"{address}?after={known}", **HTMX).content.decode()
        assert re.findall(r'data-gh-id="([0-9a-f-]+)"', html) == [str(late), str(late_too)]
        assert html.lstrip().startswith("<tr")
        narrowed = client.get(f"{address}?after={known}&method=card", **HTMX).content.decode()
        assert re.findall(r'data-gh-id="([0-9a-f-]+)"', narrowed) == [str(late_too)]
        assert client.get(f"{address}?after={late_too}", **HTMX).content.strip() == b""

    @pytest.mark.req("OFF-LOG-E03")
    def test_the_panel_says_why_and_by_whose_clock(self, committed_cast: Cast, browser: Browser) -> None:
        here = committed_cast.here
        (id_,) = happen(
            here,
            {
                "holder": str(committed_cast.charlie.pk),
                "allowed": False,
                "reason": "access.outside_hours",
                "alone": True,
                "revision": 18204,
                "true_ms": None,
                "boot": "00000000-0000-4000-8000-000000000000",
            },
        )
        client = browser(committed_cast.alice)
        panel = text(shown(client.get(to("logs:passage", here, passage=id_), **HTMX)))
        for said in (
            "Outside the hours",
            "Charlie Novak",
            "Code : live, and known to the door",
            "Access group : An access group holds this door, but not at that hour.",
            "Release : not asked any more",
            "at the door, while the line was cut",
            "18,204",
            "It arrived here 2026-11-21 11:00:00",
            "The device did not know the time; this is what its clock showed.",
        ):
            assert said in panel, said
        whole = shown(client.get(to("logs:passage", here, passage=id_)))
        assert 'id="rows"' in whole
        assert f'id="passage-{id_}"' in whole
        assert 'aria-selected="true"' in whole

    def test_what_no_rule_decided_has_no_chain(self, committed_cast: Cast, browser: Browser) -> None:
        (id_,) = happen(committed_cast.here, {"method": "remote"})
        html = shown(browser(committed_cast.alice).get(to("logs:passage", committed_cast.here, passage=id_), **HTMX))
        assert "gh-why" not in html
        assert "From the portal" in html

    def test_an_empty_log_teaches(self, committed_cast: Cast, browser: Browser) -> None:
        response = browser(committed_cast.alice).get(to("logs:door_log", committed_cast.here))
        assert "Nobody has come by yet" in piece(response, "nothing", "div")
